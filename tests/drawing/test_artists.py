from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import RendererAgg

from livecnn.drawing.artists import (
    Align,
    Group,
    Label,
    Paragraph,
    Pixels,
    Rectangles,
    longest_fitting,
    renderer_buffer,
    shorten,
    text_width,
    wrap_words,
    write,
)
from livecnn.drawing.theme import THEMES
from livecnn.geometry import Rect
from tests.helpers.scenes import ink, inside, labels

W, H = 24, 16
WHITE = (255, 255, 255)

near = st.integers(-30, 40)
REASON = "guided_backprop: 'relu' is called as a function, whose gradient cannot be changed; make it a module"


def drawn(artist: Any, size: tuple[int, int] = (W, H)) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The RGB buffer, black before, after the artist drew."""
    renderer = RendererAgg(*size, 100)
    renderer_buffer(renderer)[:] = 0
    artist.draw(renderer)
    return renderer_buffer(renderer)[:, :, :3].copy()


@given(near, near, st.integers(1, 40), st.integers(1, 40), st.sampled_from([3, 4]))
def test_pixels_are_copied_and_cut_at_every_edge(x: int, y: int, w: int, h: int, channels: int) -> None:
    picture = np.random.default_rng(0).integers(1, 256, (h, w, channels), np.uint8)
    pixels = Pixels()
    pixels.put(x, y, picture)
    room = np.zeros((H + 120, W + 120, 3), np.uint8)
    room[y + 40 : y + 40 + h, x + 40 : x + 40 + w] = picture[:, :, :3]
    assert (drawn(pixels) == room[40 : 40 + H, 40 : 40 + W]).all()


@given(near, near, st.integers(0, 40), st.integers(0, 40))
def test_fills_are_cut_at_every_edge(x: int, y: int, w: int, h: int) -> None:
    fills = Rectangles()
    fills.rectangles = [(Rect(x, y, w, h), (9, 8, 7))]
    room = np.zeros((H + 120, W + 120, 3), np.uint8)
    room[y + 40 : y + 40 + h, x + 40 : x + 40 + w] = (9, 8, 7)
    assert (drawn(fills) == room[40 : 40 + H, 40 : 40 + W]).all()


def test_later_fills_lie_over_earlier_ones() -> None:
    fills = Rectangles()
    fills.rectangles = [(Rect(0, 0, 4, 4), (1, 1, 1)), (Rect(1, 1, 4, 4), (2, 2, 2))]
    assert drawn(fills)[:6, :6, 0].tolist() == [[1, 1, 1, 1, 0, 0], *[[1, 2, 2, 2, 2, 0]] * 3, [0, 2, 2, 2, 2, 0], [0] * 6]


def label(text: str, align: Align = "left", **options: Any) -> Label:
    made = Label(WHITE, "normal", align, **options)
    made.text = text
    return made


@given(st.integers(-200, 400), st.integers(-60, 160))
def test_a_label_is_cut_at_every_edge(x: int, y: int) -> None:
    whole, cut = label("Äg0%"), label("Äg0%")
    whole.place(x + 400, y + 100, 17)
    cut.place(x, y, 17)
    room = drawn(whole, (1200, 400))
    assert (drawn(cut, (100, 50)) == room[100:150, 400:500]).all()


@pytest.mark.parametrize("text", ["H", "conv1", "100.0 %", "Wörter"])
@pytest.mark.parametrize("size", [9, 16, 40])
def test_alignment(text: str, size: int) -> None:
    width = text_width(text, size)
    for align, left in (("left", 300), ("center", 300 - width / 2), ("right", 300 - width)):
        made = label(text, align)
        made.place(300, 80, size)
        place = ink(made, (600, 120))
        # The advance is a little wider than the ink: every letter has bearings.
        assert left - 2 <= place.x <= left + 2 + size / 8
        assert left + width - 2 - size / 8 <= place.x + place.w <= left + width + 2
        assert place.y + place.h <= 80 + 2 + size // 4


def test_letters_stand_on_the_baseline() -> None:
    made = label("H")
    made.place(10, 50, 30)
    place = ink(made, (80, 80))
    assert place.y + place.h == 50
    assert 19 <= place.h <= 24  # a capital is 0.73 of the size in DejaVu Sans


def test_full_ink_has_exactly_its_colour() -> None:
    made = Label((10, 200, 30), "bold")
    made.text = "I"
    made.place(5, 40, 40)
    assert (drawn(made, (40, 60)).reshape(-1, 3) == (10, 200, 30)).all(axis=1).any()


@given(st.text(max_size=30), st.integers(0, 200), st.integers(6, 30))
def test_shortened_text_fits_and_is_a_beginning(text: str, width: int, size: int) -> None:
    short = shorten(text, width, size)
    assert text_width(short, size) <= width
    if short != text:
        assert text.startswith(short.removesuffix("…"))
        assert not short.removesuffix("…").endswith(" ")


def test_shortening_by_hand() -> None:
    assert shorten("camera", 1000, 12) == "camera"
    assert shorten("camera", text_width("camera", 12), 12) == "camera"
    assert shorten("a camera", text_width("a …", 12), 12) == "a…"
    assert shorten("camera", 0, 12) == ""


def test_a_label_draws_only_what_fits_its_width() -> None:
    made = label("a very long line of text")
    made.place(10, 30, 14, 60)
    place = ink(made, (300, 50))
    assert place.x + place.w <= 71
    made.place(10, 30, 14, 0)
    assert ink(made, (300, 50)) is None


@pytest.mark.parametrize(
    "text", ["two\nlines", "tab\tbed", "caf\udce9.png", "nul\0", "漢字", "🙂", "שלום", "e\u0301", "\u202eright"]
)
def test_names_may_hold_anything(text: str) -> None:
    made = label(text)
    made.place(10, 30, 14)
    assert ink(made, (200, 50)) is not None
    assert made.advance() > 0


def test_a_ground_keeps_text_readable_over_a_picture() -> None:
    made = label("NaN", ground=(1, 2, 3))
    made.place(20, 30, 16)
    bare = label("NaN")
    bare.place(20, 30, 16)
    inner, outer = ink(bare, (100, 50)), ink(made, (100, 50))
    assert inside(inner, outer.inset(4, 4, 4, 4))
    assert not inside(inner, outer.inset(7, 7, 7, 7))
    assert tuple(drawn(made, (100, 50))[outer.y, outer.x]) == (1, 2, 3)


@pytest.mark.parametrize("artist", [Pixels(), Rectangles(), label("text")], ids=["Pixels", "Fills", "Label"])
def test_nothing_is_drawn_when_invisible(artist: Any) -> None:
    if isinstance(artist, Pixels):
        artist.put(2, 2, np.full((4, 4, 3), 255, np.uint8))
    elif isinstance(artist, Rectangles):
        artist.rectangles = [(Rect(2, 2, 4, 4), WHITE)]
    else:
        artist.place(2, 12, 10)
    assert drawn(artist).any()
    artist.set_visible(False)
    assert not drawn(artist).any()


def test_nothing_is_drawn_without_content() -> None:
    for artist in (Pixels(), Rectangles(), label("")):
        assert not drawn(artist).any()


def test_a_group_draws_its_members_in_order() -> None:
    group, under, over = Group(), Rectangles(), Rectangles()
    under.rectangles, over.rectangles = [(Rect(0, 0, 9, 9), (1, 1, 1))], [(Rect(0, 0, 5, 5), (2, 2, 2))]
    group.members = [under, over]
    assert drawn(group)[4:6, 4:6, 0].tolist() == [[2, 1], [1, 1]]


def test_text_written_on_a_picture_is_centred_on_the_baseline() -> None:
    image = np.zeros((40, 100, 3), np.uint8)
    write(image, "HHH", 50, 30, 16, (255, 255, 255), "bold")
    rows, columns = np.flatnonzero(image.any(axis=(1, 2))), np.flatnonzero(image.any(axis=(0, 2)))
    assert rows[-1] == 29
    assert abs((columns[0] + columns[-1]) / 2 - 50) <= 1
    assert columns[-1] - columns[0] < text_width("HHH", 16, "bold")
    write(image, "HHH", -200, 30, 16, (255, 0, 0))
    assert (image[..., 0] == image[..., 1]).all()


def said(paragraph: Paragraph) -> list[str]:
    return [label.text for label in labels([paragraph]) if label.text]


def test_the_longest_wording_that_fits() -> None:
    wordings = ("a long wording", "short", "s")
    assert longest_fitting(wordings, 1000, 12) == "a long wording"
    assert longest_fitting(wordings, text_width("short", 12), 12) == "short"
    assert longest_fitting(wordings, 1, 12) == "s"


@given(st.text("ab ", max_size=60), st.integers(10, 200))
def test_lines_hold_every_word_in_order_and_fit(text: str, width: int) -> None:
    lines = wrap_words(text, width, 12)
    assert " ".join(lines) == " ".join(text.split())
    assert all(text_width(line, 12) <= width or " " not in line for line in lines)


def test_a_paragraph_stays_in_its_box() -> None:
    paragraph, box = Paragraph(THEMES["dark"].text), Rect(20, 30, 150, 120)
    paragraph.put(REASON, box, 12)
    place = ink(paragraph, (300, 300))
    assert inside(place, box)
    assert " ".join(said(paragraph)) == REASON == paragraph.text


def test_what_has_no_room_is_left_out_and_told() -> None:
    paragraph = Paragraph(THEMES["dark"].text)
    paragraph.put(REASON, Rect(0, 0, 150, 40), 12)
    assert len(said(paragraph)) == 2
    assert said(paragraph)[-1].endswith("…")
    paragraph.put(REASON, Rect(0, 0, 150, 4), 12)
    assert said(paragraph) == []
    paragraph.put("", Rect(0, 0, 150, 40), 12)
    assert said(paragraph) == []
