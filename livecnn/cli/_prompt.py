"""The prompt of `livecnn shell`, by prompt_toolkit: completion as click has it, history, and the window of pictures beside it."""

from __future__ import annotations

import re
import shlex
import time
from asyncio import AbstractEventLoop, CancelledError, new_event_loop
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext, suppress
from pathlib import Path

import click
import matplotlib as mpl
from click.shell_completion import CompletionItem, ShellComplete
from matplotlib.artist import Artist
from matplotlib.backend_bases import FigureManagerBase, KeyEvent
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.eventloop import new_eventloop_with_inputhook
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from livecnn import paths
from livecnn.app.toolkit import backend
from livecnn.cli._shell import Shell, commands, split
from livecnn.drawing.artists import renderer_buffer, resize_exactly
from livecnn.drawing.theme import THEMES
from livecnn.errors import LivecnnError, OutputError, UsageError
from livecnn.io.files import check_writable, free_path, write_png
from livecnn.signals import raise_on_signals
from livecnn.types import Image

SIGN = "❯ "
MOST = (1280, 720)  # pixels of a window that opens
DPI = 100
PAUSE = 0.02  # seconds between two looks at the window
GROUND = "#{:02x}{:02x}{:02x}".format(*THEMES["dark"].background)


def converse(shell: Shell) -> None:
    """Ask for lines and run them until the user has enough. Raises Terminated."""
    session: PromptSession[str] = PromptSession(
        history=_history(),
        auto_suggest=AutoSuggestFromHistory(),
        completer=Completions(shell),
        complete_while_typing=False,
        enable_history_search=True,
    )
    click.echo("help: what can be typed; Tab: completes it; Ctrl-D: the end")
    shell.easel = easel = _easel(shell.recordings)
    with nullcontext() if easel is None else closing(easel), closing(_loop(easel)) as loop:
        while True:
            try:
                for line in _asked(loop, session, shell).splitlines():  # several if they were pasted
                    if shell.run(line):
                        break
            except KeyboardInterrupt:
                continue
            except (EOFError, SystemExit):
                return


def _easel(saved: Path) -> PictureWindow | None:
    """None where no window can be opened."""
    try:
        return PictureWindow(backend.backend(), saved) if backend.has_display() else None
    except UsageError:
        return None


def _loop(easel: PictureWindow | None) -> AbstractEventLoop:
    """In which the window lives while the prompt waits."""
    return new_event_loop() if easel is None else new_eventloop_with_inputhook(lambda prompt: easel.live(prompt.input_is_ready))


def _asked(loop: AbstractEventLoop, session: PromptSession[str], shell: Shell) -> str:
    """Raises KeyboardInterrupt, EOFError, Terminated."""
    task = loop.create_task(session.prompt_async(lambda: _message(shell)))
    signals: list[BaseException] = []

    def end(error: BaseException) -> None:
        """Raised in the middle of the loop, it might be lost."""
        signals.append(error)
        loop.call_soon_threadsafe(task.cancel)

    with raise_on_signals(end):
        try:
            return loop.run_until_complete(task)
        except CancelledError:
            raise signals[0] from None


def _message(shell: Shell) -> StyleAndTextTuples:
    kept = shell.bench.defaults()
    about = " · ".join(filter(None, (kept.get("model"), Path(kept.get("image", "")).name)))
    return [("bold", about), ("ansibrightblack", f" {SIGN}")]


class _Written(FileHistory):
    def store_string(self, string: str) -> None:
        with suppress(OSError):  # a disk that is full by now ends no session
            super().store_string(string)


def _history() -> History:
    path = paths.user_history()
    try:
        check_writable(path)
        with path.open("ab"):
            return _Written(str(path))
    except (OutputError, OSError) as error:
        click.echo(f"livecnn: {error}; what is typed will be forgotten", err=True)
        return InMemoryHistory()


class Completions(Completer):
    """Click's, of the word before the cursor."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:  # noqa: ARG002
        text = document.text_before_cursor
        begin = _begin(text)
        typed = _unquoted(text[begin:])
        option = re.match(r"(--[\w-]+=)?", typed)[0]  # type: ignore[index]
        for item in self._items(split(text[:begin]), typed):
            for value in _paths(item) if item.type in ("file", "dir") else [item.value]:
                whole = _quoted(option + value)
                yield Completion(whole, begin - len(text), display=_short(value), display_meta=item.help or "")

    def _items(self, words: list[str], incomplete: str) -> list[CompletionItem[str]]:
        if words[:1] == ["livecnn"]:
            del words[0]
        if words and commands.get_command(click.Context(commands), words[0]) is None:
            return []
        try:
            return ShellComplete(commands, self._shell.context(), "", "").get_completions(words, incomplete)
        except (LivecnnError, click.ClickException):  # told when the line is run
            return []


def _begin(text: str) -> int:
    """Return the place where the last word begins; blanks may be quoted."""
    blanks = reversed([*re.finditer(r"\s", text)])
    return next((blank.end() for blank in blanks if _whole(text[: blank.start()])), 0)


def _unquoted(typed: str) -> str:
    """A word, which may lack its closing quote."""
    end = next((end for end in ("", "'", '"') if _whole(typed + end)), None)
    return typed if end is None else "".join(split(typed + end))


def _whole(text: str) -> bool:
    """Is every quote closed?"""
    try:
        split(text)
    except ValueError:
        return False
    return True


def _quoted(value: str) -> str:
    return value if re.fullmatch(r"[\w@%+=:,./~\\-]+", value) else shlex.quote(value)


def _short(value: str) -> str:
    """Return what distinguishes it from the others."""
    return re.split(r"(?<=[/\\,])(?=.)", value)[-1]


def _paths(item: CompletionItem[str]) -> Iterator[str]:
    """Files and folders that begin so; hidden ones only if they are asked for."""
    folder, name = re.fullmatch(r"(.*[/\\])?(.*)", item.value, re.DOTALL).groups(default="")  # type: ignore[union-attr]
    try:
        found = sorted(Path(folder).expanduser().iterdir())
    except OSError:
        return
    for path in found:
        if path.name.startswith(name) and (name or not path.name.startswith(".")):
            if path.is_dir():
                yield f"{folder}{path.name}/"
            elif item.type == "file":
                yield f"{folder}{path.name}"


class PictureWindow:
    """The window opens with the first picture, and again with the next one after it was closed. For the main thread.

    In it `s` saves the picture into the folder `saved`, `q` closes the window.
    """

    def __init__(self, toolkit: str, saved: Path) -> None:
        self._toolkit, self._saved = toolkit, saved
        self._manager: FigureManagerBase | None = None

    def show(self, picture: Image, title: str) -> None:
        """uint8 (H, W, 3), in place of the one before. Raises UsageError if the display does not answer."""
        self._look()  # what was done to the picture before, closing it say, is not for this one
        self._manager = self._manager or self._opened(picture)
        self._fitted.picture = picture
        self._manager.set_window_title(title)
        ratio = self._manager.canvas.device_pixel_ratio
        self._manager.resize(*(round(ratio * side) for side in _size(picture)))
        self._manager.canvas.draw()
        self._look()

    def live(self, enough: Callable[[], bool]) -> None:
        """Let the window do what windows do, until it is enough or the window is closed."""
        while self._look() and not enough():
            time.sleep(PAUSE)

    def close(self) -> None:
        """Idempotent."""
        manager, self._manager = self._manager, None
        if manager is not None:
            manager.destroy()

    def _opened(self, picture: Image) -> FigureManagerBase:
        width, height = _size(picture)
        figure = Figure((width / DPI, height / DPI), DPI, facecolor=GROUND)
        self._fitted = _Fitted(picture)
        figure.add_artist(self._fitted)
        # The one who types keeps the keyboard, where the window manager leaves that to us.
        with mpl.rc_context({"toolbar": "None", "figure.raise_window": False}):
            manager = backend.new_manager(figure, self._toolkit)
            if manager.key_press_handler_id is not None:
                manager.canvas.mpl_disconnect(manager.key_press_handler_id)  # matplotlib's own keys
            manager.canvas.mpl_connect("key_press_event", self._press)
            manager.canvas.mpl_connect("close_event", self._closed)
            manager.show()
        return manager

    def _look(self) -> bool:
        """Is there a window, after all that happened to it?"""
        if self._manager is not None:
            self._manager.canvas.flush_events()
        return self._manager is not None

    def _press(self, event: KeyEvent) -> None:
        if event.key in ("q", "escape"):
            self.close()
        elif event.key == "s" and self._manager is not None:
            self._manager.set_window_title(self._save())

    def _save(self) -> str:
        path = free_path(self._saved, ".png")
        try:
            write_png(path, self._fitted.picture)
        except OutputError as error:
            return str(error)
        return f"saved as {path}"

    def _closed(self, _event: object) -> None:
        self._manager = None


def _size(picture: Image) -> tuple[float, float]:
    """Of its window: width and height."""
    height, width = picture.shape[:2]
    scale = min(1, MOST[0] / width, MOST[1] / height)
    return scale * width, scale * height


class _Fitted(Artist):
    """A picture in the middle, as large as the window."""

    def __init__(self, picture: Image) -> None:
        super().__init__()
        self.picture = picture

    def draw(self, renderer: RendererAgg) -> None:  # type: ignore[override]  # the base class leaves it untyped
        buffer = renderer_buffer(renderer)
        height, width = buffer.shape[:2]
        scale = min(width / self.picture.shape[1], height / self.picture.shape[0])
        high, wide = (max(1, round(scale * side)) for side in self.picture.shape[:2])
        top, left = (height - high) // 2, (width - wide) // 2
        buffer[top : top + high, left : left + wide, :3] = resize_exactly(self.picture, wide, high)
