"""Options and arguments that several commands take, and the completion of their values.

Completion works in bash, zsh and fish, and in `livecnn shell`; nothing here imports torch.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from livecnn import paths, registry
from livecnn.cli._workbench import ShellState
from livecnn.errors import ModelError
from livecnn.io import yaml_document as yamlfile

MODEL = "lenet-mnist"
ALL = "all"

Items = list["CompletionItem[str]"]
Command = TypeVar("Command", bound=Callable[..., Any])


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
