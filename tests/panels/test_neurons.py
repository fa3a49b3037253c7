from typing import Any

import numpy as np
import pytest
import torch

from livecnn.app.plan import check_fit
from livecnn.app.screen.figure import FigureView
from livecnn.drawing.theme import THEMES
from livecnn.errors import ConfigError
from livecnn.panels.base.spec import FieldError
from livecnn.panels.neurons import NeuronsDrawer, NeuronsPanel
from livecnn.types import Scene
from tests.helpers.scenes import DIGITS, SHAPES, context, inside, layout, scene

DARK = THEMES["dark"]


@pytest.mark.parametrize(
    ("fields", "key", "message"),
    [
        ({"layer": "fcc"}, "layer", "unknown layer 'fcc'; did you mean 'fc'"),
        ({"layer": "conv"}, "layer", "'conv' gives maps of 9×7, not single values; kind feature_maps shows those"),
        ({"layer": "fc", "units": [30]}, "units", r"unit 30: fc has 30 \(0-29\)"),
        ({"layer": "fc", "rows": 31}, "rows", "31 rows for 30 units; allowed: 1-30"),
        ({"layer": "fc", "units": "0-4", "rows": 6}, "rows", "6 rows for 5 units; allowed: 1-5"),
        ({"layer": "fc", "sort_by_class": 10}, "sort_by_class", "no class 10; allowed: 0-9, or did"),
        ({"layer": "fc", "sort_by_class": -1}, "sort_by_class", "no class -1"),
        ({"layer": "fc", "sort_by_class": "three"}, "sort_by_class", "no class 'three'"),
    ],
)
def test_what_does_not_fit_the_model(fields: dict[str, Any], key: str, message: str) -> None:
    with pytest.raises(FieldError, match=message) as caught:
        NeuronsPanel(**fields).check(SHAPES, DIGITS)
    assert caught.value.key == key


@pytest.mark.parametrize("wanted", [3, "3"])
def test_a_class_by_number_or_name(wanted: int | str) -> None:
    NeuronsPanel(layer="fc", sort_by_class=wanted).check(SHAPES, DIGITS)


def test_single_values_may_come_as_maps_of_one_pixel() -> None:
    NeuronsPanel(layer="pool").check({"pool": (1, 8, 1, 1)}, DIGITS)


@pytest.mark.parametrize("rows", [0, 1001, 2.5, "many"])
def test_bad_rows(rows: object) -> None:
    with pytest.raises(ConfigError, match=r"panels\.it\.rows"):
        layout({"it": {"kind": "neurons", "layer": "fc", "rows": rows}}, "it")


def screen_of(size: tuple[int, int] = (640, 480), classes: tuple[str, ...] = DIGITS, **fields: Any) -> FigureView:
    return FigureView(layout({"it": {"kind": "neurons", "layer": "fc", **fields}}, "it", size), context(classes))


def show(screen: FigureView, values: torch.Tensor | None = None) -> Scene:
    layers = {"fc": torch.arange(30.0)[None] if values is None else values}
    given = scene(screen, layers | {"out": torch.zeros(1, 10)})
    screen.show(given)
    screen.draw()
    return given


def drawer(screen: FigureView) -> NeuronsDrawer:
    found = screen.drawers["it"]
    assert isinstance(found, NeuronsDrawer)
    return found


def picture(screen: FigureView) -> Any:
    return drawer(screen).live[0].picture  # type: ignore[attr-defined]


def test_units_are_seen_in_rows_in_reading_order() -> None:
    screen = screen_of(rows=3, colormap="gray")
    show(screen)
    cells = picture(screen)
    h, w = cells.shape[0] // 3, cells.shape[1] // 10
    middles = cells[h // 2 :: h, w // 2 :: w, 0]
    assert middles.shape == (3, 10)
    assert (np.diff(middles.ravel().astype(int)) > 0).all()
    assert (middles[0, 0], middles[-1, -1]) == (0, 255)


def test_sorted_by_the_weight_to_a_class() -> None:
    screen = screen_of(rows=3, sort_by_class=4)
    weights = screen.context.class_weights(30)
    assert weights is not None
    order = torch.argsort(weights[4], descending=True)
    view = show(screen).tick.views["it"]
    means = torch.arange(30.0)[order].reshape(3, 10).mean(1)
    assert view.means == pytest.approx(means.numpy())
    assert drawer(screen).heading.text == "fc sorted by weight to “4”"


def test_sorting_only_some_units_keeps_to_them() -> None:
    screen = screen_of(units=[7, 2, 11], rows=1)
    assert screen.sort_by(0)
    weights = screen.context.class_weights(30)
    assert weights is not None
    order = sorted([7, 2, 11], key=lambda unit: -weights[0, unit].item())
    values = torch.arange(30.0)[None]
    codes = show(screen, values).tick.views["it"].codes[0].astype(int)
    assert np.argsort(codes).tolist() == np.argsort(order).tolist()


def test_sorting_and_back() -> None:
    screen = screen_of(rows=3)
    show(screen)
    before = screen.pixels()
    assert screen.sort_by(1)
    show(screen)
    assert drawer(screen).sorted_by == 1
    assert (screen.pixels() != before).any()
    assert screen.sort_by(None)
    show(screen)
    assert (screen.pixels() == before).all()


def test_sorting_by_what_has_no_weights_changes_nothing() -> None:
    screen = FigureView(layout({"it": {"kind": "neurons", "layer": "out", "rows": 1}}, "it"), context())
    assert not screen.sort_by(3)
    assert not screen_of().sort_by(10)
    assert screen.drawers["it"].heading.text == "out"


def test_sort_by_class_of_a_layer_that_does_not_lead_to_the_classes_is_an_error() -> None:
    made = layout({"it": {"kind": "neurons", "layer": "out", "sort_by_class": 3}}, "it")
    with pytest.raises(ConfigError, match=r"panels\.it\.sort_by_class: found 3, but no weights lead from 'out' to the classes"):
        check_fit(made, context())


def bars(screen: FigureView) -> Any:
    return drawer(screen).live[1].rectangles  # type: ignore[attr-defined]


@pytest.mark.parametrize("rows", [1, 3, 5, 30])
def test_row_means_are_bars_beside_their_rows(rows: int) -> None:
    screen = screen_of(rows=rows, row_means=True)
    view = show(screen).tick.views["it"]
    assert len(bars(screen)) == rows
    body = drawer(screen).body
    lengths = np.array([rect.w for rect, _ in bars(screen)])
    assert lengths == pytest.approx(np.maximum(1, view.means / view.means.max() * lengths.max()), abs=1)
    assert all(inside(rect, body) for rect, _ in bars(screen))
    height = picture(screen).shape[0] / rows
    top = drawer(screen).live[0].y  # type: ignore[attr-defined]
    for row, (rect, _) in enumerate(bars(screen)):
        assert top + row * height - 1 <= rect.y
        assert rect.y + rect.h <= top + (row + 1) * height + 1


def test_negative_means_have_their_length_and_empty_rows_no_bar() -> None:
    screen = screen_of(rows=4, units="0-4", row_means=True)  # two units a row: the last row is empty
    show(screen, torch.tensor([[-4.0, -4.0, 2.0, 2.0, 1.0, *[0.0] * 25]]))
    lengths = [rect.w for rect, _ in bars(screen)]
    assert len(lengths) == 3
    assert lengths == pytest.approx([lengths[0], lengths[0] / 2, lengths[0] / 4], abs=1)


def test_all_zero_and_not_finite_means() -> None:
    screen = screen_of(rows=3, row_means=True)
    show(screen, torch.zeros(1, 30))
    assert [rect.w for rect, _ in bars(screen)] == [1, 1, 1]
    show(screen, torch.full((1, 30), torch.inf))
    assert {color for _, color in bars(screen)} == {DARK.not_finite}


def test_a_unit_a_class_in_one_row_has_names_under_its_cells() -> None:
    screen = FigureView(layout({"it": {"kind": "neurons", "layer": "out", "rows": 1}}, "it"), context(tuple("abcdefghij")))
    names = [label.text for label in screen.drawers["it"].still if hasattr(label, "text")]
    assert names[-10:] == list("abcdefghij")


def test_names_follow_the_order_when_sorted() -> None:
    shapes = {"fc": (1, 3)}
    screen = FigureView(layout({"it": {"kind": "neurons", "layer": "fc", "rows": 1}}, "it"), context(("a", "b", "c"), shapes))
    weights = screen.context.class_weights(3)
    assert weights is not None
    screen.sort_by(0)
    screen.draw()
    names = [label.text for label in screen.drawers["it"].still if hasattr(label, "text")]
    assert names[-3:] == ["abc"[unit] for unit in torch.argsort(weights[0], descending=True)]


def test_values_that_are_not_finite_are_told() -> None:
    screen = screen_of()
    values = torch.arange(30.0)[None].clone()
    values[0, :2] = torch.tensor([torch.nan, torch.inf])
    show(screen, values)
    assert drawer(screen).live[2].text == "2 of 30 values are NaN or infinite"  # type: ignore[attr-defined]
    assert (picture(screen)[:, :, :3] == DARK.not_finite).all(axis=2).any()
    show(screen)
    assert not drawer(screen).live[2].text  # type: ignore[attr-defined]


@pytest.mark.parametrize(("size", "rows"), [((320, 240), 1), ((320, 240), 1000), ((800, 600), None)], ids=str)
def test_more_cells_than_pixels_still_show_first_and_last(size: tuple[int, int], rows: int | None) -> None:
    shapes = {"fc": (1, 4096)}
    fields = {} if rows is None else {"rows": rows}
    made = layout({"it": {"kind": "neurons", "layer": "fc", "colormap": "gray", "row_means": True, **fields}}, "it", size)
    screen = FigureView(made, context(shapes=shapes))
    screen.show(scene(screen, {"fc": torch.arange(4096.0)[None]}))
    screen.draw()
    body = drawer(screen).body
    h, w = picture(screen).shape[:2]
    assert h <= body.h
    assert w <= body.w
    assert picture(screen)[0, 0, 0] == 0
    assert picture(screen)[:, :, 0].max() >= 250
