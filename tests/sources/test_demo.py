from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecnn._cv2 import cv2
from livecnn.sources import SourceOptions, open_source
from livecnn.sources.demo import FPS, DemoScene, ImageLayer, Points, Writing, write
from livecnn.types import Image

BOX = (slice(108, 372), slice(188, 452))  # 264 pixels in the middle
ROUND = 1100  # frames that surely hold the first ten digits
writings = st.builds(lambda digit, seed: write(digit, np.random.default_rng(seed)), st.integers(0, 9), st.integers(0, 10**6))


@pytest.fixture(scope="module")
def stage() -> DemoScene:
    return DemoScene(0)


@pytest.fixture(scope="module")
def labelled(stage: DemoScene) -> list[tuple[int, str]]:
    """Every twentieth frame of two rounds and its label: a digit is complete for twice as long."""
    return [(i, stage.show(i)[1]) for i in range(0, 2 * ROUND, 20)]


@pytest.fixture(scope="module")
def still(stage: DemoScene, labelled: list[tuple[int, str]]) -> list[tuple[str, Image]]:
    """The first ten digits, each shortly before its sheet is pulled away."""
    runs = [list(run) for label, run in groupby(labelled, key=lambda pair: pair[1]) if label][:10]
    return [(run[-1][1], stage.show(run[-1][0])[0]) for run in runs]


def ink(image: Image) -> Image:
    """255 where a pixel of the box is much darker than the paper around it."""
    gray = cv2.cvtColor(image[BOX], cv2.COLOR_RGB2GRAY)
    return np.asarray(255 * (gray < 0.55 * np.median(gray)), np.uint8)


def test_frames_of_the_source() -> None:
    with open_source("demo", SourceOptions(seed=3)) as source:
        frames = [source.read() for _ in range(3)]
    assert (source.name, source.interval, source.camera_like, source.mirrored) == ("demo", 1 / FPS, True, False)
    for i, frame in enumerate(frames):
        assert (frame.seq, frame.time, frame.name, frame.label) == (i, pytest.approx(i / 25), "demo", "")
        assert frame.image.shape == (480, 640, 3)
        assert frame.image.dtype == np.uint8


def test_a_frame_depends_on_seed_and_number_only(stage: DemoScene) -> None:
    other = DemoScene(0)
    for i in (300, 7, 60, 299):
        np.testing.assert_array_equal(stage.show(i)[0], other.show(i)[0])
    assert not np.array_equal(DemoScene(1).show(60)[0], stage.show(60)[0])


def test_the_first_digit_is_complete_within_two_and_a_half_seconds(stage: DemoScene) -> None:
    labels = [stage.show(i)[1] for i in range(int(2.5 * FPS))]
    assert labels[0] == ""
    assert labels[-1] != ""


def test_ten_digits_then_ten_in_another_order(labelled: list[tuple[int, str]]) -> None:
    labels = [label for label, _ in groupby(label for _, label in labelled) if label]
    first, second = labels[:10], labels[10:20]
    assert sorted(first) == sorted(second) == list("0123456789")
    assert first != second


def test_an_empty_sheet_at_first(stage: DemoScene) -> None:
    assert not ink(stage.show(0)[0]).any()


def test_a_complete_digit_stands_alone_in_the_box(still: list[tuple[str, Image]]) -> None:
    assert len(still) == 10
    for label, image in still:
        mask = ink(image)
        assert cv2.connectedComponents(mask)[0] - 1 <= 2, label  # the bar of a 4 or 5 may stand apart
        border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
        assert not border.any(), label
        assert 130 <= np.ptp(np.flatnonzero(mask.any(axis=1))) <= 210, label
        outlines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        width = 2 * np.count_nonzero(mask) / sum(cv2.arcLength(outline, True) for outline in outlines)
        assert 6 <= width <= 14, label


def test_the_light_wanders(stage: DemoScene) -> None:
    levels = [stage.show(i)[0][60:90, 150:180].mean() for i in range(0, 600, 25)]
    assert max(levels) - min(levels) > 10
    assert min(levels) > 120


def test_an_independent_network_reads_the_digits(still: list[tuple[str, Image]], shared: Path) -> None:
    folder = shared / "caffe"
    net = cv2.dnn.readNetFromCaffe(str(folder / "lenet.prototxt"), str(folder / "lenet_iter_10000.caffemodel"))
    for label, image in still:
        left, top, width, height = cv2.boundingRect(ink(image))
        scale = 20 / max(width, height)
        digit = cv2.resize(
            ink(image)[top : top + height, left : left + width], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
        )
        canvas = np.zeros((28, 28), np.float32)
        y, x = (28 - digit.shape[0]) // 2, (28 - digit.shape[1]) // 2
        canvas[y : y + digit.shape[0], x : x + digit.shape[1]] = digit / 255
        net.setInput(canvas[None, None])
        assert str(net.forward().argmax()) == label


def test_layers_are_cut_at_the_edges_of_the_scene() -> None:
    layer = ImageLayer.blend(np.full((2, 2, 3), 100.0), np.full((2, 2), 0.5))
    scene = np.full((3, 3, 3), 40, np.uint8)
    layer.lay_on(scene, 2, -1)
    assert scene[..., 0].tolist() == [[40, 40, 120], [40, 40, 40], [40, 40, 40]]
    layer.lay_on(scene, 3, 0)
    layer.lay_on(scene, 0, -5)
    assert scene[..., 0].tolist() == [[40, 40, 120], [40, 40, 40], [40, 40, 40]]


def length(lines: list[Points]) -> float:
    return float(sum(np.linalg.norm(np.diff(line, axis=0), axis=1).sum() for line in lines))


@settings(max_examples=50, deadline=None)
@given(writing=writings, shares=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_ink_only_grows_and_ends_at_the_pen(writing: Writing, shares: tuple[float, float]) -> None:
    early, late = sorted(shares)
    assert length(writing.lines(early)) <= length(writing.lines(late)) + 1e-9
    assert length(writing.lines(late)) <= length(writing.lines(1.0)) + 1e-9


@settings(max_examples=50, deadline=None)
@given(writing=writings)
def test_a_digit_fits_its_square_and_a_pen(writing: Writing) -> None:
    ink = np.vstack(writing.lines(1.0))
    assert np.abs(ink).max() + writing.thickness / 2 < 128
    assert 120 < np.ptp(ink[:, 1]) < 200
    assert 6 <= writing.thickness <= 14
    assert writing.tip(1.0) == pytest.approx(ink[-1])
    assert np.all(np.diff(writing.clock) >= 0)
    assert (writing.clock[0], writing.clock[-1]) == (0.0, 1.0)


@pytest.mark.parametrize(("digit", "strokes"), [(0, 1), (4, 2), (5, 2), (7, 1)])
def test_pens_are_lifted_between_strokes(digit: int, strokes: int) -> None:
    writing = write(digit, np.random.default_rng(0))
    assert len(writing.lines(1.0)) == strokes
    assert len(writing.lines(0.05)) == 1


def test_nothing_is_written_while_the_pen_is_up() -> None:
    writing = write(4, np.random.default_rng(0))
    lifted = int(np.flatnonzero(~writing.drawn)[1])
    before, after = writing.clock[lifted - 1], writing.clock[lifted]
    middle = (before + after) / 2
    assert length(writing.lines(middle)) == pytest.approx(length(writing.lines(before)))
    assert writing.tip(middle) == pytest.approx((writing.path[lifted - 1] + writing.path[lifted]) / 2)


def test_every_writing_is_another_one() -> None:
    first, second = (write(3, np.random.default_rng(seed)) for seed in (1, 2))
    assert not np.allclose(first.path, second.path)
    np.testing.assert_array_equal(first.path, write(3, np.random.default_rng(1)).path)
