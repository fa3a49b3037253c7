from dataclasses import replace
from typing import Any

import pytest
import torch

from livecnn.app.screen.figure import FigureView
from livecnn.drawing.theme import THEMES
from livecnn.errors import ConfigError
from livecnn.panels.base.spec import FieldError
from livecnn.panels.value import ValuePanel
from livecnn.types import Scene
from tests.helpers.scenes import DIGITS, SHAPES, assert_texts_apart, context, ink, labels, layout, scene

DARK = THEMES["dark"]
SIZES = [(320, 240), (400, 700), (900, 240), (800, 600), (1280, 720), (1920, 1080)]


def given(screen: FigureView, value: float, *, lost: bool = False, **options: Any) -> Scene:
    made = scene(screen, {"fc": torch.full((1, 30), value)}, **options)
    return replace(made, tick=replace(made.tick, patch=replace(made.tick.patch, lost=lost)))


def shown(
    value: float = 34.2, size: tuple[int, int] = (800, 600), *, lost: bool = False, empty: bool = False, **fields: Any
) -> FigureView:
    screen = FigureView(layout({"it": {"kind": "value", "layer": "fc", **fields}}, "it", size), context())
    screen.show(given(screen, value, lost=lost, empty=empty))
    screen.draw()
    return screen


def texts(screen: FigureView) -> list[str]:
    return [label.text for label in labels(screen.drawers["it"].live) if label.text]


def bar(screen: FigureView) -> Any:
    return screen.drawers["it"].live[0].rectangles  # type: ignore[attr-defined]


def test_the_number_its_unit_and_where_it_lies_on_the_scale() -> None:
    screen = shown(unit="years", title="Age")
    assert texts(screen) == ["34.2", "years"]
    assert screen.drawers["it"].heading.text == "Age"
    ((rect, color),) = bar(screen)
    assert rect.w == pytest.approx(0.342 * screen.drawers["it"].body.w, abs=1)
    assert color == DARK.accent
    ends = [label.text for label in labels(screen.drawers["it"].still)]
    assert ends[-2:] == ["0", "100"]


def test_which_value_of_the_layer() -> None:
    screen = FigureView(layout({"it": {"kind": "value", "layer": "fc", "index": 29}}, "it"), context())
    screen.show(scene(screen, {"fc": torch.arange(30.0)[None]}))
    assert texts(screen) == ["29.0"]
    assert screen.drawers["it"].heading.text == "fc 29"


@pytest.mark.parametrize(("value", "share"), [(-5.0, 0), (250.0, 1)])
def test_a_value_outside_the_scale_says_so(value: float, share: float) -> None:
    screen = shown(value)
    assert "outside the scale" in texts(screen)
    ((rect, _),) = bar(screen)
    assert rect.w == max(1, share * screen.drawers["it"].body.w)


def test_nothing_in_the_box() -> None:
    screen = shown(empty=True)
    assert texts(screen) == ["–", "nothing in the box"]
    assert not bar(screen)


def test_not_a_number() -> None:
    screen = shown(float("nan"))
    assert texts(screen) == ["?", "not a number"]
    assert not bar(screen)


def test_of_a_box_that_is_elsewhere_the_value_is_pale() -> None:
    screen = shown(lost=True)
    assert [color for _, color in bar(screen)] == [DARK.muted]
    assert next(labels(screen.drawers["it"].live)).color == DARK.muted


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("value", [7.0, 100.0, -12345.678, 1e-5, float("nan")], ids=str)
@pytest.mark.parametrize("grid", ["it", "it . . .\n. . . ."])
def test_no_two_texts_overlap_and_none_leaves_the_card(size: tuple[int, int], value: float, grid: str) -> None:
    spec = {"kind": "value", "layer": "fc", "unit": "years", "title": "Age"}
    screen = FigureView(layout({"it": spec}, grid, size), context())
    screen.show(given(screen, value))
    screen.draw()
    assert_texts_apart(screen, "it")


def test_the_figure_stays_where_it_is_whatever_its_digits() -> None:
    screen = shown(unit="years")
    rights = set()
    for value in (9.9, 34.2, 61.1):
        screen.show(given(screen, value))
        place = ink(next(labels(screen.drawers["it"].live)), (800, 600))
        assert place is not None
        rights.add((place.x + place.w) // 8)
    assert len(rights) <= 2


@pytest.mark.parametrize(
    ("fields", "key", "message"),
    [
        ({"layer": "fcc"}, "layer", "unknown layer 'fcc'; did you mean 'fc'"),
        ({"layer": "conv"}, "layer", "'conv' gives 12 x 9 x 7 values; a layer that gives single values"),
        ({"layer": "fc", "index": 30}, "index", r"value 30: fc has 30 \(0-29\)"),
    ],
)
def test_what_does_not_fit_the_model(fields: dict[str, Any], key: str, message: str) -> None:
    with pytest.raises(FieldError, match=message) as caught:
        ValuePanel(**fields).check(SHAPES, DIGITS)
    assert caught.value.key == key


@pytest.mark.parametrize("fields", [{"range": [1, 0]}, {"range": "layer"}, {"index": -1}, {"unit": "x" * 30}])
def test_bad_fields(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"panels.it.{next(iter(fields))}: found"):
        layout({"it": {"kind": "value", "layer": "fc", **fields}}, "it")
