from typing import Any

import numpy as np
import pytest
import torch

from livecnn.app.plan import check_fit
from livecnn.app.screen.figure import FigureView
from livecnn.drawing.theme import THEMES
from livecnn.errors import ConfigError
from livecnn.types import Scene
from tests.helpers.panel_screen import draw, it, panel, still_texts
from tests.helpers.scenes import DIGITS, context, inside, layout

DARK = THEMES["dark"]


def screen_of(size: tuple[int, int] = (640, 480), classes: tuple[str, ...] = DIGITS, **fields: Any) -> FigureView:
    return panel("neurons", size, about=context(classes), **{"layer": "fc", **fields})


def show(screen: FigureView, values: torch.Tensor | None = None) -> Scene:
    layers = {"fc": torch.arange(30.0)[None] if values is None else values}
    return draw(screen, layers | {"out": torch.zeros(1, 10)}).scene  # type: ignore[return-value]


def picture(screen: FigureView) -> Any:
    return it(screen).live[0].picture


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
    order = torch.argsort(weights[4], descending=True)
    view = show(screen).tick.views["it"]
    means = torch.arange(30.0)[order].reshape(3, 10).mean(1)
    assert view.means == pytest.approx(means.numpy())
    assert it(screen).heading.text == "fc sorted by weight to “4”"


def test_sorting_only_some_units_keeps_to_them() -> None:
    screen = screen_of(units=[7, 2, 11], rows=1)
    assert screen.sort_by(0)
    weights = screen.context.class_weights(30)
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
    assert it(screen).sorted_by == 1
    assert (screen.pixels() != before).any()
    assert screen.sort_by(None)
    show(screen)
    assert (screen.pixels() == before).all()


def test_sorting_by_what_has_no_weights_changes_nothing() -> None:
    screen = screen_of(layer="out", rows=1)
    assert not screen.sort_by(3)
    assert not screen_of().sort_by(10)
    assert it(screen).heading.text == "out"


def test_sort_by_class_of_a_layer_that_does_not_lead_to_the_classes_is_an_error() -> None:
    made = layout({"it": {"kind": "neurons", "layer": "out", "sort_by_class": 3}}, "it")
    with pytest.raises(ConfigError, match=r"panels\.it\.sort_by_class: found 3, but no weights lead from 'out' to the classes"):
        check_fit(made, context())


def bars(screen: FigureView) -> Any:
    return it(screen).live[1].rectangles


@pytest.mark.parametrize("rows", [1, 3, 5, 30])
def test_row_means_are_bars_beside_their_rows(rows: int) -> None:
    screen = screen_of(rows=rows, row_means=True)
    view = show(screen).tick.views["it"]
    assert len(bars(screen)) == rows
    body = it(screen).body
    lengths = np.array([rect.w for rect, _ in bars(screen)])
    assert lengths == pytest.approx(np.maximum(1, view.means / view.means.max() * lengths.max()), abs=1)
    assert all(inside(rect, body) for rect, _ in bars(screen))
    height = picture(screen).shape[0] / rows
    top = it(screen).live[0].y
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


def test_names_under_the_cells_of_a_unit_a_class_follow_the_order_when_sorted() -> None:
    assert still_texts(screen_of(classes=tuple("abcdefghij"), layer="out", rows=1))[-10:] == list("abcdefghij")
    screen = panel("neurons", about=context(("a", "b", "c"), {"fc": (1, 3)}), layer="fc", rows=1)
    weights = screen.context.class_weights(3)
    screen.sort_by(0)
    screen.draw()
    assert still_texts(screen)[-3:] == ["abc"[unit] for unit in torch.argsort(weights[0], descending=True)]


def test_values_that_are_not_finite_are_told() -> None:
    screen = screen_of()
    values = torch.arange(30.0)[None].clone()
    values[0, :2] = torch.tensor([torch.nan, torch.inf])
    show(screen, values)
    assert it(screen).live[2].text == "2 of 30 values are NaN or infinite"
    assert (picture(screen)[:, :, :3] == DARK.not_finite).all(axis=2).any()
    show(screen)
    assert not it(screen).live[2].text


@pytest.mark.parametrize(("size", "rows"), [((320, 240), 1), ((320, 240), 1000), ((800, 600), None)], ids=str)
def test_more_cells_than_pixels_still_show_first_and_last(size: tuple[int, int], rows: int | None) -> None:
    fields = {} if rows is None else {"rows": rows}
    screen = panel(
        "neurons", size, about=context(shapes={"fc": (1, 4096)}), layer="fc", colormap="gray", row_means=True, **fields
    )
    draw(screen, {"fc": torch.arange(4096.0)[None]})
    body = it(screen).body
    h, w = picture(screen).shape[:2]
    assert h <= body.h
    assert w <= body.w
    assert picture(screen)[0, 0, 0] == 0
    assert picture(screen)[:, :, 0].max() >= 250
