"""What every kind of panel has to keep, the ones that do not exist yet included."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from livecnn import registry
from livecnn.app.screen.figure import FigureView, grid
from livecnn.drawing.theme import THEMES, Metrics
from livecnn.errors import ConfigError
from livecnn.geometry import Rect
from livecnn.layout.layout import check_layout
from livecnn.panels.base.drawer import Context
from livecnn.panels.base.spec import FieldError, PanelSpec
from livecnn.types import Frame, LoopStatus, SourceStatus, Tick
from tests.helpers.panel_screen import body, draw, it, panel
from tests.helpers.scenes import DIGITS, MEASURED, SHAPES, SIZES, activations, context, layout, packed, picture, scene

KINDS = registry.kinds("panels")
LONG = tuple(f"class number {i} with a name that is far too long for any panel" for i in range(1000))
ODD_NAMES = ("größer", "漢字 kanji", "שלום", "two\nlines", "🙂", "caf\udce9", "", "x" * 500, "é", "a.b/c")
LARGE = {"conv": (1, 700, 14, 14), "fc": (1, 4096), "out": (1, 1000)}

kinds = pytest.mark.parametrize("kind", KINDS)


def minimal(kind: str, shapes: Mapping[str, tuple[int, ...]] = SHAPES) -> dict[str, Any]:
    """The fewest fields that make such a panel; where it needs a layer, the first that suits it."""
    panel = registry.find("panels", kind, ConfigError)
    if "layer" not in panel.model_fields:
        return {"kind": kind}
    return next({"kind": kind, "layer": layer} for layer in shapes if fits(panel(layer=layer), shapes))


def fits(spec: PanelSpec, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    try:
        spec.check(shapes, DIGITS)
    except FieldError:
        return False
    return True


def screen_of(kind: str, size: tuple[int, int] = (800, 600), about: Context | None = None, theme: str = "dark") -> FigureView:
    """One panel at the top left, nothing in the other three quarters of the figure."""
    about = about or context()
    made = layout({"it": minimal(kind, about.shapes)}, "it .\n. .", size, theme)
    try:
        check_layout(made, about.shapes, about.classes)
    except ConfigError as error:
        if about.classes == DIGITS or "the class" not in str(error):
            raise
        pytest.skip(f"{kind} shows classes of one sort only, and says so: {error}")
    return FigureView(made, about)


def outside_of_cards(screen: FigureView) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Where nothing but the background may be seen; the edge of a card may spread by its own width."""
    width, height = (int(side) for side in screen.figure.bbox.size)
    metrics = Metrics.of(width, height)
    mask = np.ones((height, width), bool)
    mask[: metrics.header] = False
    area = Rect(metrics.gap, metrics.header, width - 2 * metrics.gap, height - metrics.header - metrics.gap)
    rim = metrics.px(1)
    for card in grid(screen.layout, area, metrics.gap).values():
        mask[card.y - rim : card.y + card.h + rim, card.x - rim : card.x + card.w + rim] = False
    return mask


def assert_stays_inside(screen: FigureView) -> None:
    background = np.array([[(*THEMES[screen.layout.figure.theme].background, 255)]], np.uint8)
    seen = packed(np.asarray(screen.canvas.buffer_rgba()))
    spilled = (seen != packed(background)) & outside_of_cards(screen)
    assert not spilled.any(), np.argwhere(spilled)[:5]


def shows_something(screen: FigureView) -> bool:
    return bool((body(screen) != screen.context.theme.card).any())


@kinds
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_draws_at_every_size_and_keeps_inside_its_card(kind: str, size: tuple[int, int]) -> None:
    screen = screen_of(kind, size)
    draw(screen)
    assert_stays_inside(screen)
    assert shows_something(screen)
    assert it(screen).heading.text or kind == "camera"


@kinds
@pytest.mark.parametrize("theme", THEMES)
def test_draws_the_same_twice(kind: str, theme: str) -> None:
    screen = screen_of(kind, theme=theme)
    draw(screen)
    first = screen.pixels()
    screen.show(screen.scene)  # type: ignore[arg-type]
    screen.draw()
    assert (screen.pixels() == first).all()
    assert_stays_inside(screen)


@kinds
def test_changes_nothing_of_what_it_is_given(kind: str) -> None:
    screen = screen_of(kind, (640, 480))
    frame = Frame(picture(200, 300), 0, 0.0)
    given = scene(screen, frame=frame)
    before = frame.image.copy(), given.tick.patch.shot.copy(), given.tick.scores.copy()
    it(screen).body = Rect(0, 0, 300, 200)  # the picture needs no scaling, and must still be copied
    screen.show(given)
    screen.draw()
    after = frame.image, given.tick.patch.shot, given.tick.scores
    assert all((a == b).all() for a, b in zip(before, after, strict=True))


@kinds
def test_survives_a_scene_without_its_view_and_one_of_another_panel(kind: str) -> None:
    screen = screen_of(kind)
    given = scene(screen)
    screen.draw()  # nothing to show yet
    bare = Tick(given.frame, given.tick.patch, given.tick.scores)
    for views in ({}, {"it": None}, {"it": object()}):
        screen.show(type(given)(given.frame, Tick(bare.frame, bare.patch, bare.scores, views), given.status))
        screen.draw()
        assert_stays_inside(screen)


@kinds
@pytest.mark.parametrize(
    ("classes", "count"), [(LONG, 1000), (("one",), 1), (ODD_NAMES, 10), (("yes", "no"), 2)], ids=["1000", "1", "odd", "2"]
)
@pytest.mark.parametrize("size", [(320, 240), (800, 600)], ids=str)
def test_any_classes(kind: str, classes: tuple[str, ...], count: int, size: tuple[int, int]) -> None:
    shapes = {**SHAPES, "out": (1, count)}
    screen = screen_of(kind, size, context(classes, shapes))
    scores = np.zeros(count)
    scores[count // 2] = 1
    draw(screen, activations(shapes), scores)
    assert_stays_inside(screen)


@kinds
@pytest.mark.parametrize("size", [(320, 240), (800, 600)], ids=str)
def test_more_maps_and_units_than_pixels(kind: str, size: tuple[int, int]) -> None:
    screen = screen_of(kind, size, context(LONG, LARGE))
    draw(screen, activations(LARGE))
    assert_stays_inside(screen)


@kinds
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")], ids=str)
def test_values_that_are_not_finite(kind: str, value: float) -> None:
    screen = screen_of(kind)
    layers = {layer: torch.full_like(values, value) for layer, values in activations().items()}
    draw(screen, layers, np.full(10, value))
    assert_stays_inside(screen)
    assert shows_something(screen)


@kinds
def test_an_empty_box_frames_of_any_shape_and_any_status(kind: str) -> None:
    screen = screen_of(kind)
    lost = SourceStatus("lost", "https://camera.example/" + "x" * 200, "reconnecting " * 20, 7)
    frozen = LoopStatus(SourceStatus("live", "camera 0"), frozen=True, mirrored=True)
    for status in (LoopStatus(), LoopStatus(lost, 1e6, 1e6, 1e6, 1e6, 1e6), frozen):
        assert_stays_inside(draw(screen, status=status))
    for shape in ((1, 1), (1, 900), (900, 1), (2, 3)):
        assert_stays_inside(draw(screen_of(kind), frame=Frame(picture(*shape), 0, 0.0, "p" * 300)))
    assert_stays_inside(draw(screen, scores=np.zeros(10), empty=True))


@kinds
@pytest.mark.parametrize("size", [(1, 1), (40, 30), (130, 90), (2000, 60), (60, 2000)], ids=str)
def test_a_window_may_be_drawn_to_any_size(kind: str, size: tuple[int, int]) -> None:
    screen = screen_of(kind)
    draw(screen)
    screen.figure.set_size_inches(size[0] / screen.figure.dpi, size[1] / screen.figure.dpi)
    screen.draw()
    draw(screen, status=MEASURED)
    assert screen.pixels().shape == (size[1], size[0], 3)


@kinds
def test_many_panels_in_a_small_figure(kind: str) -> None:
    panels = {f"p{i}": minimal(kind) for i in range(64)}
    rows = "\n".join(" ".join(f"p{8 * row + column}" for column in range(8)) for row in range(8))
    screen = FigureView(layout(panels, rows, (320, 240)), context())
    draw(screen)


@kinds
def test_a_spec_is_frozen_knows_its_kind_and_describes_every_field(kind: str) -> None:
    panel = registry.find("panels", kind, ConfigError)
    spec = panel(**minimal(kind))
    assert spec.kind == kind
    with pytest.raises(ValueError, match="frozen"):
        spec.title = "other"
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        panel(**minimal(kind), nose=1)
    assert all(field.description for field in panel.model_fields.values())
    assert panel.__doc__


@kinds
def test_a_title_replaces_the_heading(kind: str) -> None:
    screen, plain = (panel(**minimal(kind), **title, size=(1280, 720)) for title in ({"title": "My own"}, {}))
    card_top = slice(Metrics(1.0).header, Metrics(1.0).header + 30)
    assert (draw(screen).pixels()[card_top] != draw(plain).pixels()[card_top]).any()


@kinds
def test_layers_are_those_of_the_reducer(kind: str) -> None:
    screen = screen_of(kind)
    reducer = it(screen).reducer
    assert screen.layout.panels["it"].layers() == (() if reducer is None else (reducer.layer,))


PAIR = ("male", "female")


@pytest.mark.parametrize(
    ("kind", "fields", "classes", "key", "message"),
    [
        ("distribution", {}, PAIR, "kind", "the class 'male' is no number; .*; kind scores shows any classes"),
        ("embedding", {"layer": "fc1"}, DIGITS, "layer", "unknown layer 'fc1'; did you mean 'fc'"),
        ("feature_maps", {"layer": "cnov"}, DIGITS, "layer", "unknown layer 'cnov'; did you mean 'conv'"),
        ("feature_maps", {"layer": "fc"}, DIGITS, "layer", "'fc' gives 30 values, not maps; kind neurons shows those"),
        ("feature_maps", {"layer": "conv", "channels": "0-12"}, DIGITS, "channels", r"channel 12: conv has 12 \(0-11\)"),
        ("neurons", {"layer": "fcc"}, DIGITS, "layer", "unknown layer 'fcc'; did you mean 'fc'"),
        ("neurons", {"layer": "conv"}, DIGITS, "layer", "'conv' gives maps of 9×7, not single values; kind feature_maps shows"),
        ("neurons", {"layer": "fc", "units": [30]}, DIGITS, "units", r"unit 30: fc has 30 \(0-29\)"),
        ("neurons", {"layer": "fc", "rows": 31}, DIGITS, "rows", "31 rows for 30 units; allowed: 1-30"),
        ("neurons", {"layer": "fc", "units": "0-4", "rows": 6}, DIGITS, "rows", "6 rows for 5 units; allowed: 1-5"),
        ("neurons", {"layer": "fc", "sort_by_class": 10}, DIGITS, "sort_by_class", "no class 10; allowed: 0-9, or did"),
        ("neurons", {"layer": "fc", "sort_by_class": -1}, DIGITS, "sort_by_class", "no class -1"),
        ("neurons", {"layer": "fc", "sort_by_class": "three"}, DIGITS, "sort_by_class", "no class 'three'"),
        ("trace", {"layer": "fcc"}, DIGITS, "layer", "unknown layer 'fcc'"),
        ("trace", {"layer": "fc", "index": 30}, DIGITS, "index", "value 30: fc has 30"),
        ("trace", {"layer": "fc", "of": 3}, DIGITS, "of", "found 3 beside the layer 'fc'; allowed: one of the two"),
        ("trace", {}, PAIR, "of", "the class 'male' is no number; .*allowed here: a class, or a layer"),
        ("trace", {"of": "femal"}, PAIR, "of", "no class 'femal'; allowed: 0-1, or did you mean 'female'"),
        ("trace", {"of": 2}, PAIR, "of", "no class 2; allowed: 0-1"),
        ("value", {"layer": "fcc"}, DIGITS, "layer", "unknown layer 'fcc'; did you mean 'fc'"),
        ("value", {"layer": "conv"}, DIGITS, "layer", "'conv' gives 12 x 9 x 7 values; a layer that gives single values"),
        ("value", {"layer": "fc", "index": 30}, DIGITS, "index", r"value 30: fc has 30 \(0-29\)"),
    ],
)
def test_what_does_not_fit_the_model(kind: str, fields: dict[str, Any], classes: tuple[str, ...], key: str, message: str) -> None:
    with pytest.raises(FieldError, match=message) as caught:
        registry.find("panels", kind, ConfigError)(**fields).check(SHAPES, classes)
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("kind", "fields", "shapes", "classes"),
    [
        ("distribution", {}, {}, tuple(map(str, range(101)))),
        ("feature_maps", {"layer": "conv", "channels": "0-11"}, SHAPES, DIGITS),
        ("neurons", {"layer": "fc", "sort_by_class": 3}, SHAPES, DIGITS),
        ("neurons", {"layer": "fc", "sort_by_class": "3"}, SHAPES, DIGITS),
        ("neurons", {"layer": "pool"}, {"pool": (1, 8, 1, 1)}, DIGITS),  # maps of one pixel
    ],
)
def test_what_fits(kind: str, fields: dict[str, Any], shapes: dict[str, tuple[int, ...]], classes: tuple[str, ...]) -> None:
    registry.find("panels", kind, ConfigError)(**fields).check(shapes, classes)


BAD = {
    "feature_maps": [{"colormap": "jet"}, {"scale": "log"}, {"channels": []}],
    "layer": [{"threshold": value} for value in (-0.1, 1.5, "many")],
    "neurons": [{"rows": value} for value in (0, 1001, 2.5, "many")],
    "scores": [{"top": 0}],
    "timeline": [{"seconds": 0}, {"seconds": 3601}],
    "trace": [{"seconds": 0}, {"range": [3, 3]}, {"index": -1}],
    "value": [{"range": [1, 0]}, {"range": "layer"}, {"index": -1}, {"unit": "x" * 30}],
}


@pytest.mark.parametrize(
    ("kind", "fields"), [(kind, fields) for kind, all_fields in BAD.items() for fields in all_fields], ids=repr
)
def test_bad_fields(kind: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"test\.yaml:.*panels\.it\.{next(iter(fields))}: found"):
        layout({"it": {**minimal(kind), **fields}}, "it")
