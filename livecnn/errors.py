"""The errors that a user may meet: one line says what was found, where, and what is allowed; the exit code is 2.

Anything else that is raised is a defect of livecnn: the program ends with exit code 1 and says so.
"""

import difflib
from collections.abc import Iterable


class LivecnnError(Exception):
    """A mistake or a failing device, in one line, whatever file or key names it quotes."""

    def __init__(self, message: str) -> None:
        super().__init__("".join(char if char.isprintable() else "\ufffd" for char in message))


class UsageError(LivecnnError):
    """A command-line option or an argument of the Python API."""


class ConfigError(LivecnnError):
    """A layout file; the message names the file, the line and the key."""


class ModelError(LivecnnError):
    """A bundle, its weights, a layer name or a device."""


class SourceError(LivecnnError):
    """A camera, video, folder or address that cannot be opened or read."""


class ImageError(LivecnnError):
    """One picture that cannot be decoded; a folder skips and counts it."""


class SystemLibraryError(LivecnnError, ImportError):
    """Something that the operating system has to bring is missing."""


class OutputError(LivecnnError):
    """A recording, table or folder that cannot be written."""


def first_line(error: BaseException) -> str:
    """Return the first line of what an exception says, or the name of its class if it says nothing."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def nearest(name: str, allowed: Iterable[str], most: int = 8) -> str:
    """Return the part of a message that says what is allowed: the nearest name first, the list when it is short."""
    names = [str(a) for a in allowed]
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f"did you mean {close[0]!r}? " if close else ""
    shown = ", ".join(names[:most]) + (f", … ({len(names)} in all)" if len(names) > most else "")
    return f"{hint}allowed: {shown}"
