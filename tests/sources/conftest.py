from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from livecnn._cv2 import cv2
from livecnn.sources import camera


class FakeCapture:
    """Stands in for cv2.VideoCapture: gives the pictures that the test put on a device."""

    devices: ClassVar[dict[object, list[object]]] = {}  # what reads give: a picture, None (a failed read) or an exception
    working: ClassVar[set[int]] = set()  # backends that work; empty: all
    opened: ClassVar[list[FakeCapture]] = []

    def __init__(self, device: object, backend: int = cv2.CAP_ANY, params: object = None) -> None:
        self.device, self.backend, self.params = device, backend, params
        works = not self.working or backend in self.working
        self._reads = iter(self.devices.get(device, []) if works else [])
        self.asked: list[tuple[int, float]] = []
        self.released = False
        self.opened.append(self)

    def set(self, key: int, value: float) -> bool:
        self.asked.append((key, value))
        return False

    def get(self, _: int) -> float:
        return 0.0

    def read(self) -> tuple[bool, object]:
        item = next(self._reads, None)
        if isinstance(item, Exception):
            raise item
        return item is not None, item

    def release(self) -> None:
        self.released = True


@pytest.fixture
def fake_cv2(monkeypatch: pytest.MonkeyPatch) -> type[FakeCapture]:
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    monkeypatch.setattr(FakeCapture, "devices", {})
    monkeypatch.setattr(FakeCapture, "working", set())
    monkeypatch.setattr(FakeCapture, "opened", [])
    return FakeCapture


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes the sources take this system for another one, such as "win32"."""

    def become(platform: str) -> None:
        for module in ("auto", "camera"):
            monkeypatch.setattr(f"livecnn.sources.{module}.sys", SimpleNamespace(platform=platform))

    return become


@pytest.fixture
def linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on: Callable[[str], None]) -> Path:
    """A Linux without devices and processes; its root, with the folders dev and proc."""
    on("linux")
    for name in ("dev", "proc"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(camera, name.upper(), tmp_path / name)
    return tmp_path


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a video file whose frame i is red of level 20 * i, at the frame rate asked for."""
    folder = tmp_path_factory.mktemp("clips")

    def make(frames: int, fps: float = 10.0) -> Path:
        path = folder / f"clip_{frames}_{fps:g}.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (64, 48))
        for i in range(frames):
            writer.write(np.full((48, 64, 3), (0, 0, 20 * i), np.uint8))
        writer.release()
        return path

    return make
