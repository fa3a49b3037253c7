"""`livecnn config`: what layouts there are, whether one is right, and what may stand in one."""

import click

from livecnn.cli import _common


@click.group()
def command() -> None:
    """Layouts: list what ships, check a file, print the schema."""


@command.command(name="list")
def list_() -> None:
    """The layouts that ship with livecnn, each with its one-line description."""
    from livecnn import paths
    from livecnn.layout.layout import load_layout

    shipped = paths.layouts()
    width = max(map(len, shipped), default=0)
    for name, path in shipped.items():
        click.echo(f"{name:{width}}  {load_layout(path).description}".rstrip())


@command.command()
@click.argument("file", shell_complete=_common.layouts)
@_common.allow_code
def check(file: str, allow_code: bool) -> None:
    """Check the layout FILE (or a shipped one, by name), its views, and whether all their panels fit the model."""
    from livecnn.app.plan import Plan

    plan = Plan.of(file, allow_code=allow_code)
    click.echo(f"{file}: fine: {_common.counted(len(plan.layout.panels), 'panel')}, model {plan.context.model}")


@command.command()
@click.option("--markdown", is_flag=True, help="As the page docs/layouts.md instead of JSON Schema.")
def schema(markdown: bool) -> None:
    """What may stand in a layout file."""
    import json

    from livecnn.layout import layout as layouts

    click.echo(layouts.markdown() if markdown else json.dumps(layouts.json_schema(), indent=2) + "\n", nl=False)
