import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecnn.engine.crop import LARGEST, SMALLEST, Cropper, center_box
from livecnn.networks.pipelines.plain import PlainPipeline
from livecnn.types import Box, Frame, Image

sides = st.integers(1, 4000)
shares = st.floats(SMALLEST, LARGEST)


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


def test_an_unknown_finder_is_an_error() -> None:
    with pytest.raises(KeyError, match="nose"):
        Cropper(PlainPipeline(size=(4, 4)), 0.5, "nose")
