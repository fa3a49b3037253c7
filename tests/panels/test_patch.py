from typing import Any

import numpy as np
import pytest

from livecnn.app.screen.figure import FigureView
from livecnn.drawing.artists import as_rgb
from tests.helpers.scenes import context, ink, inside, labels, layout, overlap, picture, scene


def shown(size: tuple[int, int]) -> FigureView:
    screen = FigureView(layout({"it": {"kind": "patch"}}, "it", size), context())
    screen.show(scene(screen))
    screen.draw()
    return screen


def pictures(screen: FigureView) -> list[Any]:
    return list(screen.drawers["it"].live)


@pytest.mark.parametrize("size", [(800, 400), (400, 800)], ids=["wide", "tall"])
def test_the_shot_and_what_the_net_sees_stand_side_by_side(size: tuple[int, int]) -> None:
    screen = shown(size)
    shot, seen = pictures(screen)
    assert shot.picture.shape == seen.picture.shape
    assert (shot.y == seen.y and shot.x < seen.x) if size[0] > size[1] else (shot.x == seen.x and shot.y < seen.y)


def test_the_nets_pixels_are_squares() -> None:
    screen = shown((800, 400))
    seen = pictures(screen)[1].picture
    given = screen.scene
    assert given is not None
    steps = (np.arange(seen.shape[0]) + 0.5) * 8 // seen.shape[0]
    wanted = given.tick.patch.prepared.seen[np.ix_(steps.astype(int), steps.astype(int))]
    assert (seen[:, :, 0] == wanted).mean() > 0.95  # at the seams the nearest may be either


@pytest.mark.parametrize("size", [(320, 240), (800, 600), (600, 800), (1280, 720)], ids=str)
def test_labels_stand_under_their_pictures(size: tuple[int, int]) -> None:
    screen = shown(size)
    drawer = screen.drawers["it"]
    places = [ink(label, size) for label in labels(drawer.still) if label.text in ("as taken", "what the net sees")]
    for place, each in zip(places, pictures(screen), strict=True):
        assert place is not None
        assert inside(place, drawer.body)
        assert each.y + each.picture.shape[0] <= place.y
        assert each.x - 30 <= place.x + place.w / 2 - each.picture.shape[1] / 2 <= each.x + 30
    assert not overlap(*[place for place in places if place])


def test_gray_is_shown_as_rgb_and_rgb_as_it_is() -> None:
    gray = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert (as_rgb(gray) == np.dstack([gray] * 3)).all()
    color = picture()
    assert as_rgb(color) is color
