"""Plan a run: layout, network and source are found, loaded and checked before anything is opened."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from livecnn import paths
from livecnn.drawing.theme import THEMES
from livecnn.engine.crop import Cropper, check_finder
from livecnn.engine.observer import Observer
from livecnn.errors import ConfigError, LivecnnError, ModelError, SourceError, SystemLibraryError, UsageError
from livecnn.layout.auto_layout import make_layout
from livecnn.layout.layout import Layout, check_layout, load_layout
from livecnn.networks import bundle as bundles
from livecnn.networks.bundle import Bundle
from livecnn.networks.inspection.probe import class_weights, weight_norms
from livecnn.panels.base.drawer import Context
from livecnn.panels.base.session import Session
from livecnn.panels.base.spec import FieldError, PanelSpec
from livecnn.selection import MutedUnits, Selection
from livecnn.sources import Source, SourceOptions, open_source

if TYPE_CHECKING:
    import torch

EXPLORER = "explorer"  # the layout that fits every network
CAMERA_BOX, WHOLE_BOX = 0.55, 1.0  # `box: {size: auto}`


@dataclass(frozen=True)
class Plan:
    """The plan of a run, found and checked beforehand."""

    layout: Layout  # what is shown first
    views: list[Layout]  # the layouts that the key v walks through, the first among them
    bundle: Bundle  # the main network
    context: Context  # what panels have to know about the networks
    source: Source  # where the pictures come from, not yet open
    # further networks on the same picture, by the names that panels use
    others: Mapping[str, Bundle] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()  # changes to the layout, as `--set` takes them

    @classmethod
    def of(
        cls,
        config: str | None,
        overrides: Sequence[str] = (),
        *,
        default: str = "lenet",
        model: str | None = None,
        source: str | None = None,
        source_options: SourceOptions | None = None,
        allow_code: bool = False,
        output: str | None = None,
    ) -> Plan:
        """Make the plan of a layout; `model` and `source` take the place of the layout's own, `output` is as of `load`.

        Without `config`: of the default layout or, for a model, of the first shipped one made for it, else of an automatic one.

        Raises:
            LivecnnError: Something is not there or does not fit; if a layout asks for it, with its file and line.
        """
        if config is None and model is not None:
            made = [name for name in paths.layouts() if load_layout(name).networks == {"": model}]
            config = default if default in made else next(iter(made), None)
            if config is None:
                bundle = bundles.load(model, allow_code=allow_code, output=output)
                layout = make_layout(bundle, overrides=overrides)
                views = [layout, load_layout(EXPLORER, shared_overrides(overrides))]
                return cls.for_bundle(bundle, layout, views, source=source, source_options=source_options)
        layout = load_layout(config or default, overrides)
        views = load_views(layout, overrides)
        if model and layout.models:
            raise UsageError(f"--model: {layout.path} names several; allowed: --set models.{next(iter(layout.models))}={model}")
        chosen = {name: output if place == 0 else None for place, name in enumerate(layout.networks)}  # of the main network
        bundle, *others = [
            _load(layout, name, spec, allow_code, chosen[name])
            if model is None
            else bundles.load(model, allow_code=allow_code, output=output)
            for name, spec in layout.networks.items()
        ]
        beside = dict(zip([*layout.networks][1:], others, strict=True))
        if model is not None:
            views = fitting(views, layout, bundle, beside)
        plan = cls.for_bundle(bundle, layout, views, beside, source=source, source_options=source_options)
        return replace(plan, overrides=tuple(overrides))

    @classmethod
    def for_bundle(
        cls,
        bundle: Bundle,
        layout: Layout,
        views: list[Layout],
        others: Mapping[str, Bundle] = MappingProxyType({}),
        *,
        source: str | None = None,
        source_options: SourceOptions | None = None,
    ) -> Plan:
        """Make the plan of networks that are loaded already."""
        context = make_context(bundle, views, others)
        for view in views:
            check_fit(view, context)
        try:
            opened = open_source(source or layout.source, source_options)
        except SourceError as error:
            raise (error if source else layout.fault(("source",), str(error))) from error
        for each in (bundle, *others.values()):
            if each.assumption:
                print(f"livecnn: {each.assumption}", file=sys.stderr)
        plan = cls(layout, views, bundle, context, opened, others)
        if any(view.explores for view in views):
            _ = plan.focus  # raises
        return plan

    @cached_property
    def focus(self) -> Selection:
        """Return the first selection; raises ConfigError if the network has no such layer, unit or class."""
        try:
            return self.layout.focus.focus(self.context.architecture(), self.context.classes)
        except FieldError as error:
            raise self.layout.fault(("focus", error.key), str(error)) from error

    def observer(
        self, device: torch.device, on_device_error: Callable[[str], None] | None = None, *, sequential: bool = False
    ) -> Observer:
        """Return what passes frames through all networks; `sequential` as of `Cropper`."""

        def looking(
            bundle: Bundle, beside: Mapping[str, Observer] = MappingProxyType({}), muted: MutedUnits | None = None
        ) -> Observer:
            cropper = make_cropper(bundle, self.layout, self.source, calm=sequential)
            return Observer(bundle.module, cropper, device, bundle.precision, on_device_error, beside, muted, bundle.output)

        beside = {name: looking(other) for name, other in self.others.items()}
        return looking(self.bundle, beside, self.context.session.muted)

    @property
    def files(self) -> list[Path]:
        """The files of layout and views; none of a layout that was made in Python."""
        return [view.path for view in self.views if view.from_file]

    def reread(self) -> Plan:
        """Return the plan after its files were edited; raise ConfigError for a mistake, or another network."""
        layout = load_layout(self.layout.path, self.overrides)
        if layout.networks != self.layout.networks:
            key = "models" if layout.models else "model"
            raise layout.fault((key,), f"found {getattr(layout, key)!r}; start livecnn again for another network")
        views = load_views(layout, self.overrides)
        context = make_context(self.bundle, views, self.others)
        for view in views:
            check_fit(view, context)
        return replace(self, layout=layout, views=views, context=context)


def load_views(layout: Layout, overrides: Sequence[str] = ()) -> list[Layout]:
    """Return the layout and its views in their order, each once; raise ConfigError if they share a name or differ in network."""
    own = layout.path.resolve()
    views = [] if own in [Path(path).resolve() for path in layout.views] else [layout]
    for place, path in enumerate(layout.views):
        view = layout if Path(path).resolve() == own else load_layout(path, shared_overrides(overrides))
        twin = next((other for other in views if other.name == view.name), None)
        if view.networks != layout.networks:
            shown, here = (", ".join(one.networks.values()) for one in (view, layout))
            raise _unfit(layout, place, f"it shows the model {shown!r}, this layout {here!r}; views share one")
        if twin is None:
            views.append(view)
        elif twin.path.resolve() != view.path.resolve():
            raise _unfit(layout, place, f"{twin.path} has the name {view.name!r}, too; each view needs its own")
    return views


def shared_overrides(overrides: Sequence[str]) -> list[str]:
    """Return those of the changes, as `--set` takes them, that hold for all views."""
    return [change for change in overrides if change.startswith(("figure.", "box.", "model=", "models."))]


def fitting(
    views: Sequence[Layout], layout: Layout, bundle: Bundle, others: Mapping[str, Bundle] = MappingProxyType({})
) -> list[Layout]:
    """Return those of a layout's views that fit a network which they were not made for; the layout itself in any case."""
    context = make_context(bundle, views, others)

    def fits(view: Layout) -> bool:
        try:
            check_fit(view, context)
        except ConfigError:
            return False
        return True

    return [view for view in views if view is layout or fits(view)]


def _load(layout: Layout, name: str, spec: str, allow_code: bool, output: str | None) -> Bundle:
    try:
        return bundles.load(spec, allow_code=allow_code, output=output)
    except ModelError as error:
        raise layout.fault(("models", name) if layout.models else ("model",), str(error)) from error


def _unfit(layout: Layout, place: int, what: str) -> LivecnnError:
    return layout.fault(("views", place), f"found {layout.views[place]!r}; {what}")


def check_fit(layout: Layout, context: Context) -> None:
    """Raise ConfigError if a panel does not fit the network; nothing that is wrong may wait until the view is opened."""
    try:
        check_finder(layout.box.finder)
    except SystemLibraryError as error:
        raise layout.fault(("box", "finder"), str(error)) from error
    facts = {name: (context.of(name).shapes, context.of(name).classes) for name in layout.networks}
    check_layout(layout, context.shapes, context.classes, facts)
    for name, panel in layout.panels.items():
        try:
            panel.drawer(name, context.of(panel.model))
        except FieldError as error:  # noqa: PERF203 (once a run)
            raise layout.fault(("panels", name, error.key), str(error)) from error


def input_box_share(layout: Layout, source: Source) -> float:
    """Return the side of the box as a share of the frame's short side."""
    if layout.box.size != "auto":
        return layout.box.size
    return CAMERA_BOX if source.camera_like else WHOLE_BOX


def make_cropper(bundle: Bundle, layout: Layout, source: Source, *, calm: bool = False) -> Cropper:
    """Return what crops for a network as a layout says; `calm` is `sequential` of `Cropper`."""
    box = layout.box
    return Cropper(bundle.pipeline, input_box_share(layout, source), box.finder, box.margin, sequential=calm)


def make_context(bundle: Bundle, views: Sequence[Layout] = (), others: Mapping[str, Bundle] = MappingProxyType({})) -> Context:
    """Return what panels have to know about the networks; of their functions only if a panel of the views names one."""
    panels = [panel for view in views for panel in view.panels.values()]

    def facts(known: Bundle, wanted: Iterable[PanelSpec]) -> Context:
        return Context(
            model=known.name,
            classes=known.classes,
            shapes=known.shapes([layer for panel in wanted for layer in panel.layers()]),
            class_weights=partial(_class_weights, known),
            theme=THEMES["dark"],
            reading=known.output.reading,
            of_maps=known.output.kind in ("class_maps", "maps"),
            session=Session(remembers=known.output.reading != "numbers"),
            architecture=lambda: known.architecture,
            weight_norms=partial(weight_norms, known.module),
            channels=getattr(known.pipeline, "order", "RGB"),
            weights=None if known.card is None else known.card.weights.sha256,
        )

    beside = {name: facts(other, (panel for panel in panels if panel.model == name)) for name, other in others.items()}
    main = facts(bundle, (panel for panel in panels if panel.model not in others))
    return replace(main, model=" · ".join([bundle.name, *(other.name for other in others.values())]), others=beside)


def _class_weights(bundle: Bundle, units: int) -> torch.Tensor | None:
    """Return weights (classes, units); None if no layer of so many units feeds the scores."""
    weights = class_weights(bundle.module, units, bundle.output.units)
    return None if weights is None else bundle.output.by_class(weights.T).T
