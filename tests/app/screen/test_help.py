import itertools

import pytest

from livecnn.app.keys import GESTURES, KEYS
from livecnn.app.screen.help import Help
from livecnn.drawing.theme import THEMES, Metrics
from livecnn.geometry import Rect
from tests.helpers.scenes import ink, inside, overlap

SIZES = [(320, 240), (800, 600), (1280, 720), (3840, 2160)]


def shown(size: tuple[int, int]) -> Help:
    overlay = Help()
    overlay.set_visible(True)
    overlay.lay_out(Rect(0, 0, *size), Metrics.of(*size), THEMES["dark"])
    return overlay


def test_it_is_hidden_until_it_is_asked_for() -> None:
    overlay = shown((800, 600))
    assert ink(overlay, (800, 600)) is not None
    overlay.set_visible(False)
    assert ink(overlay, (800, 600)) is None


def test_it_lists_all_keys_and_what_the_mouse_does() -> None:
    assert sorted(Help().rows) == sorted((each.shown, each.meaning) for each in (*KEYS, *GESTURES))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_nothing_leaves_its_box(size: tuple[int, int]) -> None:
    overlay = shown(size)
    box = ink(overlay._ground, size)
    assert box is not None
    assert ink(overlay, size) == box  # no letter outside of it
    assert inside(box, Rect(0, 0, *size))


@pytest.mark.parametrize("size", SIZES[1:], ids=str)
def test_no_two_words_overlap(size: tuple[int, int]) -> None:
    labels = [label for column in shown(size)._columns for block in column for label in block.labels]
    places = [(label.text, place) for label in labels if (place := ink(label, size)) is not None]
    assert len(places) == len(labels)
    for (text, one), (other, another) in itertools.combinations(places, 2):
        assert not overlap(one, another), (text, other)


def test_where_there_is_room_no_word_is_shortened() -> None:
    for column in shown((1280, 720))._columns:
        for label in (label for block in column for label in block.labels):
            assert label.width is None or label.advance() <= label.width, label.text
