from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from livecnn.app.screen.figure import FigureView
from livecnn.drawing.artists import Label
from livecnn.drawing.theme import THEMES
from livecnn.geometry import Rect
from livecnn.panels.base.targets import ClassTarget
from livecnn.panels.scores import NOTHING
from livecnn.types import Reading
from tests.helpers.panel_screen import draw, it, panel, place_of, texts
from tests.helpers.scenes import DIGITS, assert_texts_apart, context, inside, labels

DARK = THEMES["dark"]
SIZES = [(320, 240), (400, 700), (800, 200), (800, 600), (1280, 720)]
NAMES = tuple(f"{word} {i}" for i in range(40) for word in ("tabby cat", "sports car", "espresso"))


def shown(scores: Any, size: tuple[int, int] = (800, 600), classes: tuple[str, ...] = DIGITS, **options: Any) -> FigureView:
    fields = {"top": options.pop("top")} if "top" in options else {}
    screen = panel("scores", (max(320, size[0]), max(240, size[1])), about=context(classes), **fields)
    screen.figure.set_size_inches(size[0] / screen.figure.dpi, size[1] / screen.figure.dpi)
    screen.lay_out()
    return draw(screen, scores=scores, **options)


def bars(screen: FigureView) -> list[tuple[Rect, Any]]:
    return list(it(screen).live[0].rectangles)


def test_columns_by_class_with_the_top_one_named_large() -> None:
    scores = [0.02, 0.9, 0.08, 0, 0, 0, 0, 0, 0, 0]
    screen = shown(scores)
    heights = np.array([rect.h for rect, _ in bars(screen)])
    assert heights == pytest.approx(heights[1] / 0.9 * np.array(scores), abs=1)
    assert [color for _, color in bars(screen)] == [DARK.accent if i == 1 else DARK.quiet for i in range(10)]
    assert texts(screen) == [*DIGITS, "2", "90", "8", "1", "90.0 %"]
    winner, percent = list(labels(it(screen).live))[-2:]
    assert winner.size > 2 * percent.size


def test_rows_of_the_top_classes_where_there_are_many() -> None:
    scores = np.linspace(0, 0.01, len(NAMES))
    scores[[5, 70]] = 0.5, 0.3
    screen = shown(scores, classes=NAMES, top=3)
    assert texts(screen)[:3] == [NAMES[5], NAMES[70], NAMES[-1]]
    assert texts(screen)[3:] == ["50.0", "30.0", "1.0", NAMES[5], "50.0 %"]
    widths = [rect.w for rect, _ in bars(screen)]
    assert widths[1] / widths[0] == pytest.approx(0.6, abs=0.02)
    assert bars(screen)[0][1] == DARK.accent


def test_top_defaults_to_ten_and_never_exceeds_the_classes() -> None:
    assert len(bars(shown(np.full(120, 1 / 120), classes=NAMES))) == 10
    assert len(bars(shown([0.5, 0.5], classes=("a long name", "another one")))) == 2


def test_only_as_many_rows_as_fit() -> None:
    screen = shown(np.full(120, 1 / 120), (800, 200), NAMES, top=50)
    assert 1 <= len(bars(screen)) < 15
    for rect, _ in bars(screen):
        assert inside(rect, it(screen).body)
        assert rect.h >= 5


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("classes", [DIGITS, NAMES, ("only one",), tuple("ABCDEFGHIJKLMNOPQRST")], ids=["10", "120", "1", "20"])
def test_no_two_texts_overlap_and_none_leaves_the_card(size: tuple[int, int], classes: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    for sharpness in (0.05, 1.0):
        screen = shown(rng.dirichlet(np.full(len(classes), sharpness)), size, classes)
        assert_texts_apart(screen, "it")


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("classes", [DIGITS, NAMES], ids=["10", "120"])
def test_an_empty_box_says_so_in_full(size: tuple[int, int], classes: tuple[str, ...]) -> None:
    screen = shown(np.zeros(len(classes)), size, classes, empty=True)
    message = next(label for label in labels(it(screen).live) if label.text == NOTHING)
    place = place_of(message, size)
    assert inside(place, it(screen).body)
    whole = Label(DARK.text, "bold")
    whole.text = NOTHING
    whole.place(10, 100, message.size)
    assert abs(place.w - place_of(whole, (2000, 200)).w) <= 1  # nothing was cut off
    assert not bars(screen)
    assert not any(text.endswith("%") for text in texts(screen))


def test_scores_that_are_not_a_number_name_no_class() -> None:
    screen = shown([0.1, float("nan"), *[0.1] * 8])
    assert "not a number" in texts(screen)
    assert not bars(screen)


def test_a_prediction_comes_back_after_a_message() -> None:
    screen = shown([1.0, *[0.0] * 9])
    before = screen.pixels()
    for scores, empty in ((np.zeros(10), True), ([1.0, *[0.0] * 9], False)):
        draw(screen, scores=scores, empty=empty)
    assert (screen.pixels() == before).all()


def test_columns_and_rows_are_the_classes() -> None:
    scores = [0.02, 0.9, 0.08, 0, 0, 0, 0, 0, 0, 0]
    drawer = it(shown(scores))
    for index, (bar, _) in enumerate(bars(shown(scores))):
        target = drawer.target_at(bar.x + bar.w // 2, bar.y)
        assert target == ClassTarget(index)
        assert drawer.tip(ClassTarget(index)).lines == (f"{index}: {100 * scores[index]:.1f} %",)
    many = np.zeros(len(NAMES))
    many[[70, 5]] = 0.5, 0.3
    rows = shown(many, classes=NAMES, top=3)
    found = [it(rows).target_at(bar.x, bar.y + bar.h // 2) for bar, _ in bars(rows)]
    assert found[:2] == [ClassTarget(70), ClassTarget(5)]
    assert it(rows).target_at(0, 0) is None
    assert it(rows).tip(ClassTarget(100)) is None


LABELS = ("person", "dog", "outdoors")


def reading(screen_scores: Any, kind: Reading, classes: tuple[str, ...] = LABELS) -> FigureView:
    return draw(panel("scores", about=replace(context(classes), reading=kind)), scores=screen_scores)


def test_labels_are_bars_of_a_hundred_percent_each() -> None:
    screen = reading([0.9, 0.8, 0.1], "labels")
    widths = [rect.w for rect, _ in bars(screen)]
    assert [widths[1] / widths[0], widths[2] / widths[0]] == pytest.approx([0.8 / 0.9, 0.1 / 0.9], abs=0.01)
    assert texts(screen) == [*LABELS, "90.0", "80.0", "10.0", "person", "90.0 %"]
    assert it(screen).caption.text == "each label by itself, 0 to 100 %"
    assert list(labels(it(screen).live))[-2].color == DARK.accent
    assert list(labels(it(reading([0.4, 0.2, 0.1], "labels")).live))[-2].color == DARK.muted  # none of them holds


def test_numbers_lie_on_a_scale_of_their_own_and_are_no_percentages() -> None:
    screen = reading([-25.0, 0.098, 12.5], "numbers")
    (minus, _), (_, _), (plus, _) = bars(screen)
    assert minus.w / plus.w == pytest.approx(2, abs=0.05)
    assert minus.x + minus.w == pytest.approx(plus.x, abs=1)  # both begin at 0
    assert texts(screen) == [*LABELS, "−25.0", "0.0980", "12.5"]
    assert {color for _, color in bars(screen)} == {DARK.quiet}
    before = plus.w
    draw(screen, scores=[0.0, 0.0, 50.0])
    draw(screen, scores=[-25.0, 0.098, 12.5])
    assert bars(screen)[2][0].w < before  # the scale still holds the largest number that was seen


def test_a_single_number_is_the_answer() -> None:
    assert texts(reading([-0.0662], "numbers", ("steering angle",))) == ["steering angle", "−0.0662", "−0.0662"]
