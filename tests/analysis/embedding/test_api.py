import base64
import csv
import io
import json
import re
import tempfile
from collections import OrderedDict
from html.parser import HTMLParser
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
from livecnn.analysis.embedding.api import check_out, write
from livecnn.analysis.embedding.embedding import Embedding, Pca, load
from livecnn.engine.crop import Cropper
from livecnn.errors import ModelError, OutputError, UsageError
from livecnn.networks import bundle as bundles
from livecnn.networks.inspection.probe import Probe
from livecnn.types import Frame
from tests.helpers.embeddings import embedding
from tests.helpers.mnist_files import typeset, write_mnist

NASTY = "</script><img src=//evil.example/x onerror=alert(1)>&amp;.png"


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

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(x.mean((1, 2, 3)) > 0.9, torch.nan, 0.0)[:, None]


def gray(folder: Path, *levels: int) -> Path:
    for i, level in enumerate(levels):
        PillowImage.fromarray(np.full((28, 28), level, np.uint8)).save(folder / f"{i}.png")
    return folder


def test_values_that_are_not_finite_and_layers_that_always_say_the_same(tmp_path: Path) -> None:
    module = nn.Sequential(OrderedDict(odd=Odd(), line=nn.Linear(1, 2)))
    module.input = {"kind": "plain", "size": [28, 28], "channels": 1}  # type: ignore[assignment]
    with pytest.raises(UsageError, match="odd answers the same to all 8 pictures; there is nothing to map"):
        livecnn.embed(gray(tmp_path, *range(0, 160, 20), 255), module, "odd", method="pca")
    with pytest.raises(
        UsageError, match=r"found 7 pictures \(2 skipped; first: 0.png: odd is not finite\); a map needs 8 or more"
    ):
        livecnn.embed(gray(tmp_path, 255), module, "odd", method="pca")
    with pytest.raises(UsageError, match=r"found 0 pictures \(9 skipped"):
        livecnn.embed(gray(tmp_path, *[255] * 9), module, "odd", method="pca", parts=tmp_path / "parts")
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


class Reader(HTMLParser):
    """Elements with their attributes, what a script element holds, and whether every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)


def page_of(tmp_path: Path, grid: bool = False, **fields: Any) -> tuple[Reader, dict[str, Any], str]:
    write(embedding(**fields), tmp_path / "x.html", grid=grid)
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert not reader.open
    return reader, json.loads(reader.scripts[0]), text


def test_the_page_stands_alone(tmp_path: Path) -> None:
    reader, _, text = page_of(tmp_path, names=(NASTY, *map(str, range(23))), layer="<b>", classes=tuple("<>&\"'abcde"))
    assert len(reader.scripts) == 2
    assert {tag for tag, _ in reader.found} & {"link", "img", "iframe", "b"} == set()
    assert not any({"src", "href"} & attributes.keys() for _, attributes in reader.found)
    code = text.replace(reader.scripts[0], "")
    assert not re.search(r"https?:|evil|fetch\(|XMLHttpRequest|import\(|url\(", code)
    policy = next(attributes["content"] for tag, attributes in reader.found if attributes.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "<!--" not in text


def test_the_page_holds_the_data(tmp_path: Path) -> None:
    made = embedding(names=(NASTY, *(f"{i}.png" for i in range(1, 24))))
    _, data, _ = page_of(tmp_path, names=made.names)
    assert (data["names"], data["labels"], data["tops"]) == ([*made.names], [*made.labels], made.tops.tolist())
    points = np.array(data["points"])
    assert points.min() == pytest.approx(0, abs=1e-4)
    assert points.max() == pytest.approx(1, abs=1e-4)
    assert np.corrcoef(points[:, 1], made.points[:, 1])[0, 1] == pytest.approx(-1)
    assert len(set(map(tuple, data["cells"]))) == 24
    for best, told, scores in zip(data["best"], data["scores"], made.scores, strict=True):
        assert told == pytest.approx(np.sort(scores)[::-1][:5], abs=1e-4)
        assert scores[best] == pytest.approx(told, abs=1e-4)
    assert [kind["name"] for kind in data["kinds"]] == [*"0123456789"]
    kind, _, content = data["sheet"].partition(",")
    assert kind == "data:image/png;base64"
    with PillowImage.open(io.BytesIO(base64.b64decode(content))) as sheet:
        tiles = np.asarray(sheet)
    assert (data["tile"], data["columns"]) == (8, 5)
    assert [int(tiles[i // 5 * 8, i % 5 * 8]) for i in range(24)] == [*range(24)]


def test_a_page_of_photographs_and_of_scores_that_are_no_numbers(tmp_path: Path) -> None:
    colors = np.random.default_rng(0).integers(0, 255, (24, 80, 80, 3), np.uint8)
    _, data, _ = page_of(
        tmp_path, grid=True, thumbnails=colors, scores=np.full((24, 10), np.nan, np.float32), tops=np.full(24, -1)
    )
    assert data["sheet"].startswith("data:image/jpeg;base64,")
    assert data["grid"] is True
    assert data["scores"][0] == [0] * 5


def test_the_table(tmp_path: Path) -> None:
    made = embedding(4, labels=("7", "", "2", "2"), tops=np.array([3, -1, 9, 3]), names=("a", 'b,"\n', "caf\udce9", "d"))
    write(made, tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["index", "name", "label", "x", "y", "top_class", *"0123456789"]
    assert [row["name"] for row in rows] == ["a", 'b,"\n', "caf\\udce9", "d"]
    assert [row["top_class"] for row in rows] == ["3", "", "9", "3"]
    assert [row["label"] for row in rows] == ["7", "", "2", "2"]
    assert [int(row["index"]) for row in rows] == [0, 2, 4, 6]
    assert [[float(row["x"]), float(row["y"])] for row in rows] == pytest.approx(made.points, rel=1e-4)
    assert [float(row["4"]) for row in rows] == pytest.approx(made.scores[:, 4], abs=1e-6)


def test_the_picture_and_the_map(tmp_path: Path) -> None:
    made = embedding()
    write(made, tmp_path / "x.png", 500, grid=True)
    with PillowImage.open(tmp_path / "x.png") as image:
        assert (np.asarray(image) == made.picture(500, grid=True)).all()
    write(made, tmp_path / "x.npz")
    assert load(tmp_path / "x.npz").names == made.names


@pytest.mark.parametrize(
    ("name", "size", "grid", "kind", "message"),
    [
        ("x.gif", None, False, OutputError, "unknown suffix '.gif'; allowed: .png, .html, .csv, .npz"),
        ("x.png", 100, False, UsageError, "--size: found 100; allowed: 320 to 12000 pixels"),
        ("x.html", 600, False, UsageError, "--size: .*x.html is no picture; allowed with .png"),
        ("x.csv", None, True, UsageError, "--grid: .*x.csv is no picture; allowed with .png or .html"),
    ],
)
def test_what_cannot_be_written(
    tmp_path: Path, name: str, size: int | None, grid: bool, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        check_out(tmp_path / name, str(tmp_path), size, grid=grid)


def test_a_picture_among_the_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"^--out in/new/x\.png: lies in the folder of the images; name one outside .*in$"):
        check_out(Path("in/new/x.png"), "in", None, grid=False)
    assert not (tmp_path / "in" / "new").exists()
    check_out(Path("in/x.html"), "in", None, grid=True)  # which is none of them
    check_out(Path("x.png"), "in", 600, grid=True)
