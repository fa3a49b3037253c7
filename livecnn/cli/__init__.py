"""The command `livecnn`: a file per sub-command, each holding a click command named `command`, imported when it is called."""

import atexit
import importlib
import pkgutil
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial

import click

from livecnn import __version__
from livecnn.cli import _common
from livecnn.errors import LivecnnError
from livecnn.signals import Terminated, raise_on_signals

INTERRUPTED = 130  # 128 + SIGINT, as shells report it


class Commands(click.Group):
    """Sub-commands by file name; `livecnn` alone is `livecnn run`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"livecnn.cli.{cmd_name}").command
        return command


@click.group(cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="livecnn")
@_common.debug
@click.pass_context
def livecnn(ctx: click.Context) -> None:
    """See a convolutional network think, live.

    Without a command: the webcam if one answers, else the built-in demo; in a window if there is a display,
    else into a recording in recordings/.
    """
    if ctx.invoked_subcommand is None:
        run = ctx.command.get_command(ctx, "run")  # type: ignore[attr-defined]
        ctx.invoke(run)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 1 (a defect), 2 (a user's mistake), 130 (Ctrl-C), 143 (SIGTERM)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with raise_on_signals():
            code = attempt(partial(livecnn.main, words, prog_name="livecnn", standalone_mode=False), words)
    except Terminated as asked:
        code = asked.code
    if code > 128:
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)  # Python's own ending answers the next one with a traceback
    return code


def attempt(call: Callable[[], object], words: Sequence[str]) -> int:
    """Exit code of a command line, which is its result if that is a number; what goes wrong is told in one line.

    Raises Terminated.
    """
    try:
        code = call()
        return code if isinstance(code, int) else 0
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except click.UsageError as error:
        return _complain(f"{error.format_message()}{_hint(error.ctx)}", words, 2)
    except click.ClickException as error:
        return _complain(error.format_message(), words, 2)
    except LivecnnError as error:
        return _complain(str(error), words, 2)
    except Exception as error:
        return _complain(f"internal error: {type(error).__name__}: {error} (--debug shows the traceback)", words, 1)


def _hint(ctx: click.Context | None) -> str:
    """Return the hint to the help of a command line; click does not always know whose it is."""
    if ctx is None:
        return ""
    more = "; layouts and options of the live view follow `livecnn run`" if ctx.command_path == "livecnn" else ""
    return f" (see {f'{ctx.command_path} --help'.strip()}{more})"


def _complain(message: str, words: Sequence[str], code: int) -> int:
    if "--debug" in words:
        traceback.print_exc()
    click.echo(f"livecnn: {' '.join(message.splitlines()).strip()}", err=True)
    return code
