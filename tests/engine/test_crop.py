import pickle
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecnn._cv2 import cv2
from livecnn.engine import crop
from livecnn.engine.crop import FACE, HOLD, LARGEST, NO_FACE, SMALLEST, WIDEST, Cropper, Detector, Face, FaceTracker, center_box
from livecnn.errors import SystemLibraryError
from livecnn.io.images import read_image
from livecnn.networks.pipelines.plain import PlainPipeline
from livecnn.sources import open_source
from livecnn.types import Box, Frame, Image

sides = st.integers(1, 4000)
shares = st.floats(SMALLEST, LARGEST)
FPS = 30.0
BLANK = np.zeros((480, 640, 3), np.uint8)
SEEN = Face(320, 240, 100)


def blank(height: int, width: int) -> Image:
    return np.broadcast_to(np.zeros(3, np.uint8), (height, width, 3))  # no memory, however large


@given(sides, sides, shares)
def test_the_box_is_a_centred_square_inside_the_frame(height: int, width: int, share: float) -> None:
    box = center_box(blank(height, width), share)
    assert box.width == box.height
    assert abs(box.width - max(1, share * min(height, width))) <= 0.5
    assert box.left >= 0
    assert box.top >= 0
    assert box.left + box.width <= width
    assert box.top + box.height <= height
    assert 0 <= width / 2 - (box.left + box.width / 2) <= 0.5
    assert 0 <= height / 2 - (box.top + box.height / 2) <= 0.5


def test_boxes_by_hand() -> None:
    assert center_box(blank(480, 640), 0.55) == Box(188, 108, 264, 264)
    assert center_box(blank(480, 640), 1.0) == Box(80, 0, 480, 480)
    assert center_box(blank(1, 1), 0.1) == Box(0, 0, 1, 1)


@given(sides, sides, shares, st.floats(0.2, 5))
def test_a_box_of_any_proportions_is_the_largest_that_fits(height: int, width: int, share: float, aspect: float) -> None:
    box, whole = center_box(blank(height, width), share, aspect), center_box(blank(height, width), 1.0, aspect)
    assert (whole.width == width and whole.height <= height) or (whole.height == height and whole.width <= width)
    assert abs(box.width - max(1, share * min(width, height * aspect))) <= 0.5
    assert abs(box.height - max(1, share * min(height, width / aspect))) <= 0.5
    assert 0 <= box.left <= width - box.width
    assert 0 <= box.top <= height - box.height


@pytest.mark.parametrize(
    ("fit", "box"),
    [("crop", Box(160, 0, 320, 480)), ("squash", Box(0, 0, 640, 480)), ("letterbox", Box(0, 0, 640, 480))],
)
def test_the_box_is_as_the_pipeline_fits_pictures(fit: Any, box: Box) -> None:
    """To a network of 20x30 pixels."""
    patch = Cropper(PlainPipeline(size=(30, 20), fit=fit), 1.0)(Frame(np.zeros((480, 640, 3), np.uint8), 0, 0.0))
    assert patch.box == box
    assert patch.prepared.tensor.shape == (1, 3, 30, 20)


@given(st.integers(1, 40), st.integers(1, 40), shares)
def test_the_shot_is_what_the_frame_shows_in_the_box(height: int, width: int, share: float) -> None:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    patch = Cropper(PlainPipeline(size=(4, 4)), share)(Frame(image, 0, 0.0))
    box = patch.box
    assert patch.shot.shape == (box.height, box.width, 3)
    assert patch.shot.flags["C_CONTIGUOUS"]
    assert (patch.shot == image[box.top :, box.left :][: box.height, : box.width]).all()
    assert patch.prepared.tensor.shape == (1, 3, 4, 4)


def test_the_box_grows_and_shrinks_within_its_limits() -> None:
    cropper = Cropper(PlainPipeline(size=(4, 4)), 0.55)
    assert cropper.resize(0.05) == "box: 60 % of the picture's short side"
    assert cropper.share == pytest.approx(0.6)
    assert cropper.resize(5) == "box: 100 % of the picture's short side"
    assert cropper.share == LARGEST
    cropper.resize(-5)
    assert cropper.share == SMALLEST
    steps = []
    for _ in range(20):
        cropper.resize(0.05)
        steps.append(cropper.share)
    assert steps[-1] == LARGEST
    assert steps[:3] == [0.15, 0.2, 0.25]  # no tail of digits


class Scripted:
    """In the place of the detector: finds what it is told to."""

    def __init__(self, *found: Face) -> None:
        self.found: Sequence[Face] = found
        self.asked = 0

    def __call__(self, image: Image) -> Sequence[Face]:
        self.asked += 1
        return self.found


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    scripted = Scripted(SEEN)
    monkeypatch.setattr(crop, "Detector", lambda: scripted)
    return scripted


def watch(follow: FaceTracker, start: int, count: int, image: Image = BLANK, *, sequential: bool = True) -> list[Box | None]:
    return [follow(Frame(image, seq, seq / FPS), 0.1, sequential=sequential) for seq in range(start, start + count)]


def middle(box: Box | None) -> tuple[float, float]:
    return box.left + box.width / 2, box.top + box.height / 2


def test_the_box_is_a_square_around_the_face_and_its_margin(script: Scripted) -> None:
    (box,) = watch(FaceTracker(), 0, 1)
    assert middle(box) == pytest.approx((320, 240), abs=1)
    assert box.width == box.height == pytest.approx(120, rel=0.04)
    wide = FaceTracker()(Frame(BLANK, 0, 0.0), 0.1, 2.0, sequential=False)
    assert wide is not None
    assert middle(wide) == pytest.approx((320, 240), abs=1)
    assert (wide.width, wide.height) == (2 * box.height, box.height)


@given(st.integers(1, 300), st.integers(1, 300), st.floats(-50, 350), st.floats(-50, 350), st.floats(1, 400), st.floats(0, 2))
def test_the_box_is_a_square_inside_the_frame(height: int, width: int, x: float, y: float, side: float, margin: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crop, "Detector", lambda: Scripted(Face(x, y, side)))
        box = FaceTracker()(Frame(blank(height, width), 0, 0.0), margin, sequential=False)
    assert 1 <= box.width == box.height <= min(height, width)
    assert 0 <= box.left <= width - box.width
    assert 0 <= box.top <= height - box.height


def test_the_box_moves_calmly_towards_the_face_and_gets_there(script: Scripted) -> None:
    follow = FaceTracker()
    watch(follow, 0, 6)
    script.found = [Face(350, 240, 100)]
    columns = [middle(box)[0] for box in watch(follow, 6, 30)]
    steps = np.diff([320, *columns])
    assert (steps >= 0).all()
    assert steps.max() < 10
    assert columns[-1] == pytest.approx(350, abs=1)


@pytest.mark.parametrize("side", [100.0, 103.3], ids=["at a size", "between two sizes"])
def test_a_box_for_a_face_that_trembles_keeps_its_size_and_nearly_its_place(script: Scripted, side: float) -> None:
    follow, rng = FaceTracker(), np.random.default_rng(0)
    boxes = []
    for start in range(0, 90, 3):
        script.found = [Face(*(np.array([320, 240, side]) + rng.normal(0, 2, 3)))]
        boxes += watch(follow, start, 3)
    assert len({box.width for box in boxes if box}) == 1
    assert np.ptp([middle(box) for box in boxes], axis=0).max() < 6


def test_sizes_are_few_and_a_sixteenth_apart(script: Scripted) -> None:
    follow = FaceTracker()
    sizes = []
    for start in range(300):
        script.found = [Face(320, 240, 60 + start)]
        sizes += [box.width for box in watch(follow, 3 * start, 3) if box]
    distinct = sorted(set(sizes))
    assert sizes == sorted(sizes)
    assert len(distinct) < 35
    assert np.diff(distinct) / distinct[:-1] == pytest.approx(1 / 16, abs=0.02)


def test_a_face_far_away_is_jumped_to(script: Scripted) -> None:
    follow = FaceTracker()
    watch(follow, 0, 6)
    script.found = [Face(500, 240, 100)]
    columns = [middle(box)[0] for box in watch(follow, 5, 6)]
    assert set(columns) == {320.0, 500.0}
    assert columns == sorted(columns)


def test_the_largest_face_is_chosen_and_kept_until_another_is_much_larger(script: Scripted) -> None:
    follow, other = FaceTracker(), Face(100, 100, 90)
    script.found = [other, SEEN]
    assert middle(watch(follow, 0, 6)[-1]) == pytest.approx((320, 240), abs=1)
    script.found = [Face(100, 100, 115), SEEN]
    assert middle(watch(follow, 6, 6)[-1]) == pytest.approx((320, 240), abs=1)
    script.found = [Face(100, 100, 140), SEEN]
    assert middle(watch(follow, 12, 6)[-1]) == pytest.approx((100, 100), abs=1)


def test_the_box_waits_a_second_for_a_face_that_is_gone_and_jumps_to_the_next(script: Scripted) -> None:
    follow = FaceTracker()
    watch(follow, 0, 6)
    script.found = []
    boxes = watch(follow, 6, 60)
    gone = boxes.index(None)
    assert HOLD - 0.2 < gone / FPS <= HOLD + 0.1
    assert len(set(boxes[:gone])) == 1
    assert set(boxes[gone:]) == {None}
    script.found = [Face(100, 100, 100)]
    assert middle(next(box for box in watch(follow, 66, 6) if box)) == (100, 100)


def test_searches_are_few_however_many_frames_there_are(script: Scripted) -> None:
    watch(FaceTracker(), 0, 90)
    assert 25 <= script.asked <= 40


def test_the_same_frame_again_changes_nothing(script: Scripted) -> None:
    follow = FaceTracker()
    (before,) = watch(follow, 0, 1)
    script.found = [Face(330, 240, 100)]
    assert {*watch(follow, 0, 1), *watch(follow, 0, 1)} == {before}


@pytest.mark.parametrize("times", [(9.0, 0.0), (0.0, 5.0)], ids=["from the beginning", "after a pause"])
def test_what_was_before_a_break_is_forgotten(script: Scripted, times: tuple[float, float]) -> None:
    follow = FaceTracker()
    follow(Frame(BLANK, 0, times[0]), 0.1, sequential=True)
    script.found = [Face(330, 250, 100)]
    assert middle(follow(Frame(BLANK, 1, times[1]), 0.1, sequential=True)) == pytest.approx((330, 250), abs=1)


def test_pictures_that_do_not_follow_one_another_are_seen_each_on_its_own(script: Scripted) -> None:
    follow = FaceTracker()
    places: list[Face | None] = [SEEN, Face(330, 250, 105), None, SEEN]
    found = []
    for seq, place in enumerate(places):
        script.found = [place] if place else []
        found += watch(follow, seq, 1, sequential=False)
    assert found[2] is None
    assert found[0] == found[3]
    assert middle(found[1]) == pytest.approx((330, 250), abs=1)


def test_a_cropper_says_where_the_box_is(script: Scripted) -> None:
    cropper = Cropper(PlainPipeline(size=(4, 4)), 0.55, "face", 0.1)
    patch = cropper(Frame(BLANK, 0, 0.0))
    assert (patch.note, patch.lost) == (FACE, False)
    assert patch.shot.shape[0] == patch.box.height < 130
    script.found = []
    patch = cropper(Frame(BLANK, 1, 0.1))
    assert (patch.note, patch.lost, patch.box) == (NO_FACE, True, center_box(BLANK, 0.55))


def test_the_keys_widen_the_margin_around_a_face(script: Scripted) -> None:
    cropper = Cropper(PlainPipeline(size=(4, 4)), 0.55, "face", 0.1)
    before = cropper(Frame(BLANK, 0, 0.0)).box
    assert cropper.resize(0.4) == "box: the face and 50 % of it on each side"
    assert cropper(Frame(BLANK, 1, 0.1)).box.width > 1.5 * before.width
    assert cropper.share == 0.55
    for step, end in ((9, WIDEST), (-9, 0)):
        cropper.resize(step)
        assert cropper.margin == end


def test_another_finder_while_it_runs(script: Scripted) -> None:
    cropper = Cropper(PlainPipeline(size=(4, 4)), 0.55)
    cropper.settle(LARGEST, "face", 0.1)
    assert cropper(Frame(BLANK, 0, 0.0)).note == FACE
    cropper.settle(LARGEST, "centre", 0.1)
    patch = cropper(Frame(BLANK, 1, 0.1))
    assert (patch.note, patch.lost, patch.box) == ("", False, center_box(BLANK, LARGEST))


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (19, 19), (480, 640), (1080, 1920)], ids=str)
def test_there_is_no_face_in_a_blank_picture_of_any_size(shape: tuple[int, int]) -> None:
    assert Detector()(np.full((*shape, 3), 128, np.uint8)) == []


def test_a_detector_goes_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(Detector()))(BLANK) == []


def test_a_real_face_is_found_at_every_size(shared: Path) -> None:
    image = read_image(shared / "photos" / "astronaut.png")
    for zoom in (0.5, 1.0, 3.0):
        (face,) = Detector()(np.asarray(cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA), np.uint8))
        assert (face.x, face.y) == pytest.approx((223 * zoom, 113 * zoom), abs=12 * zoom)
        assert face.side == pytest.approx(103 * zoom, rel=0.15)


def test_a_person_before_a_webcam_is_followed_without_a_jump(shared: Path) -> None:
    follow = FaceTracker()
    with open_source(f"video:{shared / 'videos' / 'webcam_person_640x480_30fps.mkv'}") as source:
        boxes = [follow(frame, 0.1, sequential=True) for frame in iter(source.read, None)]
    assert len(boxes) > 60
    assert None not in boxes
    moves = np.abs(np.diff([middle(box) for box in boxes], axis=0))
    assert moves.max() <= 8
    assert len({box.width for box in boxes if box}) <= 3


@pytest.mark.parametrize("found", ["no file", "an empty file", "OpenCV 5"])
def test_without_a_cascade_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    if found == "an empty file":
        (tmp_path / crop.CASCADE).touch()
    folder = {} if found == "OpenCV 5" else {"haarcascades": str(tmp_path)}
    monkeypatch.setattr(cv2, "data", SimpleNamespace(**folder))
    with pytest.raises(
        SystemLibraryError, match=r"haarcascade_\w+\.xml: the cascade that finds faces is missing .*opencv-python"
    ):
        Cropper(PlainPipeline(size=(4, 4)), 0.55, "face")
