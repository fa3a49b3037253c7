"""Which device the network runs on."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from livecnn.errors import ModelError, nearest

if TYPE_CHECKING:
    import torch
    from torch import nn

CHOICES = ("auto", "cpu", "cuda", "cuda:N", "mps")


def pick_device(spec: str | torch.device = "auto") -> torch.device:
    """Find the device `auto` (CUDA if there is one, else MPS, else the CPU), `cpu`, `cuda`, `cuda:N` or `mps`.

    Raises ModelError for a device that this machine lacks, naming what it has, and for any other text.
    """
    import torch

    spec = str(spec)
    wanted = re.fullmatch(r"auto|cpu|mps|cuda(?::([0-9]{1,4}))?", spec)
    if wanted is None:
        raise ModelError(f"unknown device {spec!r}; {nearest(spec, CHOICES)}")
    present = _present()
    name = present[0] if spec == "auto" else f"cuda:{int(wanted[1] or 0)}" if spec.startswith("cuda") else spec
    if name not in present:
        found = _cuda_devices(present) if spec.startswith("cuda") else "no Metal device"
        raise ModelError(f"{spec}: this machine has {found}; allowed: auto, {', '.join(reversed(present))}")
    return torch.device(name)


def _present() -> list[str]:
    """Device names of this machine, the fastest kind first."""
    import torch

    cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)]
    return [*cuda, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def _cuda_devices(present: list[str]) -> str:
    cuda = [name for name in present if name.startswith("cuda")]
    count = f"{len(cuda) or 'no'} CUDA device{'' if len(cuda) == 1 else 's'}"
    return f"{count} ({', '.join(cuda)})" if cuda else count


def copy_sharing_weights(module: nn.Module, device: torch.device | None = None) -> nn.Module:
    """Copy a network over the same weights, apart from those that are not on the device that is given.

    Passes of a network must not overlap; those of two copies may.
    """
    tensors = [tensor for tensor in (*module.parameters(), *module.buffers()) if device in (None, tensor.device)]
    return copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})


@contextmanager
def torch_threads(*, short: bool) -> Iterator[None]:
    """Run short passes on one thread, others on all: threads that share a short one mostly wait for each other."""
    import torch

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if short else before)
        yield
    finally:
        torch.set_num_threads(before)
