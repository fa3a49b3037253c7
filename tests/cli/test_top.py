"""`livecnn top` from its words."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from livecnn.analysis import shards
from livecnn.analysis.top import api as scanning
from livecnn.cli import main
from tests.cli.conftest import Refused
from tests.helpers.files import contents
from tests.helpers.mnist_files import typeset, write_mnist

Output = pytest.CaptureFixture[str]
WORDS = ["top", "digits", "--layers", "conv1", "--k", "2", "--shard", "8", "--out"]


@pytest.fixture(autouse=True)
def _digits(elsewhere: Path) -> None:
    (elsewhere / "digits").mkdir()
    write_mnist(elsewhere / "digits", *typeset(30), "test")


def test_a_folder_comes_out(elsewhere: Path, capsys: Output) -> None:
    assert main([*WORDS, "new/d/"]) == 0
    assert capsys.readouterr() == ("new/d/: 20 units of 1 layer, 30 images\n", "")
    assert json.loads((elsewhere / "new" / "d" / "top.json").read_text())["k"] == 2


def test_without_a_folder_it_is_the_explorers(elsewhere: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVECNN_TOPS", str(elsewhere / "tops"))
    assert main(WORDS[:-1]) == 0
    told = capsys.readouterr().out.splitlines()
    (out,) = (elsewhere / "tops" / "lenet-mnist").iterdir()
    assert out.name.startswith("digits-conv1-")
    assert told[0] == f"{out}: 20 units of 1 layer, 30 images"
    assert told[1] == "the explorer shows them: livecnn run explorer --model lenet-mnist"
    assert (
        main(["run", "explorer", "--source", "demo", "--headless", "--frames", "1", "--set", "panels.strongest.folder=nix"]) == 2
    )
    told = capsys.readouterr().err
    assert "panels.strongest.folder: nix: holds no top.json" in told
    assert "make it: livecnn top IMAGES lenet-mnist --layers A,B --out nix" in told


def test_a_killed_run_goes_on(elsewhere: Path) -> None:
    code = """
import os, signal, sys
from livecnn.analysis import shards
from livecnn.cli import main
write = shards.write_atomically
def killed(path, data):
    write(path, data)
    if path.name == "00001.npz":
        os.kill(os.getpid(), signal.SIGKILL)
shards.write_atomically = killed
sys.exit(main(sys.argv[1:]))
"""
    assert subprocess.run([sys.executable, "-c", code, *WORDS, "d/"], check=False).returncode == -signal.SIGKILL
    assert list(contents(elsewhere / "d" / "shards")) == ["00000.npz", "00001.npz", "job.json"]
    assert main([*WORDS, "d/"]) == 0
    assert main([*WORDS, "whole/"]) == 0
    assert contents(elsewhere / "d") == contents(elsewhere / "whole")


def test_an_interrupted_run_keeps_what_is_finished(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work, threads = shards.Worker.__call__, []

    def interrupted(worker: shards.Worker, shard: int) -> object:
        if shard == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return work(worker, shard)

    monkeypatch.setattr(shards.Worker, "__call__", interrupted)
    monkeypatch.setattr(shards.Worker, "close", lambda worker: (threads.append(1), worker._stack.close()))
    assert main([*WORDS, "d/"]) == 130
    assert list(contents(elsewhere / "d" / "shards")) == ["00000.npz", "00001.npz", "job.json"]
    assert threads == [1]  # the album is closed, threads are as before


def test_what_cannot_be_read_is_told(elsewhere: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    run = scanning.run

    def with_one_skipped(*given: object) -> object:
        scan = run(*given)  # type: ignore[arg-type]
        scan.skipped.append("30.png: broken")
        return scan

    monkeypatch.setattr(scanning, "run", with_one_skipped)
    assert main([*WORDS, "d/"]) == 0
    assert capsys.readouterr().out == "d/: 20 units of 1 layer, 30 images, 1 skipped (skipped.txt)\n"
    assert (elsewhere / "d" / "skipped.txt").read_text() == "30.png: broken\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["top", "digits", "--out", "d/"], "Missing option '--layers'"),
        (["top", "digits", "--layers", "conv9", "--out", "d/"], "unknown layer 'conv9' of lenet-mnist; did you mean 'conv2'?"),
        (["top", "digits", "--layers", "conv1", "--k", "0", "--out", "d/"], "0 is not in the range 1<=x<=100"),
        (["top", "digits", "--layers", "conv1", "--engine", "spark", "--out", "d/"], "'spark' is not one of 'local', 'ray'"),
        (["top", "digits", "--layers", "conv1", "--out", "digits/t10k-labels-idx1-ubyte.gz/"], "is not a folder"),
    ],
)
def test_mistakes(elsewhere: Path, refused: Refused, words: list[str], message: str) -> None:
    assert message in refused(words)
    assert not (elsewhere / "d").exists()
