"""The prompt of `livecnn shell`, by prompt_toolkit: completion as click has it, history, suggestions from it."""

import re
import shlex
from asyncio import AbstractEventLoop, CancelledError, new_event_loop
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import click
from click.shell_completion import CompletionItem, ShellComplete
from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.eventloop import new_eventloop_with_inputhook
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from livecnn import paths
from livecnn.cli._shell.shell import Shell, commands, split
from livecnn.errors import LivecnnError, OutputError
from livecnn.io.files import check_writable
from livecnn.signals import raise_on_signals

SIGN = "❯ "


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
    with closing(_loop(shell)) as loop:
        while True:
            try:
                for line in _asked(loop, session, shell).splitlines():  # several if they were pasted
                    if shell.run(line):
                        break
            except KeyboardInterrupt:
                continue
            except (EOFError, SystemExit):
                return


def _loop(shell: Shell) -> AbstractEventLoop:
    """In which the window lives while the prompt waits."""
    easel = shell.easel
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
