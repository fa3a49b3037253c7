import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from livecnn.analysis.scorer import ScoredImage
from livecnn.app.replay_filter import ReplayFilter
from livecnn.errors import UsageError

CLASSES = ("cat", "dog", "fox")
# Place, label, scores; the third is empty.
PICTURES = [("cat", (0.9, 0.1, 0)), ("dog", (0.6, 0.4, 0)), ("dog", None), ("", (0.1, 0.2, 0.7)), ("dog", (0, 1, 0))]


def scored(places: Any = range(5)) -> Iterator[ScoredImage]:
    for place in places:
        label, scores = PICTURES[place]
        values = np.array(scores or (0, 0, 0), np.float32)
        yield ScoredImage(place, f"{place}.png", label, values, None if scores is None else int(values.argmax()))


@pytest.mark.parametrize(
    ("options", "places"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"limit": 2}, [0, 1]),
        ({"only_class": "cat"}, [0, 1]),
        ({"min_score": 0.7}, [0, 3, 4]),
        ({"max_score": 0.6}, [1, 2]),
        ({"min_score": 0.61, "max_score": 0.95}, [0, 3]),
        ({"wrong": True}, [1, 2]),
        ({"wrong": True, "only_class": "cat"}, [1]),
        ({"order": "score"}, [4, 0, 3, 1, 2]),
        ({"order": "score", "limit": 2}, [4, 0]),
        ({"order": "class"}, [0, 1, 4, 3, 2]),
        ({"order": "name", "limit": 1}, [0]),
    ],
)
def test_what_is_shown_in_which_order(options: dict[str, Any], places: list[int]) -> None:
    choice = ReplayFilter(**options)
    assert choice.places(5) == [0, 1, 2, 3, 4]
    assert [each.index for each in choice.among(scored(), CLASSES)] == places


def test_no_more_is_asked_for_than_needed() -> None:
    pictures = scored()
    ReplayFilter(only_class="cat", limit=1).among(pictures, CLASSES)
    assert next(pictures).index == 1


def test_at_random_but_the_same_for_the_same_seed() -> None:
    places = ReplayFilter(shuffle=True, seed=3).places(1000)
    assert sorted(places) == list(range(1000)) != places
    assert places == ReplayFilter(shuffle=True, seed=3).places(1000) != ReplayFilter(shuffle=True, seed=4).places(1000)


def test_chosen_at_random_and_then_put_in_order() -> None:
    for order, places in ((None, [4, 0, 3]), ("name", [0, 3, 4]), ("score", [4, 0, 3]), ("class", [0, 4, 3])):
        choice = ReplayFilter(shuffle=True, limit=3, order=order)  # type: ignore[arg-type]
        assert [each.index for each in choice.among(scored([4, 0, 3, 1, 2]), CLASSES)] == places


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"only_class": "fix"}, "--only-class: unknown class 'fix'; did you mean 'fox'? allowed: cat, dog, fox"),
        ({"min_score": 1.5}, "--min-score: found 1.5; allowed: 0 to 1"),
        ({"max_score": float("nan")}, "--max-score: found nan"),
        ({"min_score": 0.9, "max_score": 0.1}, "--min-score 0.9 is above --max-score 0.1"),
        ({"limit": 0}, "--limit: found 0; allowed: 1 or more"),
        ({"seed": -1}, "--seed: found -1"),
        ({"order": "size"}, "--order: found 'size'; allowed: name, score, class"),
    ],
)
def test_what_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        ReplayFilter(**options).check(CLASSES)
