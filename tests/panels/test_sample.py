from typing import Any

import numpy as np
import pytest

from livecnn.app.screen.figure import FigureView
from livecnn.drawing.theme import THEMES, Color
from livecnn.panels.sample import mark
from livecnn.types import Frame, LoopStatus, SourceStatus
from tests.helpers.panel_screen import assert_apart, draw, it, panel, texts
from tests.helpers.scenes import DIGITS, labels, picture

THEME = THEMES["dark"]
SIZES = [(320, 240), (800, 600), (600, 800), (1280, 720)]


def shown(
    label: str = "", top: int = 7, *, empty: bool = False, size: tuple[int, int] = (800, 600), frame: Any = None, **fields: Any
) -> FigureView:
    status, image = LoopStatus(SourceStatus("live", "digits")), picture() if frame is None else frame
    frame = Frame(image, 0, 0.0, "a/7.png", label)
    return draw(panel("sample", size, **fields), scores=np.eye(10)[top], empty=empty, frame=frame, status=status)


def has(screen: FigureView, color: Color) -> bool:
    return bool((screen.pixels() == color).all(axis=2).any())


@pytest.mark.parametrize(
    ("label", "top", "empty", "verdict", "reason"),
    [
        ("7", 7, False, "Right", "this is “7”"),
        ("7", 2, False, "Wrong", "this is “7”, seen as “2”"),
        ("7", 7, True, "Wrong", "this is “7”, nothing seen"),
        ("", 7, False, "No label", "seen as “7”"),
        ("", 7, True, "No label", "nothing seen"),
        ("cat", 7, False, "No label", "seen as “7” · “cat” is no class"),
    ],
)
def test_the_verdict_and_why(label: str, top: int, empty: bool, verdict: str, reason: str) -> None:
    assert texts(shown(label, top, empty=empty)) == ["a/7.png", verdict, reason]


def test_scores_that_are_no_numbers_are_no_answer() -> None:
    screen = shown("7")
    draw(screen, scores=np.full(10, np.nan), frame=Frame(picture(), 0, 0.0, "a.png", "7"))
    assert texts(screen)[1:] == ["Wrong", "this is “7”, nothing seen"]


def test_each_verdict_has_its_colour() -> None:
    flat = np.full((48, 48, 3), 200, np.uint8)
    verdicts = {shown(label, frame=flat): color for label, color in (("7", THEME.good), ("1", THEME.bad), ("", THEME.muted))}
    for screen, color in verdicts.items():
        assert has(screen, color)
        assert has(screen, THEME.bad) == (color == THEME.bad)


def test_each_verdict_has_its_shape() -> None:
    shapes = [(mark(verdict, 40, (255,) * 3, (0,) * 3) > 127)[:, :, 0] for verdict in ("right", "wrong", "unknown")]  # type: ignore[arg-type]
    for i, one in enumerate(shapes):
        assert one.any()
        for other in shapes[:i]:
            assert (one != other).mean() > 0.1


def test_small_pictures_are_shown_as_squares_and_large_ones_smoothly() -> None:
    checks = np.indices((4, 4)).sum(axis=0) % 2 * 255
    few = np.repeat(checks[..., None], 3, axis=2).astype(np.uint8)
    drawn = it(shown(frame=few)).live[0].picture[20:-20, 20:-20, :3]
    assert set(np.unique(drawn)) == {0, 255}
    many = np.tile(few, (50, 50, 1))
    drawn = it(shown(frame=many)).live[0].picture[20:-20, 20:-20, :3]
    assert len(np.unique(drawn)) > 2


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("label", DIGITS[6:8])
def test_words_stand_beside_the_mark_and_under_the_picture(size: tuple[int, int], label: str) -> None:
    screen = shown(label, size=size)
    shot, badge, *_ = it(screen).live
    assert_apart(screen, [shot, badge, *list(labels(it(screen).live))[1:]], size)
