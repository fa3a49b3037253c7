"""An input pipeline that is a function of the user, given from Python."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from livecnn.errors import ModelError
from livecnn.networks.pipelines import Pipeline
from livecnn.types import Image, Prepared

TRIAL = (240, 320, 3)  # size of the gray picture on which the function is tried


class FunctionPipeline(Pipeline):
    """Prepares shots by a function of the user; made by `of`.

    Attributes:
        function: From uint8 (H, W, 3) RGB to a tensor of floats (1, …), of one shape for shots of any size.
        gives: That shape without the batch axis.

    Example:
        >>> FunctionPipeline.of(lambda shot: torch.zeros(1, 3, 32, 32)).shape
        (3, 32, 32)
    """

    function: Callable[[Image], torch.Tensor]
    gives: tuple[int, ...]

    @classmethod
    def of(cls, function: Callable[[Image], torch.Tensor]) -> FunctionPipeline:
        """Try the function on a gray picture, and make the pipeline.

        Raises:
            ModelError: If the function fails, or gives something else than a float tensor with a batch axis of 1.
        """
        trial = np.full(TRIAL, 128, np.uint8)
        try:
            tensor = function(trial)
        except Exception as error:  # whatever the user's function raises
            raise ModelError(f"input: the function failed for uint8 {TRIAL}: {type(error).__name__}: {error}") from error
        if not isinstance(tensor, torch.Tensor) or tensor.ndim < 2 or len(tensor) != 1 or not tensor.is_floating_point():
            found = f"{tensor.dtype} {tuple(tensor.shape)}" if isinstance(tensor, torch.Tensor) else type(tensor).__name__
            raise ModelError(f"input: the function gives {found}; a float tensor (1, C, H, W) is needed")
        return cls(function=function, gives=tuple(tensor.shape[1:]))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.gives

    @property
    def limits(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Values of the darkest and of the brightest pixels, as a black and a white picture show them."""
        ends = torch.stack([self(np.full(TRIAL, level, np.uint8)).tensor[0].detach().float().cpu() for level in (0, 255)])
        low, high = (values.flatten(1).amin(1) for values in (ends.amin(0), -ends.amax(0)))
        return low[:, None, None], torch.maximum(-high, low + 1e-6)[:, None, None]

    def __call__(self, shot: Image) -> Prepared:
        tensor = self.function(shot)
        if tuple(tensor.shape[1:]) != self.gives:
            found = f"{tuple(tensor.shape)} for {shot.shape[1]}x{shot.shape[0]} pixels, {(1, *self.gives)} for others"
            raise ModelError(f"input: the function gives {found}; one shape is needed: let it resize")
        return Prepared(tensor, _visible(tensor, shot))


def _visible(tensor: torch.Tensor, shot: Image) -> Image:
    """Draw a tensor (1, C, H, W) from its least to its largest value; return the shot itself for one that is no picture."""
    if tensor.ndim != 4:
        return shot
    image = tensor.detach()[0].float().cpu()
    image = image.permute(1, 2, 0) if len(image) == 3 else image.mean(0)
    low, high = image.aminmax()
    return np.asarray(((image - low) * (255 / (high - low).clamp_min(1e-12))).nan_to_num(0).to(torch.uint8))
