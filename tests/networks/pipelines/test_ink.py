import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydantic import ValidationError

from livecnn._cv2 import cv2
from livecnn.networks.pipelines import make
from livecnn.networks.pipelines.ink import InkPipeline, read

Picture = npt.NDArray[np.uint8]
SIDE = 264
digits = st.sampled_from("0123456789")


def written(text: str, *, ink: int = 40, paper: int = 200, pen: int = 10, scale: float = 6.0, side: int = SIDE) -> Picture:
    """Text in the middle of a sheet, uint8 (side, side, 3)."""
    sheet = np.full((side, side, 3), paper, np.uint8)
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, pen)
    at = ((side - width) // 2, (side + height) // 2)
    cv2.putText(sheet, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (ink,) * 3, pen, cv2.LINE_AA)
    return sheet


def likeness(one: Picture, other: Picture) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def extent(seen: Picture) -> int:
    rows, columns = np.nonzero(seen > 50)
    return int(max(np.ptp(rows), np.ptp(columns))) + 1


# What comes out


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 60), st.integers(1, 60), st.just(3))))
@settings(max_examples=60, deadline=None)
def test_any_picture_of_any_size_gives_finite_values_of_the_right_shape(shot: Picture) -> None:
    prepared = InkPipeline()(shot)
    assert prepared.tensor.shape == (1, 1, 28, 28)
    assert prepared.tensor.dtype == torch.float32
    assert prepared.seen.shape == (28, 28)
    assert prepared.seen.dtype == np.uint8
    torch.testing.assert_close(prepared.tensor[0, 0], (torch.tensor(prepared.seen) / 255 - 0.1307) / 0.3081)
    assert prepared.empty == (not prepared.seen.any())


@given(value=st.integers(0, 255), height=st.integers(1, 300), width=st.integers(1, 300))
@settings(max_examples=30, deadline=None)
def test_one_gray_is_empty(value: int, height: int, width: int) -> None:
    assert InkPipeline()(np.full((height, width, 3), value, np.uint8)).empty


@given(digits)
@settings(max_examples=25, deadline=None)
def test_the_longest_side_is_20_pixels_and_the_centre_of_mass_in_pixel_14(digit: str) -> None:
    seen = InkPipeline()(written(digit)).seen
    rows, columns = np.indices(seen.shape)
    assert extent(seen) in (19, 20)
    assert abs((seen * rows).sum() / seen.sum() - 14) <= 0.51
    assert abs((seen * columns).sum() / seen.sum() - 14) <= 0.51


def test_strokes_are_white_with_gray_edges() -> None:
    seen = InkPipeline()(written("8")).seen
    assert seen.max() == 255
    assert np.median(seen[seen > 128]) > 240
    assert ((seen > 20) & (seen < 235)).sum() > 20


def test_size_and_box_can_be_chosen() -> None:
    pipeline = InkPipeline(size=40, box=36, mean=0.0, std=1.0)
    prepared = pipeline(written("3"))
    assert prepared.tensor.shape == (1, *pipeline.shape) == (1, 1, 40, 40)
    assert extent(prepared.seen) in (35, 36)
    torch.testing.assert_close(prepared.tensor[0, 0], torch.tensor(prepared.seen) / 255)


def test_a_picture_already_as_mnist_has_it_stays_as_it_is() -> None:
    once = InkPipeline()(written("5")).seen
    again = InkPipeline()(np.repeat(once[..., None], 3, axis=2)).seen
    assert np.abs(again.astype(int) - once).mean() < 4


# What does not matter


@given(digits, st.integers(0, 90), st.integers(160, 255))
@settings(max_examples=25, deadline=None)
def test_dark_on_light_and_light_on_dark_are_the_same(digit: str, ink: int, paper: int) -> None:
    shot = written(digit, ink=ink, paper=paper)
    np.testing.assert_array_equal(InkPipeline()(255 - shot).seen, InkPipeline()(shot).seen)


@given(digits, st.floats(0.35, 1.2), st.floats(0, 40))
@settings(max_examples=25, deadline=None)
def test_brightness_and_contrast_do_not_matter(digit: str, gain: float, offset: float) -> None:
    shot = written(digit)
    assume(shot.max() * gain + offset < 256)  # a paper that glares swallows the rims of the strokes
    other = (shot * gain + offset).astype(np.uint8)
    assert likeness(InkPipeline()(other).seen, InkPipeline()(shot).seen) > 0.98


@given(digits, st.floats(0, 6.28), st.floats(0, 0.6))
@settings(max_examples=25, deadline=None)
def test_a_slope_of_the_light_does_not_matter(digit: str, direction: float, strength: float) -> None:
    shot = written(digit)
    x, y = np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1, 1, SIDE))
    light = 1 - strength / 2 + strength / 2 * (x * np.cos(direction) + y * np.sin(direction))
    assert likeness(InkPipeline()((shot * light[..., None]).astype(np.uint8)).seen, InkPipeline()(shot).seen) > 0.97


@pytest.mark.parametrize("digit", list("0123456789"))
@pytest.mark.parametrize("pen", [3, 25])
def test_thin_and_thick_pens_give_strokes_of_a_readable_width(digit: str, pen: int) -> None:
    seen = InkPipeline()(written(digit, pen=pen)).seen
    assert likeness(seen, InkPipeline()(written(digit)).seen) > 0.6
    assert 0.045 < seen.mean() / 255 < 0.35


@pytest.mark.parametrize("side", [90, 264, 640, 1400])
def test_the_size_of_the_shot_does_not_matter(side: int) -> None:
    shot = np.asarray(cv2.resize(written("2"), (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    assert likeness(InkPipeline()(shot).seen, InkPipeline()(written("2")).seen) > 0.93


def test_a_shadow_with_an_edge_does_not_matter() -> None:
    shot = written("6").astype(np.float32)
    shadow = 1 / (1 + np.exp((np.arange(SIDE) - 90) / 8))
    shaded = (shot * (1 - 0.4 * shadow)[None, :, None]).astype(np.uint8)
    assert likeness(InkPipeline()(shaded).seen, InkPipeline()(written("6")).seen) > 0.95


# What belongs to the digit


def test_specks_do_not_belong_to_the_digit() -> None:
    shot = written("7", scale=4)
    for at in ((30, 30), (230, 60), (40, 220), (200, 235)):
        cv2.circle(shot, at, 2, (40, 40, 40), -1, cv2.LINE_AA)
    assert likeness(InkPipeline()(shot).seen, InkPipeline()(written("7", scale=4)).seen) > 0.99


@pytest.mark.parametrize("inset", [0, 3, 12])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_the_edge_of_the_sheet_does_not_belong_to_the_digit(inset: int, turns: int) -> None:
    shot = np.rot90(written("4", scale=4), turns).copy()
    alone = InkPipeline()(shot).seen
    shot[inset : inset + 4] = 70
    assert likeness(InkPipeline()(shot).seen, alone) > 0.98


def test_the_table_beside_the_sheet_does_not_belong_to_the_digit() -> None:
    shot = written("9", scale=4)
    alone = InkPipeline()(shot).seen
    shot[:, :25] = 60
    assert likeness(InkPipeline()(shot).seen, alone) > 0.97


def test_a_neighbour_that_the_box_cuts_does_not_belong_to_the_digit() -> None:
    shot = written("3", scale=4)
    alone = InkPipeline()(shot).seen
    shot[80:190, -28:] = np.minimum(shot[80:190, -28:], written("8", scale=4)[80:190, 100:128])
    assert likeness(InkPipeline()(shot).seen, alone) > 0.98


def test_a_bar_detached_from_its_five_belongs_to_it() -> None:
    shot = np.full((SIDE, SIDE, 3), 200, np.uint8)
    curve = np.array([[110, 90], [105, 130], [150, 125], [170, 160], [150, 200], [95, 200]], np.int32)
    cv2.polylines(shot, [curve], False, (40, 40, 40), 10, cv2.LINE_AA)
    without = InkPipeline()(shot).seen
    cv2.line(shot, (120, 65), (185, 60), (40, 40, 40), 10, cv2.LINE_AA)
    drawing = read(shot)
    assert drawing is not None
    assert drawing.extent > 150 / SIDE
    assert likeness(InkPipeline()(shot).seen, without) < 0.8


def test_of_two_digits_side_by_side_one_is_taken() -> None:
    shot = written("1", scale=3, pen=8)
    one = np.roll(shot, -60, axis=1)
    both = np.minimum(one, np.roll(shot, 60, axis=1))
    assert likeness(InkPipeline()(both).seen, InkPipeline()(one).seen) > 0.98


# Fields


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": 20, "box": 28}, "box 28 is larger than size 20"),
        ({"size": 2}, "greater than or equal to 4"),
        ({"std": 0}, "greater than 0"),
        ({"mean": "inf"}, "finite number"),
        ({"sise": 28}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_fields_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make({"kind": "ink", **fields})
