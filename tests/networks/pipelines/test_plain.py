from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from pydantic import ValidationError

from livecnn.networks.pipelines import make
from livecnn.networks.pipelines.plain import PlainPipeline


def test_each_channel_is_normalised_on_the_scale_0_to_1() -> None:
    shot = np.array([[[255, 0, 51]]], np.uint8)
    prepared = PlainPipeline(size=(1, 1), mean=(0.5, 0.5, 0.1), std=(0.5, 0.25, 0.2))(shot)
    assert prepared.tensor.shape == (1, 3, 1, 1)
    assert prepared.tensor.dtype == torch.float32
    torch.testing.assert_close(prepared.tensor.flatten(), torch.tensor([1.0, -2.0, 0.5]))


def test_mean_and_std_on_the_scale_0_to_255() -> None:
    shot = np.array([[[255, 0, 51]]], np.uint8)
    prepared = PlainPipeline(size=(1, 1), mean=(122.0, 117.0, 104.0), std=(256.0,), scale=255)(shot)
    torch.testing.assert_close(prepared.tensor.flatten(), torch.tensor([133 / 256, -117 / 256, -53 / 256]))


def test_the_order_of_the_colours_is_that_of_mean_and_std() -> None:
    shot = np.array([[[255, 0, 51]]], np.uint8)
    prepared = PlainPipeline(size=(1, 1), order="BGR", mean=(1, 2, 3), std=(1, 1, 2), scale=255)(shot)
    assert prepared.tensor.flatten().tolist() == [50, -2, 126]
    assert (prepared.seen == shot).all()  # the eye wants RGB


def test_one_channel_is_the_luminance_that_pillow_gives() -> None:
    shot = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    prepared = PlainPipeline(size=(6, 8), channels=1)(shot)
    expected = np.asarray(Pillow.fromarray(shot).convert("L"))
    assert prepared.tensor.shape == (1, 1, 6, 8)
    assert np.abs(prepared.seen.astype(int) - expected).max() <= 1
    torch.testing.assert_close(prepared.tensor[0, 0], torch.tensor(prepared.seen / np.float32(255)))


def test_shrinking_averages() -> None:
    shot = np.zeros((4, 4, 3), np.uint8)
    shot[::2, ::2] = 200
    seen = PlainPipeline(size=(2, 2))(shot).seen
    assert (seen == 50).all()


def test_rows_come_before_columns_in_size() -> None:
    prepared = PlainPipeline(size=(2, 5))(np.zeros((7, 3, 3), np.uint8))
    assert prepared.tensor.shape == (1, 3, 2, 5)
    assert prepared.seen.shape == (2, 5, 3)
    assert PlainPipeline(size=(2, 5)).shape == (3, 2, 5)


def test_a_mirrored_view_is_taken() -> None:
    shot = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    np.testing.assert_array_equal(PlainPipeline(size=(2, 3))(shot[:, ::-1]).seen, shot[:, ::-1])


@given(height=st.integers(1, 40), width=st.integers(1, 40), value=st.integers(0, 255))
@settings(deadline=None)
def test_one_colour_stays_itself_at_any_size(height: int, width: int, value: int) -> None:
    prepared = PlainPipeline(size=(9, 11))(np.full((height, width, 3), value, np.uint8))
    torch.testing.assert_close(prepared.tensor, torch.full((1, 3, 9, 11), value / 255))
    assert not prepared.empty


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": [0, 4]}, "greater than or equal to 1"),
        ({"size": [4, 4], "mean": [1, 2]}, "mean has 2 numbers; allowed: 1 or 3"),
        ({"size": [4, 4], "channels": 1, "std": [1, 1, 1]}, "std has 3 numbers; allowed: 1"),
        ({"size": [4, 4], "std": [0]}, "greater than 0"),
        ({"size": [4, 4], "mean": ["nan"]}, "finite number"),
        ({"size": [4, 4], "channels": 0}, "Input should be greater than or equal to 1"),
        ({"size": [4, 4], "channels": 65}, "Input should be less than or equal to 64"),
        ({"size": [4, 4], "scale": 100}, "Input should be 1 or 255"),
        ({"size": [4, 4], "order": "GRB"}, "Input should be 'RGB' or 'BGR'"),
        ({"size": [4, 4], "colour": "bgr"}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_fields_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make({"kind": "plain", **fields})


def test_a_letterbox_has_gray_bars_and_keeps_the_proportions() -> None:
    shot = np.full((10, 40, 3), 200, np.uint8)
    seen = PlainPipeline(size=(20, 20), fit="letterbox")(shot).seen
    assert (seen[:7] == 114).all()
    assert (seen[8:12] == 200).all()
    assert (seen[13:] == 114).all()
    for fit in ("crop", "squash"):
        assert (PlainPipeline(size=(20, 20), fit=fit)(shot).seen == 200).all()
    tall = PlainPipeline(size=(10, 40), fit="letterbox", channels=1)(np.full((20, 20, 3), 200, np.uint8)).seen
    assert (tall[:, 15:25] == 200).all()
    assert (tall[:, :14] == 114).all()


@pytest.mark.parametrize(
    ("channels", "fields", "wanted"),
    [
        (2, {}, [1.0, 0.5]),
        (4, {}, [1.0, 0.5, 0.0, 1.0]),
        (5, {"order": "BGR"}, [0.0, 0.5, 1.0, 0.0, 0.5]),
        (5, {"fill": "zero"}, [1.0, 0.5, 0.0, 0.0, 0.0]),
        (4, {"fill": "zero", "mean": [0.5], "std": [0.25]}, [2.0, 0.0, -2.0, -2.0]),
        (4, {"scale": 255}, [255.0, 127.5, 0.0, 255.0]),
    ],
)
def test_channels_that_a_picture_does_not_have(channels: int, fields: Any, wanted: list[float]) -> None:
    shot = np.broadcast_to(np.uint8([255, 128, 0]), (4, 4, 3))
    pipeline = PlainPipeline(size=(4, 4), channels=channels, **fields)
    tensor = pipeline(shot).tensor
    assert tensor.shape == (1, channels, 4, 4)
    assert tensor[0, :, 0, 0].tolist() == pytest.approx(wanted, abs=0.5 if "scale" in fields else 0.01)
    assert pipeline.picture(tensor[0]).shape == (4, 4)
    assert pipeline.note.startswith(f"its {channels} channels get ")
