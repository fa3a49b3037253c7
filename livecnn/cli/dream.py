"""`livecnn dream`: what units like best."""

import click

from livecnn.cli import _common

SHARE = click.FloatRange(0, 1)
WEIGHT = click.FloatRange(min=0)


@click.command(short_help="What units of a layer, or classes, like best.")
@_common.model
@_common.layer("Whose units")
@click.option("--units", help="Which of them: 5, 0-8, 0,3,10-19 or all.")
@click.option("--classes", shell_complete=_common.classes, help="Instead of units: classes by name or number.")
@_common.out("X.png|X.gif|X.mp4|DIR/", "A picture, a film, or a folder with a PNG a unit.")
@click.option("--steps", type=click.IntRange(1, 1_000_000), default=128, show_default=True, help="Of the ascent.")
@_common.seed("The same seed, the same pictures.")
@click.option("--over", type=click.Choice(["centre", "max", "mean"]), help="Which value of a unit's map.  [centre]")
@click.option("--parameters", type=click.Choice(["fourier", "pixels"]), help="How pictures are written.  [fourier]")
@click.option("--ground", type=SHARE, help="Level of the even picture at the start: 0 black, 1 white.  [by the input]")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Of a step.  [0.07; pixels: 0.03]")
@click.option("--jitter", type=SHARE, help="Random shifts, a share of what a unit sees.  [0.08]")
@click.option("--rotation", type=WEIGHT, help="Random turns, in degrees.  [12]")
@click.option("--scaling", type=click.FloatRange(0, 0.9), help="Random growth, a share.  [0.15]")
@click.option("--sparsity", type=WEIGHT, help="Weight of the distance from the ground.  [0.1 on black and white, else 0]")
@click.option("--variation", type=WEIGHT, help="Weight of the total variation.  [0.1]")
@click.option("--decay", type=SHARE, help="Share of the distance from the ground taken away at each step (pixels).  [0]")
@click.option(
    "--blur", type=click.FloatRange(0, 100), help="Standard deviation in pixels of a blur every few steps (pixels).  [0]"
)
@click.option("--blur-every", type=click.IntRange(min=1), help="How many.  [4]")
@click.option("--norm", type=SHARE, help="Share of the pixels, the faintest, cleared at each step (pixels).  [0]")
@click.option("--contribution", type=SHARE, help="The same of those that matter least (pixels).  [0]")
@click.option("--resume", is_flag=True, help="Go on with the run in DIR/, and refuse to begin anew.")
@_common.asks_network
@_common.pass_workbench
def command(
    bench: _common.ShellState, /, model: str, layer: str | None, units: str | None, classes: str | None, out: str, steps: int,
    seed: int, resume: bool, device: str, allow_code: bool, **options: object,
) -> None:  # fmt: skip
    """What units of a layer, or classes, like best, by gradient ascent.

    MODEL is the name of a network at hand, a bundle's folder, or package.module:factory.

    A run into DIR/ that was interrupted goes on with the same command, and comes to the same pictures; with more --steps it goes
    on further.
    """
    from livecnn.dreams import api

    given = {name: value for name, value in options.items() if value is not None}
    api.check_out(out, resume)
    network = bench.model(model)
    dreamer = api.DreamBatch(network, layer, units, classes=classes, seed=seed, device=device, allow_code=allow_code, **given)
    dreams = api.write(dreamer, steps, out)
    told = f"{_common.counted(len(dreams.names), 'dream')}, {_common.counted(dreams.step, 'step')}"
    unmoved = ", ".join(dreamer.unmoved(dreams))
    click.echo(f"{bench.told(out)}: {told}{unmoved and '; nothing excites ' + unmoved}")
