"""Input pipelines: from the shot to the tensor that the network gets. A new one is one new file here; its name is its kind."""

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
    """The fields are the whole configuration, as written under `input:` in a bundle's model.yaml (with `kind`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @abstractmethod
    def __call__(self, shot: Image) -> Prepared:
        """shot: uint8 (h, w, 3) RGB of any size -> what the network gets."""

    def on(self, device: torch.device) -> Pipeline:  # noqa: ARG002
        """The same pipeline where the network runs on that device, which may take over a part of the work."""
        return self

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of the tensor, without the batch axis."""

    @property
    @abstractmethod
    def limits(self) -> tuple[torch.Tensor, torch.Tensor]:
        """What the darkest and the brightest pixels give, each float32 (C, 1, 1)."""

    def picture(self, tensor: torch.Tensor) -> Image:
        """What the network gets, (C, H, W), for the eye: uint8 (H, W), of three channels (H, W, 3) RGB."""
        low, high = self.limits
        levels = ((tensor.detach().float().cpu() - low) / (high - low)).nan_to_num(0).clamp(0, 1)
        levels = levels.permute(1, 2, 0) if len(levels) == 3 else levels.mean(0)
        return np.asarray((levels * 255).round(), np.uint8)


def make(spec: dict[str, Any]) -> Pipeline:
    """The pipeline that `input: {kind: ink, …}` describes. Raises ModelError (unknown kind) or pydantic's error (bad field)."""
    fields = dict(spec)
    kind = str(fields.pop("kind", "plain"))
    pipeline: type[Pipeline] = registry.find("networks.pipelines", kind, ModelError)
    return pipeline(**fields)
