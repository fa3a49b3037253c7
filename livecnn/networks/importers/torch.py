"""Weights that PyTorch or safetensors saved, for an architecture that is named beside them."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from pydantic import JsonValue

from livecnn import registry
from livecnn.errors import ModelError, first_line
from livecnn.networks import bundle, weights
from livecnn.networks.importers import Imported, Importer, only_file

_WRAPPED_UNDER = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
_PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile

_GIVEN_BY_CODE = "a function that returns it, `livecnn run --model package.module:factory --allow-code`"
_PROGRAMS = {
    "constants.pkl": "is a TorchScript program, whose layers cannot be watched; allowed: the state dict of the network it was "
    "made from, torch.save(model.state_dict(), FILE)",
    "archive_format": "is a program of torch.export, and reading it may run code; allowed: the state dict of the network it was "
    f"made from, or, if you trust it, torch.export.unflatten(torch.export.load(FILE)) in {_GIVEN_BY_CODE}",
}


class TorchImporter(Importer):
    """Reads state dicts, also inside a checkpoint ({"state_dict": …}), of networks that ran on a GPU, in parallel or compiled."""

    suffixes: ClassVar[tuple[str, ...]] = (".pt", ".pth", ".pt2", ".safetensors")

    def __call__(
        self,
        files: Sequence[Path],
        *,
        architecture: str | None = None,
        options: Mapping[str, JsonValue] = MappingProxyType({}),
        allow_code: bool = False,
    ) -> Imported:
        path = only_file(files)
        _refuse_programs(path)
        tensors = _unwrapped(weights.content(path), path)
        if architecture is None:
            kinds = (*registry.kinds("networks.architectures"), "package.module:factory")
            raise ModelError(f"{path}: holds weights alone; give the --architecture that they are for: {', '.join(kinds)}")
        try:
            module = bundle.architecture(architecture, options, allow_code=allow_code)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ModelError(f"{architecture}: its options do not fit: {first_line(error)}") from error
        weights.load_into(module, tensors, path)
        return Imported(module.eval(), architecture, dict(options))


def _refuse_programs(path: Path) -> None:
    """Refuse files that hold more than tensors, by the names in their archives; nothing of them is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {Path(name).name for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile):
        return  # a damaged file, or one that is no archive: reading it will say
    for name, reason in _PROGRAMS.items():
        if name in names:
            raise ModelError(f"{path}: {reason}")


def _unwrapped(content: Any, path: Path) -> dict[str, torch.Tensor]:
    while isinstance(content, Mapping):
        inner = next((content[key] for key in _WRAPPED_UNDER if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    tensors = weights.as_state_dict(content, path)
    while prefix := next((prefix for prefix in _PREFIXES if tensors and all(name.startswith(prefix) for name in tensors)), None):
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors
