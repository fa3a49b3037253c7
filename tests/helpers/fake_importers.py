"""Importers for tests: `.fake` files, each the name of what it is; `.weights_only` files, which need an architecture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from livecnn import registry
from livecnn.errors import LivecnnError, ModelError
from livecnn.networks.architectures.lenet import Lenet
from livecnn.networks.architectures.squeezenet import Squeezenet
from livecnn.networks.importers import Imported, Importer


class Fake(Importer):
    """A LeNet with weights from a seed; what the file says is how the importer behaves."""

    suffixes = (".fake", ".prototxt", ".caffemodel")

    def __call__(self, files: Sequence[Path]) -> Imported:
        said = files[0].read_text()
        if said == "damaged":
            raise ModelError(f"{files[0]}: damaged")
        torch.manual_seed(0)
        if said == "lying":
            return Imported(Squeezenet(classes=4), "squeezenet", {"classes": 5})
        module = Lenet().eval()
        if said == "changing":  # what is written is not all that the network is
            module.forward = lambda x: module.prob(module.logits(1 - x))  # type: ignore[method-assign]
        told = {"input": {"kind": "plain", "size": [28, 28], "channels": 1}, "classes": tuple("abcdefghij")}
        return Imported(module, "lenet", **(told if said == "told" else {}))  # type: ignore[arg-type]


class WeightsOnly(Importer):
    """Takes what the PyTorch importer takes beside files."""

    suffixes = (".pth",)

    def __call__(
        self,
        files: Sequence[Path],
        *,
        architecture: str | None = None,
        options: Mapping[str, Any] | None = None,
        allow_code: bool = False,
    ) -> Imported:
        if architecture is None or allow_code:
            raise ModelError(f"{files[0]}: architecture {architecture}, allow_code {allow_code}")
        torch.manual_seed(0)
        options = dict(options or {})
        network = registry.find("networks.architectures", architecture, ModelError)(**options)
        return Imported(network.eval(), architecture, options)


def use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put these in place of the importers that there are, beside that of face-api.js."""
    fakes = {"fake": Fake, "weights_only": WeightsOnly}
    kinds, find = registry.kinds, registry.find

    def found(room: str, kind: str, error: type[LivecnnError]) -> Any:
        return fakes[kind] if room == "networks.importers" and kind in fakes else find(room, kind, error)

    monkeypatch.setattr(registry, "kinds", lambda room: ("face_api", *fakes) if room == "networks.importers" else kinds(room))
    monkeypatch.setattr(registry, "find", found)
