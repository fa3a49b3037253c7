"""A screen with one panel, `it`, and what can be read from it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from matplotlib.artist import Artist

from livecnn.app.screen.figure import FigureView
from livecnn.panels.base.drawer import Context
from livecnn.types import Image, Scene
from tests.helpers.scenes import context, ink, inside, labels, layout, overlap, scene

every_size = pytest.mark.parametrize(
    ("size", "grid"),
    [
        *(
            ((width, height), "it")
            for width, height in ((320, 240), (800, 600), (500, 1000), (1400, 260), (1280, 720), (1920, 1080))
        ),
        *((size, "it .\n. .") for size in ((320, 240), (800, 600), (1920, 1080))),
        *((size, "it . .\n. . .") for size in ((320, 240), (400, 700), (900, 240), (1280, 720))),
        ((800, 600), "it . . .\n. . . ."),
    ],
    ids=lambda value: "x".join(map(str, value)) if isinstance(value, tuple) else f"a share of {value.count(' ') + 1}",
)


def panel(
    kind: str, size: tuple[int, int] = (800, 600), *, grid: str = "it", about: Context | None = None, **fields: Any
) -> FigureView:
    return FigureView(layout({"it": {"kind": kind, **fields}}, grid, size), about or context())


def show(screen: FigureView, *values: Any, lost: bool = False, **options: Any) -> None:
    """Show a scene; values and options: of tests.helpers.scenes.scene; lost: whether the box is elsewhere."""
    screen.show(with_patch(scene(screen, *values, **options), lost=lost))


def draw(screen: FigureView, *values: Any, **options: Any) -> FigureView:
    show(screen, *values, **options)
    screen.draw()
    return screen


def with_patch(given: Scene, **changes: Any) -> Scene:
    return replace(given, tick=replace(given.tick, patch=replace(given.tick.patch, **changes)))


def it(screen: FigureView) -> Any:
    return screen.drawers["it"]


def texts(screen: FigureView, *, still: bool = False) -> list[str]:
    """The texts that can be seen; still: those of the panel's ground, too."""
    artists = [*(it(screen).still if still else ()), *it(screen).live]
    return [label.text for label in labels(artists) if label.text and label.get_visible()]


def still_texts(screen: FigureView) -> list[str]:
    return [label.text for label in labels(it(screen).still) if label.text]


def body(screen: FigureView) -> Image:
    """The pixels of the panel, without its heading."""
    x, y, w, h = it(screen).body
    return screen.pixels()[y : y + h, x : x + w]


def place_of(artist: Artist, size: tuple[int, int] = (800, 600)) -> Any:
    """The rectangle around the pixels of an artist, which must have some."""
    place = ink(artist, size)
    assert place is not None
    return place


def assert_apart(screen: FigureView, artists: Sequence[Artist], size: tuple[int, int]) -> None:
    """All can be seen in the panel, and none covers another."""
    seen = [place_of(artist, size) for artist in artists]
    for i, place in enumerate(seen):
        assert inside(place, it(screen).body)
        assert not any(overlap(place, other) for other in seen[:i])
