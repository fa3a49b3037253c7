"""Input pipelines: from a shot to the tensor that the network gets. A new one is one new file here; its name is its kind.

The kind `ink` is the class InkPipeline in `livecnn/networks/pipelines/ink.py`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from livecnn import registry
from livecnn.errors import ModelError
from livecnn.types import Image, Prepared

if TYPE_CHECKING:
    import torch


class Pipeline(BaseModel):
    """The contract of a preprocessing; its fields are what `input:` of a bundle's model.yaml holds besides `kind`.

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

    @abstractmethod
    def __call__(self, shot: Image) -> Prepared:
        """Prepare a shot for the network.

        Args:
            shot: uint8 (h, w, 3) RGB of any size.

        Returns:
            The tensor float32 (1, *shape), and the picture of it that people are shown.
        """

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
