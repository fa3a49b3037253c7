import numpy as np
import pytest

from livecnn.geometry import Rect
from livecnn.panels.details.grid import Cells, Ranking
from livecnn.selection import Order
from tests.helpers.scenes import inside, overlap

BODY = Rect(10, 20, 400, 300)


# What is sorted by, its values and when, and the order afterwards.
RANKINGS = {
    "by number at first and again": [("mean", (1, 2, 3), 0.0, [2, 1, 0]), ("number", None, 0.0, [0, 1, 2])],
    "equal ones by number and what is not a number last": [("max", (1, np.nan, 5, 1, 5), 0.0, [2, 4, 0, 3, 1])],
    "sorted anew after a second and not before": [
        ("mean", (1, 0), 10.0, [0, 1]),
        *(("mean", (0, 1), float(moment), [0, 1]) for moment in np.linspace(10.03, 10.99, 30)),
        ("mean", (0, 1), 11.0, [1, 0]),
    ],
    "one odd tick changes little": [
        *(("mean", (1, 0), float(second), [0, 1]) for second in range(10)),
        ("mean", (0, 1), 10.0, [0, 1]),
    ],
    "another order counts at once": [("mean", (100, 0), 0.0, [0, 1]), ("max", (0, 1), 0.01, [1, 0])],
    "values that come late": [
        ("mean", (0, 1), 0.0, [1, 0]),
        ("contribution", None, 0.01, [0, 1]),
        ("contribution", (-1, 1), 0.02, [1, 0]),
    ],
    "a unit recovers from what is not a number": [("mean", (0, np.nan), 0.0, [0, 1]), ("mean", (0, 5), 2.0, [1, 0])],
    "a clock that was set back": [("mean", (1, 0), 100.0, [0, 1]), ("mean", (-50, 1), 0.0, [1, 0])],
}


@pytest.mark.parametrize("steps", RANKINGS.values(), ids=RANKINGS)
def test_ranking(steps: list[tuple[Order, tuple[float, ...] | None, float, list[int]]]) -> None:
    ranking = Ranking(len(steps[0][3]))
    assert ranking.order.tolist() == list(range(len(steps[0][3])))
    for by, values, time, order in steps:
        ranking.take(by, None if values is None else np.array(values, np.float32), time)
        assert ranking.order.tolist() == order


@pytest.mark.parametrize("count", [1, 7, 50, 512])
@pytest.mark.parametrize("aspect", [0.2, 1.0, 3.0])
@pytest.mark.parametrize("line", [0, 13])
def test_cells_stay_inside_their_body_and_apart(count: int, aspect: float, line: int) -> None:
    cells = Cells.fit(BODY, count, aspect, 64 if line else 20, 3, 1000)
    if line:
        cells = cells.lettered(aspect, line)
    rects = [cells.rect(place) for place in range(cells.count)]
    assert all(inside(rect, BODY) for rect in rects)
    assert not any(overlap(a, b) for i, a in enumerate(rects) for b in rects[:i])
    assert all(rect.h + line <= BODY.y + BODY.h - rect.y for rect in rects)


def test_all_fit_if_they_can_be_large_enough_else_a_page_holds_fewer_and_few_grow_only_so_far() -> None:
    assert Cells.fit(BODY, 40, 1.0, 40, 3, 1000).count >= 40
    page = Cells.fit(BODY, 512, 1.0, 40, 3, 1000)
    assert page.count < 512
    assert min(page.size) >= 40
    thousands = Cells.fit(BODY, 4096, 1.0, 3, 3, 90)
    assert thousands.count >= 4096
    assert thousands.gap == 0
    assert Cells.fit(BODY, 2, 1.0, 3, 3, 90).size == (90, 90)


@pytest.mark.parametrize("place", [0, 5, 11])
def test_a_pixel_of_a_cell_leads_back_to_it(place: int) -> None:
    cells = Cells.fit(BODY, 12, 1.0, 40, 3, 1000).lettered(1.0, 13)
    x, y, w, h = cells.rect(place)
    assert cells.at(x, y) == (place, 0.0, 0.0)
    last = cells.at(x + w - 1, y + h - 1)
    assert last is not None
    assert last[0] == place
    assert 0.9 < last[1] < 1
    assert 0.9 < last[2] < 1


def test_beside_the_cells_there_is_nothing() -> None:
    cells = Cells.fit(BODY, 12, 1.0, 40, 3, 1000).lettered(1.0, 13)
    x, y, w, h = cells.rect(0)
    for outside in ((x - 1, y), (x, y - 1), (x + w, y), (x, y + h), (0, 0), (5000, y), (x, 5000)):
        assert cells.at(*outside) is None


def test_indices_show_every_source_row_of_every_cell() -> None:
    cells = Cells.fit(BODY, 12, 1.0, 40, 3, 1000)
    down, along = cells.indices(8, 8)
    assert set(down) == {-1, *range(8 * cells.grid[0])}
    assert set(along) == {-1, *range(8 * cells.grid[1])}
