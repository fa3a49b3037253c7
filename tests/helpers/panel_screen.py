"""A screen with one panel, `it`, which may look at a unit of a toy network, and what can be read from it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.artist import Artist

from livecnn.app.screen.figure import FigureView
from livecnn.networks.inspection.architecture import Architecture, Node, ReceptiveField
from livecnn.panels.base.drawer import Context
from livecnn.panels.base.session import Session
from livecnn.selection import Selection
from livecnn.types import ExplanationUpdate, Frame, Image, Scene
from tests.helpers.scenes import DIGITS, MEASURED, SHAPES, context, ink, inside, labels, layout, overlap, picture, scene

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


def feed(
    screen: FigureView, values: Iterable[float | None], start: int = 0, *, frozen: bool = False, lost: bool = False
) -> FigureView:
    """A tick for each value, ten a second: that value everywhere in all layers, and the class that is certain.

    None: an empty box.
    """
    count = len(screen.context.classes)
    for seq, value in enumerate(values, start):
        layers = {name: torch.full(shape, float(value or 0)) for name, shape in screen.context.shapes.items()}
        scores, status = np.eye(count)[int(np.nan_to_num(value or 0)) % count], replace(MEASURED, frozen=frozen)
        show(screen, layers, scores, empty=value is None, frame=Frame(picture(), seq, seq / 10), status=status, lost=lost)
    screen.draw()
    return screen


def feed_scores(screen: FigureView, scores: Any, count: int = 100) -> FigureView:
    for seq in range(count):
        show(screen, scores=scores, frame=Frame(picture(), seq, seq / 10))
    return screen


def color_count(screen: FigureView, color: Any) -> int:
    """How many pixels of the figure have it; a number is a gray."""
    return int((screen.pixels() == color).all(axis=2).sum())


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


NODES = (
    Node("conv", "Conv2d", ("",), (12, 9, 7), 100, None, ReceptiveField((3, 3), (1, 1), (1.0, 1.0))),
    Node("act_1", "relu", ("conv",), (12, 9, 7), 0, None, None),
    Node("fc", "Linear", ("act_1",), (30,), 100, None, ReceptiveField((8, 8))),
    Node("out", "Linear", ("fc",), (10,), 100, None, ReceptiveField((8, 8))),
)
CONV = Selection(layer="conv", unit=3)


def explored(session: Session | None = None, shapes: Mapping[str, tuple[int, ...]] = SHAPES, **about: Any) -> Context:
    """Of the toy network, whose input is (1, 8, 8)."""
    architecture = Architecture("toy", (1, 8, 8), NODES, 3, 300)
    return replace(context(DIGITS, shapes), architecture=lambda: architecture, session=session or Session(), **about)


def looking(
    kind: str,
    focus: Selection,
    size: tuple[int, int] = (800, 480),
    *,
    about: Context | None = None,
    layers: Mapping[str, torch.Tensor] | None = None,
    findings: ExplanationUpdate | None = None,
    grid: str = "it",
    muted: Collection[tuple[str, int]] = (),
    **fields: Any,
) -> FigureView:
    """A panel `it` that has drawn one scene."""
    screen = FigureView(layout({"it": {"kind": kind, **fields}}, grid, size), about or explored())
    screen.context.session.muted.set(muted)
    screen.attend(focus)
    again(screen, layers, findings)
    return screen


def again(
    screen: FigureView,
    layers: Mapping[str, torch.Tensor] | None = None,
    findings: ExplanationUpdate | None = None,
    **options: Any,
) -> Scene:
    """Another scene, drawn; options: of tests.helpers.scenes.scene."""
    made = {"act_1": torch.zeros(1, 12, 9, 7), **(layers or {})}
    if layers is None or set(layers) <= {"act_1"}:
        rng = torch.Generator().manual_seed(0)
        made = {**{name: torch.randn(shape, generator=rng) for name, shape in screen.context.shapes.items()}, **made}
    given = replace(scene(screen, made, **options), findings=findings)
    screen.show(given)
    screen.draw()
    return given
