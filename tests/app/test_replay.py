"""Whole replays, in this process."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import tqdm
from PIL import Image as PillowImage
from PIL import ImageSequence

import livecnn
from livecnn._cv2 import cv2
from livecnn.analysis.scorer import ScoredImage
from livecnn.app.replay import Replay, ReplayFilter
from livecnn.app.screen import figure
from livecnn.app.screen.figure import FigureView
from livecnn.errors import ImageError, LivecnnError, OutputError, SourceError, UsageError
from livecnn.panels.scores import ScoresDrawer
from livecnn.selection import Selection
from livecnn.sources.folder import FolderSource
from livecnn.types import Frame, Scene
from tests.helpers.failures import Trouble, after
from tests.helpers.files import rows_of
from tests.helpers.mnist_files import typeset, write_mnist

SIZE = (320, 240)
HOLDS_PICTURES = "holds the pictures that are to be shown"


@pytest.fixture(autouse=True)
def no_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten typeset digits in folders that are their labels, `1` under a wrong one, and a picture that cannot be read."""
    folder = tmp_path_factory.mktemp("digits")
    for i, image in enumerate(typeset(10)[0]):
        place = folder / ("7" if i == 1 else str(i)) / f"img{i}.png"
        place.parent.mkdir(exist_ok=True)
        PillowImage.fromarray(image).save(place)
    (folder / "0" / "torn.png").write_bytes(b"\x89PNG")
    return folder


def played(path: Path) -> tuple[list[int], list[Any]]:
    """Milliseconds and pixels of every picture of a GIF."""
    with PillowImage.open(path) as gif:
        frames = [(frame.info["duration"], np.array(frame.convert("RGB"))) for frame in ImageSequence.Iterator(gif)]
    return [duration for duration, _ in frames], [pixels for _, pixels in frames]


def replay(folder: object, **options: Any) -> Replay:
    return livecnn.replay(str(folder), size=SIZE, **options)


def test_a_film_and_its_scores(digits: Path, tmp_path: Path) -> None:
    film, table = tmp_path / "x.gif", tmp_path / "x.csv"
    film.write_text("old")
    done = replay(digits, out=film, scores=table, fps=5, hold=0.5, force=True)
    durations, pictures = played(film)
    assert durations == [200] * 9 + [700]
    assert pictures[0].shape == (240, 320, 3)
    assert (done.paths, done.frames) == ((film, table), 10)
    assert done.right + done.wrong == 10
    assert done.wrong >= 1
    assert done.skipped == ("0/torn.png: not a picture that can be read; allowed: PNG, JPEG, BMP, TIFF, WEBP",)
    header, *rows = rows_of(table)
    assert header == ["index", "name", "label", "top_class", "top_score", *"0123456789"] == list(done.scores)
    assert [row[1] for row in rows] == list(done.scores["name"])
    assert [row[2] for row in rows] == ["0", "2", "3", "4", "5", "6", "7", "7", "8", "9"]
    assert [row[3] for row in rows] == list(done.scores["top_class"])
    for name in ("top_score", *"0123456789"):
        column = header.index(name)
        assert [float(row[column]) for row in rows] == pytest.approx(done.scores[name], abs=1e-6)
    assert re.fullmatch(
        rf"10 frames, 1 skipped \(0/torn\.png: .*\), \d+ right, \d+ wrong, \d+\.\d s, {film} \d+\.\d [kM]B, {table} \d\.\d kB",
        str(done),
    )


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_the_same_again_whatever_the_jobs(digits: Path, tmp_path: Path, suffix: str) -> None:
    for name, jobs in (("a", 1), ("b", 1), ("c", 2)):
        out, scores = tmp_path / f"{name}{suffix}", tmp_path / f"{name}.csv"
        replay(digits, out=out, scores=scores, shuffle=True, limit=4, jobs=jobs)
    for kind in (suffix, ".csv"):
        assert len({(tmp_path / f"{name}{kind}").read_bytes() for name in "abc"}) == 1
    assert [len(rows_of(tmp_path / "a.csv")), len(list(tmp_path.iterdir()))] == [5, 6]


def test_only_what_passes_in_the_order_asked_for(digits: Path, tmp_path: Path) -> None:
    wrong = replay(digits, scores=tmp_path / "a.csv", wrong=True)
    assert (wrong.right, wrong.wrong) == (0, len(wrong.scores["name"]))
    assert "7/img1.png" in wrong.scores["name"]
    by_score = replay(digits, scores=tmp_path / "b.csv", order="score", limit=3).scores["top_score"]
    assert list(by_score) == sorted(by_score, reverse=True)
    assert len(by_score) == 3
    assert not list(tmp_path.glob("*.gif"))


def test_a_data_set_and_a_video(tmp_path: Path) -> None:
    images, labels = typeset(6)
    write_mnist(tmp_path, images, labels, "test")
    done = replay(tmp_path, scores=tmp_path / "a.csv", limit=4)
    assert list(done.scores["label"]) == list("0123")
    assert replay(f"idx:{tmp_path}?split=test", scores=tmp_path / "b.csv").scores["index"][-1] == 5
    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (64, 48))
    for i in range(4):
        writer.write(np.full((48, 64, 3), 60 * i, np.uint8))
    writer.release()
    done = replay(tmp_path / "clip.avi", out=tmp_path / "clip.gif", shuffle=True)
    assert sorted(done.scores["name"]) == [f"clip.avi #{i}" for i in range(4)]
    assert set(done.scores["top_class"]) == {""}
    assert (done.right, done.wrong, done.frames) == (0, 0, 4)
    assert str(done).startswith("4 frames, ")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Trouble("oops")], ids=["ctrl-c", "crash"])
def test_what_was_drawn_is_kept(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    monkeypatch.setattr(FigureView, "pixels", after(3, error, FigureView.pixels))
    with pytest.raises(type(error)):
        replay(digits, out=tmp_path / "x.gif", scores=tmp_path / "x.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.csv", "x.gif"]
    assert len(played(tmp_path / "x.gif")[0]) == 3
    assert len(rows_of(tmp_path / "x.csv")) == 11


def test_stopped_while_scoring_nothing_is_left(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FolderSource, "at", after(3, KeyboardInterrupt(), FolderSource.at))
    with pytest.raises(KeyboardInterrupt):
        replay(digits, out=tmp_path / "x.gif", scores=tmp_path / "x.csv")
    assert not list(tmp_path.iterdir())


def test_a_table_that_cannot_be_finished_leaves_the_old_one(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "x.csv"
    table.write_text("precious")
    monkeypatch.setattr("livecnn.app.run.ScoresTable.add_row", after(3, OutputError("full"), lambda *_: None))
    with pytest.raises(OutputError, match="full"):
        replay(digits, scores=table, force=True)
    assert table.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [table]


def test_a_picture_that_is_gone_before_it_is_drawn(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FolderSource, "at", after(13, livecnn.ImageError("3.png: gone"), FolderSource.at))
    done = replay(digits, out=tmp_path / "x.gif")
    assert done.frames == 2
    assert set(done.skipped[1:]) == {"3.png: gone"}
    assert "9 skipped" in str(done)
    assert "… (9 in all)" in str(done)


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "odd"
    for name in ("empty", "torn", "plain", "half", "strange/sevn"):
        (folder / name).mkdir(parents=True)
    for name in ("torn/a.png", "half/b.png"):
        (folder / name).write_bytes(b"")
    for name in ("plain/a.png", "half/a.png", "strange/sevn/a.png"):
        PillowImage.fromarray(typeset(1)[0][0]).save(folder / name)
    (folder / "camera.yaml").write_text("model: lenet-mnist\nlayout: camera\npanels: {camera: {kind: camera}}\n")
    (folder / "there.gif").write_text("precious")
    yield folder
    assert (folder / "there.gif").read_text() == "precious"


@pytest.mark.parametrize(
    ("place", "options", "kind", "message"),
    [
        ("nowhere", {}, UsageError, "no such folder or video"),
        ("empty", {}, SourceError, "holds no pictures"),
        ("torn", {}, UsageError, "none of 1 pictures can be read; first: a.png: the file is empty"),
        ("plain", {"min_score": 0.999999, "max_score": 0.999999}, UsageError, "none of 1 pictures passes the filters"),
        ("half", {"max_score": 0.05}, UsageError, "none of 2 pictures passes the filters (1 cannot be read)"),
        ("plain", {"only_class": "77"}, UsageError, "--only-class: unknown class '77'; did you mean '7'? allowed: 0, 1"),
        ("plain", {"wrong": True}, UsageError, "--wrong: the pictures of"),
        ("strange", {}, UsageError, "the label 'sevn' is no class of lenet-mnist; allowed: 0, 1"),
        ("plain", {"fps": 0}, UsageError, "--fps: found 0; allowed: 0.01 to 30 pictures a second"),
        ("plain", {"hold": -1}, UsageError, "--hold: found -1"),
        ("plain", {"loop": -1}, UsageError, "--loop: found -1"),
        ("plain", {"jobs": 0}, UsageError, "--jobs: found 0; allowed: 1 to"),
        ("plain", {"out": "x.avi"}, OutputError, "unknown suffix '.avi'; allowed: .gif, .mp4"),
        ("plain", {"out": "there.gif"}, OutputError, "is there already; allowed: another name, or --force"),
        ("plain", {"scores": "there.gif"}, OutputError, "is there already"),
        ("plain", {"out": None, "scores": "x.csv", "summary": "plain/../x.csv"}, OutputError, "named twice"),
        ("plain", {"out": "there.gif/x/"}, OutputError, "there.gif is not a folder"),
        ("plain", {"out": None}, UsageError, "nothing to make: give --out"),
        *(
            ("plain", {"out": out, "force": True}, OutputError, f"{HOLDS_PICTURES}; allowed for --out: another name")
            for out in ("plain", "plain/", "half/../plain")
        ),
        ("plain", {"summary": "x.txt"}, OutputError, "x.txt: unknown suffix '.txt'; allowed: .png, .csv, .json"),
        ("plain", {"summary": "x.csv", "scores": "x.csv"}, OutputError, "named twice; --scores and --summary need a file each"),
        ("plain", {"summary": "x.csv", "config": "camera.yaml"}, UsageError, "camera.yaml shows no layer"),
    ],
)
def test_mistakes(
    odd: Path, monkeypatch: pytest.MonkeyPatch, place: str, options: dict[str, Any], kind: type[LivecnnError], message: str
) -> None:
    monkeypatch.chdir(odd)
    before = sorted(odd.rglob("*"))
    with pytest.raises(kind, match=re.escape(message)):
        replay(place, **{"out": "new.gif", **options})
    assert sorted(odd.rglob("*")) == before


def test_numbered_pictures_in_a_folder(digits: Path, tmp_path: Path) -> None:
    out = tmp_path / "pictures"
    assert replay(digits, out=f"{out}/", limit=3).frames == 3
    (out / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="is there already"):
        replay(digits, out=out, limit=2)
    (out / "7.png").write_text("not of a film")
    assert replay(digits, out=out, limit=2, force=True).paths == (out,)
    assert sorted(path.name for path in out.iterdir()) == ["0000.png", "0001.png", "7.png", "notes.txt"]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled digits, some of them not there: nothing is drawn on the first of each eleven."""
    folder = tmp_path_factory.mktemp("mixed")
    images, labels = typeset(70)
    images = images.copy()
    images[::11] = 0
    write_mnist(folder, images, labels, "test")
    return folder


def test_patterns_agree_with_a_direct_computation(mixed: Path, tmp_path: Path) -> None:
    done = replay(mixed, summary=tmp_path / "x.json", min_score=0.2)
    assert done.paths == (tmp_path / "x.json",)
    report = json.loads(done.paths[0].read_text())
    bundle = livecnn.load("lenet-mnist")
    chosen = [int(name.rpartition("#")[2]) for name in done.scores["name"]]
    assert 40 <= len(chosen) <= 63
    images, labels = (array[chosen] for array in typeset(70))
    x = torch.cat([bundle.prepare(np.repeat(image[..., None], 3, 2)) for image in images])
    with livecnn.Probe(bundle.module, ["conv1", "conv2", "ip1"]) as probe:
        activations = {layer: values.numpy().astype(float) for layer, values in probe(x)[1].items()}
    assert report["images"] == len(chosen)
    assert report["classes_are"] == "true"
    assert list(report["layers"]) == list(activations)
    for row in report["rows"]:
        values = activations[row["layer"]][:, row["unit"]].reshape(len(chosen), -1)
        values = values if row["class"] == "all" else values[labels == int(row["class"])]
        means = values.mean(1)
        direct = [means.mean(), means.std(), values.max(), (values.max(1) > 0).mean()]
        assert row["count"] == len(values)
        assert [row[name] for name in ("mean", "std", "max", "active")] == pytest.approx(direct, rel=1e-5, abs=1e-5)
    dead = [unit for unit in range(500) if activations["ip1"][:, unit].max() <= 0]
    assert report["layers"]["ip1"]["dead"] == dead
    means = np.stack([activations["ip1"][labels == digit].mean(0) for digit in range(10)])
    unit = means / np.linalg.norm(means, axis=1, keepdims=True)
    assert np.array(report["similarity"]["cosine"]) == pytest.approx(unit @ unit.T, abs=1e-5)


def test_patterns_of_what_has_no_label_go_by_what_is_seen(tmp_path: Path) -> None:
    for i, image in enumerate([*typeset(3)[0], np.zeros((28, 28), np.uint8)]):
        PillowImage.fromarray(image).save(tmp_path / f"{i}.png")
    done = replay(tmp_path, summary=tmp_path / "x.json")
    report = json.loads((tmp_path / "x.json").read_text())
    assert (report["images"], report["classes_are"]) == (4, "predicted")
    seen = [str(name) for name in done.scores["top_class"]]
    assert seen[-1] == ""
    assert report["images_per_class"] == [seen.count(name) for name in "0123456789"]


def test_processes_and_pictures_that_vanish_change_no_pattern(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for jobs in (1, 2):
        replay(digits, summary=tmp_path / f"{jobs}.csv", jobs=jobs, limit=8)
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()
    whole, reads = FolderSource.at, []

    def once(folder: FolderSource, index: int) -> Frame:
        reads.append(index)
        if reads.count(index) > 1 and index == 2:
            raise ImageError("2/img2.png: gone")
        return whole(folder, index)

    monkeypatch.setattr(FolderSource, "at", once)
    done = replay(digits, summary=tmp_path / "less.json", limit=8)
    assert json.loads((tmp_path / "less.json").read_text())["images"] == 7
    assert "2/img2.png: gone" in done.skipped


def test_a_film_shows_what_explanations_tell(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenes: list[Scene] = []
    show = ScoresDrawer.show
    monkeypatch.setattr(ScoresDrawer, "asks", ("unit",))
    monkeypatch.setattr(figure, "Selection", lambda: Selection("conv2", 3, methods=("gradient", "occlusion")))
    monkeypatch.setattr(ScoresDrawer, "show", lambda drawer, scene: (scenes.append(scene), show(drawer, scene)))
    replay(digits, out=tmp_path / "x.gif", limit=2)
    found = [scene.findings for scene in scenes if scene.findings is not None]
    assert {each.seq for each in found} == {scene.frame.seq for scene in scenes}
    assert all(list(each.maps) == ["gradient", "occlusion"] and each.progress == {"occlusion": 1.0} for each in found)


SPECIES = ("cat", "dog", "fox")
# Place, label, scores; the third is empty.
SCORED = [("cat", (0.9, 0.1, 0)), ("dog", (0.6, 0.4, 0)), ("dog", None), ("", (0.1, 0.2, 0.7)), ("dog", (0, 1, 0))]


def scored(places: Any = range(5)) -> Iterator[ScoredImage]:
    for place in places:
        label, scores = SCORED[place]
        values = np.array(scores or (0, 0, 0), np.float32)
        yield ScoredImage(place, f"{place}.png", label, values, None if scores is None else int(values.argmax()))


@pytest.mark.parametrize(
    ("options", "places"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"limit": 2}, [0, 1]),
        ({"only_class": "cat"}, [0, 1]),
        ({"min_score": 0.7}, [0, 3, 4]),
        ({"max_score": 0.6}, [1, 2]),
        ({"min_score": 0.61, "max_score": 0.95}, [0, 3]),
        ({"wrong": True}, [1, 2]),
        ({"wrong": True, "only_class": "cat"}, [1]),
        ({"order": "score"}, [4, 0, 3, 1, 2]),
        ({"order": "score", "limit": 2}, [4, 0]),
        ({"order": "class"}, [0, 1, 4, 3, 2]),
        ({"order": "name", "limit": 1}, [0]),
    ],
)
def test_what_is_shown_in_which_order(options: dict[str, Any], places: list[int]) -> None:
    choice = ReplayFilter(**options)
    assert choice.places(5) == [0, 1, 2, 3, 4]
    assert [each.index for each in choice.among(scored(), SPECIES)] == places


def test_no_more_is_asked_for_than_needed() -> None:
    pictures = scored()
    ReplayFilter(only_class="cat", limit=1).among(pictures, SPECIES)
    assert next(pictures).index == 1


def test_at_random_but_the_same_for_the_same_seed() -> None:
    places = ReplayFilter(shuffle=True, seed=3).places(1000)
    assert sorted(places) == list(range(1000)) != places
    assert places == ReplayFilter(shuffle=True, seed=3).places(1000) != ReplayFilter(shuffle=True, seed=4).places(1000)


def test_chosen_at_random_and_then_put_in_order() -> None:
    for order, places in ((None, [4, 0, 3]), ("name", [0, 3, 4]), ("score", [4, 0, 3]), ("class", [0, 4, 3])):
        choice = ReplayFilter(shuffle=True, limit=3, order=order)  # type: ignore[arg-type]
        assert [each.index for each in choice.among(scored([4, 0, 3, 1, 2]), SPECIES)] == places


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"only_class": "fix"}, "--only-class: unknown class 'fix'; did you mean 'fox'? allowed: cat, dog, fox"),
        ({"min_score": 1.5}, "--min-score: found 1.5; allowed: 0 to 1"),
        ({"max_score": float("nan")}, "--max-score: found nan"),
        ({"min_score": 0.9, "max_score": 0.1}, "--min-score 0.9 is above --max-score 0.1"),
        ({"limit": 0}, "--limit: found 0; allowed: 1 or more"),
        ({"seed": -1}, "--seed: found -1"),
        ({"order": "size"}, "--order: found 'size'; allowed: name, score, class"),
    ],
)
def test_filters_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        ReplayFilter(**options).check(SPECIES)
