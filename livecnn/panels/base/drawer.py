"""What the drawers of all panels have in common: a card with a heading, still artists and live ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from matplotlib.artist import Artist
from matplotlib.patches import FancyBboxPatch
from matplotlib.transforms import IdentityTransform

from livecnn.drawing.artists import Label, text_width
from livecnn.drawing.theme import Color, Metrics, Theme
from livecnn.geometry import Rect
from livecnn.networks.inspection.architecture import Architecture
from livecnn.panels.base.session import Session
from livecnn.panels.base.targets import Target, Tooltip
from livecnn.selection import Ask, Selection
from livecnn.types import Floats, Scene

if TYPE_CHECKING:
    import torch

    from livecnn.engine.reducers import Reducer


NOTHING = "nothing in the box"


def _unknown() -> Architecture:
    return Architecture("", (), (), 0, 0)


@dataclass(frozen=True)
class Context:
    """What a panel has to know about the network when it is made.

    shapes: layer -> shape (N, ...) of its output. class_weights(units): weights (classes, units) from the last hidden layer.
    architecture(): the network as data; found when it is first asked for.  weight_norms(layer): float32 (units,), the L2 norm of
    the weights that lead to each unit; None of a layer without.  session: what is remembered whichever view is open.
    channels: of the network's input, RGB or BGR.  weights: the sha256 of its file; None of a network from code.
    others: the same of further networks on the same picture, by the names that panels use.
    """

    model: str
    classes: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]
    class_weights: Callable[[int], torch.Tensor | None]
    theme: Theme
    architecture: Callable[[], Architecture] = _unknown
    weight_norms: Callable[[str], Floats | None] = lambda _: None
    session: Session = field(default_factory=Session)
    channels: str = "RGB"
    weights: str | None = None
    others: Mapping[str, Context] = field(default_factory=dict)

    def of(self, model: str) -> Context:
        """What a panel that names this network has to know; "" is the main one."""
        return replace(self.others[model], theme=self.theme) if model in self.others else self


def to_hex(color: Color) -> str:
    """For matplotlib's own artists."""
    return "#{:02x}{:02x}{:02x}".format(*color)


class Drawer:
    """The half of a panel that owns artists; made for one figure.

    `live` artists are drawn at every tick, in order; `still` ones only when the figure is laid out anew.
    reducer: what the panel wants of the network, run on the model thread; its result comes back as `scene.tick.views[name]`.
    asks: what it wants of the explanations, which come as `scene.findings`.
    """

    titles: Sequence[str] = ("",)  # wordings of the heading, from the longest to the shortest
    reducer: Reducer | None = None
    asks: Collection[Ask] = ()
    units_asked: Sequence[int] = ()  # units that the method of the grid is wanted for

    def __init__(self, name: str, context: Context) -> None:
        self.name = name
        self.context = context
        self.theme = context.theme
        self.card = self.body = Rect(0, 0, 1, 1)
        self.heading = Label(self.theme.text, "bold")
        self.caption = Label(self.theme.muted, align="right")
        self.still: list[Artist] = [self.heading, self.caption]
        self.live: list[Artist] = []

    def captions(self) -> Sequence[str]:
        """Wordings of the line at the right of the heading, from the longest to the shortest: the first that fits is taken."""
        return ()

    def lay_out(self, card: Rect, metrics: Metrics) -> None:
        """Place everything inside the card; called when the figure is made and after every change of its size or texts."""
        self.card, pad = card, metrics.pad
        baseline = card.y + pad + metrics.px(10)
        width = card.w - 2 * pad
        fitting = (text for text in self.titles if text_width(text, metrics.title, "bold") <= width)
        self.heading.text = next(fitting, self.titles[-1])
        self.heading.place(card.x + pad, baseline, metrics.title, width)
        room = width - pad - self.heading.advance()
        fitting = (text for text in self.captions() if text_width(text, metrics.small) <= room)
        self.caption.text = next(fitting, "")
        self.caption.place(card.x + card.w - pad, baseline, metrics.small, max(0, room))
        self.body = card.inset(pad, pad + metrics.px(22), pad, pad)
        self.arrange(self.body, metrics)

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        """Place the panel's own artists in what the heading leaves of the card."""

    @property
    def reducers(self) -> Mapping[str, Reducer]:
        """By the names under which their results come back; a panel that has several names them f"{self.name}/…"."""
        return {} if self.reducer is None else {self.name: self.reducer}

    def show(self, scene: Scene) -> None:
        """Take the newest data; the live artists are drawn right afterwards."""

    def set_selection(self, focus: Selection) -> None:
        """The user looks at something else: only live artists and reducers may change. Also called when the panel opens."""

    def target_at(self, x: float, y: float) -> Target | None:
        """What lies at a device pixel, from the top left of the figure; asked only inside the card."""

    def hover(self, target: Target | None) -> None:
        """The mouse is over one of its targets now; None: over none of them any more."""

    def tip(self, target: Target) -> Tooltip | None:
        """What there is to say of one of its targets while the mouse is there."""

    def step(self, unit: int, across: int, down: int) -> int | None:
        """The unit so many places to the right and down of one; None if the panel does not arrange units."""

    def turn_page(self, pages: int) -> int | None:
        """The page so many further on, kept inside what there is; None if the panel has no pages."""

    def fold(self, name: str) -> None:
        """Fold or unfold the group of layers of that name, or the one that holds the layer of that name."""

    def scroll(self, x: float, y: float, steps: float) -> bool:  # noqa: ARG002
        """The wheel turns over the panel, away from the user where steps > 0; False if that means nothing here."""
        return False


def card_patch(card: Rect, height: int, theme: Theme, metrics: Metrics, dpi: float) -> FancyBboxPatch:
    """The rounded ground of a panel; `height` of the figure turns rows from the top into matplotlib's rows from the bottom."""
    return FancyBboxPatch(
        (card.x, height - card.y - card.h),
        card.w,
        card.h,
        boxstyle=f"round,pad=0,rounding_size={metrics.px(9)}",
        facecolor=to_hex(theme.card),
        edgecolor=to_hex(theme.edge),
        linewidth=1.1 * max(1.0, metrics.scale) * 72 / dpi,  # points
        transform=IdentityTransform(),
    )
