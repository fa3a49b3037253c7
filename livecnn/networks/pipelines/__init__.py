"""Input pipelines: from a shot to the tensor that the network gets. A new one is one new file here; its name is its kind.

The kind `ink` is the class InkPipeline in `livecnn/networks/pipelines/ink.py`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from livecnn import registry
from livecnn.errors import ModelError
from livecnn.types import Image, Prepared

TRIAL = (240, 320, 3)  # size of the gray picture on which the function is tried
BARS = 114  # level of the bars, as detectors are trained with them
Fit: TypeAlias = Literal["crop", "squash", "letterbox"]


class Pipeline(BaseModel):
    """The contract of a preprocessing; its fields are what `input:` of a bundle's model.yaml holds besides `kind`.

    Attributes:
        fit: How a frame of other proportions is brought to the network's: "crop", a box of its proportions; "squash", all of
            the frame, stretched; "letterbox", all of it between gray bars.

    Example:
        >>> import torch
        >>> class CornerPipeline(Pipeline):
        ...     side: int = 28
        ...
        ...     @property
        ...     def shape(self):
        ...         return (1, self.side, self.side)
        ...
        ...     @property
        ...     def limits(self):
        ...         return torch.zeros(1, 1, 1), torch.ones(1, 1, 1)
        ...
        ...     def __call__(self, shot):
        ...         green = shot[: self.side, : self.side, 1].copy()
        ...         return Prepared(torch.from_numpy(green)[None, None] / 255, green)
        >>> CornerPipeline(side=32)(np.zeros((480, 640, 3), np.uint8)).tensor.shape
        torch.Size([1, 1, 32, 32])
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fit: Fit = "crop"

    @abstractmethod
    def __call__(self, shot: Image) -> Prepared:
        """Prepare a shot for the network.

        Args:
            shot: uint8 (h, w, 3) RGB of any size.

        Returns:
            The tensor float32 (1, *shape), and the picture of it that people are shown.
        """

    @property
    def note(self) -> str:
        """Return what the user should know of it, "" for nothing."""
        return ""

    def aspect(self, frame: Image) -> float:
        """Return width over height of the box that is cut out of a frame, uint8 (H, W, 3)."""
        if self.fit == "crop" and len(self.shape) == 3:
            return self.shape[2] / self.shape[1]
        return frame.shape[1] / frame.shape[0] if self.fit != "crop" else 1.0

    def letterboxed(self, shot: Image) -> Image:
        """Return a shot of the network's proportions: with gray bars where `fit` is "letterbox", else as it is."""
        if self.fit != "letterbox" or len(self.shape) != 3:
            return shot
        (height, width), aspect = shot.shape[:2], self.shape[2] / self.shape[1]
        missing = max(0, round(height * aspect) - width), max(0, round(width / aspect) - height)
        left, top = missing[0] // 2, missing[1] // 2
        sides = ((top, missing[1] - top), (left, missing[0] - left), (0, 0))
        return np.pad(shot, sides, constant_values=BARS)

    def on(self, device: torch.device) -> Pipeline:  # noqa: ARG002
        """Return the same pipeline for a network on that device, which may take over a part of the work."""
        return self

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor without the batch axis, (C, H, W)."""

    @property
    @abstractmethod
    def limits(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Values of the darkest and of the brightest pixels, each float32 (C, 1, 1)."""

    def picture(self, tensor: torch.Tensor) -> Image:
        """Draw what the network gets.

        Args:
            tensor: (C, H, W), as the network gets it.

        Returns:
            uint8 (H, W, 3) RGB of three channels, else their mean (H, W).
        """
        low, high = self.limits
        levels = ((tensor.detach().float().cpu() - low) / (high - low)).nan_to_num(0).clamp(0, 1)
        levels = levels.permute(1, 2, 0) if len(levels) == 3 else levels.mean(0)
        return np.asarray((levels * 255).round(), np.uint8)


def make(spec: dict[str, Any]) -> Pipeline:
    """Make the pipeline that `input:` of a bundle's model.yaml describes.

    Raises:
        ModelError: If the kind is unknown.
        pydantic.ValidationError: If a field does not suit the kind.

    Example:
        >>> make({"kind": "plain", "size": [224, 224]}).shape
        (3, 224, 224)
    """
    fields = dict(spec)
    kind = str(fields.pop("kind", "plain"))
    pipeline: type[Pipeline] = registry.find("networks.pipelines", kind, ModelError)
    return pipeline(**fields)


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
