"""`livecnn shell`: a prompt over the commands that ask a network something."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

import click

from livecnn.cli import _common
from livecnn.errors import SystemLibraryError

if TYPE_CHECKING:
    from livecnn.cli._shell import Shell


@click.command()
@_common.model
@click.argument("image", required=False, shell_complete=_common.files)
@_common.allow_code
@_common.debug
def command(model: str, image: str | None, allow_code: bool) -> int:
    """Ask a network about an image, line by line; both stay loaded.

    MODEL is the name of a network at hand, a bundle's folder, or package.module:factory. The commands are explain, dream, embed,
    top and layers, in which MODEL and IMAGE may be left out; `help` tells of the others, and of the keys.

    Lines of a file (livecnn shell < FILE) are run one after the other, up to the first that fails; its exit code is the shell's.
    """
    prompt = _prompt() if sys.stdin is not None and sys.stdin.isatty() else None
    bench = _common.ShellState()
    bench.take_model(model, allow_code=allow_code)
    if image is not None:
        bench.take_image(image)
    shell = importlib.import_module("livecnn.cli._shell").Shell(bench, importlib.import_module("livecnn.app.run").RECORDINGS)
    if prompt is None:
        return _first_failure(shell)
    prompt.converse(shell)
    return 0


def _prompt() -> ModuleType:
    """Needed where somebody types. Raises SystemLibraryError."""
    try:
        return importlib.import_module("livecnn.cli._prompt")
    except ImportError as error:
        raise SystemLibraryError(f"livecnn shell needs {error.name}: pip install 'livecnn[shell]'") from error


def _first_failure(shell: Shell) -> int:
    """Exit code of the first line that fails, else 0."""
    try:
        return next((code for code in map(shell.run, sys.stdin or ()) if code), 0)
    except SystemExit:
        return 0
