from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecnn.app.screen.figure import FigureView
from livecnn.drawing.theme import THEMES
from livecnn.geometry import Rect
from livecnn.panels.camera import resize_exactly
from livecnn.types import Frame, LoopStatus, SourceStatus
from tests.helpers.panel_screen import draw, it, panel, place_of, with_patch
from tests.helpers.scenes import ink, inside, picture, scene

ACCENT = THEMES["dark"].accent
sides = st.integers(1, 60)


@given(sides, sides, sides, sides, st.booleans())
def test_a_picture_scaled_to_any_size(height: int, width: int, h: int, w: int, sharp: bool) -> None:
    image = picture(height, width)
    result = resize_exactly(image, w, h, sharp=sharp)
    assert result.shape == (h, w, 3)
    assert result.dtype == np.uint8
    assert not np.shares_memory(result, image)


def test_small_squares_stay_squares_when_they_are_to_be_sharp_and_a_picture_is_averaged_down() -> None:
    image = picture(3, 4)
    assert (resize_exactly(image, 20, 15, sharp=True) == image.repeat(5, axis=0).repeat(5, axis=1)).all()
    assert len(np.unique(resize_exactly(image, 20, 15).reshape(-1, 3), axis=0)) > 12  # smooth
    image = picture(32, 64)
    means = image.reshape(4, 8, 8, 8, 3).mean((1, 3))
    assert resize_exactly(image, 8, 4) == pytest.approx(means, abs=2)


def shown(frame: Frame | None = None, **fields: Any) -> FigureView:
    return draw(panel("camera", (640, 480), **fields), frame=frame)


def photograph(screen: FigureView) -> Any:
    return it(screen).live[0].picture[:, :, :3]


def words(screen: FigureView) -> list[str]:
    return [label.text for label in it(screen).live[1:]]


@pytest.mark.parametrize("shape", [(300, 400), (400, 300), (480, 640), (20, 700)])
def test_the_frame_keeps_its_proportions(shape: tuple[int, int]) -> None:
    h, w = photograph(shown(frame=Frame(picture(*shape), 0, 0.0))).shape[:2]
    body = it(shown()).body
    assert w / h == pytest.approx(shape[1] / shape[0], rel=0.05)
    assert w == body.w or h == body.h


def test_the_box_is_drawn_where_it_is() -> None:
    screen = shown(frame=Frame(np.zeros((100, 200, 3), np.uint8), 0, 0.0))
    image = photograph(screen)
    columns = np.flatnonzero((image == ACCENT).all(axis=2).any(axis=0))
    zoom = image.shape[1] / 200
    assert (columns[0], columns[-1]) == pytest.approx((50 * zoom, 150 * zoom), abs=2)


def test_the_box_is_pale_when_it_is_empty() -> None:
    screen = draw(shown(), empty=True)
    assert not (photograph(screen) == ACCENT).all(axis=2).any()
    assert (photograph(screen) == THEMES["dark"].muted).all(axis=2).any()


def test_a_mirrored_picture_is_the_picture_mirrored() -> None:
    plain = photograph(shown())
    screen = draw(shown(), status=LoopStatus(SourceStatus("live", "camera 0"), mirrored=True))
    assert (photograph(screen) == plain[:, ::-1]).all()


def test_the_newest_frame_is_shown_with_the_box_of_the_older_pass() -> None:
    screen = shown()
    older = scene(screen)
    newer = Frame(np.full((48, 64, 3), 200, np.uint8), 9, 1.0)
    screen.show(replace(older, frame=newer))
    assert (photograph(screen) == 200).all(axis=2).any()


@pytest.mark.parametrize(
    ("source", "frame", "heading", "note"),
    [
        (SourceStatus(name="camera 0"), ("camera 0", ""), "Camera 0", "hold it inside the box"),
        (SourceStatus(name="digits"), ("a/7.png", ""), "Digits", "a/7.png"),
        (SourceStatus(name="digits"), ("7.png", "seven"), "Digits", "7.png · this is “seven”"),
        (SourceStatus(name="demo", note="no camera answered"), ("demo", ""), "Demo", "no camera answered"),
        (SourceStatus(), ("", ""), "Camera", "hold it inside the box"),
    ],
)
def test_what_stands_above_the_picture(source: SourceStatus, frame: tuple[str, str], heading: str, note: str) -> None:
    screen = draw(shown(), frame=Frame(picture(), 0, 0.0, *frame), status=LoopStatus(source))
    assert words(screen) == [heading, note, ""]


STALE = SourceStatus("stale", "camera 0", "no new picture for 3 s")
FROZEN = SourceStatus("frozen", "camera 0", "the same picture for 7 s")
LOST = SourceStatus("lost", "camera 0", "trying again in 4 s (3rd time): is it still plugged in?")
WHITE = Frame(np.full((480, 640, 3), 200, np.uint8), 0, 0.0, "camera 0")


def in_trouble(source: SourceStatus, frame: Frame = WHITE, grid: str = "it") -> FigureView:
    return draw(panel("camera", (640, 480), grid=grid), frame=frame, status=LoopStatus(source))


@pytest.mark.parametrize(
    ("source", "text", "color"),
    [
        (STALE, "● no new picture for 3 s", ACCENT),
        (FROZEN, "● the same picture for 7 s", ACCENT),
        (LOST, "✕ camera lost: trying again in 4 s (3rd time): is it still plugged in?", THEMES["dark"].bad),
    ],
)
def test_a_badge_over_the_picture_tells_what_is_wrong(source: SourceStatus, text: str, color: tuple[int, int, int]) -> None:
    screen = in_trouble(source)
    assert words(screen) == ["Camera 0", "", text]
    photo, *_, badge = it(screen).live
    place = place_of(badge, (640, 480))
    area = Rect(photo.x, photo.y, photo.picture.shape[1], photo.picture.shape[0])
    assert inside(place, area)
    assert place.x - area.x < 20
    assert place.y - area.y < 20
    shown = screen.pixels()[place.y : place.y + place.h, place.x : place.x + place.w]
    assert (shown == color).all(axis=2).any()
    assert (shown == THEMES["dark"].card).all(axis=2).any()
    screen.show(scene(screen, frame=WHITE))
    assert words(screen) == ["Camera 0", "hold it inside the box", ""]


def test_in_a_small_picture_the_badge_says_less() -> None:
    texts = [words(in_trouble(LOST, grid=grid))[2] for grid in ("it", "it .", "it it . . .", "it . . .")]
    assert texts == [
        "✕ camera lost: trying again in 4 s (3rd time): is it still plugged in?",
        "✕ camera lost: trying again in 4 s (3rd time)",
        "✕ camera lost: trying again in 4 s",
        "✕ camera lost",
    ]


def test_a_picture_as_flat_as_a_badge_has_none() -> None:
    frame = Frame(picture(4, 400), 0, 0.0)
    assert ink(it(in_trouble(LOST, frame=frame)).live[-1], (640, 480)) is None


@pytest.mark.parametrize(("source", "level"), [(STALE, 200), (FROZEN, 200), (LOST, 66)])
def test_the_last_picture_of_a_lost_camera_is_dimmed(source: SourceStatus, level: int) -> None:
    photo = photograph(in_trouble(source))
    assert (photo[photo.shape[0] // 2, photo.shape[1] // 2] == level).all()


def test_the_size_of_the_picture_may_change() -> None:
    screen = shown()
    for shape in ((480, 640), (720, 1280), (48, 20)):
        draw(screen, frame=Frame(np.full((*shape, 3), 123, np.uint8), 0, 0.0))
        height, width = photograph(screen).shape[:2]
        assert width / height == pytest.approx(shape[1] / shape[0], rel=0.05)
    body = it(screen).body
    left = screen.pixels()[body.y : body.y + body.h, body.x : body.x + (body.w - width) // 2]
    assert (left == THEMES["dark"].card).all()  # nothing of the wider pictures is left


def test_a_newer_frame_of_another_size_with_the_box_of_the_older_pass() -> None:
    screen = shown()
    older = scene(screen, frame=Frame(picture(400, 400), 0, 0.0))
    screen.show(replace(older, frame=Frame(picture(40, 60), 1, 1.0)))
    screen.draw()
    assert photograph(screen).shape[1] == pytest.approx(1.5 * photograph(screen).shape[0], rel=0.05)


WELL = SourceStatus(name="camera 0")


def without_a_face(source: SourceStatus = WELL, grid: str = "it") -> FigureView:
    screen = in_trouble(source, grid=grid)
    given = scene(screen, frame=WHITE, status=LoopStatus(source))
    screen.show(with_patch(given, note="no face: centre of the picture", lost=True))
    screen.draw()
    return screen


def test_a_box_that_is_not_where_it_should_be_is_dashed_and_gray_and_says_so() -> None:
    screen = without_a_face()
    assert words(screen) == ["Camera 0", "", "○ no face: centre of the picture"]
    assert words(without_a_face(grid="it . . . ."))[2] == "○ no face"
    assert words(without_a_face(LOST))[2].startswith("✕ camera lost")
    image = photograph(screen)
    assert not (image[60:] == ACCENT).all(axis=2).any()  # the badge is above
    gray = (image == THEMES["dark"].muted).all(axis=2)
    bottom = int(np.flatnonzero(gray.any(axis=1))[-1])
    row = gray[bottom]
    changes = np.flatnonzero(np.diff(row.astype(int)))
    assert len(changes) > 20
    assert 0.3 < row[changes[0] : changes[-1]].mean() < 0.8
    screen.show(scene(screen, frame=WHITE))
    assert words(screen)[2] == ""
    assert (photograph(screen) == ACCENT).all(axis=2).any()


def test_a_box_that_is_placed_by_itself_says_how() -> None:
    screen = shown()
    given = scene(screen, frame=Frame(picture(), 0, 0.0), status=LoopStatus(SourceStatus()))
    screen.show(with_patch(given, note="the box follows the largest face"))
    assert words(screen) == ["Camera", "the box follows the largest face", ""]
