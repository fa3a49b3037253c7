"""Run what is typed in `livecnn shell`: commands of livecnn, and the shell's own."""

from __future__ import annotations

import os
import shlex
import sys
from _thread import interrupt_main
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from livecnn.cli import _common, attempt
from livecnn.cli import livecnn as program
from livecnn.errors import UsageError, nearest
from livecnn.io.files import free_path, write_png
from livecnn.io.images import read_image
from livecnn.signals import raise_on_signals

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from livecnn.cli._prompt import PictureWindow
    from livecnn.types import Image

PICTURES = ("explain", "dream", "embed")  # a picture each, wherever it goes
SHARED = (*PICTURES, "top", "layers")
SOON = 0.05  # seconds until Ctrl-C is tried again
LEFT_OUT = (
    "Here IMAGE and MODEL may be left out: the ones chosen by `image` and `model` are meant. Without --out a picture is shown in"
    " a window, or saved in recordings/ where there is none."
)
KEYS = (
    ("Tab", "completes commands, options, layers, classes, methods and files"),
    ("Up, Down", "what was typed before, here and in other sessions; with the first letters only such lines"),
    ("Ctrl-R", "looks for it"),
    ("Right", "takes the gray suggestion"),
    ("Ctrl-C", "ends the command, or clears the line"),
    ("Ctrl-D", "ends the shell"),
)


class ShellCommands(click.Group):
    """The shell's own, and of livecnn's those that ask a network something."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return [*SHARED, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = self.commands.get("quit" if cmd_name == "exit" else cmd_name)
        return program.get_command(ctx, cmd_name) if cmd_name in SHARED else own

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of a line. Raises UsageError for an unknown one."""
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            names = self.list_commands(ctx)
            raise UsageError(f"unknown command {args[0]!r}; {nearest(args[0], names, most=len(names))}")
        return super().resolve_command(ctx, args)


@click.group(cls=ShellCommands, context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """Ask one network after the other what it sees."""


def _commands(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:  # noqa: ARG001
    return commands.shell_complete(click.Context(commands), incomplete)


@commands.command()
@click.argument("name", required=False, shell_complete=_common.models)
@_common.allow_code
@_common.pass_workbench
def model(bench: _common.ShellState, name: str | None, allow_code: bool) -> None:
    """The network that is asked; without NAME: which it is.

    NAME is that of a network at hand, a bundle's folder, or package.module:factory. It stays loaded; it is read once more when it
    has changed on the disk.
    """
    found = bench.model(bench.defaults()["model"]) if name is None else bench.take_model(name, allow_code=allow_code)
    assert not isinstance(found, str)
    size = "x".join(map(str, found.pipeline.shape))
    click.echo(f"{found.name}: {found.architecture.layers} layers, {len(found.classes)} classes, input {size}")


@commands.command()
@click.argument("file", required=False, shell_complete=_common.files)
@_common.pass_workbench
def image(bench: _common.ShellState, file: str | None) -> None:
    """The image that it is asked about; without FILE: which it is.

    It is read once more when it has changed on the disk.
    """
    chosen = file or bench.defaults().get("image")
    if chosen is None:
        click.echo("none yet: image FILE")
        return
    height, width = (bench.take_image if file else bench.image)(chosen).shape[:2]
    click.echo(f"{chosen}: {width}x{height}")


@commands.command(name="help")
@click.argument("about", required=False, metavar="COMMAND", shell_complete=_commands)
@click.pass_context
def show_help(ctx: click.Context, about: str | None) -> None:
    """What can be typed, or all about a COMMAND."""
    above = ctx.parent or ctx
    if about is not None:
        name, found, _ = commands.resolve_command(above, [about])
        assert found is not None
        click.echo(click.Context(found, info_name=name, parent=above).get_help())
        if name in PICTURES:
            click.echo(f"\n{click.wrap_text(LEFT_OUT)}")
        return
    formatter = ctx.make_formatter()
    named = [(name, commands.get_command(above, name)) for name in commands.list_commands(above)]
    with formatter.section("Commands"):
        formatter.write_dl([(name, found.get_short_help_str(100)) for name, found in named if found is not None])
    with formatter.section("Keys"):
        formatter.write_dl(KEYS)
    formatter.write_paragraph()
    formatter.write_text(LEFT_OUT)
    click.echo(formatter.getvalue(), nl=False)


@commands.command(name="quit")
def quit_() -> None:
    """End the shell, as does `exit`."""
    sys.exit()


class Shell:
    """Runs lines as they are typed. easel: where pictures are shown; None: they are saved in the folder `recordings`."""

    easel: PictureWindow | None = None

    def __init__(self, bench: _common.ShellState, recordings: Path) -> None:
        self.bench, self.recordings = bench, recordings

    def run(self, line: str) -> int:
        """Exit code of a line, 0 of an empty one or a comment. Raises SystemExit where it asks for the end, and Terminated."""
        with raise_on_signals(_interrupt):
            return attempt(lambda: self._run(line), line.split())

    def context(self, out: Path | None = None) -> dict[str, Any]:
        """Return the context of click for a line's commands; out: where their pictures go."""
        kept, pictures = self.bench.defaults(), {} if out is None else {"out": str(out)}
        default_map = {name: {**kept, **(pictures if name in PICTURES else {})} for name in SHARED}
        return {"obj": self.bench, "default_map": default_map}

    def _run(self, line: str) -> object:
        words = self._words(line)
        if not words:
            return 0
        with TemporaryDirectory(prefix="livecnn-") as folder:
            shown = self.bench.shown = None if self.easel is None else Path(folder) / "picture.png"
            context = self.context(shown or free_path(self.recordings, ".png"))
            code = commands.main(words, prog_name="", standalone_mode=False, **context)
            if shown is not None and shown.exists():
                self._show(read_image(shown), line.strip())
        return code

    def _words(self, line: str) -> list[str]:
        """None of a comment."""
        line = line.lstrip("\ufeff")  # some editors begin a file with it
        try:
            words = [] if line.lstrip().startswith("#") else split(line)
        except ValueError as error:
            raise UsageError(f"{line.strip()}: {error}") from error
        return words[1:] if words[:1] == ["livecnn"] else words  # as it is typed elsewhere

    def _show(self, picture: Image, title: str) -> None:
        assert self.easel is not None
        try:
            self.easel.show(picture, title)
        except UsageError as error:
            self.easel, saved = None, free_path(self.recordings, ".png")
            write_png(saved, picture)
            raise UsageError(f"{error}; saved as {saved}") from error


def _interrupt(error: BaseException) -> None:
    """Raise it. Ctrl-C waits for the end of an import, which would leave half a package behind for the rest of the session."""
    frame: FrameType | None = sys._getframe()
    while isinstance(error, KeyboardInterrupt) and frame is not None and frame.f_code is not Shell.run.__code__:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            Timer(SOON, interrupt_main).start()
            return
        frame = frame.f_back
    raise error


def split(line: str) -> list[str]:
    """Words as in a POSIX shell, quotes and ~ included. Raises ValueError for a quote without an end."""
    words = shlex.shlex(line, posix=True)
    words.whitespace_split, words.commenters = True, ""
    if os.sep == "\\":
        words.escape = ""  # it is in every path
    return [os.path.expanduser(word) for word in words]
