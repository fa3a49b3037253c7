"""What several commands share: what a shell keeps loaded, options and the completion of their values, printed tables and reports.

Completion works in bash, zsh and fish, and in `livecnn shell`; nothing here imports torch.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import click
from click.shell_completion import CompletionItem

from livecnn import paths, registry
from livecnn.errors import ModelError
from livecnn.io import yaml_document as yamlfile

if TYPE_CHECKING:
    from livecnn.networks.bundle import Bundle
    from livecnn.types import Image

MODEL = "lenet-mnist"
ALL = "all"

Items = list["CompletionItem[str]"]
Command = TypeVar("Command", bound=Callable[..., Any])
T = TypeVar("T")


@dataclass
class _Kept(Generic[T]):
    """Read once, and once more when its file has changed."""

    name: str
    file: Path
    read: Callable[[], T]
    _stamp: object = field(init=False)
    _value: T = field(init=False)

    def __post_init__(self) -> None:
        self._stamp, self._value = _stamp(self.file), self.read()

    def __call__(self) -> T:
        if self._stamp != _stamp(self.file):
            self.__post_init__()
        return self._value


class ShellState:
    """Empty outside a shell: every command then reads what it is told to."""

    def __init__(self) -> None:
        self._bundle: _Kept[Bundle] | None = None
        self._picture: _Kept[Image] | None = None
        self.shown: Path | None = None  # a picture that will be shown is written there

    def take_model(self, name: str, *, allow_code: bool = False) -> Bundle:
        """Load a network, as `livecnn.load` does, and keep it. Raises ModelError; what was kept before then stays."""
        from livecnn.networks import bundle as bundles

        card = paths.bundles().get(name, Path(name).expanduser()) / bundles.CARD
        self._bundle = _Kept(name, card, lambda: bundles.load(name, allow_code=allow_code))
        return self._bundle()

    def take_image(self, name: str) -> Image:
        """Read an image, uint8 (H, W, 3) RGB, and keep it. Raises ImageError."""
        from livecnn.io.images import read_image

        self._picture = _Kept(name, Path(name), lambda: read_image(name))
        return self._picture()

    def defaults(self) -> dict[str, str]:
        """Return defaults for the arguments that a command leaves out, by name."""
        kept = {"model": self._bundle, "image": self._picture}
        return {argument: one.name for argument, one in kept.items() if one is not None}

    def model(self, name: str) -> str | Bundle:
        """The network, if it is the one that is kept, else its name. Raises ModelError if it has changed for the worse."""
        return self._bundle() if self._bundle is not None and self._bundle.name == name else name

    def image(self, name: str) -> Image:
        """uint8 (H, W, 3) RGB. Raises ImageError."""
        from livecnn.io.images import read_image

        return self._picture() if self._picture is not None and self._picture.name == name else read_image(name)

    def told(self, out: str | Path) -> str:
        """Return the place where the user finds what was written."""
        return "in the window" if self.shown is not None and Path(out) == self.shown else str(out)


def _stamp(file: Path) -> object:
    """None if there is no such file."""
    try:
        found = os.stat(file)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size


pass_workbench = click.make_pass_decorator(ShellState, ensure=True)  # that of the shell, else an empty one


class Size(click.ParamType):  # type: ignore[type-arg]
    """Width and height in pixels: 640x480 -> (640, 480)."""

    name = "WxH"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        match = re.fullmatch(r"([1-9]\d{1,4})[x×]([1-9]\d{1,4})", str(value))
        if match is None:
            self.fail(f"{value!r} is not a size; allowed: WIDTHxHEIGHT, e.g. 640x480", param, ctx)
        return int(match[1]), int(match[2])


def files(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:  # noqa: ARG001
    """Leave files and folders to the shell."""
    return [CompletionItem(incomplete, type="file")]


def models(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:  # noqa: ARG001
    """Complete names of networks at hand, else folders."""
    return _starting(paths.bundles(), incomplete) or [CompletionItem(incomplete, type="dir")]


def layouts(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:  # noqa: ARG001
    """Complete names of layouts that ship, else files."""
    return _starting(paths.layouts(), incomplete) or [CompletionItem(incomplete, type="file")]


def method(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:  # noqa: ARG001
    """Complete the name of a method that explains."""
    return _starting(registry.kinds("explain.methods"), incomplete)


def methods(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:  # noqa: ARG001
    """Complete the last of several methods between commas."""
    return _listed(registry.kinds("explain.methods"), incomplete)


def layers(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Complete layers of a network that is loaded already: loading one takes too long."""
    bench = ctx.find_object(ShellState)
    bundle = None if bench is None else bench.model(_model(ctx))
    if bundle is None or isinstance(bundle, str):
        return []
    every = [ALL] if param.multiple else []
    return _listed([*every, *(node.name for node in bundle.architecture.nodes)], incomplete)


def classes(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:  # noqa: ARG001
    """Complete classes as the network's card names them."""
    folder = paths.bundles().get(_model(ctx), Path(_model(ctx)))
    try:
        named = yamlfile.load(folder / "model.yaml", ModelError).data.get("classes", [])
    except ModelError:
        return []
    return _listed([ALL, *map(str, named)], incomplete)


def _model(ctx: click.Context) -> str:
    """Return the network of the line; click leaves arguments in `args` where an option has no value yet."""
    arguments = [param.name for param in ctx.command.params if isinstance(param, click.Argument)]
    return str(dict(zip(arguments, ctx.args, strict=False)).get("model") or ctx.params.get("model") or MODEL)


def _starting(names: Iterable[str], incomplete: str) -> Items:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _listed(names: Iterable[str], incomplete: str) -> Items:
    """Complete the last name of a list with commas; no name comes twice."""
    before, comma, last = incomplete.rpartition(",")
    return [CompletionItem(before + comma + name) for name in names if name.startswith(last) and name not in before.split(",")]


FILE = click.Path(path_type=Path, dir_okay=False)

model = click.argument("model", default=MODEL, shell_complete=models)
live_model = click.option(
    "--model", shell_complete=models, help="A bundle's name or folder; with --allow-code also package.module:factory."
)
live_output = click.option("--output", help="Of several outputs the one that is the answer, by name or number.")
device = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
allow_code = click.option("--allow-code", is_flag=True, help="Let a model `package.module:factory` run its code.")
live_allow_code = click.option("--allow-code", is_flag=True, help="Let --model package.module:factory run code.")
debug = click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
engine = click.option(
    "--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True, help="Who does the work."
)
address = click.option("--address", help="Of a Ray cluster: auto, HOST:PORT, ray://HOST:PORT.  [this machine]")
jobs = click.option("--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes that prepare pictures.")


def layer(whose: str, **settings: Any) -> Callable[[Command], Command]:
    """Return the option --layer for one purpose, such as "Whose units"; settings: further ones of click."""
    settings.setdefault("help", f"{whose}; a name as `livecnn layers MODEL` lists them.")
    return click.option("--layer", shell_complete=layers, **settings)


def out(metavar: str, help: str, **settings: Any) -> Callable[[Command], Command]:
    """Return the option --out for files of some kinds; settings: further ones of click."""
    return click.option("--out", **{"required": True, "metavar": metavar, "shell_complete": files, "help": help, **settings})


def seed(help: str, most: int | None = None, *, shown: bool = True) -> Callable[[Command], Command]:
    """Return the option --seed; its default is shown or not."""
    return click.option("--seed", type=click.IntRange(0, most), default=0, show_default=shown, help=help)


def fields(name: str, parameter: str, help: str) -> Callable[[Command], Command]:
    """Return an option KEY=VALUE that may be given several times."""
    return click.option(name, parameter, multiple=True, metavar="KEY=VALUE", help=help)


def force(what: str) -> Callable[[Command], Command]:
    """Return the option --force, which replaces what is there already."""
    return click.option("--force", is_flag=True, help=what)


def asks_network(command: Command) -> Command:
    """Add --device, --allow-code and --debug, the last options of a command that asks a network something."""
    return device(allow_code(debug(command)))


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> Iterator[str]:
    """Yield the lines of a table; right: the columns, counted from 0, that are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:{'>' if at in right else '<'}{width}}" for at, (cell, width) in enumerate(zip(row, widths, strict=True)))
        yield "  ".join(cells).rstrip()


def counted(count: int, noun: str) -> str:
    """Return "1 image", "2 images"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def check_report(file: str | None) -> None:
    """Raise OutputError if `report` could not write there."""
    from livecnn.io.files import check_writable

    if file not in (None, "-"):
        check_writable(Path(str(file)))


def report(file: str | None, data: object, table: Iterable[str]) -> None:
    """Print a table and, if a file is given, write data there as JSON; "-" prints the data instead of the table."""
    from livecnn.io.files import write_atomically

    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    if file not in (None, "-"):
        write_atomically(Path(str(file)), f"{text}\n".encode())
    for line in [text] if file == "-" else table:
        click.echo(line)


def warn(line: str) -> None:
    """Print a warning to the standard error output."""
    click.echo(f"livecnn: {line}", err=True)
