"""What every command has in common: exit codes, one line for an error."""

import subprocess
import sys
from collections.abc import Callable

import click
import pytest

import livecnn.app.run
from livecnn import __version__, cli
from livecnn.cli import main
from livecnn.errors import ModelError
from tests.cli.conftest import Refused

Output = pytest.CaptureFixture[str]


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException | None], list[livecnn.app.run.RunOptions]]:
    """Makes `livecnn run` end with an exception, or well; what it was given is in the list."""

    def make(error: BaseException | None) -> list[livecnn.app.run.RunOptions]:
        given: list[livecnn.app.run.RunOptions] = []

        def run(options: livecnn.app.run.RunOptions) -> None:
            given.append(options)
            if error is not None:
                raise error

        monkeypatch.setattr(livecnn.app.run, "run", run)
        return given

    return make


def test_version_and_help(capsys: Output) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"livecnn, version {__version__}\n"
    for words in (["--help"], ["-h"], ["run", "--help"], ["run", "-h"]):
        assert main(words) == 0
        assert "Usage: livecnn" in capsys.readouterr().out


def test_every_command_has_help(capsys: Output) -> None:
    names = cli.livecnn.list_commands(click.Context(cli.livecnn))
    assert {"run", "config", "train"} <= set(names)
    for name in names:
        assert main([name, "--help"]) == 0
        assert f"Usage: livecnn {name}" in capsys.readouterr().out


def test_help_does_not_wait_for_torch() -> None:
    code = "import sys; from livecnn.cli import main; main(['run', '--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_without_a_command_it_runs(running: Callable[..., list[livecnn.app.run.RunOptions]]) -> None:
    given = running(None)
    assert main([]) == 0
    assert given == [livecnn.app.run.RunOptions()]


def test_the_command_line_is_what_it_is_given_by_default(
    running: Callable[..., list[livecnn.app.run.RunOptions]], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = running(None)
    monkeypatch.setattr(sys, "argv", ["livecnn", "run", "lenet-sorted"])
    assert main() == 0
    assert given[0].config == "lenet-sorted"


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ModelError("x.yaml: no such layer"), 2, "livecnn: x.yaml: no such layer\n"),
        (click.ClickException("in two\nlines  of text"), 2, "livecnn: in two lines  of text\n"),
        (ZeroDivisionError("oops"), 1, "livecnn: internal error: ZeroDivisionError: oops (--debug shows the traceback)\n"),
    ],
)
def test_errors_are_one_line(running: Callable[..., object], capsys: Output, error: Exception, code: int, line: str) -> None:
    running(error)
    assert main(["run"]) == code
    assert capsys.readouterr() == ("", line)


@pytest.mark.parametrize("words", [["--debug", "run"], ["run", "--debug"], ["--debug"]])
@pytest.mark.parametrize(("error", "code"), [(ModelError("no such layer"), 2), (ZeroDivisionError("oops"), 1)])
def test_debug_shows_the_traceback(
    running: Callable[..., object], capsys: Output, words: list[str], error: Exception, code: int
) -> None:
    running(error)
    assert main(words) == code
    told = capsys.readouterr().err
    assert told.startswith("Traceback (most recent call last)")
    assert told.splitlines()[-1].startswith("livecnn: ")
    assert str(error) in told.splitlines()[-1]


def test_ctrl_c(running: Callable[..., object], capsys: Output) -> None:
    running(KeyboardInterrupt())
    assert main(["run"]) == 130
    assert capsys.readouterr().err.strip() == ""


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["walk"], "No such command 'walk'. (see livecnn --help; layouts and options of the live view follow `livecnn run`)"),
        (["--fast"], "No such option"),
        (["run", "--fast"], "No such option"),
        (["run", "a", "b"], "Got unexpected extra argument (b) (see livecnn run --help)"),
    ],
)
def test_wrong_words(refused: Refused, words: list[str], line: str) -> None:
    assert refused(words).startswith(line)


def test_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "livecnn", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"livecnn, version {__version__}\n", "")
    done = subprocess.run([sys.executable, "-m", "livecnn", "walk"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
