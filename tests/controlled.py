"""A screen under the control of keys, with the real network and without loops or a window: what windows are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from livecnn._cv2 import cv2
from livecnn.bundles import Bundle
from livecnn.config import Layout, load_layout
from livecnn.controls import Controls
from livecnn.figure import DPI, Screen
from livecnn.patch import Cropper
from livecnn.plan import context_of, load_views
from livecnn.tick import Observer
from livecnn.types import Frame, Image, Scene, SourceStatus
from tests import drawing


class Live:
    """Stands for the running loops: a refresh is a pass at once."""

    def __init__(self, observer: Observer, screen: Screen, frame: Frame) -> None:
        self.observer, self._screen, self._frame = observer, screen, frame
        self.frozen = self.mirrored = False
        self.refreshed = 0
        self.source_name = "camera 0"

    def freeze(self, frozen: bool) -> None:
        self.frozen = frozen

    def refresh(self) -> None:
        self.refreshed += 1
        source = SourceStatus(name=self.source_name)
        status = replace(drawing.MEASURED, source=source, frozen=self.frozen, mirrored=self.mirrored)
        self._screen.show(Scene(self._frame, self.observer(self._frame), status))
        self._screen.draw()


class Host:
    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.calls: list[str] = []

    def redraw(self) -> None:
        self._screen.canvas.draw()
        self.calls.append("redraw")

    def toggle_fullscreen(self) -> None:
        self.calls.append("fullscreen")

    def quit(self) -> None:
        self.calls.append("quit")


class Controlled:
    def __init__(self, observer: Observer, screen: Screen, frame: Frame, views: list[Layout], snapshots: Path) -> None:
        self.screen, self.observer = screen, observer
        self.live, self.host = Live(observer, screen, frame), Host(screen)
        self.controls = Controls(self.live, screen, self.host, views, snapshots)  # type: ignore[arg-type]
        self.live.refresh()

    def press(self, *keys: str) -> Image:
        """The picture afterwards."""
        for key in keys:
            self.controls.press(key)
        return self.screen.pixels()

    def resize(self, width: int, height: int) -> Image:
        self.screen.figure.set_size_inches(width / DPI, height / DPI)
        self.screen.canvas.draw()
        self.live.refresh()
        return self.screen.pixels()

    def neurons(self) -> Image:
        """Brightness of the cells of ip1, in reading order."""
        assert self.screen.scene is not None
        return self.screen.scene.tick.views["ip1"].codes.ravel()

    @property
    def said(self) -> str:
        return self.screen.toast.text


@contextmanager
def controlled(bundle: Bundle, frame: Frame, snapshots: Path, *, box: float, views: bool = True) -> Iterator[Controlled]:
    """Around the shipped layout, all views of it or just that one."""
    layout = load_layout("lenet")
    everything = load_views(layout) if views else [layout]
    screen = Screen(layout, context_of(bundle), [view.name for view in everything])
    observer = Observer(bundle.module, Cropper(bundle.pipeline, box), torch.device("cpu"))
    observer.watch(screen.reducers)
    with observer:
        yield Controlled(observer, screen, frame, everything, snapshots)


def seven() -> Image:
    """A thick seven, dark on light."""
    picture = np.full((240, 320, 3), 220, np.uint8)
    cv2.polylines(picture, [np.array([[130, 85], [190, 85], [150, 155]])], False, (30, 30, 40), 9)
    return picture
