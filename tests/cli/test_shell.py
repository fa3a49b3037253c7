"""`livecnn shell`: lines from a file, and what is typed at its prompt."""

from __future__ import annotations

import importlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from livecnn.app.toolkit import backend as toolkits
from livecnn.cli import main
from livecnn.cli._common import ShellState
from livecnn.cli._prompt import Completions
from livecnn.cli._shell import Shell
from livecnn.dreams import api as dream_files
from livecnn.errors import UsageError
from livecnn.io import images
from livecnn.networks import bundle as bundles
from livecnn.signals import Terminated
from tests.helpers.paths import ROOT

if sys.platform != "win32":
    from tests.helpers.pseudo_terminal import Terminal

Output = pytest.CaptureFixture[str]
HINT = "help: what can be typed; Tab: completes it; Ctrl-D: the end\n"
LENET = "lenet-mnist: 8 layers, 10 classes, input 1x28x28\n"
CTRL_C, CTRL_D, CTRL_R, UP, RIGHT = "\x03", "\x04", "\x12", "\x1b[A", "\x1b[C"
PASTED = "\x1b[200~model\nimage y.png\nmodel\x1b[201~\r"  # three lines, the second of which fails
needs_pty = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")


@pytest.fixture(autouse=True)
def _ring_without_a_display(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolkits, "has_display", lambda: False)
    monkeypatch.setenv("LIVECNN_HISTORY", str(tmp_path / "state" / "history"))
    ring(tmp_path / "x.png", 15)


def ring(path: Path, radius: int) -> None:
    rows, columns = np.mgrid[:60, :80]
    ink = np.abs(np.hypot(rows - 30, columns - 40) - radius) < 3
    PillowImage.fromarray(np.where(ink, 20, 235).astype(np.uint8)).save(path)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`livecnn shell WORDS… < a file of these lines`."""

    def run(*lines: str, words: tuple[str, ...] = ()) -> int:
        monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines)))
        return main(["shell", *words])

    return run


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every network that is loaded and every image that is read, by name."""
    names: list[str] = []

    def counted(function: Callable[..., object]) -> Callable[..., object]:
        def call(name: object, **options: object) -> object:
            names.append(str(name))
            return function(name, **options)

        return call

    monkeypatch.setattr(bundles, "load", counted(bundles.load))
    monkeypatch.setattr(images, "read_image", counted(images.read_image))
    return names


def saved() -> list[Path]:
    """The oldest first."""
    return sorted(Path("recordings").glob("*.png"), key=lambda path: path.stat().st_mtime_ns)


def test_lines_of_a_file(script: Callable[..., int], capsys: Output, loads: list[str]) -> None:
    lines = (
        "# what is asked",
        "",
        "  livecnn explain --layer conv2 --units 0-2  ",
        "dream --classes 3 --steps 1",
        "explain --classes 3 --out three.png",
        "top digits --layers conv1 --out top/",
        "layers --json -",
    )
    Path("digits").mkdir()
    ring(Path("digits/0.png"), 12)
    assert script(*lines, words=("lenet-mnist", "x.png")) == 0
    out, err = capsys.readouterr()
    assert err == ""
    told = out.splitlines()
    first, second = saved()
    assert told[0] == f"{first}: 3 explanations; the network says 0 (1.000)"
    assert told[1] == f"{second}: 1 dream, 1 step"
    assert told[2].startswith("three.png: 1 explanation;")
    assert told[3] == "top/: 20 units of 1 layer, 1 image"
    assert told[4:6] == ["{", '  "model": "lenet-mnist",']
    assert loads[:2] == ["lenet-mnist", "x.png"]
    assert not {"lenet-mnist", "x.png"} & set(loads[2:])


def test_a_file_that_begins_with_a_byte_order_mark(script: Callable[..., int], capsys: Output) -> None:
    assert script("\ufeffmodel", "model") == 0
    assert capsys.readouterr() == (2 * LENET, "")


def test_no_lines_at_all(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    monkeypatch.setattr(sys, "stdin", None)  # as it is where there is no terminal whatever
    assert main(["shell"]) == 0
    assert capsys.readouterr() == ("", "")


def test_the_same_pictures_as_outside(script: Callable[..., int]) -> None:
    words = ["explain", "x.png", "lenet-mnist", "--layer", "conv1", "--method", "occlusion", "--out"]
    assert main([*words, "outside.png"]) == 0
    assert script(" ".join([*words[:1], *words[3:], "inside.png"]), words=("lenet-mnist", "x.png")) == 0
    assert Path("inside.png").read_bytes() == Path("outside.png").read_bytes()


def test_others_are_read_when_they_are_named(script: Callable[..., int], loads: list[str]) -> None:
    ring(Path("y.png"), 8)
    folder = str(ROOT / "models" / "lenet-mnist")
    lines = (
        "explain y.png --classes 3",
        f"explain x.png '{folder}' --classes 3",
        "image y.png",
        "explain --classes 3",
        f"model '{folder}'",
        "layers",
        "explain x.png --classes 3",
    )
    assert script(*lines, words=("lenet-mnist", "x.png")) == 0
    assert loads == ["lenet-mnist", "x.png", "y.png", folder, "y.png", folder, "x.png"]


def test_files_that_change_are_read_again(tmp_path: Path, loads: list[str], capsys: Output) -> None:
    bundle = bundles.load("lenet-mnist")
    assert bundle.card is not None
    card = bundle.card.model_dump(exclude={"weights", "check"}, mode="json")
    bundles.save(tmp_path / "mine", bundle.module, card)
    loads.clear()
    shell = Shell(ShellState(), tmp_path)
    for line in ("model mine", "image x.png", "model", "image"):
        assert shell.run(line) == 0
    assert loads == ["mine", "x.png"]
    ring(tmp_path / "x.png", 20)
    bundles.save(tmp_path / "mine", bundle.module, {**card, "name": "renamed"})
    os.utime("x.png", ns=(1, 1))
    capsys.readouterr()
    assert [shell.run("model"), shell.run("image")] == [0, 0]
    assert capsys.readouterr().out == LENET.replace("lenet-mnist", "renamed") + "x.png: 80x60\n"
    assert loads == ["mine", "x.png", "mine", "x.png"]
    Path("x.png").unlink()
    assert shell.run("explain --classes 3") == 2
    assert capsys.readouterr().err == "livecnn: x.png: no such file\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "explian x.png",
            "unknown command 'explian'; did you mean 'explain'? allowed: explain, dream, embed, top, layers, model,",
        ),
        ("run", "unknown command 'run'; allowed: explain,"),
        ("--fast", "No such option"),
        ("help explian", "unknown command 'explian'; did you mean 'explain'?"),
        ("explain --fast", "No such option"),
        ("explain --layer", "Option '--layer' requires an argument.\n"),
        ("explain --layer conv2", "Missing argument 'IMAGE'. (see explain --help)"),
        ("explain 'x.png --layer conv2", "explain 'x.png --layer conv2: No closing quotation"),
        ("model nothing", "nothing: neither a model that is at hand nor"),
        ("image nothing.png", "nothing.png: no such file"),
        ("top .", "Missing option '--layers'. (see top --help)"),
    ],
)
def test_a_mistake_ends_a_file(script: Callable[..., int], capsys: Output, line: str, message: str) -> None:
    assert script("model", line, "model") == 2
    out, err = capsys.readouterr()
    assert out == LENET
    assert err.startswith(f"livecnn: {message}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (ZeroDivisionError("oops"), 1), (Terminated(15), 143)])
def test_whatever_ends_a_command(
    script: Callable[..., int], capsys: Output, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def broken(*_: object) -> object:
        raise error

    monkeypatch.setattr(dream_files, "write", broken)
    assert script("dream --classes 3", "model") == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.strip() == ("livecnn: internal error: ZeroDivisionError: oops (--debug shows the traceback)" if code == 1 else "")


def test_ctrl_c_leaves_no_half_of_a_package(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (elsewhere / "heavy").mkdir()
    (elsewhere / "heavy" / "__init__.py").write_text(
        "import heavy.part, signal\nsignal.raise_signal(signal.SIGINT)\nwhole = True\n"
    )
    (elsewhere / "heavy" / "part.py").touch()
    monkeypatch.syspath_prepend(elsewhere)

    def work(*_: object) -> None:
        importlib.import_module("heavy")
        while True:
            time.sleep(0.01)

    monkeypatch.setattr(dream_files, "write", work)
    assert Shell(ShellState(), elsewhere).run("dream --classes 3") == 130
    assert sys.modules.pop("heavy").whole
    del sys.modules["heavy.part"]


@pytest.mark.parametrize("words", [("nothing",), ("lenet-mnist", "nothing.png")])
def test_what_it_cannot_begin_with(script: Callable[..., int], capsys: Output, words: tuple[str, ...]) -> None:
    assert script("model", words=words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("livecnn: nothing")


@pytest.mark.parametrize("word", ["quit", "exit"])
def test_the_end(script: Callable[..., int], capsys: Output, word: str) -> None:
    assert script("model", word, "nonsense") == 0
    assert capsys.readouterr() == (LENET, "")


def test_help(script: Callable[..., int], capsys: Output) -> None:
    assert script("help", "help explain", "explain --help", "image") == 0
    out = capsys.readouterr().out
    for word in ("explain", "dream", "embed", "top", "layers", "model", "image", "help", "quit"):
        assert f"\n  {word} " in out
    assert "Ctrl-D" in out
    assert out.count("Usage: explain [OPTIONS] IMAGE [MODEL]") == 2
    assert out.count("Here IMAGE and MODEL may be left out") == 2
    assert out.endswith("none yet: image FILE\n")


# At the prompt


class Typed(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[PipeInput]:
    monkeypatch.setattr(sys, "stdin", Typed())
    with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=DummyOutput()):
        yield keyboard


def test_what_is_typed(keys: PipeInput, capsys: Output, elsewhere: Path) -> None:
    keys.send_text("\r".join(("image x.png", "explian", "no line" + CTRL_C + "model", PASTED + CTRL_D)))
    assert main(["shell"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{HINT}x.png: 80x60\n{LENET}{LENET}"
    assert err.splitlines()[0].startswith("livecnn: unknown command 'explian'; did you mean 'explain'?")
    assert err.splitlines()[1:] == ["livecnn: y.png: no such file"]
    history = (elsewhere / "state" / "history").read_text()
    assert "+explian\n" in history
    assert "no line" not in history


@pytest.mark.parametrize("word", ["quit", "exit"])
def test_the_word_for_the_end(keys: PipeInput, word: str) -> None:
    keys.send_text(f"{word}\r")
    assert main(["shell"]) == 0


@needs_pty
def test_in_a_terminal(elsewhere: Path) -> None:
    (elsewhere / "state").mkdir()
    (elsewhere / "state" / "history").write_text("\n# then\n+image x.png\n\n# later\n+model\n")
    with Terminal(elsewhere, "shell", env={"DISPLAY": "", "WAYLAND_DISPLAY": ""}) as terminal:
        terminal.type_after("lenet-mnist ❯", "i")
        terminal.type_after("mage x.png", RIGHT + "\r")  # as suggested
        terminal.wait_for("x.png: 80x60", "lenet-mnist · x.png ❯")
        terminal.type("explain --la\t")
        terminal.type_after("yer", " ip\t")
        terminal.wait_for("ip1", "ip2")
        terminal.type("1 --units 3\r")
        terminal.wait_for("1 explanation; the network says 0", "❯")
        terminal.type("m" + UP + "\r")  # the newest that begins so
        terminal.wait_for(LENET.strip(), "❯")
        terminal.type(CTRL_R + "mage\r\r")
        terminal.wait_for("x.png: 80x60", "❯")
        terminal.type("dream --classes 3 --steps 1000000\r")
        terminal.type_after("step/s", CTRL_C)
        terminal.type_after("❯", "nonsense")
        terminal.type_after("nonsense", CTRL_C)
        terminal.wait_for("\n")  # the line that was given up is drawn once more, and a Ctrl-D before the next prompt is lost
        terminal.type_after("❯", CTRL_D)
        assert terminal.end() == 0
        assert terminal.as_before()
    assert "Traceback" not in terminal.told
    assert len(saved()) == 1


@needs_pty
def test_a_terminal_that_is_closed(elsewhere: Path) -> None:
    with Terminal(elsewhere, "shell", env={"DISPLAY": "", "WAYLAND_DISPLAY": ""}) as terminal:
        terminal.wait_for("❯")
        assert terminal.end(signal.SIGTERM) == 143
        assert terminal.as_before()
    assert "Traceback" not in terminal.told


def test_a_history_that_cannot_be_kept(keys: PipeInput, capsys: Output, elsewhere: Path) -> None:
    (elsewhere / "state").touch()
    keys.send_text(f"model\rmodel\r{CTRL_D}")
    assert main(["shell"]) == 0
    out, err = capsys.readouterr()
    assert out == HINT + 2 * LENET
    assert "is not a folder; what is typed will be forgotten" in err
    assert err.count("\n") == 1


def test_a_disk_that_fills_up_meanwhile(keys: PipeInput, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FileHistory, "store_string", full)
    keys.send_text(f"model\rmodel\r{CTRL_D}")
    assert main(["shell"]) == 0
    assert capsys.readouterr() == (HINT + 2 * LENET, "")


def test_without_prompt_toolkit(keys: PipeInput, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "livecnn.cli._prompt")
    monkeypatch.setitem(sys.modules, "prompt_toolkit", None)
    assert main(["shell"]) == 2
    assert capsys.readouterr() == ("", "livecnn: livecnn shell needs prompt_toolkit: pip install 'livecnn[shell]'\n")


def test_a_display_that_does_not_answer(keys: PipeInput, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> object:
        raise UsageError("no window on display :9")

    monkeypatch.setattr(toolkits, "has_display", lambda: True)
    monkeypatch.setattr(toolkits, "backend", lambda: "qtagg")
    monkeypatch.setattr(toolkits, "new_manager", broken)
    keys.send_text(f"explain --classes 3\rexplain --classes 3\r{CTRL_D}")
    assert main(["shell", "lenet-mnist", "x.png"]) == 0
    out, err = capsys.readouterr()
    first, second = saved()
    assert err == f"livecnn: no window on display :9; saved as {first}\n"
    assert out.splitlines()[2].startswith(f"{second}: 1 explanation;")


def test_without_a_toolkit_pictures_are_saved(keys: PipeInput, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise UsageError("no window toolkit")

    monkeypatch.setattr(toolkits, "has_display", lambda: True)
    monkeypatch.setattr(toolkits, "backend", none)
    keys.send_text(f"explain --classes 3\r{CTRL_D}")
    assert main(["shell", "lenet-mnist", "x.png"]) == 0
    assert len(saved()) == 1


@pytest.fixture(scope="module")
def bench() -> ShellState:
    bench = ShellState()
    bench.take_model("lenet-mnist")
    return bench


@pytest.mark.parametrize(
    ("typed", "whole"),
    [
        ("ex", ["explain"]),
        ("help m", ["model"]),
        ("livecnn lay", ["layers"]),
        ("explain --met", ["--method"]),
        ("explain --layer c", ["conv1", "conv2"]),
        ("explain --layer a", ["all"]),
        ("top . --layers a", []),
        ("embed . --layer=ip", ["--layer=ip1", "--layer=ip2"]),
        ("explain --out=my", ["'--out=my folder/'"]),
        ("top . --layers conv1,c", ["conv1,conv2"]),
        ("layers le", ["lenet-mnist"]),
        ("model le", ["lenet-mnist"]),
        ("explain --method gr", ["grad_cam", "gradient"]),
        ("explain --compare gradient,gr", ["gradient,grad_cam"]),
        ("dream --over m", ["max", "mean"]),
        ("dream --classes 3,1", ["3,1"]),
        ("explain x", ["x.png"]),
        ("explain my", ["'my folder/'"]),
        ("explain my\\ f", ["'my folder/'"]),
        ("image 'my folder/", ["'my folder/a b.png'"]),
        ("image my\\ folder/a", ["'my folder/a b.png'"]),
        ("image .", [".hidden.png"]),
        ("model my", ["'my folder/'"]),
        ("image nowhere/", []),
        ("explain 'x.png' --out \"my folder/", ["'my folder/a b.png'"]),
        ("dream other-network --layer c", []),
        ("dream other-network --classes 1", []),
        ("nonsense ", []),
        ("explain --layer", ["--layer"]),
    ],
)
def test_completion(bench: ShellState, elsewhere: Path, typed: str, whole: list[str]) -> None:
    (elsewhere / "my folder").mkdir()
    ring(elsewhere / "my folder" / "a b.png", 9)
    ring(elsewhere / ".hidden.png", 9)
    found = Completions(Shell(bench, elsewhere)).get_completions(Document(typed), CompleteEvent())
    assert [each.text for each in found] == whole


@pytest.mark.parametrize("typed", ["explain 'x y.png' --compare gradient,occ", "explain 'x y.png' --compare=gradient,occ"])
def test_a_completed_line_is_the_line_that_was_meant(bench: ShellState, elsewhere: Path, typed: str) -> None:
    (found,) = Completions(Shell(bench, elsewhere)).get_completions(Document(typed), CompleteEvent())
    assert typed[: found.start_position] + found.text == f"{typed}lusion"
    assert found.display_text == "occlusion"


def test_a_network_that_was_damaged_completes_nothing(elsewhere: Path) -> None:
    bundle = bundles.load("lenet-mnist")
    assert bundle.card is not None
    bundles.save("mine", bundle.module, bundle.card.model_dump(exclude={"weights", "check"}, mode="json"))
    bench = ShellState()
    bench.take_model("mine")
    Path("mine/model.yaml").write_text("nonsense")
    completions = Completions(Shell(bench, elsewhere))
    assert list(completions.get_completions(Document("dream --layer c"), CompleteEvent())) == []
    assert list(completions.get_completions(Document("dream --classes 1"), CompleteEvent())) == []


COMPLETE = "import sys; from livecnn.cli import main\ntry: main()\nexcept SystemExit: print('torch' in sys.modules)"


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("livecnn she", ["plain,shell"]),
        ("livecnn explain x.png --compare gradient,o", ["plain,gradient,occlusion"]),
        ("livecnn dream --classes 1", ["plain,1"]),
        ("livecnn run --model lenet-m", ["plain,lenet-mnist"]),
        ("livecnn replay x lenet-o", ["plain,lenet-overview"]),
        ("livecnn run ./l", ["file,./l"]),
        ("livecnn explain x.pn", ["file,x.pn"]),
        ("livecnn explain --layer c", [""]),  # not before the network is loaded
    ],
)
def test_bash_completes_without_torch(words: str, answer: list[str]) -> None:
    asked = {"_LIVECNN_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run(
        [sys.executable, "-c", COMPLETE], env={**os.environ, **asked}, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [*answer, "False"]
