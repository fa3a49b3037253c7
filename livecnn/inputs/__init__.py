"""Input pipelines: from the shot to the tensor that the network gets. A new one is one new file here; its name is its kind."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from pydantic import BaseModel, ConfigDict

from livecnn import registry
from livecnn.errors import ModelError
from livecnn.types import Image, Prepared


class Pipeline(BaseModel):
    """The fields are the whole configuration, as written under `input:` in a bundle's model.yaml (with `kind`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @abstractmethod
    def __call__(self, shot: Image) -> Prepared:
        """shot: uint8 (h, w, 3) RGB of any size -> what the network gets."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of the tensor, without the batch axis."""


def make(spec: dict[str, Any]) -> Pipeline:
    """The pipeline that `input: {kind: ink, …}` describes. Raises ModelError (unknown kind) or pydantic's error (bad field)."""
    fields = dict(spec)
    kind = str(fields.pop("kind", "plain"))
    pipeline: type[Pipeline] = registry.find("inputs", kind, ModelError)
    return pipeline(**fields)
