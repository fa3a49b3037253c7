from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import RendererAgg

from livecnn.drawing.theme import THEMES, Metrics
from livecnn.drawing.tile import Tile, dim, outline, tile_grid
from livecnn.geometry import Rect
from tests.helpers.scenes import inside, overlap

DARK = THEMES["dark"]
BOX = Rect(20, 10, 100, 100)
RED = np.full((100, 100, 3), (200, 0, 0), np.uint8)


def drawn(exhibit: Tile) -> Any:
    renderer = RendererAgg(140, 140, 100)
    buffer = np.asarray(renderer.buffer_rgba())
    buffer[:] = 0
    exhibit.draw(renderer)
    return buffer[:, :, :3].copy()


def placed(**options: Any) -> Tile:
    exhibit = Tile(DARK)
    exhibit.place(BOX, Metrics(1.0), **options)
    return exhibit


@given(st.integers(1, 600), st.integers(1, 400), st.integers(1, 12), st.sampled_from([0, 20]))
def test_squares_hang_inside_the_room_and_apart(width: int, height: int, count: int, line: int) -> None:
    room = Rect(5, 7, width, height)
    places = tile_grid(room, count, line, 8, 30)
    assert 1 <= len(places) <= count
    assert len({(place.w, place.h) for place in places}) == 1
    assert not any(overlap(a, b) for i, a in enumerate(places) for b in places[:i])
    if places[0].w >= 30:
        assert all(inside(place._replace(h=place.h + line), room) for place in places)


def test_as_many_as_there_is_room_for() -> None:
    assert len(tile_grid(Rect(0, 0, 600, 100), 4, 0, 8, 30)) == 4
    assert len(tile_grid(Rect(0, 0, 70, 32), 4, 0, 8, 30)) == 2


def test_a_picture_a_word_over_it_and_the_line_under_it() -> None:
    exhibit = placed()
    exhibit.call(("the long name of a picture", "name"))
    exhibit.show(RED)
    plain = drawn(exhibit)
    assert (plain[10:110, 20:120] == RED).all()
    assert plain[112:130].any()
    exhibit.show(RED, "muted", DARK.bad)
    assert (drawn(exhibit)[10:110, 20:120] != RED).any()


def test_without_a_line_there_is_no_name() -> None:
    exhibit = placed(named=False)
    exhibit.call(("name",))
    exhibit.show(RED)
    assert not drawn(exhibit)[112:].any()
    assert exhibit.label.h == 0


def test_what_waits_is_dim_until_there_is_something_new() -> None:
    exhibit, key = placed(), object()
    assert not exhibit.shows(key)
    exhibit.show(RED)
    assert exhibit.shows(key)
    exhibit.wait()
    first = drawn(exhibit)
    assert (first[12, 22] == dim(RED, DARK.card)[0, 0]).all()
    exhibit.wait()
    assert (drawn(exhibit) == first).all()
    assert not exhibit.shows(key)
    exhibit.show(RED)
    assert (drawn(exhibit)[10:110, 20:120] == RED).all()


def test_what_never_had_a_picture_waits_in_a_frame() -> None:
    exhibit = placed()
    exhibit.wait()
    assert drawn(exhibit)[10, 20].tolist() == list(DARK.edge)


def test_words_instead_of_a_picture() -> None:
    exhibit = placed()
    exhibit.show(RED)
    exhibit.explain("this network has no ReLU modules")
    assert not (drawn(exhibit) == RED[0, 0]).all(axis=2).any()
    exhibit.say("6.02")
    assert (drawn(exhibit)[50:75, 40:100] == DARK.text).all(axis=2).any()
    assert exhibit.place_in(60, 60) is None


def test_a_bar_tells_of_what_is_under_way() -> None:
    exhibit = placed()
    exhibit.show(RED)
    exhibit.progress(0.4)
    bar = drawn(exhibit)[109, 20:120]
    assert (bar == DARK.accent).all(axis=1).sum() == 40
    exhibit.progress(1.0)
    assert (drawn(exhibit)[109, 20:120] == RED[0]).all()


def test_a_place_in_the_picture() -> None:
    exhibit = placed()
    assert exhibit.place_in(60, 60) is None
    exhibit.show(RED[:50])  # in the middle of the box, from row 35 on
    assert exhibit.place_in(20, 35) == (0.0, 0.0)
    assert exhibit.place_in(70, 60) == (0.5, 0.5)
    assert exhibit.place_in(70, 90) is None
    exhibit.place(None, Metrics(1.0))
    assert exhibit.place_in(70, 60) is None
    assert not drawn(exhibit).any()


def test_an_outline_lies_on_the_edges_inside() -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    outline(picture, (10, 20, 30, 50), (9, 9, 9), 2)
    on = (picture == 9).all(axis=2)
    assert on[10:12, 20:50].all()
    assert on[28:30, 20:50].all()
    assert on[10:30, 20:22].all()
    assert on[10:30, 48:50].all()
    assert on.sum() == 2 * 2 * 30 + 2 * 2 * 16


@given(st.floats(-50, 90), st.floats(-50, 90), st.floats(0, 90), st.floats(0, 90), st.integers(1, 3))
def test_an_outline_is_always_seen(top: float, left: float, height: float, width: float, pen: int) -> None:
    picture = np.zeros((40, 60, 4), np.uint8)
    outline(picture, (top, left, top + height, left + width), (9, 9, 9), pen)
    assert (picture[:, :, 3] == 255).sum() >= 8 * pen
    tiny = np.zeros((1, 2, 3), np.uint8)
    outline(tiny, (top, left, top + height, left + width), (9, 9, 9), pen)
    assert tiny.any()
