"""Weights that PyTorch or safetensors saved, for an architecture that is named beside them."""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from pydantic import JsonValue
from torch import nn

from livecnn import registry
from livecnn.errors import ModelError, first_line
from livecnn.networks import bundle, weights
from livecnn.networks.importers import Imported, Importer, only_file

DEEPEST = 4  # checkpoints within checkpoints

_GIVEN_BY_CODE = "a function that returns it, `livecnn run --model package.module:factory --allow-code`"
_PROGRAMS = {
    "constants.pkl": "is a TorchScript program, whose layers cannot be watched; allowed: the state dict of the network it was "
    "made from, torch.save(model.state_dict(), FILE)",
    "archive_format": "is a program of torch.export, and reading it may run code; allowed: the state dict of the network it was "
    f"made from, or, if you trust it, torch.export.unflatten(torch.export.load(FILE)) in {_GIVEN_BY_CODE}",
}


class TorchImporter(Importer):
    """Reads state dicts: that of a network, whatever else a checkpoint holds and whatever stands before its tensors' names."""

    suffixes: ClassVar[tuple[str, ...]] = (".pt", ".pth", ".pt2", ".tar", ".ckpt", ".bin", ".safetensors")

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
        content = weights.content(path)
        if architecture is None:
            kinds = (*registry.kinds("networks.architectures"), "package.module:factory")
            raise ModelError(f"{path}: holds weights alone; give the --architecture that they are for: {', '.join(kinds)}")
        try:
            module = bundle.architecture(architecture, options, allow_code=allow_code)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ModelError(f"{architecture}: its options do not fit: {first_line(error)}") from error
        weights.load_into(module, _state_dict(content, module, path), path)
        told = {name: bundle.declared(module, name) for name in ("input", "classes")}
        given = told["input"] if isinstance(told["input"], Mapping) else None
        return Imported(module.eval(), architecture, dict(options), given, tuple(map(str, told["classes"] or ())))


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


def _state_dict(content: Any, module: nn.Module, path: Path) -> dict[str, torch.Tensor]:
    """Find the tensors of a network in what a file holds: the first that have all its parameters' names behind a prefix."""
    needed = [name for name, _ in module.named_parameters()]
    found = list(_state_dicts(content, DEEPEST))
    for tensors in found:
        prefix = _prefix(tensors, needed)
        if prefix is not None:
            return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    return weights.as_state_dict(found[0] if found else content, path)


def _state_dicts(content: Any, depth: int) -> Iterator[dict[str, torch.Tensor]]:
    """Yield the mappings from names to tensors, the outermost first."""
    if not isinstance(content, Mapping) or not depth:
        return
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, torch.Tensor)}
    if tensors:
        yield tensors
    for value in content.values():
        yield from _state_dicts(value, depth - 1)


def _prefix(tensors: Mapping[str, torch.Tensor], needed: Sequence[str]) -> str | None:
    """Return what stands before all the names that are needed; None if one is missing."""
    first = needed[0] if needed else ""
    starts = {name.removesuffix(first) for name in tensors if name == first or name.endswith(f".{first}")}
    fitting = (start for start in sorted(starts, key=len) if all(f"{start}{name}" in tensors for name in needed))
    return next(fitting, None)
