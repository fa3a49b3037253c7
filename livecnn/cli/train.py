"""`livecnn train`: the shipped weights, made again."""

import os
from pathlib import Path

import click

from livecnn.errors import OutputError


@click.group()
def command() -> None:
    """Train the networks that ship with livecnn."""


@command.command()
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="MNIST's idx files; downloaded into it where absent."
)
@click.option(
    "--out", default="models/lenet-mnist", show_default=True, type=click.Path(path_type=Path), help="The bundle to write."
)
@click.option("--epochs", default=40, show_default=True, type=click.IntRange(1, 1000), help="Passes over the 60,000 pictures.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**32 - 1), help="The same seed, the same weights.")
def lenet(data: Path, out: Path, epochs: int, seed: int) -> None:
    """Caffe's LeNet on MNIST, read through the ink pipeline and changed as hands and webcams do."""
    _check_writable(out)
    import torch

    from livecnn.networks import bundle as bundles
    from livecnn.networks.pipelines.ink import InkPipeline
    from livecnn.networks.training import mnist
    from livecnn.networks.training import train as loop

    pipeline, recipe = InkPipeline(), loop.Hyperparameters(epochs=epochs)
    images, labels = mnist.load(data, "train")
    tests, answers = mnist.load(data, "test")
    seen, found = loop.preprocess(images, pipeline)
    network = loop.train(seen[found], labels[found], pipeline, recipe, seed)
    accuracy = loop.accuracy(network, *loop.preprocess(tests, pipeline), answers, pipeline)
    bundle = bundles.Bundle(out.resolve().name, network, mnist.CLASSES, pipeline)
    card = {
        "name": bundle.name,
        "architecture": "lenet",
        "input": {"kind": "ink", **pipeline.model_dump(exclude={"fit"})},
        "classes": list(mnist.CLASSES),
        "licence": "MIT",
        "source": "trained by `livecnn train lenet`",
        "accuracy": {"mnist_test": round(accuracy, 4)},
        "training": {"epochs": epochs, "seed": seed, "torch": str(torch.__version__), "threads": torch.get_num_threads()},
        "check": bundles.record_check(bundle),
    }
    folder = bundles.save(out, network, card)
    click.echo(f"{folder}: {accuracy:.2%} of MNIST's {len(answers):,} test pictures are right")


def _check_writable(out: Path) -> None:
    """Before an hour of training, not after it."""
    nearest = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise OutputError(f"{out}: cannot be written: {nearest} is {'write-protected' if nearest.is_dir() else 'a file'}")
