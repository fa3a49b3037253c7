"""A screen under the control of keys, with the real network and without loops or a window: what windows are compared with."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from livecnn._cv2 import cv2
from livecnn.app.controls.background import LiveRecording
from livecnn.app.controls.controller import Controls
from livecnn.app.plan import Plan
from livecnn.app.screen.figure import DPI, FigureView
from livecnn.engine.crop import Cropper
from livecnn.engine.observer import Observer
from livecnn.explain.live import ExplainWorker
from livecnn.io.files import write_png
from livecnn.sources import Source
from livecnn.types import Frame, Image, Scene, SourceStatus
from tests.helpers import scenes


class Live:
    """Stands for the running loops: a refresh is a pass at once."""

    def __init__(self, observer: Observer, screen: FigureView, frame: Frame, source: Source) -> None:
        self.observer, self._screen, self.frame = observer, screen, frame
        self.capture = SimpleNamespace(source=source)
        self.frozen = self.mirrored = False
        self.refreshed = 0
        self.explaining: ExplainWorker | None = None
        self._present: Frame | None = None
        self.source_name = "camera 0"

    def freeze(self, frozen: bool) -> None:
        self.frozen = frozen

    def look_back(self, frame: Frame) -> None:
        self._present = self._present or self.frame
        self.frame = frame
        self.refresh()

    def come_back(self) -> Frame | None:
        present, self._present = self._present, None
        if present is not None:
            self.frame = present
            self.refresh()
        return present

    def switch(self, source: Source) -> None:
        self.capture.source, self.source_name = source, source.name

    def refresh(self) -> None:
        self.refreshed += 1
        source = SourceStatus(name=self.source_name)
        status = replace(scenes.MEASURED, source=source, frozen=self.frozen, mirrored=self.mirrored)
        self._screen.show(Scene(self.frame, self.observer(self.frame), status))
        self._screen.draw()


class Host:
    def __init__(self, screen: FigureView) -> None:
        self._screen = screen
        self.calls: list[str] = []

    def redraw(self) -> None:
        self._screen.canvas.draw()
        self.calls.append("redraw")

    def resize(self, width: int, height: int) -> None:
        self.calls.append(f"{width}x{height}")

    def toggle_fullscreen(self) -> None:
        self.calls.append("fullscreen")

    def quit(self) -> None:
        self.calls.append("quit")


class Controlled:
    def __init__(self, observer: Observer, screen: FigureView, frame: Frame, plan: Plan, folder: Path) -> None:
        self.screen, self.observer, self.film = screen, observer, LiveRecording(folder)
        self.live, self.host = Live(observer, screen, frame, plan.source), Host(screen)
        self.controls = Controls(self.live, screen, self.host, plan, self.film)  # type: ignore[arg-type]
        self.live.refresh()

    def click(self, x: float, y: float, *, ctrl: bool = False, shift: bool = False, double: bool = False) -> None:
        self.controls.point(x, y, ctrl=ctrl, shift=shift, double=double)
        self.controls.lift()

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
def controlled(plan: Plan, frame: Frame, folder: Path, *, box: float) -> Iterator[Controlled]:
    """folder: where snapshots and films go."""
    focus = plan.focus if plan.layout.explores else None
    screen = FigureView(plan.layout, plan.context, [view.name for view in plan.views], focus)
    observer = Observer(
        plan.bundle.module, Cropper(plan.bundle.pipeline, box), torch.device("cpu"), muted=plan.context.session.muted
    )
    observer.watch(screen.reducers)
    with observer:
        rig = Controlled(observer, screen, frame, plan, folder)
        yield rig
        rig.controls.close()
        rig.film.close()


def seven() -> Image:
    """A thick seven, dark on light."""
    picture = np.full((240, 320, 3), 220, np.uint8)
    cv2.polylines(picture, [np.array([[130, 85], [190, 85], [150, 155]])], False, (30, 30, 40), 9)
    return picture


def folder_of_seven(parent: Path) -> Path:
    """A new folder with a single picture: whatever a window on it changes was changed by an event."""
    folder = parent / "pictures"
    folder.mkdir()
    write_png(folder / "seven.png", seven())
    return folder
