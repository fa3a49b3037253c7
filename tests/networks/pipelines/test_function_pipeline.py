import re
from collections.abc import Callable

import numpy as np
import pytest
import torch

from livecnn.errors import ModelError
from livecnn.networks.pipelines import FunctionPipeline
from livecnn.types import Image


def small(shot: Image) -> torch.Tensor:
    """The red and the green channel's first 4x5 pixels, from -1 to 1."""
    return torch.from_numpy(shot[:4, :5, :2].copy()).permute(2, 0, 1)[None] / 127.5 - 1


def test_it_gives_what_the_function_gives() -> None:
    pipeline, shot = FunctionPipeline.of(small), np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    prepared = pipeline(shot)
    assert pipeline.shape == (2, 4, 5)
    assert torch.equal(prepared.tensor, small(shot))
    assert not prepared.empty


@pytest.mark.parametrize(
    ("channels", "shape"), [(1, (4, 5)), (2, (4, 5)), (3, (4, 5, 3)), (4, (4, 5))], ids=["gray", "two", "colour", "four"]
)
def test_the_eye_sees_it_from_the_least_to_the_largest_value(channels: int, shape: tuple[int, ...]) -> None:
    values = torch.linspace(-3, 5, channels * 20).reshape(1, channels, 4, 5)
    seen = FunctionPipeline.of(lambda _: values)(np.zeros((9, 9, 3), np.uint8)).seen
    assert (seen.dtype, seen.shape) == (np.uint8, shape)
    assert (seen.min(), seen.max()) == (0, 255)


def test_values_that_are_all_the_same_are_no_problem() -> None:
    seen = FunctionPipeline.of(lambda _: torch.full((1, 1, 4, 5), 7.0))(np.zeros((9, 9, 3), np.uint8)).seen
    assert not seen.any()


def test_what_is_no_picture_is_seen_as_it_was_taken() -> None:
    shot = np.full((9, 9, 3), 3, np.uint8)
    pipeline = FunctionPipeline.of(lambda rgb: torch.from_numpy(rgb[:2, :2].reshape(1, -1)).float())
    assert pipeline.shape == (12,)
    assert pipeline(shot).seen is shot


def broken(_: Image) -> torch.Tensor:
    raise ZeroDivisionError("oops")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (broken, "the function failed for uint8 (240, 320, 3): ZeroDivisionError: oops"),
        (lambda rgb: rgb, "the function gives ndarray; a float tensor (1, C, H, W) is needed"),
        (lambda rgb: torch.zeros(3, 4, 5), "gives torch.float32 (3, 4, 5); a float"),
        (lambda rgb: torch.zeros(1), "gives torch.float32 (1,); a float"),
        (lambda rgb: torch.from_numpy(rgb[None]), "gives torch.uint8 (1, 240, 320, 3); a float"),
    ],
)
def test_functions_that_will_not_do(function: Callable[[Image], torch.Tensor], message: str) -> None:
    with pytest.raises(ModelError, match=f"^input: .*{re.escape(message)}"):
        FunctionPipeline.of(function)


def test_a_function_that_does_not_resize_is_told() -> None:
    pipeline = FunctionPipeline.of(lambda rgb: torch.zeros(1, 1, *rgb.shape[:2]))
    with pytest.raises(ModelError, match=r"gives \(1, 1, 9, 7\) for 7x9 pixels, \(1, 1, 240, 320\) for others; one shape"):
        pipeline(np.zeros((9, 7, 3), np.uint8))
