"""What will be shown, and with which network and source: found, loaded and checked before anything is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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

CAMERA_BOX, WHOLE_BOX = 0.55, 1.0  # `box: {size: auto}`


@dataclass(frozen=True)
class Plan:
    """A layout and the views that the key v walks through (the layout among them), the network, and the source, not yet open."""

    layout: Layout
    views: list[Layout]
    bundle: Bundle
    context: Context
    source: Source
    overrides: tuple[str, ...] = ()

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
        views = load_views(layout, overrides)
        try:
            bundle = bundles.load(model or layout.model, allow_code=allow_code)
        except ModelError as error:
            raise (error if model else layout.fault(("model",), str(error))) from error
        plan = cls.showing(bundle, layout, views, source=source, source_options=source_options)
        return replace(plan, overrides=tuple(overrides))

    @classmethod
    def showing(
        cls,
        bundle: Bundle,
        layout: Layout,
        views: list[Layout],
        *,
        source: str | None = None,
        source_options: SourceOptions | None = None,
    ) -> Plan:
        """The same, for a network that is there already."""
        context = context_of(bundle, views)
        for view in views:
            check_fit(view, context)
        try:
            opened = open_source(source or layout.source, source_options)
        except SourceError as error:
            raise (error if source else layout.fault(("source",), str(error))) from error
        return cls(layout, views, bundle, context, opened)

    @property
    def files(self) -> list[Path]:
        """The layout's file and those of its views; none of a layout that was made in Python."""
        return [view.path for view in self.views if view.from_file]

    def reread(self) -> Plan:
        """The same plan after its files were edited. Raises ConfigError; another network would have to be loaded first."""
        layout = load_layout(self.layout.path, self.overrides)
        if layout.model != self.layout.model:
            raise layout.fault(("model",), f"found {layout.model!r}; start livecnn again for another network")
        views = load_views(layout, self.overrides)
        context = context_of(self.bundle, views)
        for view in views:
            check_fit(view, context)
        return replace(self, layout=layout, views=views, context=context)


def load_views(layout: Layout, overrides: Sequence[str] = ()) -> list[Layout]:
    """The layout itself and those that it names as views, in its order, each once.

    overrides: changes to the layout, as `--set` takes them; those of figure, box and model hold for all views. Raises
    ConfigError if two views share a name, or one wants another network.
    """
    shared = [change for change in overrides if change.startswith(("figure.", "box.", "model="))]
    own = layout.path.resolve()
    views = [] if own in [Path(path).resolve() for path in layout.views] else [layout]
    for place, path in enumerate(layout.views):
        view = layout if Path(path).resolve() == own else load_layout(path, shared)
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


def box_share(layout: Layout, source: Source) -> float:
    """Side of the box as a share of the frame's short side."""
    if layout.box.size != "auto":
        return layout.box.size
    return CAMERA_BOX if source.camera_like else WHOLE_BOX


def context_of(bundle: Bundle, views: Sequence[Layout] = ()) -> Context:
    """What panels have to know about a network; of its functions only if a panel of the views names one."""
    classes = bundle.classes
    wanted = [layer for view in views for panel in view.panels.values() for layer in panel.layers()]
    return Context(
        model=bundle.name,
        classes=classes,
        shapes=bundle.shapes(wanted),
        class_weights=lambda units: class_weights(bundle.module, units, len(classes)),
        theme=THEMES["dark"],
    )
