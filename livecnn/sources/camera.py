"""A camera of this computer: taken, listed, and why one does not answer."""

import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from livecnn._cv2 import cv2
from livecnn.errors import SourceError
from livecnn.io.files import natural_key
from livecnn.sources import SourceOptions
from livecnn.sources._opencv import OpenCVSource
from livecnn.types import Frame

# In the order to try. Media Foundation first: DirectShow opens fast, but is slow later with some cameras.
_BACKENDS = {
    "linux": (cv2.CAP_V4L2,),
    "win32": (cv2.CAP_MSMF, cv2.CAP_DSHOW),
    "darwin": (cv2.CAP_AVFOUNDATION,),
}
_HIGHEST = 255  # camera number; Linux has no more devices
_UNLISTED = range(5)  # numbers to try where the system lists no cameras,
_MISSES = 2  # until so many in a row give no picture
DEV, PROC = Path("/dev"), Path("/proc")


class CameraSource(OpenCVSource):
    """A webcam by number or by device path, e.g. "1" or "/dev/video2"; "" is number 0. The camera sets the pace.

    Each frame has the size that the driver gives, whatever was asked for.
    """

    mirrored = True
    supervised = True

    def __init__(self, address: str, options: SourceOptions) -> None:
        super().__init__(address, options)
        self.name = f"camera {address or 0}"

    def open(self) -> None:
        """Take the device and wait for a picture. Raises SourceError: what is wrong with it, and what to try."""
        device = self._device()
        for backend in _BACKENDS.get(sys.platform, (cv2.CAP_ANY,)):
            capture = cv2.VideoCapture(device, backend)
            self._ask(capture)
            if self._take(capture):
                self._first = None  # it will be old by the first read
                return
        raise SourceError(f"{self.name}: {_trouble(device)}")

    def read(self) -> Frame | None:
        """Return the next picture, never None. Raises SourceError when the camera gives no more."""
        image = self._next()
        if image is None:
            raise SourceError(f"{self.name}: lost: it gives no more pictures; is it still plugged in?")
        return self._frame(image)

    def _device(self) -> int | str:
        address = self.address or "0"
        if address.isdecimal() and int(address) <= _HIGHEST:
            return int(address)
        if sys.platform == "linux" and address.startswith("/"):
            return address
        allowed = f"a number from 0 to {_HIGHEST}" + (" or a device such as /dev/video2" if sys.platform == "linux" else "")
        raise SourceError(f"camera {address!r}: no such camera; allowed: {allowed}")

    def _ask(self, capture: cv2.VideoCapture) -> None:
        """Compressed pictures first, else USB lends too little bandwidth for the size and rate asked for after it."""
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        if self.options.camera_size:
            width, height = self.options.camera_size
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        if self.options.camera_fps:
            capture.set(cv2.CAP_PROP_FPS, self.options.camera_fps)


def _trouble(device: int | str) -> str:
    if sys.platform == "linux":
        return trouble(f"/dev/video{device}" if isinstance(device, int) else device)
    permission = " or not allowed (System Settings > Privacy & Security > Camera)" if sys.platform == "darwin" else ""
    return f"gives no picture; no such camera, held by another program{permission}"


def candidates() -> list[int]:
    """Return the numbers of the cameras that there may be."""
    return listed_numbers() if sys.platform == "linux" else list(_UNLISTED)


def probed(options: SourceOptions) -> Iterator[tuple[CameraSource, SourceError | None]]:
    """Yield each camera that there may be: open, for the caller to close, or with the reason why it could not be opened."""
    misses = 0
    for number in candidates():
        camera = CameraSource(str(number), options)
        error = None
        try:
            camera.open()
        except SourceError as caught:
            error = caught
        yield camera, error
        misses = 0 if error is None else misses + 1
        if misses == _MISSES and sys.platform != "linux":
            return


def video_devices() -> list[str]:
    """Return the paths /dev/video*, in natural order; none on systems that do not list cameras so."""
    return sorted((str(path) for path in DEV.glob("video*")), key=natural_key)


def listed_numbers() -> list[int]:
    """Return the numbers of `video_devices`."""
    found = (re.search(r"video(\d+)$", device) for device in video_devices())
    return [int(match[1]) for match in found if match]


def is_device(camera: int | str, number: int) -> bool:
    """Return whether a camera's number, or any path that leads to its device, means that number."""
    path = str(camera) if str(camera).startswith("/") else DEV / f"video{camera or 0}"
    return os.path.realpath(path) == os.path.realpath(DEV / f"video{number}")


def trouble(device: str) -> str:
    """Return why a device of Linux gives no picture, as far as it can be found out, and what to try."""
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
    """Return the program that has a device open, as "name (process 123)"; "" if none can be seen (of others, root sees it)."""
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
