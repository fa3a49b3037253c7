from hypothesis import given
from hypothesis import strategies as st

from livecnn.drawing.artists import Paragraph, longest_fitting, text_width, wrap_words
from livecnn.drawing.theme import THEMES
from livecnn.geometry import Rect
from tests.helpers.scenes import ink, inside, labels

REASON = "guided_backprop: 'relu' is called as a function, whose gradient cannot be changed; make it a module"


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
    assert place is not None
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
