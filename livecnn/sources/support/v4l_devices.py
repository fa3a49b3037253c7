"""Cameras as Linux lists them, and why one does not answer."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from livecnn.sources.support.natural_order import natural_key

DEV = Path("/dev")
PROC = Path("/proc")


def video_devices() -> list[str]:
    """The paths /dev/video*, in natural order; nothing on systems that do not list cameras so."""
    return sorted((str(path) for path in DEV.glob("video*")), key=natural_key)


def listed_numbers() -> list[int]:
    """Those of `video_devices`."""
    found = (re.search(r"video(\d+)$", device) for device in video_devices())
    return [int(match[1]) for match in found if match]


def is_device(camera: int | str, number: int) -> bool:
    """Does a camera's number, or any path that leads to its device, mean that number?"""
    path = str(camera) if str(camera).startswith("/") else DEV / f"video{camera or 0}"
    return os.path.realpath(path) == os.path.realpath(DEV / f"video{number}")


def trouble(device: str) -> str:
    """Why a device of Linux gives no picture, as far as it can be told, and what to try."""
    path = Path(device)
    found = f"cameras found: {', '.join(video_devices()) or 'none'}"
    try:
        mode = path.stat().st_mode
    except OSError:
        return f"no such device; {found}"
    if not stat.S_ISCHR(mode):
        return f"not a camera; {found}"
    if not os.access(path, os.R_OK | os.W_OK):
        return "no permission; add yourself to the group 'video' (sudo usermod -aG video $USER) and log in again"
    holder = holder_of(path)
    if holder:
        return f"held by another program: {holder}; close it and try again"
    return f"gives no picture; another program may hold it, or it is no camera; {found}"


def holder_of(device: Path) -> str:
    """The program that has a device open, as "name (process 123)"; "" if none can be seen (others' need root's eyes)."""
    real = str(device.resolve())
    for link in PROC.glob("[0-9]*/fd/*"):
        process = link.parent.parent
        if int(process.name) == os.getpid():
            continue
        try:
            if os.readlink(link) == real:
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:  # ended meanwhile, or somebody else's
            continue
    return ""
