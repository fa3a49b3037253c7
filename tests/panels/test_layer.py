from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from livecnn.app.screen.figure import FigureView
from livecnn.drawing.theme import THEMES, Color
from livecnn.networks.inspection.architecture import Architecture, Node, ReceptiveField, WindowSpec
from livecnn.panels.base.drawer import Context
from livecnn.panels.base.session import ScoredShot, Session
from livecnn.panels.base.targets import ButtonTarget, ClassTarget
from livecnn.selection import INPUT, ORDERS, OUTPUT, Action, Order, Selection, Unit
from livecnn.types import ExplanationUpdate, Frame, Image, Prepared, Scene
from tests.helpers import scenes
from tests.helpers.panel_screen import it, panel, texts, with_patch
from tests.helpers.scenes import DIGITS, activations, assert_texts_apart, context, picture, place

DARK = THEMES["dark"]
SHAPES = {"conv": (1, 12, 9, 7), "pool": (1, 12, 4, 3), "relu": (1, 12, 9, 7), "attention": (1, 5, 6), "gap": (1, 8, 1, 1),
          "hidden": (1, 30), "fc": (1, 30), "relu1": (1, 30), "logits": (1, 10), "prob": (1, 10)}  # fmt: skip
WINDOW = WindowSpec((3, 3), (1, 1), (1, 1), (2, 2), 4)
NODES = (
    Node("conv", "Conv2d", ("",), (12, 9, 7), 1200, WINDOW, ReceptiveField((5, 5), (1, 1), (0.0, 0.0))),
    Node("relu", "relu", ("conv",), (12, 9, 7), 0, None, None),
    Node("pool", "MaxPool2d", ("relu",), (12, 4, 3), 0, WindowSpec((2, 3), (2, 2)), ReceptiveField((7, 8), (2, 2), (0.0, 0.0))),
    Node("attention", "Attention", ("pool",), (5, 6), 77, None, None),
    Node("gap", "AdaptiveAvgPool2d", ("pool",), (8, 1, 1), 0, WindowSpec((4, 3), (4, 3)), None),
    Node("hidden", "Linear", ("gap",), (30,), 270, None, ReceptiveField((8, 8))),
    Node("fc", "Linear", ("hidden",), (30,), 930, None, ReceptiveField((8, 8))),
    Node("relu1", "ReLU", ("fc",), (30,), 0, None, ReceptiveField((8, 8))),
    Node("logits", "Linear", ("relu1",), (10,), 310, None, ReceptiveField((8, 8))),
    Node("prob", "Softmax", ("logits",), (10,), 0, None, ReceptiveField((8, 8))),
)
LAYERS = (INPUT, *(node.name for node in NODES), OUTPUT, "gone")


def about(
    classes: tuple[str, ...] = DIGITS, shapes: Mapping[str, tuple[int, ...]] = SHAPES, nodes: tuple[Node, ...] = NODES
) -> Context:
    architecture = Architecture("toy", (1, 8, 8), nodes, len(nodes), 1547)
    norms = {"conv": np.arange(12, dtype=np.float32) % 5}
    return replace(context(classes, shapes), architecture=lambda: architecture, weight_norms=norms.get)


def screen_of(layer: str, size: tuple[int, int] = (1280, 720), known: Context | None = None, **focus: Any) -> FigureView:
    fields, muted = focus.pop("fields", {}), focus.pop("muted", ())
    screen = panel("layer", size, grid="it .\n. .", about=known or about(), **fields)
    screen.context.session.muted.set(muted)
    screen.attend(Selection(layer, **focus))
    return screen


def show(screen: FigureView, *values: Any, **more: Any) -> Image:
    """The figure with a scene; values and more: of `scene`."""
    return shown_as(screen, scene(screen, *values, **more))


def shown_as(screen: FigureView, given: Scene) -> Image:
    screen.show(given)
    screen.draw()
    return screen.pixels()


def scene(
    screen: FigureView,
    layers: Mapping[str, torch.Tensor] | None = None,
    found: ExplanationUpdate | None = None,
    *,
    time: float = 0.0,
    **more: Any,
) -> Scene:
    layers = activations(screen.context.shapes) if layers is None else layers
    return replace(scenes.scene(screen, layers, frame=Frame(picture(), 0, time), **more), findings=found)


def shown(screen: FigureView, color: Color) -> bool:
    x, y, w, h = it(screen).card
    return bool((screen.pixels()[y : y + h, x : x + w] == color).all(2).any())


def findings(focus: Selection, **more: Any) -> ExplanationUpdate:
    return ExplanationUpdate(0, focus, more.pop("target", 3), **more)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("size", [(320, 240), (800, 600), (1280, 720), (1920, 1080)], ids=str)
def test_texts_stay_apart_at_every_size(layer: str, size: tuple[int, int]) -> None:
    screen = screen_of(layer, size)
    screen.context.session.examples.update({i: ScoredShot(picture(30, 40), 0.9) for i in (0, 3, 7)})
    show(screen, found=findings(screen.focus, contributions=np.linspace(-1, 2, 30, dtype=np.float32), logit=4.0))
    assert it(screen).heading.text
    assert_texts_apart(screen, "it")


def test_a_layer_follows_another_without_a_trace() -> None:
    screen = screen_of(INPUT)
    show(screen)
    for layer in (*LAYERS, *reversed(LAYERS)):
        screen.attend(Selection(layer))
        fresh = screen_of(layer)
        np.testing.assert_array_equal(show(screen), show(fresh), layer)


@pytest.mark.parametrize("layer", LAYERS)
def test_before_the_first_view_of_a_layer(layer: str) -> None:
    screen = screen_of(layer)
    given = scene(screen)
    for views in ({}, {"it": object()}, {"it": scene(screen_of("fc" if layer == "conv" else "conv")).tick.views["it"]}):
        shown_as(screen, replace(given, tick=replace(given.tick, views=views)))


@pytest.mark.parametrize("layer", LAYERS)
def test_only_layers_with_values_have_a_reducer(layer: str) -> None:
    reducers = it(screen_of(layer)).reducers
    assert {reducer.layer for reducer in reducers.values()} <= {layer}
    assert bool(reducers) == (layer not in (INPUT, OUTPUT, "attention", "gone"))


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")], ids=str)
def test_values_that_are_not_finite(layer: str, value: float) -> None:
    screen = screen_of(layer, order="mean")
    layers = {name: torch.full(shape, value) for name, shape in SHAPES.items()}
    show(screen, layers, findings(screen.focus, contributions=np.full(30, np.nan, np.float32)), scores=np.full(10, value))
    words = {"conv": "12 of 12 maps hold NaN or infinite values", "fc": "30 of 30 neurons hold NaN or infinite values",
             "prob": "not a number", OUTPUT: "not a number"}  # fmt: skip
    assert words.get(layer, it(screen).heading.text) in texts(screen)


def test_a_convolution_tells_its_parameters() -> None:
    screen = screen_of("conv")
    show(screen)
    window = "kernel 3×3 · stride 1 · padding 1 · dilation 2 · 4 groups"
    assert {"conv · Conv2d", window, "1,200 parameters", "each value sees 5×5 pixels", "12 maps, 9×7"} <= {*texts(screen)}


def test_a_pooling_draws_its_window() -> None:
    screen = screen_of("pool")
    x, y, w, h = it(screen).body
    strip = show(screen)[y + h - 84 : y + h, x : x + w // 3]
    assert (strip == DARK.accent).all(2).sum() > 6 * 100  # six squares
    assert (strip == DARK.text).all(2).any()  # the next place
    assert "kernel 2×3 · stride 2 · padding 0" in texts(screen)


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        ("attention", {"type Attention", "fed by pool", "5 × 6 values", "77 parameters"}),
        ("gone", {"not a layer of this network"}),
    ],
)
def test_others_in_words_and_a_function_is_not_named_twice(layer: str, told: set[str]) -> None:
    screen, function = screen_of(layer), screen_of("relu")
    show(screen)
    show(function)
    assert told <= {*texts(screen)}
    assert it(function).heading.text == "relu"


ORDERED: dict[Order, list[int]] = {
    "number": list(range(12)),
    "mean": list(range(11, -1, -1)),
    "max": [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8],
    "contribution": [5, *(i for i in range(12) if i != 5)],
    "weight": [4, 9, 3, 8, 2, 7, 1, 6, 11, 0, 5, 10],
}


@pytest.mark.parametrize("order", ORDERS)
def test_the_important_first(order: Order) -> None:
    maps = torch.arange(12.0)[:, None, None].repeat(1, 9, 7)
    maps[:, 0, 0] += torch.tensor([20.0] * 4 + [10] * 4 + [0] * 4)
    maps[:, 0, 1] -= torch.tensor([20.0] * 4 + [10] * 4 + [0] * 4)
    screen = screen_of("conv", order=order)
    contributions = np.eye(12, dtype=np.float32)[5]
    show(screen, {"conv": maps[None]}, findings(screen.focus, contributions=contributions))
    assert list(it(screen).units_asked) == ORDERED[order]
    assert ("contributions" in it(screen).asks) == (order == "contribution")


@pytest.mark.parametrize("order", ["weight", "mean", "number"])
def test_each_map_stands_at_its_unit(order: Order) -> None:
    screen = screen_of("conv", order=order, unit=99, fields={"scale": "layer"})
    maps = torch.arange(12.0)[None, :, None, None].repeat(1, 1, 9, 7)
    pixels = show(screen, {"conv": maps})
    places = [it(screen).tip(Unit("conv", unit)).about for unit in range(12)]
    brightness = [int(pixels[y + 9, x + 9, 0]) for x, y, _, _ in places]
    assert brightness == sorted(brightness)
    assert (brightness[0], brightness[-1]) == (0, 255)


@pytest.mark.parametrize(
    ("layer", "order", "words"),
    [
        ("conv", "number", "by number"),
        ("conv", "mean", "by mean"),
        ("conv", "weight", "by weight norm"),
        ("pool", "weight", "by number (it has no weights)"),
        ("conv", "contribution", "by contribution to “3”"),
        ("fc", "mean", "by value"),
    ],
)
def test_the_order_is_told_and_changes_by_a_click(layer: str, order: Order, words: str) -> None:
    screen = screen_of(layer, order=order)
    show(screen, found=findings(screen.focus))
    assert words in texts(screen)
    assert place(screen, ButtonTarget(Action.NEXT_ORDER))


def test_maps_change_places_once_a_second_at_most() -> None:
    screen = screen_of("fc", order="mean")
    rising = torch.arange(30.0)[None]
    show(screen, {"fc": rising}, time=5.0)
    before = list(it(screen).units_asked)
    show(screen, {"fc": -100 * rising}, time=5.5)
    assert list(it(screen).units_asked) == before
    show(screen, {"fc": -100 * rising}, time=6.1)
    assert list(it(screen).units_asked) == before[::-1]


MANY = {"conv": (1, 512, 6, 6)}
MANY_NODES = (replace(NODES[0], output=(512, 6, 6)),)


def test_pages_show_every_map_once() -> None:
    screen = screen_of("conv", known=about(shapes=MANY, nodes=MANY_NODES))
    show(screen)
    last = it(screen).turn_page(1000)
    assert f"page 1 of {last + 1}" in texts(screen)
    seen: list[int] = []
    for page in range(last + 1):
        screen.attend(Selection("conv", page=page))
        show(screen)
        seen += it(screen).units_asked
        assert it(screen).turn_page(0) == page
        assert f"page {page + 1} of {last + 1}" in texts(screen)
    assert sorted(seen) == list(range(512))
    assert it(screen).turn_page(-1000) == 0
    screen.attend(Selection("conv", page=99))  # beyond the last is the last
    show(screen)
    assert it(screen).units_asked[-1] == 511
    assert place(screen, ButtonTarget(Action.NEXT_PAGE)) > place(screen, ButtonTarget(Action.PREVIOUS_PAGE))


def test_until_the_maps_of_a_page_are_there_those_before_stay() -> None:
    screen = screen_of("conv", known=about(shapes=MANY, nodes=MANY_NODES))
    given = scene(screen)
    shown_as(screen, given)
    here = place(screen, Unit("conv", 0))
    screen.attend(Selection("conv", page=1))
    shown_as(screen, given)
    assert it(screen).target_at(*here) == Unit("conv", 0, (0, 0))
    show(screen)
    after = it(screen).target_at(*here)
    assert isinstance(after, Unit)
    assert after.index == it(screen).units_asked[0] > 0


def test_the_mouse_finds_a_map_and_the_place_on_it() -> None:
    screen = screen_of("conv")
    show(screen)
    x, y = place(screen, Unit("conv", 6))
    first = it(screen).target_at(x, y)
    assert first == Unit("conv", 6, (0, 0))
    rows = [it(screen).target_at(x, y + i) for i in range(200)]
    positions = {found.position for found in rows if isinstance(found, Unit) and found.index == 6}
    assert positions == {(row, 0) for row in range(9)}
    neurons = screen_of("fc")
    show(neurons)
    assert it(neurons).target_at(*place(neurons, Unit("fc", 6))) == Unit("fc", 6)  # it has no place on it


def test_what_is_told_of_a_map() -> None:
    known = about()
    mark = SimpleNamespace(verdict="good", note="a corner")
    known.session.annotations = SimpleNamespace(of=lambda *_: mark, counts=lambda layer, units: (units, 0, 0))
    screen = screen_of("conv", known=known, muted={("conv", 2)})
    maps = torch.zeros(1, 12, 9, 7)
    maps[0, 2, 0, 0] = 6.3
    maps[0, 2, 0, 1] = -63
    contributions = np.full(12, -0.25, np.float32)
    show(screen, {"conv": maps}, findings(screen.focus, contributions=contributions))
    tip = it(screen).tip(Unit("conv", 2, (0, 0)))
    told = ["map 2 of conv", "min -63.00   max 6.30   mean -0.90", "adds -0.25 to “3”", "muted", "good: a corner"]
    assert list(tip.lines) == told
    assert tip.about.contains(*place(screen, Unit("conv", 2)))
    assert it(screen).tip(Unit("conv", 99)) is None
    assert it(screen).tip(Unit("fc", 2)) is None
    assert it(screen).tip(ClassTarget(2)) is None


def test_what_is_told_of_a_neuron_and_of_a_map_before_the_first_view() -> None:
    assert it(screen_of("conv")).tip(Unit("conv", 2)).lines == ("map 2 of conv",)
    screen = screen_of("fc")
    show(screen, {"fc": torch.arange(30.0)[None]})
    assert it(screen).tip(Unit("fc", 2)).lines == ("neuron 2 of fc", "value 2")


def test_arrow_keys_stay_on_the_page() -> None:
    screen = screen_of("conv", order="weight")
    show(screen)
    drawer, (first, second, *_) = it(screen), it(screen).units_asked
    assert drawer.step(first, 1, 0) == second
    assert drawer.step(second, -1, 0) == first
    assert drawer.step(first, -1, 0) == first
    below = drawer.step(first, 0, 1)
    assert place(screen, Unit("conv", below))[0] == place(screen, Unit("conv", first))[0]
    assert drawer.step(99, 1, 1) == first
    assert it(screen_of(OUTPUT)).step(0, 1, 0) is None
    assert it(screen_of(OUTPUT)).turn_page(1) is None


@pytest.mark.parametrize("layer", ["conv", "fc"])
def test_selected_and_hovered_units_are_framed(layer: str) -> None:
    screen = screen_of(layer, unit=3)
    show(screen, {layer: torch.zeros(SHAPES[layer])})
    x, y = place(screen, Unit(layer, 3))
    framed = screen.pixels()
    assert (framed[y + 5, x - 6 : x] == DARK.accent).all(1).any()
    screen.attend(Selection(layer, unit=3, hover=Unit(layer, 7)))
    show(screen, {layer: torch.zeros(SHAPES[layer])})
    x, y = place(screen, Unit(layer, 7))
    assert (screen.pixels()[y + 5, x - 6 : x] == DARK.text).all(1).any()
    assert (framed[y + 5, x - 6 : x] != DARK.text).any(1).all()


def test_muted_maps_say_so() -> None:
    screen = screen_of("conv")
    show(screen)
    assert "muted" not in texts(screen)
    assert not shown(screen, DARK.bad)
    screen.context.session.muted.set({("conv", 4), ("conv", 5), ("fc", 6)})
    screen.attend(Selection("conv"))
    show(screen)
    assert texts(screen).count("muted") == 2
    assert shown(screen, DARK.bad)
    small = screen_of("fc", (320, 240), muted={("fc", 4)})
    show(small)
    assert "muted" not in texts(small)
    assert shown(small, DARK.bad)


@pytest.mark.parametrize("verdict", ["good", "bad"])
def test_annotated_units_have_a_corner(verdict: str) -> None:
    known = about()
    marks: dict[int, str] = {}
    known.session.annotations = SimpleNamespace(
        of=lambda layer, unit: SimpleNamespace(verdict=marks.get(unit), note=""), counts=lambda *_: (len(marks), 0, 0)
    )
    screen = screen_of("conv", known=known)
    show(screen)
    color = getattr(DARK, verdict)
    assert not shown(screen, color)
    marks[2] = verdict
    show(screen)
    assert shown(screen, color)


def test_the_grid_of_a_method() -> None:
    screen = screen_of("conv", grid="guided_backprop", unit=11)
    assert {"grid"} == set(it(screen).asks)
    waiting = show(screen)
    grid = np.zeros((12, 1, 8, 8), np.float32)
    grid[3, 0, :4], grid[3, 0, 4:] = 7, -7
    found = findings(screen.focus, units=tuple(it(screen).units_asked), grid=grid)
    pixels = show(screen, found=found)
    assert (pixels != waiting).any()
    x, y = place(screen, Unit("conv", 3))
    red, _, blue = (int(value) for value in pixels[y + 4, x + 4])
    assert red > 2 * blue
    bottom = max(row for row in range(y, y + 300) if it(screen).target_at(x, row) == Unit("conv", 3))
    red, _, blue = (int(value) for value in pixels[bottom - 3, x + 4])
    assert blue > 2 * red
    x, y = place(screen, Unit("conv", 5))
    assert np.abs(pixels[y + 9, x + 9].astype(int) - DARK.background).max() < 8  # nothing there
    assert "guided backprop" in texts(screen)


@pytest.mark.parametrize(
    "stale",
    [
        {"focus": Selection("pool", grid="guided_backprop")},
        {"focus": Selection("conv", grid="gradient")},
        {"focus": Selection("conv", grid="guided_backprop"), "grid": None},
    ],
    ids=["other layer", "other method", "none"],
)
def test_explanations_of_something_else_are_not_shown(stale: dict[str, Any]) -> None:
    screen = screen_of("conv", grid="guided_backprop")
    waiting = show(screen)
    given = {"grid": np.ones((12, 1, 8, 8), np.float32), "units": tuple(range(12)), **stale}
    np.testing.assert_array_equal(show(screen, found=findings(given.pop("focus"), **given)), waiting)


def test_a_method_that_is_refused_says_why() -> None:
    screen = screen_of("conv", grid="deconvnet")
    show(screen, found=findings(screen.focus, refused={"deconvnet": "relu is a function"}))
    assert "relu is a function" in texts(screen)


def test_neurons_get_room_for_the_pictures_of_a_method_and_lose_it_again() -> None:
    screen = screen_of("fc", (400, 300))
    before = show(screen)
    screen.attend(Selection("fc", grid="gradient"))
    count = len(it(screen).units_asked)
    found = findings(screen.focus, units=tuple(it(screen).units_asked), grid=np.ones((count, 3, 8, 8), np.float32))
    show(screen, found=found)
    assert count < 30
    screen.attend(Selection("fc"))
    np.testing.assert_array_equal(show(screen), before)


def test_contributions_sum_up_to_the_logit() -> None:
    screen = screen_of("fc", (1600, 1200))
    contributions = np.zeros(30, np.float32)
    contributions[[7, 2, 9]] = 4, 2, -1.5
    show(screen, found=findings(screen.focus, contributions=contributions, logit=4.8))
    told = texts(screen)
    assert "weight × activation for “3”" in told
    assert "positive +6.0   negative -1.5   bias +0.3   = logit 4.8" in told
    places = {label.text: label for label in scenes.labels(it(screen).live) if label.text in ("7", "2", "9")}
    assert places["7"].x > places["2"].x > places["9"].x
    assert "contributions" in it(screen).asks
    show(screen, found=findings(screen.focus, contributions=contributions), time=1.0)
    assert "positive +6.0   negative -1.5" in texts(screen)
    body = it(screen).body
    below = [it(screen).target_at(body.x + body.w // 2 + 20, body.y + body.h - up) for up in range(20, 200)]
    assert Unit("fc", 7) in below  # its bar


@pytest.mark.parametrize(
    "wrong",
    [
        {"focus": Selection("gap"), "contributions": np.ones(30, np.float32)},
        {"contributions": np.ones(4, np.float32)},
        {"contributions": np.full(30, np.nan, np.float32)},
        {"contributions": None},
    ],
)
def test_no_contributions_of_something_else(wrong: dict[str, Any]) -> None:
    screen = screen_of("fc", (1600, 1200))
    show(screen, found=findings(wrong.pop("focus", screen.focus), **wrong))
    assert not any("weight × activation" in text for text in texts(screen))


def test_contributions_can_be_read_before_they_change() -> None:
    screen = screen_of("fc", (1600, 1200))

    def logit(value: float, time: float) -> list[str]:
        contributions = np.ones(30, np.float32)
        show(screen, found=findings(screen.focus, contributions=contributions, logit=value), time=time)
        return [text for text in texts(screen) if "logit" in text]

    first = logit(1.0, 3.0)
    assert logit(2.0, 3.1) == first
    assert logit(2.0, 3.3) != first
    show(screen, found=None, time=3.6)  # none yet of a newer picture
    assert [text for text in texts(screen) if "logit" in text] != first


@pytest.mark.parametrize(
    ("layer", "leads"), [("gap", False), ("hidden", False), ("fc", True), ("relu1", True), ("logits", False)]
)
def test_contributions_of_the_last_hidden_layer_only(layer: str, leads: bool) -> None:
    screen = screen_of(layer, (1600, 1200))
    units = SHAPES[layer][1]
    show(screen, found=findings(screen.focus, contributions=np.ones(units, np.float32), logit=1.0))
    assert any("weight × activation" in text for text in texts(screen)) == leads


SHARES = torch.tensor([[0.05, 0.6, 0, 0.1, 0.25, 0, 0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("fields", "names", "rest"),
    [
        ({}, ["1", "4", "3"], "7 classes below 10 %"),
        ({"threshold": 0.2}, ["1", "4"], "8 classes below 20 %"),
        ({"threshold": 0.7}, [], "10 classes below 70 %"),
    ],
)
def test_a_softmax_shows_the_classes_above_the_threshold(fields: dict[str, float], names: list[str], rest: str) -> None:
    screen = screen_of("prob", fields=fields)
    show(screen, {"prob": SHARES})
    told = texts(screen)
    assert [text for text in told if text in DIGITS] == names
    assert rest in told
    assert ("60.0 %" in told) == bool(names)
    for name in names:
        assert place(screen, ClassTarget(int(name)))


def test_a_softmax_with_more_classes_than_room_and_one_of_other_units_than_classes() -> None:
    screen = screen_of("prob", (400, 300), fields={"threshold": 0.0})
    show(screen, {"prob": torch.full((1, 10), 0.1)})
    assert any(text.endswith("more above 0 %") for text in texts(screen))
    other = screen_of("prob", known=about(classes=("yes", "no")))
    show(other, {"prob": SHARES})
    assert "4" in texts(other)


@pytest.mark.parametrize("layer", ["prob", OUTPUT])
def test_nothing_in_the_box(layer: str) -> None:
    screen = screen_of(layer)
    show(screen, empty=True, scores=np.zeros(10))
    assert "nothing in the box" in texts(screen)


def test_the_output_remembers_a_shot_of_each_class() -> None:
    screen = screen_of(OUTPUT)
    show(screen, scores=np.eye(10)[4] * 0.4)
    assert "a shot of each class will stand here" in texts(screen)
    show(screen, scores=np.eye(10)[4] * 0.8)
    show(screen, scores=np.eye(10)[7] * 0.9)
    told = texts(screen)
    assert {"7", "90.0 %", "4   80 %", "7   90 %", "2 of 10 classes seen"} <= {*told}
    assert place(screen, ClassTarget(4))[0] < place(screen, ClassTarget(7))[0]
    assert (show(screen, scores=np.eye(10)[7] * 0.95) != DARK.card).any()
    assert "7   95 %" in texts(screen)


def test_the_surest_shots_where_not_all_fit() -> None:
    examples = {i: ScoredShot(picture(20, 20), 0.5 + i / 2000) for i in range(1000)}
    known = replace(about(classes=tuple(map(str, range(1000)))), session=Session(examples))
    screen = screen_of(OUTPUT, known=known)
    show(screen, scores=np.full(1000, 1e-3))
    assert place(screen, ClassTarget(999))
    with pytest.raises(AssertionError, match="nowhere"):
        place(screen, ClassTarget(0))


def test_a_flat_output_stands_beside_its_examples() -> None:
    session = Session({3: ScoredShot(picture(20, 20), 0.9)})
    screen = panel("layer", (1280, 720), grid="it\n.\n.", about=replace(about(), session=session))
    show(screen, scores=np.eye(10)[3])
    large = next(label for label in scenes.labels(it(screen).live) if label.weight == "bold" and label.text == "3")
    assert place(screen, ClassTarget(3))[0] > large.x


def test_the_input_tells_its_range_once_a_second() -> None:
    screen = screen_of(INPUT)

    def told(tensor: torch.Tensor, time: float, rest: Any = None) -> list[str]:
        given = scene(screen, time=time)
        screen.show(with_patch(given, prepared=replace(given.tick.patch.prepared, tensor=tensor, device_transform=rest)))
        return texts(screen)

    assert {"what the network sees: 8×8 pixels, 1 channel", "values 0.00 to 3.00"} <= {*told(torch.tensor([[0.0, 3.0]]), 1.0)}
    assert "values 0.00 to 3.00" in told(torch.tensor([[0.0, 9.0]]), 1.5)
    assert "values -2.00 to 7.00" in told(torch.tensor([[0.0, 9.0]]), 2.5, lambda x: x - 2)


def test_a_coloured_input_and_one_of_unknown_size() -> None:
    screen, other = screen_of(INPUT), screen_of(INPUT, known=context(shapes=SHAPES))
    prepared = Prepared(torch.zeros(1, 3, 8, 8), np.full((8, 8, 3), (10, 200, 30), np.uint8))
    shown_as(screen, with_patch(scene(screen), prepared=prepared))
    assert shown(screen, (10, 200, 30))
    show(other)
    assert "what the network sees" in texts(other)


def test_the_colours_that_the_user_chose() -> None:
    screen = screen_of("conv")
    gray = show(screen)
    screen.colormap = "viridis"
    assert (show(screen) != gray).any()
    assert (show(screen_of("conv", fields={"colormap": "viridis"})) == show(screen)).all()


def test_words_for_what_is_shown_give_way_before_those_that_do_something() -> None:
    screen = screen_of("conv", (480, 360), order="mean")
    show(screen)
    assert "12 maps, 9×7" not in [label.text for label in scenes.labels(it(screen).live) if label.align == "right"]
    assert place(screen, ButtonTarget(Action.NEXT_ORDER))
