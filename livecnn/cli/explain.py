"""`livecnn explain`: what in an image units, or classes, answer to."""

import re
from typing import Any

import click

from livecnn.cli import _common
from livecnn.explain.methods import kinds

COUNT = click.IntRange(min=1)


def _at(_context: click.Context, _option: click.Parameter, text: str | None) -> str | tuple[int, int] | None:
    position = re.fullmatch(r"\s*(\d+)\s*,\s*(\d+)\s*", text or "")
    return (int(position[1]), int(position[2])) if position else text


@click.command()
@click.argument("image", shell_complete=_common.files)
@_common.model
@_common.layer("", multiple=True, help="Whose units; a name as `livecnn layers MODEL` lists them, or all convolutions: all.")
@click.option("--units", help="Which of them: 5, 0-8, 0,3,10-19 or all.  [all]")
@click.option(
    "--classes",
    shell_complete=_common.classes,
    help="Instead of units: classes by name or number; for grad_cam.  [the strongest]",
)
@click.option(
    "--method",
    default="guided_backprop",
    show_default=True,
    shell_complete=_common.method,
    help="How: a kind of docs/explain.md.",
)
@click.option("--compare", default="", metavar="M1,M2", shell_complete=_common.methods, help="Other methods beside it.")
@click.option("--at", callback=_at, metavar="max|sum|ROW,COLUMN", help="Which value of a unit's map counts.  [max]")
@click.option("--patch", type=COUNT, help="occlusion: side of what is covered, in pixels.  [a seventh]")
@click.option("--stride", type=COUNT, help="occlusion: pixels from patch to patch.  [half a patch]")
@click.option("--fill", type=float, help="occlusion: what covers, as the network sees it.  [0]")
@click.option(
    "--baseline", type=float, help="integrated_gradients: the even picture it starts from, as the network sees it.  [0]"
)
@click.option("--steps", type=COUNT, help="integrated_gradients: how many from there to the image.  [50]")
@_common.out("X.png|DIR/", "A picture, or a folder with a PNG a unit and manifest.json.")
@_common.asks_network
@_common.pass_workbench
def command(
    bench: _common.ShellState, /, image: str, model: str, layer: tuple[str, ...], units: str | None, classes: str | None,
    method: str, compare: str, out: str, device: str, allow_code: bool, **options: Any,
) -> None:  # fmt: skip
    """What in an image units of layers, or classes, answer to.

    IMAGE is a file; its largest centred box of the network's proportions goes through the input pipeline. MODEL is the name of a
    network at hand, a bundle's folder, or package.module:factory.

    Methods: METHODS.

    A run into DIR/ that was interrupted goes on with the same command.
    """
    from pathlib import Path

    from livecnn.explain import api

    methods = [method, *filter(None, (name.strip() for name in compare.split(",")))]
    api.check_out(out)
    rgb, network = bench.image(image), bench.model(model)
    explainer = api.ImageExplainer(
        network, layer or None, units, classes=classes, method=methods, device=device, allow_code=allow_code, **options
    )
    count, sight = api.write(explainer, rgb, Path(image).name, out)
    top = int(sight.scores.argmax())
    says = "nothing is in the image" if sight.empty else f"the network says {sight.classes[top]} ({sight.scores[top]:.3f})"
    click.echo(f"{bench.told(out)}: {_common.counted(count, 'explanation')}; {says}")


command.help = str(command.help).replace("METHODS", ", ".join(kinds()))
