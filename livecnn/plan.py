"""What will be shown, and with which network and source: found, loaded and checked before anything is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from livecnn import bundles
from livecnn.bundles import Bundle
from livecnn.config import Layout, check_layout, load_layout
from livecnn.drawer import Context
from livecnn.errors import LivecnnError, ModelError, SourceError
from livecnn.panels import FieldError, PanelSpec
from livecnn.probe import class_weights
from livecnn.sources import Source, SourceOptions, open_source
from livecnn.theme import THEMES


@dataclass(frozen=True)
class Plan:
    """A layout and the views that the key v walks through (the layout among them), the network, and the source, not yet open."""

    layout: Layout
    views: list[Layout]
    bundle: Bundle
    context: Context
    source: Source

    @classmethod
    def of(
        cls,
        config: str,
        overrides: Sequence[str] = (),
        *,
        model: str | None = None,
        source: str | None = None,
        source_options: SourceOptions | None = None,
        allow_code: bool = False,
    ) -> Plan:
        """model, source: instead of the layout's. Raises LivecnnError; what a layout asks for in vain, with its file and line."""
        layout = load_layout(config, overrides)
        views = load_views(layout, [change for change in overrides if change.startswith(("figure.", "box.", "model="))])
        try:
            bundle = bundles.load(model or layout.model, allow_code=allow_code)
        except ModelError as error:
            raise (error if model else layout.fault(("model",), str(error))) from error
        context = context_of(bundle)
        for view in views:
            check_fit(view, context)
        try:
            opened = open_source(source or layout.source, source_options)
        except SourceError as error:
            raise (error if source else layout.fault(("source",), str(error))) from error
        return cls(layout, views, bundle, context, opened)


def load_views(layout: Layout, overrides: Sequence[str] = ()) -> list[Layout]:
    """The layout itself and those that it names as views, in its order, each once.

    overrides: changes, as `--set` takes them, that hold for all views. Raises ConfigError if two views share a name, or one
    wants another network.
    """
    own = layout.path.resolve()
    views = [] if own in [Path(path).resolve() for path in layout.views] else [layout]
    for place, path in enumerate(layout.views):
        view = layout if Path(path).resolve() == own else load_layout(path, overrides)
        twin = next((other for other in views if other.name == view.name), None)
        if view.model != layout.model:
            raise _unfit(layout, place, f"it shows the model {view.model!r}, this layout {layout.model!r}; views share one")
        if twin is None:
            views.append(view)
        elif twin.path.resolve() != view.path.resolve():
            raise _unfit(layout, place, f"{twin.path} has the name {view.name!r}, too; each view needs its own")
    return views


def _unfit(layout: Layout, place: int, what: str) -> LivecnnError:
    return layout.fault(("views", place), f"found {layout.views[place]!r}; {what}")


def check_fit(layout: Layout, context: Context) -> None:
    """Raise ConfigError if a panel does not fit the network; nothing that is wrong may wait until the view is opened."""
    check_layout(layout, context.shapes, context.classes)
    for name, panel in layout.panels.items():
        _check_drawer(layout, name, panel, context)


def _check_drawer(layout: Layout, name: str, panel: PanelSpec, context: Context) -> None:
    try:
        panel.drawer(name, context)
    except FieldError as error:
        raise layout.fault(("panels", name, error.key), str(error)) from error


def context_of(bundle: Bundle) -> Context:
    """What panels have to know about a network."""
    classes = bundle.classes
    return Context(
        model=bundle.name,
        classes=classes,
        shapes=bundle.shapes(),
        class_weights=lambda units: class_weights(bundle.module, units, len(classes)),
        theme=THEMES["dark"],
    )
