import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from livecnn.errors import ModelError
from livecnn.networks import weights
from tests.helpers.files import Payload


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    content = os.urandom((1 << 20) + 17)
    (tmp_path / "a.bin").write_bytes(content)
    assert weights.sha256(tmp_path / "a.bin") == hashlib.sha256(content).hexdigest()


def test_the_digest_of_a_network_is_that_of_its_values() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2).bfloat16())
    before = weights.digest(network)
    assert weights.digest(network.to(memory_format=torch.channels_last)) == before
    network[1].running_mean[2] += 1
    after = weights.digest(network)
    assert after != before
    torch.nn.init.zeros_(network[2].bias)
    assert weights.digest(network) not in (before, after)


@pytest.mark.parametrize("suffix", weights.FORMATS)
def test_formats(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    state = nn.Conv2d(1, 2, 3).state_dict()
    (save_file if suffix == ".safetensors" else torch.save)(state, path)
    found = weights.read(path)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


def test_a_state_is_written_as_it_is_read(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(6, 2, bias=False), nn.Linear(6, 2, bias=False))
    module[3].weight = module[2].weight  # tied
    module[2].register_buffer("view", torch.arange(12.0).reshape(3, 4).T)
    module[2].register_buffer("part", torch.arange(12.0)[3:5])
    module[2].register_buffer("none", torch.zeros(0, 3))
    module[2].register_buffer("again", torch.zeros(0, 3))
    weights.write(module, tmp_path / "w.safetensors")
    (tmp_path / "other").touch()
    assert (tmp_path / "w.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode
    found = weights.read(tmp_path / "w.safetensors")
    state = module.state_dict()
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


@pytest.mark.parametrize("where", ["", "none/w.safetensors"])
def test_where_nothing_can_be_written(tmp_path: Path, where: str) -> None:
    with pytest.raises(OSError, match=r"."):
        weights.write(nn.Linear(2, 2), tmp_path / where)


MKDIR = r"would run code \(\w+\.mkdir\)"
LINEAR = r"would run code \(torch\.nn\.modules\.linear\.Linear\); allowed: a plain state dict"


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda payload, path: torch.save({"weight": payload}, path), MKDIR),
        (lambda payload, path: torch.save({"weight": payload}, path, _use_new_zipfile_serialization=False), MKDIR),
        (lambda payload, path: path.write_bytes(pickle.dumps(payload)), r"is damaged or holds more than tensors; allowed: "),
        (lambda _, path: torch.save(nn.Linear(2, 2), path), LINEAR),
    ],
    ids=["zip", "no zip", "bare", "a network"],
)
def test_a_pickle_that_would_run_code_is_refused_with_nothing_run(
    tmp_path: Path, write: Callable[[Payload, Path], Any], message: str
) -> None:
    mark, path = tmp_path / "mark", tmp_path / "w.pt"
    write(Payload(mark), path)
    with pytest.raises(ModelError, match=rf"w\.pt: refused, and nothing of it was run: it {message}"):
        weights.read(path)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"abc", b"PK\x03\x04junk", b"\x80\x02]q\x00.", bytes(range(256)) * 40])
@pytest.mark.parametrize("suffix", weights.FORMATS)
def test_nonsense_is_a_clear_error(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=rf"w\{suffix}: (not a sound|refused|found a list)"):
        weights.read(path)


@pytest.mark.parametrize("suffix", weights.FORMATS)
def test_a_truncated_file_is_a_clear_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)({"a": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ModelError, match="not a sound"):
        weights.read(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_file_that_is_not_there(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(ModelError, match=r"cannot be read: No such file"):
        weights.read(tmp_path / f"w{suffix}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], r"found a list; a state dict is needed"),
        (torch.zeros(2), r"found a Tensor; a state dict is needed"),
        ({"a": 3}, r"found a int under 'a'; a state dict is needed"),
        ({"state_dict": {"a": torch.zeros(2)}}, r"found a dict under 'state_dict'"),
        ({5: torch.zeros(2)}, r"found a Tensor under 5"),
    ],
)
def test_other_contents_are_told(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=message):
        weights.read(tmp_path / "w.pt")


def test_fill_copies() -> None:
    source, target = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    source.running_mean = torch.arange(3.0)
    state = source.half().state_dict()
    weights.load_into(target, state, Path("w.pt"))
    assert target.running_mean is not None
    assert target.running_mean.tolist() == [0, 1, 2]
    assert target.weight.dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bias": None}, r"^w\.pt: the tensors are not those of Conv2d: missing: bias$"),
        ({"extra": torch.zeros(1)}, r"unexpected: extra$"),
        ({"weight": torch.zeros(2, 1, 5, 5)}, r"wrong: weight is float32 \(2, 1, 5, 5\), not float32 \(2, 1, 3, 3\)$"),
        ({"bias": torch.zeros(2, dtype=torch.int64)}, r"wrong: bias is int64 \(2,\), not float32 \(2,\)$"),
        ({"bias": torch.zeros(2, dtype=torch.complex64)}, r"wrong: bias is complex64"),
        ({"bias": torch.zeros(1).expand(10**12)}, r"wrong: bias is float32 \(1000000000000,\), not"),
        ({"bias": None, "b": torch.zeros(1)}, r"missing: bias; unexpected: b$"),
        ({name: torch.zeros(1) for name in "abcde"}, r"unexpected: a, b, c, … \(5 in all\)$"),
    ],
)
def test_tensors_that_do_not_fit_are_named(change: dict[str, torch.Tensor | None], message: str) -> None:
    target = nn.Conv2d(1, 2, 3)
    before = target.weight.clone()
    state = {name: tensor for name, tensor in {**target.state_dict(), **change}.items() if tensor is not None}
    with pytest.raises(ModelError, match=message):
        weights.load_into(target, state, Path("w.pt"))
    assert torch.equal(target.weight, before)
