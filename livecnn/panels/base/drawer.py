"""Drawer, the base class of all panels' drawers, and the context that it gets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from matplotlib.artist import Artist
from matplotlib.patches import FancyBboxPatch
from matplotlib.transforms import IdentityTransform

from livecnn.drawing.artists import Label, longest_fitting
from livecnn.drawing.theme import Color, Metrics, Theme
from livecnn.geometry import Rect
from livecnn.networks.inspection.architecture import Architecture
from livecnn.panels.base.session import Session
from livecnn.panels.base.targets import Target, Tooltip
from livecnn.selection import Ask, Selection
from livecnn.types import Floats, Reading, Scene

if TYPE_CHECKING:
    import torch

    from livecnn.engine.reducers import Reducer


NOTHING = "nothing in the box"


@dataclass(frozen=True)
class Context:
    """The facts about the network that a panel needs when it is made.

    Attributes:
        model: Name of the network.
        classes: Names in the order of the scores.
        reading: Whether scores are shares of one whole, labels of 0..1 side by side, or plain numbers.
        of_maps: Whether they are made of maps, which are the network's output.
        shapes: By layer, the shape (N, …) of its output.
        class_weights: Called with a number of units, gives the weights (classes, units) from the last hidden layer of so many
            units to the classes; None where there are none.
        theme: Colors of the figure.
        architecture: Gives the network as data, which is found when it is first called.
        weight_norms: Called with a layer, gives float32 (units,), the L2 norm of the weights that lead to each unit; None for a
            layer without weights.
        session: What is remembered whichever view is open.
        channels: Order of the input's channels, "RGB" or "BGR".
        weights: SHA-256 of the file of the weights; None of a network from code.
        others: By the names that panels use, the same of further networks on the same picture.
    """

    model: str
    classes: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]
    class_weights: Callable[[int], torch.Tensor | None]
    theme: Theme
    reading: Reading = "distribution"
    of_maps: bool = False
    architecture: Callable[[], Architecture] = lambda: Architecture("", (), (), 0, 0)
    weight_norms: Callable[[str], Floats | None] = lambda _: None
    session: Session = field(default_factory=Session)
    channels: str = "RGB"
    weights: str | None = None
    others: Mapping[str, Context] = field(default_factory=dict)

    def units(self, layer: str) -> int:
        """Return how many units a layer has; 0 of one that the network does not have."""
        return next((node.output[0] for node in self.architecture().nodes if node.name == layer and node.output), 0)

    def of(self, model: str) -> Context:
        """Return the context of the network of that name; "" is the main one."""
        return replace(self.others[model], theme=self.theme) if model in self.others else self


def to_hex(color: Color) -> str:
    """Return a color as matplotlib's own artists take it."""
    return "#{:02x}{:02x}{:02x}".format(*color)


class Drawer:
    """Draw one panel of one figure: the half of a panel that owns artists.

    A subclass makes its artists in `__init__`, places them in `arrange` and fills them in `show`; every other method has a
    default that does nothing.

    Attributes:
        titles: Wordings of the heading, from the longest to the shortest; the first that fits is shown.
        reducer: What the panel wants of the network. It runs on the model thread; its result comes back as
            `scene.tick.views[name]`.
        asks: What the panel wants of the explanations, which come as `scene.findings`.
        units_asked: Units that the method of the grid is wanted for.
        has_maps: Whether the panel shows values in the colors of `colormap`, which the user may change.
        colormap: Colors of its maps; None where they depend on the layer.
        sorted_by: The class by whose weights the panel's units are sorted; None if they are not.
        still: Artists that are drawn only when the figure is laid out anew.
        live: Artists that are drawn at every tick, in order.

    Example:
        A panel that shows the network's highest score, in a file livecnn/panels/highest.py:

        >>> from livecnn.drawing.artists import Label
        >>> class HighestDrawer(Drawer):
        ...     titles = ("Highest score", "Highest")
        ...
        ...     def __init__(self, spec, name, context):
        ...         super().__init__(name, context)
        ...         self._number = Label(self.theme.text, "bold")
        ...         self.live = [self._number]
        ...
        ...     def arrange(self, body, metrics):
        ...         self._number.place(body.x, body.y + metrics.title, metrics.title, body.w)
        ...
        ...     def show(self, scene):
        ...         self._number.text = f"{100 * scene.tick.scores.max():.0f} %"
    """

    titles: Sequence[str] = ("",)
    reducer: Reducer | None = None
    asks: Collection[Ask] = ()
    units_asked: Sequence[int] = ()
    has_maps = False
    colormap: str | None = None
    sorted_by: int | None = None

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
        """Return wordings of the line at the right of the heading, from the longest to the shortest."""
        return ()

    def lay_out(self, card: Rect, metrics: Metrics) -> None:
        """Place everything; called when the figure is made and after every change of its size or texts.

        Args:
            card: The panel's part of the figure, in device pixels from the top left.
            metrics: Sizes of type and gaps at this size of the figure.
        """
        self.card, pad = card, metrics.pad
        baseline = card.y + pad + metrics.px(10)
        width = card.w - 2 * pad
        self.heading.text = longest_fitting(self.titles, width, metrics.title, "bold")
        self.heading.place(card.x + pad, baseline, metrics.title, width)
        self.caption.place(card.x + card.w - pad, baseline, metrics.small)
        self.write_caption(self.captions(), metrics)
        self.body = card.inset(pad, pad + metrics.px(22), pad, pad)
        self.arrange(self.body, metrics)

    def write_caption(self, wordings: Sequence[str], metrics: Metrics) -> int:
        """Write the longest of these wordings that fits at the right of the heading; return how many pixels there are."""
        room = max(0, self.card.w - 3 * metrics.pad - self.heading.advance())
        self.caption.text, self.caption.width = longest_fitting((*wordings, ""), room, metrics.small), room
        return room

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        """Place the panel's own artists in what the heading leaves of the card; arguments as of `lay_out`."""

    @property
    def reducers(self) -> Mapping[str, Reducer]:
        """Reducers by the names under which their results come back; a panel with several calls them f"{self.name}/…"."""
        return {} if self.reducer is None else {self.name: self.reducer}

    def show(self, scene: Scene) -> None:
        """Take the newest data; the live artists are drawn right afterwards."""

    def set_selection(self, focus: Selection) -> None:
        """Follow what the user looks at; called when the panel opens, too. Only live artists and reducers may change."""

    def target_at(self, x: float, y: float) -> Target | None:
        """Return what lies at a device pixel inside the card, from the top left of the figure; None: nothing."""

    def hover(self, target: Target | None) -> None:
        """Show that the mouse is over one of the panel's targets; None: over none of them any more."""

    def tip(self, target: Target) -> Tooltip | None:
        """Return the words about one of the panel's targets while the mouse is there."""

    def step(self, unit: int, across: int, down: int) -> int | None:
        """Return the unit so many places to the right and down of another one; None if the panel does not arrange units."""

    def turn_page(self, pages: int) -> int | None:
        """Return the number of the page so many further on, kept inside what there is; None if the panel has no pages."""

    def fold(self, name: str) -> None:
        """Fold or unfold the group of layers of that name, or the one that holds the layer of that name."""

    def scroll(self, x: float, y: float, steps: float) -> bool:  # noqa: ARG002
        """Scroll by steps of the wheel, away from the user where steps > 0; False if that means nothing here."""
        return False

    def sort_by(self, index: int | None) -> bool:  # noqa: ARG002
        """Sort units by their weight to a class, strongest first; None: as listed. False if no weights lead to classes."""
        return False

    def frame_at(self, x: float, y: float) -> tuple[float, float] | None:
        """Return the pixel (column, row) of the frame that a device pixel shows; None where the panel shows no frame.

        Whole numbers are the middles of pixels, of the figure as of the frame, from the top left.
        """


def card_patch(card: Rect, height: int, theme: Theme, metrics: Metrics, dpi: float) -> FancyBboxPatch:
    """Return the rounded ground of a panel; the figure's height turns rows from the top into matplotlib's from the bottom."""
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
