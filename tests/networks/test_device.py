from collections.abc import Callable

import pytest
import torch

from livecnn.errors import ModelError
from livecnn.networks.device import pick_device


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, bool], None]:
    """Pretend that the machine has so many CUDA devices, and perhaps Metal."""

    def has(cuda: int, mps: bool) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return has


@pytest.mark.parametrize(
    ("cuda", "mps", "spec", "device"),
    [
        (0, False, "auto", "cpu"),
        (0, True, "auto", "mps"),
        (2, True, "auto", "cuda:0"),
        (2, True, "cpu", "cpu"),
        (2, False, "cuda", "cuda:0"),
        (2, False, "cuda:1", "cuda:1"),
        (0, True, "mps", "mps"),
    ],
)
def test_picked(machine: Callable[[int, bool], None], cuda: int, mps: bool, spec: str, device: str) -> None:
    machine(cuda, mps)
    assert pick_device(spec) == torch.device(device)
    assert pick_device(torch.device(device)) == torch.device(device)


@pytest.mark.parametrize(
    ("cuda", "mps", "spec", "message"),
    [
        (1, False, "cuda:3", r"^cuda:3: this machine has 1 CUDA device \(cuda:0\); allowed: auto, cpu, cuda:0$"),
        (2, False, "cuda:2", r"^cuda:2: this machine has 2 CUDA devices \(cuda:0, cuda:1\); allowed: auto, cpu, cuda:1, cuda:0$"),
        (0, True, "cuda", r"^cuda: this machine has no CUDA devices; allowed: auto, cpu, mps$"),
        (1, False, "mps", r"^mps: this machine has no Metal device; allowed: auto, cpu, cuda:0$"),
        (0, False, "gpu", r"^unknown device 'gpu'; did you mean 'cpu'\? allowed: auto, cpu, cuda, cuda:N, mps$"),
        (1, False, "cuda:-1", r"^unknown device 'cuda:-1'; did you mean 'cuda:N'\?"),
        (1, False, "cuda:99999", r"^unknown device 'cuda:99999'"),
        (1, False, "", r"^unknown device ''; allowed"),
    ],
)
def test_refused(machine: Callable[[int, bool], None], cuda: int, mps: bool, spec: str, message: str) -> None:
    machine(cuda, mps)
    with pytest.raises(ModelError, match=message):
        pick_device(spec)
