"""Small layouts, made-up ticks, and where labels' ink and the mouse's targets lie on a screen."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import RendererAgg

from livecnn.app.screen.figure import FigureView
from livecnn.drawing.artists import Group, Label
from livecnn.drawing.theme import THEMES, Metrics
from livecnn.geometry import Rect
from livecnn.io import yaml_document as yamlfile
from livecnn.layout.layout import Layout, layout_from_document
from livecnn.panels.base.drawer import Context, Drawer
from livecnn.panels.base.targets import Target
from livecnn.selection import Unit
from livecnn.types import Box, Frame, LoopStatus, Patch, Prepared, Scene, SourceStatus, Tick

DIGITS = tuple("0123456789")
SHAPES = {"conv": (1, 12, 9, 7), "fc": (1, 30), "out": (1, 10)}
SIZES = [(320, 240), (800, 600), (1280, 720), (1920, 1080), (3840, 2160)]
MEASURED = LoopStatus(SourceStatus("live", "camera 0"), 25.0, 24.0, 3.1, 21.0, 40.0)


def layout(panels: Mapping[str, Any], grid: str, size: tuple[int, int] = (800, 600), theme: str = "dark") -> Layout:
    data = {"panels": dict(panels), "layout": grid, "figure": {"size": list(size), "theme": theme}}
    return layout_from_document(yamlfile.parse(yaml.safe_dump(data), Path("test.yaml")))


def context(classes: Sequence[str] = DIGITS, shapes: Mapping[str, tuple[int, ...]] = SHAPES) -> Context:
    """Of a network whose layer `fc` leads to the classes."""
    rng = torch.Generator().manual_seed(1)
    weights = torch.randn(len(classes), shapes.get("fc", (1, 30))[1], generator=rng)
    return Context("toy", tuple(classes), shapes, lambda units: weights if units == weights.shape[1] else None, THEMES["dark"])


def activations(shapes: Mapping[str, tuple[int, ...]] = SHAPES, seed: int = 0) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return {layer: torch.randn(shape, generator=rng) for layer, shape in shapes.items()}


def picture(height: int = 48, width: int = 64) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def scene(
    screen: FigureView,
    layers: Mapping[str, torch.Tensor] | None = None,
    scores: Any = None,
    *,
    empty: bool = False,
    status: LoopStatus = MEASURED,
    frame: Frame | None = None,
) -> Scene:
    """A made-up pass: the panels' own reducers on made-up activations."""
    layers = activations(screen.context.shapes) if layers is None else layers
    if scores is None:
        scores = np.full(len(screen.context.classes), 1 / len(screen.context.classes))
    frame = frame or Frame(picture(), 0, 0.0, "a.png")
    height, width = frame.image.shape[:2]
    side = min(height, width)
    box = Box((width - side) // 2, (height - side) // 2, side, side)
    prepared = Prepared(torch.zeros(1, 1, 8, 8), np.arange(64, dtype=np.uint8).reshape(8, 8) * 4, empty)
    views = {name: reducer(layers[reducer.layer]) for name, reducer in screen.reducers.items()}
    patch = Patch(frame.image[box.top : box.top + side, box.left : box.left + side], box, prepared)
    return Scene(frame, Tick(frame, patch, np.asarray(scores, np.float32), views), status)


def labels(artists: Sequence[Artist]) -> Iterator[Label]:
    for artist in artists:
        if isinstance(artist, Label):
            yield artist
        elif isinstance(artist, Group):
            yield from labels(artist.members)


def ink(artist: Any, size: tuple[int, int]) -> Rect | None:
    """The pixels that an artist changes on a figure of that size, as the rectangle around them; None if there are none."""
    renderer = RendererAgg(*size, 100)
    buffer = np.asarray(renderer.buffer_rgba())
    buffer[:] = 7  # no theme has this colour
    artist.draw(renderer)
    changed = packed(buffer) != packed(np.full((1, 1, 4), 7, np.uint8))
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    if not len(rows):
        return None
    left, top = int(columns[0]), int(rows[0])
    return Rect(left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1)


def packed(rgba: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """A number for each pixel, quick to compare: uint8 (h, w, 4) -> (h, w)."""
    return np.ascontiguousarray(rgba).view(np.uint32)[:, :, 0]


def assert_texts_apart(screen: FigureView, panel: str) -> None:
    """No text of a panel leaves its card, and no two overlap."""
    width, height = (round(side) for side in screen.figure.bbox.size)
    drawer, metrics = screen.drawers[panel], Metrics.of(width, height)
    card = drawer.body.inset(-metrics.pad, -metrics.pad - metrics.px(22), -metrics.pad, -metrics.pad)
    artists = [label for label in labels([*drawer.still, *drawer.live]) if label.text]
    seen = [(label.text, place) for label in artists if (place := ink(label, (width, height))) is not None]
    for i, (text, place) in enumerate(seen):
        assert inside(place, card), text
        for other, there in seen[:i]:
            assert not overlap(place, there), (text, other)


def inside(inner: Rect, outer: Rect) -> bool:
    return (
        outer.x <= inner.x
        and outer.y <= inner.y
        and inner.x + inner.w <= outer.x + outer.w
        and inner.y + inner.h <= outer.y + outer.h
    )


def overlap(a: Rect, b: Rect) -> bool:
    return a.x < b.x + b.w and b.x < a.x + a.w and a.y < b.y + b.h and b.y < a.y + a.h


STEP = 4  # pixels between two looks


def place(screen: FigureView, target: Target) -> tuple[int, int]:
    """A pixel where it is found; a unit at any position of its map."""
    found = next(filter(None, (_inside(drawer, target) for drawer in screen.drawers.values())), None)
    assert found is not None, f"{target} is nowhere"
    return found


def _inside(drawer: Drawer, target: Target) -> tuple[int, int] | None:
    left, top, width, height = drawer.card
    for y in range(top, top + height, STEP):
        for x in range(left, left + width, STEP):
            there = drawer.target_at(x, y)
            if there == target or (isinstance(there, Unit) and replace(there, position=None) == target):
                return x, y
    return None
