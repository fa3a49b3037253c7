"""What the tests of panels share that follow the focus: a network as data, and screens that look at a unit of it."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import torch

from livecnn.app.screen.figure import FigureView
from livecnn.networks.inspection.architecture import Architecture, Node, ReceptiveField
from livecnn.panels.base.drawer import Context
from livecnn.panels.base.session import Session
from livecnn.selection import Selection
from livecnn.types import ExplanationUpdate, Scene
from tests.helpers.scenes import DIGITS, SHAPES, context, layout, scene

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
