"""What tests of commands have in common: a folder of their own to run in, and how a mistake is told."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import tqdm

from livecnn.cli import main

Refused = Callable[[Sequence[str]], str]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which every test runs; no thread watches over bars of progress."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)
    return tmp_path


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command that is a mistake; returns what is said after `livecnn: `, one line on stderr and nothing else."""

    def refuse(words: Sequence[str]) -> str:
        capsys.readouterr()
        assert main(words) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("livecnn: ")
        assert err.count("\n") == 1, err
        assert "Traceback" not in err
        assert "internal error" not in err
        return err.removeprefix("livecnn: ")

    return refuse
