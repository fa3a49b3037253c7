"""`livecnn layers`: the architecture of a network, as a table and as data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from livecnn.cli import _common

if TYPE_CHECKING:
    from livecnn.networks.inspection.architecture import Architecture, Node

HEAD = ("layer", "type", "output", "parameters", "kernel", "stride", "padding", "dilation", "groups", "sees", "every", "from")
NUMBER = "parameters"  # the column that is aligned to the right


@click.command(short_help="The layers of a network, and what each sees of the picture.")
@click.argument("model", shell_complete=_common.models)
@click.option(
    "--json",
    "file",
    metavar="FILE",
    shell_complete=_common.files,
    help="Write it as data; - writes to the standard output instead of the table.",
)
@_common.allow_code
@_common.pass_workbench
def command(bench: _common.ShellState, /, model: str, file: str | None, allow_code: bool) -> None:
    """What a network is made of: a row a layer, with what it sees of the picture.

    MODEL is the name of a network at hand, a bundle's folder, or package.module:factory.

    "sees" is the receptive field in pixels of the input (height x width), "every" the distance between the fields of neighbours,
    "from" what feeds a layer if that is not the row above.
    """
    from livecnn.networks import bundle as bundles

    _common.check_report(file)
    network = bench.model(model)
    architecture = (bundles.load(network, allow_code=allow_code) if isinstance(network, str) else network).architecture
    _common.report(file, architecture.data(), _table(architecture))


def _table(architecture: Architecture) -> Iterator[str]:
    """Lines; what is empty in every row has no column."""
    above = ["", *(node.name for node in architecture.nodes)]
    rows = [HEAD, *(_cells(node, before) for node, before in zip(architecture.nodes, above, strict=False))]
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    numbers = [at for at, column in enumerate(columns) if column[0] == NUMBER]
    yield from _common.aligned([*zip(*columns, strict=True)], numbers)
    size = "x".join(map(str, architecture.input))
    yield f"{architecture.name}: {architecture.layers:,} layers, {architecture.parameters:,} parameters, input {size}"


def _cells(node: Node, above: str) -> tuple[str, ...]:
    from livecnn.networks.inspection.architecture import pair_text, size_text, window_texts

    field, moves = node.field, window_texts(node.window, "x").values()
    sees = "?" if field is None else size_text(field.size, "x")
    every = pair_text(field.stride, "x") if field and field.stride else ""
    inputs = "" if node.inputs == (above,) else ", ".join(name or "(input)" for name in node.inputs)
    parameters = f"{node.parameters:,}" if node.parameters else ""
    return node.name, node.type, size_text(node.output, "x"), parameters, *moves, sees, every, inputs
