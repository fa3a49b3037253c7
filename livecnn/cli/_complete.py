"""What may be typed next, for click's completion: in bash, zsh and fish, and in `livecnn shell`. Nothing here waits for torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from livecnn import paths, registry
from livecnn.cli._workbench import ShellState
from livecnn.errors import ModelError
from livecnn.io import yaml_document as yamlfile

MODEL = "lenet-mnist"
ALL = "all"

Items = list["CompletionItem[str]"]


def files(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:  # noqa: ARG001
    """The shell's own, of files and folders."""
    return [CompletionItem(incomplete, type="file")]


def models(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:  # noqa: ARG001
    """Networks at hand, else bundles' folders."""
    return _starting(paths.bundles(), incomplete) or [CompletionItem(incomplete, type="dir")]


def layouts(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:  # noqa: ARG001
    return _starting(paths.layouts(), incomplete) or [CompletionItem(incomplete, type="file")]


def method(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:  # noqa: ARG001
    return _starting(registry.kinds("explain.methods"), incomplete)


def methods(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:  # noqa: ARG001
    return _listed(registry.kinds("explain.methods"), incomplete)


def layers(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Of a network that is loaded: loading one takes too long."""
    bench = ctx.find_object(ShellState)
    bundle = None if bench is None else bench.model(_model(ctx))
    if bundle is None or isinstance(bundle, str):
        return []
    every = [ALL] if param.multiple else []
    return _listed([*every, *(node.name for node in bundle.architecture.nodes)], incomplete)


def classes(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:  # noqa: ARG001
    """As the network's card names them."""
    folder = paths.bundles().get(_model(ctx), Path(_model(ctx)))
    try:
        named = yamlfile.load(folder / "model.yaml", ModelError).data.get("classes", [])
    except ModelError:
        return []
    return _listed([ALL, *map(str, named)], incomplete)


def _model(ctx: click.Context) -> str:
    """Of which network the line speaks; click leaves arguments in `args` where an option has no value yet."""
    arguments = [param.name for param in ctx.command.params if isinstance(param, click.Argument)]
    return str(dict(zip(arguments, ctx.args, strict=False)).get("model") or ctx.params.get("model") or MODEL)


def _starting(names: Iterable[str], incomplete: str) -> Items:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _listed(names: Iterable[str], incomplete: str) -> Items:
    """Of a list with commas, the last one; none twice."""
    before, comma, last = incomplete.rpartition(",")
    return [CompletionItem(before + comma + name) for name in names if name.startswith(last) and name not in before.split(",")]
