"""`livecnn.top`: the folder that it leaves, against a direct computation; runs that are cut short."""

import csv
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from torch import nn

import livecnn
from livecnn._cv2 import cv2
from livecnn.analysis import shards
from livecnn.analysis.dataset import ImageDataset
from livecnn.analysis.top import api as scanning
from livecnn.analysis.top.api import Table
from livecnn.analysis.top.results import QUANTILES, TopResults
from livecnn.errors import LivecnnError, ModelError, OutputError, UsageError
from livecnn.io import files
from livecnn.sources.video import VideoSource
from tests.helpers.files import contents
from tests.helpers.mnist_files import typeset, write_mnist

LAYERS = "conv1,ip2"
ROUNDING = 1e-6  # of float32 activations, as a share of the largest: batches of another size are summed in another order
COUNT = 40

Expected = tuple[dict[str, np.ndarray], list[np.ndarray]]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    write_mnist(folder, *typeset(COUNT), "test")
    return folder


@pytest.fixture(scope="module")
def found(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> TopResults:
    return livecnn.top(digits, layers=LAYERS, out=tmp_path_factory.mktemp("top"), k=4, shard=16)


@pytest.fixture(scope="module")
def expected(digits: Path) -> Expected:
    """Activations of all pictures at once, and what the network sees of each."""
    lenet = livecnn.load("lenet-mnist")
    shots = [np.repeat(image[..., None], 3, axis=2) for image in typeset(COUNT)[0]]
    with livecnn.Probe(lenet.module, LAYERS.split(",")) as probe:
        activations = probe(torch.cat([lenet.prepare(shot) for shot in shots]))[1]
    return {name: values.double().numpy() for name, values in activations.items()}, [lenet.pipeline(shot).seen for shot in shots]


def test_shots_are_the_strongest(found: TopResults, expected: Expected) -> None:
    for layer in found.layers:
        values = expected[0][layer].reshape(COUNT, found.units(layer), -1).max(2)
        for unit in range(found.units(layer)):
            shots = found.shots(layer, unit)
            best = sorted(range(COUNT), key=lambda image, unit=unit, values=values: (-values[image, unit], image))[:4]
            assert [shot.number for shot in shots] == best
            assert [shot.value for shot in shots] == pytest.approx(values[best, unit], abs=1e-5)
            assert [shot.label for shot in shots] == [str(image % 10) for image in best]


def test_a_patch_is_what_the_strongest_position_sees(found: TopResults, expected: Expected) -> None:
    for shot in found.shots("conv1", 3):
        assert (shot.image[..., 0] == expected[1][shot.number]).all()
        left, top, width, height = shot.box
        assert (left, top, width, height) == (shot.position[1], shot.position[0], 5, 5)
        assert expected[0]["conv1"][shot.number, 3][shot.position] == pytest.approx(shot.value, abs=1e-5)
        assert (shot.patch == shot.image[top : top + height, left : left + width]).all()
    assert (found.shots("ip2", 4)[0].patch == found.shots("ip2", 4)[0].image).all()


def test_figures_agree_with_a_direct_computation(found: TopResults, expected: Expected) -> None:
    labels = np.arange(COUNT) % 10
    for layer in found.layers:
        maps = expected[0][layer].reshape(COUNT, found.units(layer), -1)
        values, figures = maps.mean(2), found.figures(layer)
        rounding = ROUNDING * max(1, np.abs(values).max())
        for row, chosen in enumerate([labels >= 0, *(labels == each for each in range(10))]):
            assert set(figures.count[row].tolist()) == {chosen.sum()}
            assert figures.mean[row] == pytest.approx(values[chosen].mean(0), abs=rounding)
            assert figures.std[row] == pytest.approx(values[chosen].std(0), abs=rounding)
            assert figures.max[row] == pytest.approx(maps[chosen].max((0, 2)), abs=1e-5)
            assert figures.active[row] == pytest.approx((maps[chosen].max(2) > 0).mean(0))
            ranks = np.sort(values[chosen], axis=0)[[int(q * (chosen.sum() - 1)) for q in QUANTILES]]
            assert figures.quantiles[:, row] == pytest.approx(ranks, rel=0.0101, abs=1e-6)
        assert figures.dead == tuple(np.flatnonzero((maps <= 0).all((0, 2))))
        assert figures.correlation == pytest.approx(np.corrcoef(values.T), abs=1e-5)


def test_tables_hold_the_same(found: TopResults) -> None:
    import pyarrow.parquet

    for name in ("units", "shots", "correlation"):
        with (found.path / f"{name}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        table = pyarrow.parquet.read_table(found.path / f"{name}.parquet")
        assert table.column_names == list(rows[0])
        assert table.num_rows == len(rows)
        assert [str(each) for each in table["layer"].to_pylist()] == [row["layer"] for row in rows]
    units = pyarrow.parquet.read_table(found.path / "units.parquet").to_pylist()
    assert len(units) == (20 + 10) * 11
    assert units[1]["class"] == "0"
    assert units[11 * 3]["q50"] == found.figures("conv1").quantiles[3, 0, 3]
    assert table.num_rows == 20 * 19 / 2 + 10 * 9 / 2


def test_without_pyarrow_there_is_csv(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pyarrow" else find(name))
    top = livecnn.top(digits, layers="conv1", out=tmp_path, k=1)
    assert not list(top.path.glob("*.parquet"))
    assert (top.path / "units.csv").exists()


def test_pictures(found: TopResults) -> None:
    assert found.picture("ip2").ndim == 3
    with PillowImage.open(io.BytesIO(found._repr_png_())) as shown:
        assert (np.asarray(shown) == found.picture("conv1")).all()
    assert repr(found) == f"<strongest of 40 images for lenet-mnist, conv1, ip2: {found.path}>"
    about = json.loads((found.path / "top.json").read_text())
    assert about["classes_are"] == "true"
    assert about["images_per_class"] == [4] * 10
    assert (found.images, found.skipped, found.model) == (COUNT, 0, "lenet-mnist")


def test_a_finished_run_is_only_written_anew(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    livecnn.top(digits, layers="conv1", out=tmp_path)
    before = contents(tmp_path)
    monkeypatch.setattr(shards, "Worker", None)  # nobody works
    livecnn.top(digits, layers="conv1", out=tmp_path)
    assert contents(tmp_path) == before


def test_without_a_folder_every_question_has_its_own(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVECNN_TOPS", str(tmp_path / "tops"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(photos)
    module = Small()
    path = livecnn.top(photos, module, layers="0,1", k=1).path
    assert path.parent == tmp_path / "tops" / "Small"
    assert re.fullmatch("photos-0[+]1-[0-9a-f]{6}", path.name)
    for same in ("photos", "folder:./photos/", "link"):
        assert livecnn.top(same, module, layers=["0", "1"], k=1).path == path
    shutil.copytree(photos, tmp_path / "elsewhere" / "photos")
    trained = Small()
    nn.init.zeros_(trained[3].bias)
    found = [
        path,
        livecnn.top("elsewhere/photos", module, layers="0,1", k=1).path,
        livecnn.top(photos, module, layers="0,1", k=2).path,
        livecnn.top(photos, module, layers="1,0", k=1).path,
        livecnn.top(photos, trained, layers="0,1", k=1).path,
    ]
    assert len(set(found)) == len(found)
    (photos / "1.png").rename(photos / "0.png")
    assert livecnn.top(photos, module, layers="0,1", k=1).path not in found


def test_names_of_folders_are_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVECNN_TOPS", str(tmp_path / "tops"))
    photos = tmp_path / ("写真 " * 20).strip()
    photos.mkdir()
    PillowImage.new("RGB", (8, 8)).save(photos / "1.png")
    names = ["an_activation", "another", "é" * 60]
    for layers, told in ((names, "an_activation[+]another"), (names[1:], "another"), (names[2:], "é{24}")):
        module = Small()
        for name in names:
            module.add_module(name, nn.Identity())
        name = livecnn.top(photos, module, layers=layers, k=1).path.name
        assert re.fullmatch("写真-写真-.*写真-" + told + "-[0-9a-f]{6}", name)
        assert len(name.encode()) < 240


def test_figures_over_all_images_need_no_others(found: TopResults) -> None:
    for layer in found.layers:
        figures = found.figures(layer)
        for name in ("mean", "std", "max", "active"):
            assert (found.overall(layer, name) == getattr(figures, name)[0]).all()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Without labels but for two, one not readable."""
    random = np.random.default_rng(0)
    for name in ("1.png", "2.png", "3.png", "cat/4.png", "owl/5.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PillowImage.fromarray(random.integers(0, 256, (12, 16, 3), np.uint8)).save(path)
    (tmp_path / "photos" / "2.png").write_bytes(b"broken")
    return tmp_path / "photos"


def test_a_folder_that_cannot_be_looked_into_is_told(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refuse_owls(path: str) -> object:
        if Path(path).name == "owl":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse_owls)
    found = livecnn.top(photos, layers="conv1", out=tmp_path / "top")
    assert (found.images, found.skipped) == (3, 2)
    assert (tmp_path / "top" / "skipped.txt").read_text().startswith("owl/: Permission denied\n2.png: ")
    with pytest.raises(UsageError, match=r"photos: found 3 pictures \(2 skipped; first: owl/: Permission denied\)"):
        livecnn.embed(photos, layer="ip1", method="pca")
    (photos / "cat" / "4.png").unlink()  # a label that is no class of LeNet
    report = livecnn.replay(photos, scores=tmp_path / "scores.csv")
    assert [line.partition(":")[0] for line in report.skipped] == ["owl/", "2.png"]


class Small(nn.Sequential):
    """A field of three of eight pixels that reaches beyond the edges, one map that is never active and one that is NaN."""

    input = {"kind": "plain", "size": [8, 8], "channels": 3}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 4, 3, padding=1, stride=2), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(64, 3))
        torch.manual_seed(0)
        nn.init.normal_(self[0].weight)
        with torch.no_grad():
            self[0].bias[:] = torch.tensor([9, -1e3, np.nan, 9])


def test_a_module_of_ones_own_and_labels_that_are_no_classes(photos: Path, tmp_path: Path) -> None:
    module = Small().train()
    top = livecnn.top(photos, module, layers=["0", "1", "3"], out=tmp_path / "top", k=2)
    assert module.training
    assert (top.images, top.skipped, top.classes) == (4, 1, ("cat", "owl"))
    assert "2.png: not a picture" in (tmp_path / "top" / "skipped.txt").read_text()
    figures = top.figures("1")
    assert figures.dead == (1,)
    assert figures.count[:, 0].tolist() == [4, 1, 1]
    assert figures.count[:, 2].tolist() == [0, 0, 0]
    assert np.isnan(figures.mean[:, 2]).all()
    assert top.shots("1", 2) == ()
    assert top.about["layers"]["1"]["not_finite"] == {"2": 4}
    assert {shot.label for unit in (0, 3) for shot in top.shots("1", unit)} <= {"", "cat", "owl"}
    assert all(shot.patch.shape == (3, 3, 3) for unit in (0, 3) for shot in top.shots("1", unit))
    assert top.shots("0", 1) == ()
    assert top.picture("3").shape[2] == 3


def test_classes_are_predicted_where_there_are_no_labels(photos: Path, tmp_path: Path) -> None:
    for name in ("cat", "owl"):
        shutil.rmtree(photos / name)
    module = Small()
    with torch.no_grad():
        module[0].bias[:] = 0
        module[3].bias[1] = 1e3
    top = livecnn.top(photos, module, layers="3", out=tmp_path / "top")
    assert top.about["classes_are"] == "predicted"
    assert top.about["images_per_class"] == [0, 2, 0]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"layers": "conv9"}, ModelError, "unknown layer 'conv9' of lenet-mnist; did you mean 'conv"),
        ({"layers": " , "}, UsageError, "layers: found none"),
        ({"k": 0}, UsageError, "k: found 0; allowed: 1 to 100"),
        ({"k": "9"}, UsageError, "k: found '9'; allowed: whole numbers, 1 to 100"),
        ({"layers": 3}, UsageError, "layers: found 3; allowed: a name or a list of names"),
        ({"model": 3}, UsageError, "model: found int; allowed: a name or folder, what livecnn.load gives, a torch.nn.Module"),
        ({"shard": 0}, UsageError, "shard: found 0"),
        ({"engine": "spark"}, UsageError, "unknown engine 'spark'; allowed: local, ray"),
        ({"address": "auto"}, UsageError, "--address auto: allowed with --engine ray"),
        ({"finder": "faces"}, UsageError, "unknown finder 'faces'; did you mean 'face'?"),
        ({"device": "tpu"}, ModelError, "unknown device 'tpu'"),
        ({"model": "lenet"}, ModelError, "lenet: neither a model that is at hand"),
        ({"images": "nowhere"}, UsageError, "nowhere: no such folder or video"),
    ],
)
def test_mistakes(digits: Path, tmp_path: Path, options: dict[str, Any], error: type[LivecnnError], message: str) -> None:
    with pytest.raises(error, match=message.replace("?", r"\?")):
        livecnn.top(**{"images": digits, "layers": "conv1", "out": tmp_path / "top", **options})
    assert not (tmp_path / "top").exists()


def test_a_network_or_pictures_that_change(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "top"
    module, trained = Small(), Small()
    nn.init.zeros_(trained[3].bias)
    livecnn.top(photos, module, layers="0", out=out)
    with pytest.raises(OutputError, match=r"holds another run \(state\)"):
        livecnn.top(photos, trained, layers="0", out=out)
    module.input = {**Small.input, "order": "BGR"}  # type: ignore[dict-item]
    with pytest.raises(OutputError, match=r"holds another run \(input, .*RGB.*, now .*BGR"):
        livecnn.top(photos, module, layers="0", out=out)
    module.input, module.classes = Small.input, ["a", "b", "c"]
    with pytest.raises(OutputError, match=r"holds another run \(classes\)"):
        livecnn.top(photos, module, layers="0", out=out)
    del module.classes
    (photos / "3.png").unlink()
    with pytest.raises(OutputError, match=r"holds another run \(images, 5, now 4\)"):
        livecnn.top(photos, module, layers="0", out=out)


@pytest.mark.parametrize(
    ("change", "reason"),
    [(Path.unlink, "no such file"), (lambda path: path.write_bytes(b""), "the file is empty")],
    ids=["gone", "emptied"],
)
def test_a_picture_that_is_gone_when_it_is_to_be_shown(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object], reason: str
) -> None:
    run = scanning.run

    def then_gone(*given: Any) -> Any:
        scan = run(*given)
        change(photos / "1.png")
        return scan

    monkeypatch.setattr(scanning, "run", then_gone)
    top = livecnn.top(photos, Small(), layers="0", out=tmp_path / "top")
    shots = {shot.name: shot for shot in top.shots("0", 0)}
    assert set(shots) == {"1.png: " + reason, "3.png", "cat/4.png", "owl/5.png"}
    gone = shots.pop("1.png: " + reason)
    assert set(gone.image.ravel()) == set(gone.patch.ravel()) == {64}
    assert np.isfinite(gone.value)
    assert all(len(np.unique(shot.image)) > 1 for shot in shots.values())


def test_two_runs_at_a_time(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LOCK_PATIENCE", 0)
    with files.locked(tmp_path / "top.json"), pytest.raises(OutputError, match="another program has been writing there"):
        livecnn.top(digits, layers="conv1", out=tmp_path)
    assert list(tmp_path.iterdir()) == []
    livecnn.top(digits, layers="conv1", out=tmp_path)


def test_tables_without_rows_have_columns(photos: Path, tmp_path: Path) -> None:
    """Of a layer whose values are all NaN, and one with a single unit; then with another that has rows."""
    import pyarrow.parquet

    module = Small()
    with torch.no_grad():
        module[0].bias[:] = np.nan
    module.append(nn.Linear(3, 1))
    empty = livecnn.top(photos, module, layers="0,4", out=tmp_path / "empty")
    mixed = livecnn.top(photos, Small().append(nn.Linear(3, 1)), layers="4,0", out=tmp_path / "mixed")
    for name, columns in (("shots", ["layer", "unit", "rank"]), ("correlation", ["layer", "unit", "other"])):
        tables = [pyarrow.parquet.read_table(top.path / f"{name}.parquet") for top in (empty, mixed)]
        assert tables[0].schema == tables[1].schema
        assert [table.num_rows > 0 for table in tables] == [name == "correlation", True]
        assert (empty.path / f"{name}.csv").read_text().split(",")[:3] == columns
    assert empty.shots("0", 1) == ()


def test_images_are_opened_and_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A video is decoded once to count its frames, once for the shards, and for the pictures in the folder."""
    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (32, 32))
    for image in typeset(8)[0]:
        writer.write(np.repeat(np.pad(image, 2)[..., None], 3, 2))
    writer.release()
    calls: Counter[str] = Counter()
    for kind, name in ((ImageDataset, "__enter__"), (ImageDataset, "fingerprint"), (VideoSource, "read")):
        method = getattr(kind, name)
        monkeypatch.setattr(kind, name, lambda self, name=name, method=method: (calls.update([name]), method(self))[1])
    livecnn.embed(tmp_path / "clip.avi", layer="ip1", method="pca")
    assert calls == {"__enter__": 1, "fingerprint": 1, "read": 9 + 8}
    calls.clear()
    monkeypatch.setattr(scanning, "write_shots", Mock())
    livecnn.top(tmp_path / "clip.avi", layers="ip2", out=tmp_path / "top")
    assert calls == {"__enter__": 1, "fingerprint": 1, "read": 9 + 8}


def test_nothing_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(b"broken")
    with pytest.raises(UsageError, match=r"none of 1 pictures can be read; first: 1\.png: not a picture"):
        livecnn.top(tmp_path / "a", layers="conv1", out=tmp_path / "top")


def test_tables_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputError, match=r"no/t\.csv: cannot be written"), Table(tmp_path / "no" / "t.csv"):
        pass
    with monkeypatch.context() as patch, pytest.raises(OutputError, match=r"t\.csv: cannot be written: full"):  # at the very end
        patch.setattr(os, "replace", Mock(side_effect=OSError(28, "full")))
        with Table(tmp_path / "t.csv") as table:
            table.add({"a": [1]})
    with pytest.raises(OutputError, match=r"t\.csv: cannot be written: full"), Table(tmp_path / "t.csv") as table:
        table.add({"a": [1], "b": np.array([np.nan])})
        raise OSError(28, "full")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_folder_of_a_run(found: TopResults, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown layer 'conv7'; did you mean 'conv1'"):
        found.shots("conv7", 0)
    with pytest.raises(UsageError, match=r"unit 20: conv1 has 20 \(0-19\)"):
        found.shots("conv1", 20)
    for text in ("{", "[]", '{"version": 2}', '{"version": 1}'):
        (tmp_path / "top.json").write_text(text)
        with pytest.raises(OutputError, match=r"top\.json: not what `livecnn top` writes"):
            TopResults.open(tmp_path)
    shutil.copytree(found.path, tmp_path / "copy")
    top = TopResults.open(tmp_path / "copy")
    (top.path / "statistics.npz").write_bytes(b"PK")
    (top.path / "conv1.png").unlink()
    for ask in (lambda: top.figures("conv1"), lambda: top.picture("conv1")):
        with pytest.raises(OutputError, match="cannot be read"):
            ask()


def test_opening_is_light() -> None:
    code = "import sys, livecnn.analysis.top.results; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
