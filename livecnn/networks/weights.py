"""Weights from files that strangers wrote: read without running any code, put into a network only if every tensor fits."""

import hashlib
import pickle
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from livecnn.errors import ModelError, first_line

FORMATS = (".safetensors", ".pt", ".pth")

STATE_DICT = "allowed: a plain state dict, as torch.save(model.state_dict(), FILE) writes it"
MOST_NAMED = 3  # tensors in a message

_COUNTER = ".num_batches_tracked"  # of BatchNorm in training; older PyTorch did not save it, and puts in 0 if it is absent


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes, read piece by piece. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def digest(module: nn.Module) -> str:
    """Hex digest of a network's parameters and buffers, whatever the order of their memory."""
    found = hashlib.sha256()
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def read(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict, on the CPU. Raises ModelError for anything else, and for a pickle that would run code (none is run)."""
    return as_state_dict(content(path), path)


def content(path: Path) -> Any:
    """Read what such a file holds, a state dict or a checkpoint around it. Raises ModelError; no code is run."""
    try:
        return _read_safetensors(path) if path.suffix.lower() == ".safetensors" else _read_pickle(path)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error


def as_state_dict(tensors: Any, path: Path) -> dict[str, torch.Tensor]:
    """Return the state dict that was read from there. Raises ModelError if it is none."""
    if not isinstance(tensors, Mapping):
        raise ModelError(f"{path}: found a {type(tensors).__name__}; a state dict is needed (name -> tensor)")
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise ModelError(f"{path}: found a {type(tensor).__name__} under {name!r}; a state dict is needed (name -> tensor)")
    return dict(tensors)


def write(module: nn.Module, path: Path) -> None:
    """Write a network's state as a safetensors file; only what shares its memory or has gaps is copied. Raises OSError."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in module.state_dict().items():
        apart = tensor.detach().cpu().contiguous()
        memory = apart.untyped_storage()
        alone = memory.nbytes() == apart.nbytes and memory.data_ptr() not in (t.data_ptr() for t in tensors.values())
        tensors[name] = apart if alone else apart.clone()
    path.touch()
    mode = path.stat().st_mode
    try:
        save_file(tensors, path)
    except SafetensorError as error:
        raise OSError(first_line(error)) from error
    path.chmod(mode)  # safetensors lets nobody but the owner read it


def load_into(module: nn.Module, tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Copy tensors into a network. Raises ModelError naming what is missing, too many, or of another shape or type."""
    needed: dict[str, torch.Tensor] = module.state_dict()
    wrong = [
        f"{name} is {_form(tensors[name])}, not {_form(tensor)}"
        for name, tensor in needed.items()
        if name in tensors and not _fits(tensors[name], tensor)
    ]
    findings = {
        "missing": [name for name in needed if name not in tensors and not name.endswith(_COUNTER)],
        "unexpected": [name for name in tensors if name not in needed],
        "wrong": wrong,
    }
    if any(findings.values()):
        told = "; ".join(f"{what}: {_few(names)}" for what, names in findings.items() if names)
        raise ModelError(f"{path}: the tensors are not those of {type(module).__name__}: {told}")
    module.load_state_dict(tensors)


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ModelError(f"{path}: not a sound safetensors file: {first_line(error)}") from error


def _read_pickle(path: Path) -> Any:
    with path.open("rb") as file:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # advice about pickle protocols, for whoever wrote the file
                with torch.serialization.safe_globals(_numpy_scalars()):
                    return torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            culprit = re.search(r"GLOBAL (\S+)", str(error))
            # Without PyTorch's own words: they advise to read it with leave to run code.
            reason = f"would run code ({culprit[1]})" if culprit else "is damaged or holds more than tensors"
            raise ModelError(f"{path}: refused, and nothing of it was run: it {reason}; {STATE_DICT}") from error
        except Exception as error:  # on nonsense, the unpickler fails in any way there is
            raise ModelError(f"{path}: not a sound PyTorch file: {first_line(error)}") from error


def _numpy_scalars() -> list[Any]:
    """Return what NumPy's numbers, such as a best accuracy beside the weights, are made with, out of bytes and a type."""
    scalar = np.float64(0).__reduce__()[0]
    types = [kind for name, kind in vars(np.dtypes).items() if name.endswith("DType") and name != "ObjectDType"]
    return [scalar, (scalar, "numpy.core.multiarray.scalar"), np.dtype, *types]


def _fits(tensor: torch.Tensor, needed: torch.Tensor) -> bool:
    return tensor.shape == needed.shape and tensor.is_floating_point() == needed.is_floating_point() and not tensor.is_complex()


def _form(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (f", … ({len(names)} in all)" if len(names) > MOST_NAMED else "")
