from typing import Any

import numpy as np
import pytest

from livecnn.app.screen.figure import FigureView
from livecnn.drawing.artists import as_rgb
from tests.helpers.panel_screen import assert_apart, draw, it, panel, place_of
from tests.helpers.scenes import labels, picture


def shown(size: tuple[int, int]) -> FigureView:
    return draw(panel("patch", size))


def pictures(screen: FigureView) -> list[Any]:
    return list(it(screen).live)


@pytest.mark.parametrize("size", [(800, 400), (400, 800)], ids=["wide", "tall"])
def test_the_shot_and_what_the_net_sees_stand_side_by_side(size: tuple[int, int]) -> None:
    screen = shown(size)
    shot, seen = pictures(screen)
    assert shot.picture.shape == seen.picture.shape
    assert (shot.y == seen.y and shot.x < seen.x) if size[0] > size[1] else (shot.x == seen.x and shot.y < seen.y)


def test_the_nets_pixels_are_squares() -> None:
    screen = shown((800, 400))
    seen = pictures(screen)[1].picture
    steps = (np.arange(seen.shape[0]) + 0.5) * 8 // seen.shape[0]
    wanted = screen.scene.tick.patch.prepared.seen[np.ix_(steps.astype(int), steps.astype(int))]  # type: ignore[union-attr]
    assert (seen[:, :, 0] == wanted).mean() > 0.95  # at the seams the nearest may be either


@pytest.mark.parametrize("size", [(320, 240), (800, 600), (600, 800), (1280, 720)], ids=str)
def test_labels_stand_under_their_pictures(size: tuple[int, int]) -> None:
    screen = shown(size)
    names = [label for label in labels(it(screen).still) if label.text in ("as taken", "what the net sees")]
    assert_apart(screen, names, size)
    for name, each in zip(names, pictures(screen), strict=True):
        place = place_of(name, size)
        assert each.y + each.picture.shape[0] <= place.y
        assert each.x - 30 <= place.x + place.w / 2 - each.picture.shape[1] / 2 <= each.x + 30


def test_gray_is_shown_as_rgb_and_rgb_as_it_is() -> None:
    gray = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert (as_rgb(gray) == np.dstack([gray] * 3)).all()
    color = picture()
    assert as_rgb(color) is color
