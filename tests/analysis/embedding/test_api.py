import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from torch import nn

import livecnn
from livecnn.analysis import shards
from livecnn.analysis.embedding import api as embedder
from livecnn.analysis.embedding.embedding import Embedding
from livecnn.analysis.embedding.projection import Pca
from livecnn.engine.crop import Cropper
from livecnn.errors import ModelError, OutputError, UsageError
from livecnn.networks import bundle as bundles
from livecnn.networks.inspection.probe import Probe
from livecnn.types import Frame
from tests.helpers.mnist_files import typeset, write_mnist


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Typeset digits by class; the fourth blank, the third not readable."""
    folder = tmp_path_factory.mktemp("pictures")
    images, labels = typeset(24)
    images[3] = 200
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / str(label)).mkdir(exist_ok=True)
        PillowImage.fromarray(image).save(folder / str(label) / f"{i}.png")
    (folder / "2" / "2.png").write_bytes(b"broken")
    return folder


@pytest.fixture(scope="module")
def made(pictures: Path) -> Embedding:
    return livecnn.embed(pictures, layer="ip1", method="pca")


def test_every_picture_that_can_be_read_has_a_place(made: Embedding) -> None:
    assert len(made.names) == len(made.points) == len(made.thumbnails) == 23
    assert made.skipped == ("2/2.png: not a picture that can be read; allowed: PNG, JPEG, BMP, TIFF, WEBP",)
    assert made.names[0] == "0/0.png"
    assert [name.partition("/")[0] for name in made.names] == list(made.labels)
    blank = made.names.index("3/3.png")
    assert (made.tops[blank], made.scores[blank].max()) == (-1, 0)
    assert (np.delete(made.tops, blank) == np.delete(made.scores, blank, 0).argmax(1)).all()
    assert made.thumbnails.shape == (23, 28, 28, 3)
    assert (made.layer, made.model, made.method, made.classes) == ("ip1", "lenet-mnist", "pca", tuple("0123456789"))


def test_the_features_are_those_of_the_layer(made: Embedding, pictures: Path) -> None:
    bundle = bundles.load("lenet-mnist")
    images = [np.asarray(PillowImage.open(pictures / name).convert("RGB")) for name in made.names]
    shots = [Cropper(bundle.pipeline, 1.0)(Frame(image, 0, 0.0)).prepared.tensor for image in images]
    with Probe(bundle.module, ["ip1"]) as probe:
        values = probe(torch.cat(shots))[1]["ip1"].flatten(1).numpy()
    assert np.abs(made.features) == pytest.approx(np.abs(Pca.of(values, 50)(values)), abs=0.01)
    assert made.points == pytest.approx(made.features[:, :2], abs=1e-4)


def test_the_same_seed_gives_the_same_bytes_and_processes_change_nothing(pictures: Path) -> None:
    first, again, shared = (
        livecnn.embed(pictures, layer="conv2", limit=20, seed=5, method="pca", jobs=jobs).data() for jobs in (1, 1, 2)
    )
    assert first == again == shared
    other = livecnn.embed(pictures, layer="conv2", limit=20, seed=6, method="pca")
    assert other.data() != first
    assert list(other.indices) == sorted(set(other.indices.tolist()))


@pytest.mark.parametrize("layer", ["ip1", "ip2"])
def test_shards_of_another_size_give_the_same_map(layer: str, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ip1 has more values than there are pictures, ip2 has fewer."""
    whole = livecnn.embed(pictures, layer=layer, method="pca")
    monkeypatch.setattr(shards, "SHARD", 5)
    found, shared = (livecnn.embed(pictures, layer=layer, method="pca", jobs=jobs) for jobs in (1, 2))
    assert found.data() == shared.data()
    for name in ("mean", "components", "share"):
        assert getattr(found.pca, name) == pytest.approx(getattr(whole.pca, name), abs=1e-4)
    assert found.points == pytest.approx(whole.points, abs=1e-3)
    assert (found.names, found.skipped, found.thumbnails.tobytes()) == (whole.names, whole.skipped, whole.thumbnails.tobytes())


def test_a_call_that_was_interrupted_goes_on(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD", 5)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ask: dict[str, Any] = {"limit": 18, "seed": 1, "method": "pca"}
    expected = livecnn.embed(pictures, layer="ip2", **ask)
    assert not list(tmp_path.iterdir())  # nothing is kept where no folder is given
    work = shards.Worker.__call__

    def interrupted(worker: shards.Worker[Any], shard: int) -> object:
        if shard == 2:
            raise KeyboardInterrupt
        return work(worker, shard)

    parts = tmp_path / "parts"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shards.Worker, "__call__", interrupted)
        livecnn.embed(pictures, layer="ip2", parts=parts, **ask)
    assert sorted(path.name for path in parts.iterdir()) == ["00000.npz", "00001.npz", "job.json"]
    with pytest.raises(OutputError, match=r"parts: holds another run \(seed, 1, now 2\)"):
        livecnn.embed(pictures, layer="ip2", parts=parts, **{**ask, "seed": 2})
    assert livecnn.embed(pictures, layer="ip2", parts=parts, **ask).data() == expected.data()


def test_idx_files_and_a_network_of_ones_own(tmp_path: Path) -> None:
    write_mnist(tmp_path, *typeset(12), "test")
    own = nn.Sequential(nn.Conv2d(1, 3, 5), nn.Dropout(), nn.Flatten(), nn.Linear(3 * 24 * 24, 2)).train()
    found = livecnn.embed(tmp_path, own, "0", method="pca")
    assert (found.model, found.classes, len(found.names)) == ("Sequential", ("0", "1"), 12)
    assert all(module.training for module in own.modules())
    bundle = bundles.bundle_from_module(own)
    assert livecnn.embed(tmp_path, bundle, "0", method="pca").points.tobytes() == found.points.tobytes()


def test_pictures_of_different_sizes(tmp_path: Path) -> None:
    for i, image in enumerate(typeset(9)[0]):
        PillowImage.fromarray(np.pad(image, ((6, 6 + i), (16, 16)))).save(tmp_path / f"{i}.png")
    found = livecnn.embed(tmp_path, layer="ip1", method="pca")
    assert found.thumbnails.shape == (9, 48, 48, 3)
    assert not found.labelled


class Odd(nn.Module):
    """Not finite for bright pictures, and the same for all others."""

    def __init__(self) -> None:
        super().__init__()
        self.flat, self.line = nn.Flatten(), nn.Linear(784, 2)
        self.add_module("odd", _Root())
        self.input = {"kind": "plain", "size": [28, 28], "channels": 1}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.odd(x.mean((1, 2, 3))[:, None])
        output: torch.Tensor = self.line(self.flat(x))
        return output


class _Root(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(x > 0.9, torch.nan, 0.0)


def gray(folder: Path, *levels: int) -> Path:
    for i, level in enumerate(levels):
        PillowImage.fromarray(np.full((28, 28), level, np.uint8)).save(folder / f"{i}.png")
    return folder


def test_values_that_are_not_finite_and_layers_that_always_say_the_same(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="odd answers the same to all 8 pictures; there is nothing to map"):
        livecnn.embed(gray(tmp_path, *range(0, 160, 20), 255), Odd(), "odd", method="pca")
    with pytest.raises(
        UsageError, match=r"found 7 pictures \(2 skipped; first: 0.png: odd is not finite\); a map needs 8 or more"
    ):
        livecnn.embed(gray(tmp_path, 255), Odd(), "odd", method="pca")
    with pytest.raises(UsageError, match=r"found 0 pictures \(9 skipped"):
        livecnn.embed(gray(tmp_path, *[255] * 9), Odd(), "odd", method="pca", parts=tmp_path / "parts")
    assert not (tmp_path / "parts").exists()  # there is nothing to go on with


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"layer": None}, UsageError, "a layer is needed; allowed: conv1, "),
        ({"layer": "ip7"}, ModelError, "unknown layer 'ip7' of lenet-mnist; did you mean 'ip"),
        ({"method": "sne"}, UsageError, "--method: found 'sne'; allowed: tsne, pca, umap"),
        ({"limit": 3}, UsageError, "limit: found 3; allowed: 8 or more"),
        ({"limit": 20.5}, UsageError, "limit: found 20.5; allowed: whole numbers, 8 or more"),
        ({"layer": ["ip1"]}, UsageError, r"layer: found \['ip1'\]; allowed: the name of one"),
        ({"seed": -1}, UsageError, "seed: found -1; allowed: 0 or more"),
        ({"jobs": 0}, UsageError, "jobs: found 0; allowed: 1 or more"),
        ({"jobs": 2, "engine": "ray"}, UsageError, "--jobs 2: allowed with --engine local; ray has workers of its own"),
        ({"engine": "spark"}, UsageError, "unknown engine 'spark'; allowed: local, ray"),
        ({"address": "auto"}, UsageError, "--address auto: allowed with --engine ray"),
    ],
)
def test_what_cannot_be(pictures: Path, options: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        livecnn.embed(pictures, **{"layer": "ip1", "method": "pca", **options})


def test_a_vector_that_is_too_long(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedder, "MOST", 400)
    with pytest.raises(UsageError, match="layer 'ip1' gives 500 values a picture; allowed: up to 400, or maps"):
        livecnn.embed(pictures, layer="ip1", method="pca")
