from pathlib import Path

import pytest
import torch

from livecnn import cli
from livecnn.networks import bundle as bundles
from livecnn.networks.training import mnist
from livecnn.networks.training import train as loop
from tests.helpers.mnist_files import typeset, write_mnist


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A small data set in MNIST's format."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    write_mnist(folder, *typeset(60), "train")
    write_mnist(folder, *typeset(20, seed=1), "test")
    return folder


def test_a_bundle_comes_out(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "my-lenet"
    assert cli.main(["train", "lenet", "--data", str(data), "--out", str(out), "--epochs", "1", "--seed", "3"]) == 0
    bundle = bundles.load(out)
    assert bundle.card is not None
    assert bundle.name == "my-lenet"
    assert bundle.classes == mnist.CLASSES
    assert bundle.card.licence == "MIT"
    assert bundle.card.source == "trained by `livecnn train lenet`"
    assert bundle.card.input == {"kind": "ink", "size": 28, "box": 20, "mean": 0.1307, "std": 0.3081}
    assert bundle.card.training["seed"] == 3
    assert bundle.card.training["epochs"] == 1
    images, labels = typeset(20, seed=1)
    accuracy = loop.accuracy(bundle.module, *loop.preprocess(images, bundle.pipeline), labels, bundle.pipeline)  # type: ignore[arg-type]
    assert bundle.card.accuracy == {"mnist_test": accuracy}
    assert bundle.card.check is not None
    assert bundles.describe_difference(bundle) == ""
    printed = capsys.readouterr()
    assert "of MNIST's 20 test pictures are right" in printed.out
    assert printed.err == ""  # progress is for terminals


def test_the_same_command_gives_the_same_weights(data: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert cli.main(["train", "lenet", "--data", str(data), "--out", str(tmp_path / name), "--epochs", "1"]) == 0
    first, second = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("a", "b"))
    assert first == second


def test_ctrl_c_leaves_the_older_bundle_alone(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "lenet"
    arguments = ["train", "lenet", "--data", str(data), "--out", str(out), "--epochs", "1"]
    assert cli.main(arguments) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(torch.optim.AdamW, "step", interrupted)
    assert cli.main(arguments) == 130
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    monkeypatch.undo()
    monkeypatch.setattr(torch.optim.AdamW, "step", interrupted)
    assert cli.main([*arguments[:-3], str(tmp_path / "new"), "--epochs", "1"]) == 130
    assert not (tmp_path / "new").exists()


def test_a_place_that_cannot_be_written_is_said_before_training(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_early(*_: object) -> None:
        raise AssertionError("training began")

    monkeypatch.setattr(loop, "train", too_early)
    (tmp_path / "file").touch()
    assert cli.main(["train", "lenet", "--data", str(data), "--out", str(tmp_path / "file" / "lenet")]) == 2
    error = capsys.readouterr().err
    assert "cannot be written" in error
    assert "file is a file" in error


def test_damaged_data_is_a_clear_error(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "train-labels-idx1-ubyte.gz").write_bytes(b"\0\0\x08\1\0\0\0\5abc")
    assert cli.main(["train", "lenet", "--data", str(data), "--out", str(tmp_path / "out")]) == 2
    assert "train-labels-idx1-ubyte.gz: 3 bytes of values where its header says 5" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", [["--epochs", "0"], ["--seed", "-1"], ["--epochs", "many"]])
def test_wrong_options(data: Path, option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "lenet", "--data", str(data), *option]) == 2
    assert option[0] in capsys.readouterr().err
