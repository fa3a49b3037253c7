import itertools

from livecnn.panels.base.targets import ButtonTarget, TextButton, TextButtons, row_width
from livecnn.selection import Action
from tests.helpers.scenes import ink, labels, overlap

WORDS = [TextButton(text, (255, 255, 255), ButtonTarget(Action.TOGGLE_METHOD, text)) for text in ("one", "two", "three")]


def texts(buttons: TextButtons) -> list[str]:
    return [label.text for label in labels([buttons]) if label.text]


def test_each_word_is_found_where_it_stands() -> None:
    buttons = TextButtons(4)
    taken = buttons.put(WORDS, 10, 40, 14, 12, 300)
    assert taken == row_width([word.text for word in WORDS], 14, 12)
    places = [ink(label, (400, 100)) for label in labels([buttons]) if label.text]
    for word, place in zip(WORDS, places, strict=True):
        assert place is not None
        assert buttons.at(place.x + place.w / 2, place.y + place.h / 2) == word.button
    assert not any(overlap(a, b) for a, b in itertools.pairwise(places) if a and b)
    assert buttons.at(10, 90) is None
    assert buttons.place_of(ButtonTarget(Action.TOGGLE_METHOD, "four")) is None


def test_words_stand_closer_before_one_is_left_out() -> None:
    buttons = TextButtons(3)
    width = row_width([word.text for word in WORDS], 14, 9)
    assert buttons.put(WORDS, 0, 40, 14, 12, width) == width
    assert texts(buttons) == ["one", "two", "three"]
    buttons.put(WORDS, 0, 40, 14, 12, width - 20)
    assert texts(buttons) == ["one", "two"]
    assert buttons.place_of(WORDS[2].button) is None
    assert buttons.put((), 0, 40, 14, 12, 300) == 0
    assert texts(buttons) == []
