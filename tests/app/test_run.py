"""Whole runs without a window, in this process."""

import json
import os
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import tqdm
from matplotlib.backends.backend_agg import RendererAgg
from PIL import Image as PillowImage
from PIL import ImageSequence

from livecnn._cv2 import cv2
from livecnn.app.live.stats import Stats
from livecnn.app.plan import input_box_share
from livecnn.app.run import RunOptions, RunOutputs, ScoresTable, run
from livecnn.app.screen import figure
from livecnn.app.screen.figure import FigureView
from livecnn.drawing.artists import Label
from livecnn.errors import ModelError, OutputError, SourceError
from livecnn.io import recorders as recorder
from livecnn.layout.layout import load_layout
from livecnn.networks import bundle as bundles
from livecnn.networks.architectures.lenet import Lenet
from livecnn.panels.scores import ScoresDrawer
from livecnn.selection import Selection
from livecnn.sources import Source, SourceOptions, open_source
from livecnn.sources.demo import DemoSource
from livecnn.types import Box, Frame, Image, Patch, Prepared, Scene, Tick
from tests.helpers.failures import Trouble, after
from tests.helpers.files import rows_of

SLOW = SourceOptions(fps=5)  # of the demo: two seconds of it are ten pictures
SMALL = ("figure.size=[320, 240]",)
CLASSES = [str(digit) for digit in range(10)]


def frames_of(path: Path) -> list[Image]:
    video, frames = cv2.VideoCapture(str(path)), []
    while (step := video.read())[0]:
        frames.append(step[1])
    video.release()
    return frames


def durations_of(path: Path) -> list[int]:
    with PillowImage.open(path) as gif:
        return [frame.info["duration"] for frame in ImageSequence.Iterator(gif)]


PIXEL = np.zeros((1, 1, 3), np.uint8)


@pytest.fixture(autouse=True)
def no_threads_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)  # its own thread stays for good
    before, threads = set(threading.enumerate()), torch.get_num_threads()
    yield
    assert set(threading.enumerate()) == before
    assert torch.get_num_threads() == threads


def finished_digit(demo: Source) -> Image:
    """The next one that lies there complete, a while after the hand has gone."""
    labelled = 0
    while labelled < 30:
        frame = demo.read()
        assert frame is not None
        labelled = labelled + 1 if frame.label else 0
    return frame.image[108:372, 188:452]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits of the demo, each in a folder that is its label, and pictures that cannot be read."""
    folder = tmp_path_factory.mktemp("pictures")
    with open_source("demo", SourceOptions(seed=3)) as demo:
        for name in ("one/img10.png", "one/img2.png", "two/img1.png"):
            place = folder / name
            place.parent.mkdir(exist_ok=True)
            PillowImage.fromarray(finished_digit(demo)).save(place)
    PillowImage.fromarray(np.full((40, 40, 3), 200, np.uint8)).save(folder / "blank.png")
    (folder / "broken.png").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (64, 48))
    for i in range(10):
        writer.write(np.full((48, 64, 3), 20 * i, np.uint8))
    writer.release()
    return path


def headless(source: object, frames: int | None, **options: object) -> None:
    run(RunOptions(source=str(source), headless=True, frames=frames, overrides=SMALL, **options))  # type: ignore[arg-type]


def test_a_film_tells_of_no_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    draw = Label.draw

    def told(label: Label, renderer: RendererAgg) -> None:
        written.append(label.text)
        draw(label, renderer)

    monkeypatch.setattr(Label, "draw", told)
    run(RunOptions("lenet", source="demo", headless=True, frames=1, record=tmp_path / "x.gif"))
    assert "livecnn" in written
    assert not {"h  help", "generic", "sorted"} & set(written)


def test_the_same_pictures_give_the_same_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        headless("demo", 12, record=tmp_path / f"{name}.gif", scores=tmp_path / f"{name}.csv", source_options=SLOW)
    for suffix in ("gif", "csv"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
    assert durations_of(tmp_path / "a.gif") == [200] * 11 + [100]
    headless("demo", 12, scores=tmp_path / "c.csv", source_options=SourceOptions(fps=5, seed=1))
    assert (tmp_path / "a.csv").read_bytes() != (tmp_path / "c.csv").read_bytes()


def test_every_picture_of_a_folder_once_in_natural_order(tmp_path: Path, pictures: Path) -> None:
    path = tmp_path / "scores.csv"
    headless(f"folder:{pictures}", 100, scores=path, once=True)
    header, *rows = rows_of(path)
    assert header == ["index", "name", "label", "top_class", "top_score", *CLASSES]
    names = ["blank.png", "one/img2.png", "one/img10.png", "two/img1.png"]
    labels = ["", "one", "one", "two"]
    assert [row[:3] for row in rows] == [[str(i), names[i], labels[i]] for i in range(4)]
    assert rows[0][3:] == ["", "0.000000", *["0.000000"] * 10]  # nothing in the box
    for row in rows[1:]:
        scores = np.array(row[5:], float)
        assert scores.sum() == pytest.approx(1, abs=1e-5)
        assert row[3] == CLASSES[int(scores.argmax())]
        assert float(row[4]) == scores.max()


def test_looking_back_leaves_no_scores(tmp_path: Path) -> None:
    stats = Stats("agg", "cpu")
    patch = Patch(PIXEL, Box(0, 0, 1, 1), Prepared(torch.zeros(1, 1, 1, 1), PIXEL))
    with ScoresTable(tmp_path / "scores.csv", ("a", "b")) as table:
        sinks = RunOutputs(stats, table, None, None)
        for seq in (0, 1, 4, 1, 0, 4, 7):
            sinks.passed(Tick(Frame(PIXEL, seq, 0.1 * seq, f"picture {seq}"), patch, np.array([0.25, 0.75], np.float32)))
    assert [row[1] for row in rows_of(tmp_path / "scores.csv")[1:]] == [f"picture {seq}" for seq in (0, 1, 4, 4, 7)]


def test_a_folder_goes_round_until_there_were_frames_enough(tmp_path: Path, pictures: Path) -> None:
    headless(f"folder:{pictures}", 9, scores=tmp_path / "scores.csv", record=tmp_path / "x.gif", stats=tmp_path / "s.json")
    names = [row[1] for row in rows_of(tmp_path / "scores.csv")[1:]]
    assert names == [*names[:4], *names[:4], names[0]]
    assert durations_of(tmp_path / "x.gif") == [1000] * 8 + [100]
    report = json.loads((tmp_path / "s.json").read_text())
    assert (report["ticks"], report["dropped"], report["duplicates"]) == (9, 0, 0)


def test_pictures_that_cannot_be_read_are_told(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    headless(f"folder:{pictures}", 9, once=True)
    assert capsys.readouterr().err.startswith("livecnn: skipped 1: broken.png: ")


def test_statistics(tmp_path: Path) -> None:
    headless("demo", 12, stats=tmp_path / "s.json")
    report = json.loads((tmp_path / "s.json").read_text())
    assert list(report) == list(Stats("agg", "cpu").report())
    assert (report["ticks"], report["dropped"], report["duplicates"], report["reconnects"]) == (12, 0, 0, 0)
    assert (report["source_state"], report["backend"], report["device"]) == ("live", "agg", "cpu")
    assert 0 < report["tick_ms"]["p50"] <= report["tick_ms"]["p95"] < 60_000
    assert report["frame_age_ms"] == {"p50": None, "p95": None}  # nothing is paced
    assert report["display_fps"] == pytest.approx(11 / report["seconds"], rel=0.05)
    assert report["model_fps"] > 0
    assert min(report["rss_mb"].values()) > 10


def test_a_film_in_mp4_has_the_length_of_the_video(tmp_path: Path, clip: Path) -> None:
    headless(f"video:{clip}", 100, record=tmp_path / "x.mp4", once=True)
    # Ten pictures at 20 a second; the last one is held for 0.1 s.
    assert len(frames_of(tmp_path / "x.mp4")) == pytest.approx((9 / 20 + 0.1) * 30, abs=1)
    assert frames_of(tmp_path / "x.mp4")[0].shape == (240, 320, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["x.mp4"]


def test_without_frames_it_runs_in_real_time(tmp_path: Path, clip: Path) -> None:
    headless(f"video:{clip}", None, once=True, stats=tmp_path / "s.json", scores=tmp_path / "c.csv", record=tmp_path / "x.gif")
    report = json.loads((tmp_path / "s.json").read_text())
    assert report["source_state"] == "ended"
    assert report["frame_age_ms"]["p50"] > 0
    assert report["ticks"] - report["duplicates"] + report["dropped"] <= 2 * 10  # each may be seen before its pass and with it
    names = [row[1] for row in rows_of(tmp_path / "c.csv")]
    assert len(names) == len(set(names))  # none comes again
    assert names[-1] == "clip.avi #9"  # the last picture is shown on any machine
    assert sum(durations_of(tmp_path / "x.gif")) / 1000 < report["seconds"] + 0.15


def test_an_earlier_result_survives_a_source_that_is_not_there(tmp_path: Path) -> None:
    results = [tmp_path / name for name in ("x.gif", "s.json", "c.csv")]
    for path in results:
        path.write_text("precious")
    with pytest.raises(SourceError, match="no such folder"):
        headless("folder:nowhere", 3, record=results[0], stats=results[1], scores=results[2])
    assert [path.read_text() for path in results] == ["precious"] * 3


def test_files_are_tried_before_the_source_is_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for option in ("record", "stats", "scores"):
        with pytest.raises(OutputError, match="file is not a folder"):
            headless("folder:nowhere", 3, **{option: tmp_path / "file" / "x.gif"})


PLACES = {"source": (DemoSource, "read"), "model": (Lenet, "forward"), "panel": (ScoresDrawer, "show")}


@pytest.mark.parametrize(
    ("place", "frames", "error"),
    [
        *((place, frames, Trouble("oops")) for place in PLACES for frames in (50, None)),
        *((place, 50, KeyboardInterrupt()) for place in PLACES),
        ("panel", None, KeyboardInterrupt()),  # Ctrl-C reaches the main thread only
    ],
    ids=lambda value: "live" if value is None else str(value) if isinstance(value, (str, int)) else type(value).__name__,
)
def test_whatever_breaks_the_files_are_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, frames: int | None, error: BaseException
) -> None:
    owner, name = PLACES[place]
    monkeypatch.setattr(owner, name, after(12, error, getattr(owner, name)))
    record, scores, stats = tmp_path / "x.gif", tmp_path / "c.csv", tmp_path / "s.json"
    with pytest.raises(type(error)):
        headless("demo", frames, record=record, scores=scores, stats=stats, source_options=SourceOptions(fps=200))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.csv", "s.json", "x.gif"]
    report = json.loads(stats.read_text())
    assert report["ticks"] >= 1
    assert len(frames_of(record)) >= 1
    assert all(len(row) == 15 for row in rows_of(scores))
    assert len(rows_of(scores)) >= 2


@pytest.mark.parametrize(("ticks", "state"), [(0, "failed"), (3, "lost")])
@pytest.mark.parametrize("frames", [50, None], ids=["in order", "live"])
def test_the_statistics_tell_how_the_source_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ticks: int, state: str, frames: int | None
) -> None:
    monkeypatch.setattr(DemoSource, "read", after(ticks, SourceError("the plug is out"), DemoSource.read))
    with pytest.raises(SourceError, match="the plug is out"):
        headless("demo", frames, stats=tmp_path / "s.json")
    assert json.loads((tmp_path / "s.json").read_text())["source_state"] == state


def test_a_disk_that_gets_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put = recorder.GifRecorder._put
    monkeypatch.setattr(recorder.GifRecorder, "_put", after(3, OSError(28, "No space left on device"), put))
    for frames in (20, None):
        path = tmp_path / f"{frames}.gif"
        # Of the demo, which goes by the clock, a picture may be that before: it is counted, not written again.
        with pytest.raises(OutputError, match=r"\.gif: No space left on device after [3-9] pictures"):
            headless("demo", frames, record=path)
        assert len(frames_of(path)) == 3
        monkeypatch.setattr(recorder.GifRecorder, "_put", after(3, OSError(28, "No space left on device"), put))


@pytest.mark.parametrize(
    ("source", "share"), [("demo", 0.55), ("camera", 0.55), ("http://example.org/x", 0.55), ("folder:.", 1.0)]
)
def test_how_large_the_box_is(source: str, share: float) -> None:
    layout = load_layout("lenet")
    assert input_box_share(layout, open_source(source)) == share
    assert input_box_share(load_layout("lenet", ["box.size=0.3"]), open_source(source)) == 0.3


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_a_device_that_fails_while_it_runs(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`meta` stands in for a GPU: every pass on it fails."""
    monkeypatch.setattr("livecnn.app.run.pick_device", lambda spec: torch.device("meta"))
    words = {"source": "demo", "headless": True, "frames": 3, "device": device, "stats": tmp_path / "s.json"}
    if device == "auto":
        run(RunOptions("lenet", overrides=SMALL, **words))  # type: ignore[arg-type]
        told = json.loads((tmp_path / "s.json").read_text())
        assert (told["device"], told["ticks"]) == ("cpu", 3)
        assert re.search(r"^livecnn: meta: .*; going on on the CPU$", capsys.readouterr().err, re.MULTILINE)
    else:
        with pytest.raises(ModelError, match=r"^meta: .*; allowed: --device cpu, or auto"):
            run(RunOptions("lenet", overrides=SMALL, **words))  # type: ignore[arg-type]


def asking(monkeypatch: pytest.MonkeyPatch) -> list[Scene]:
    """The panel of scores asks for all explanations of conv2; what is shown is noted."""
    scenes: list[Scene] = []
    monkeypatch.setattr(ScoresDrawer, "asks", ("unit", "grid", "contributions"))
    monkeypatch.setattr(ScoresDrawer, "units_asked", (3, 4))
    focus = Selection("conv2", 3, methods=("gradient", "occlusion"), grid="guided_backprop")
    monkeypatch.setattr(figure, "Selection", lambda: focus)
    show = ScoresDrawer.show

    def noted(drawer: ScoresDrawer, scene: Scene) -> None:
        scenes.append(scene)
        show(drawer, scene)

    monkeypatch.setattr(ScoresDrawer, "show", noted)
    return scenes


def test_pictures_in_order_are_explained_to_the_end(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def of_a_run() -> list[list[object]]:
        scenes = asking(monkeypatch)
        headless(f"folder:{pictures}", 4)
        found = [scene.findings for scene in scenes if scene.findings is not None]
        assert [scene.findings is None for scene in scenes] == [False] * len(scenes)
        return [
            [each.seq, each.units, each.progress, *(map.tobytes() for map in each.maps.values()), each.contributions.tobytes()]
            for each in found
            if each.contributions is not None
        ]

    first = of_a_run()
    assert [each[1:3] for each in first] == [[(3, 4), {"occlusion": 1.0}]] * len(first)
    assert {each[0] for each in first} >= {1, 2}
    assert of_a_run() == first


def test_a_live_run_is_explained_beside_the_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = asking(monkeypatch)

    class Shown(Exception):
        pass

    def enough(_sinks: object, screen: FigureView, _work: float, *, live: bool) -> None:
        findings = screen.scene.findings if screen.scene else None
        if live and findings and findings.units == (3, 4) and len(findings.maps) == 2:
            raise Shown

    monkeypatch.setattr(RunOutputs, "take", enough)
    with pytest.raises(Shown):
        headless("demo", None)
    found = scenes[-1].findings
    assert found is not None
    assert set(found.maps) == {"gradient", "occlusion"}


def test_a_network_that_cannot_be_copied_runs_where_nothing_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    load = bundles.load

    def uncopied(spec: str, **options: bool) -> bundles.Bundle:
        bundle = load(spec, **options)
        bundle.module.steps = (step for step in ())  # type: ignore[assignment]
        return bundle

    monkeypatch.setattr(bundles, "load", uncopied)
    headless("demo", 2)
    asking(monkeypatch)
    with pytest.raises(ModelError, match="explanations need a copy of the network"):
        headless("demo", 2)


def tick_of(scores: Sequence[float], name: str = "a.png", label: str = "", empty: bool = False) -> Tick:
    patch = Patch(PIXEL, Box(0, 0, 1, 1), Prepared(torch.zeros(1, 1, 1, 1), PIXEL, empty))
    return Tick(Frame(PIXEL, 0, 0.0, name, label), patch, np.array(scores, np.float32))


def test_a_table(tmp_path: Path) -> None:
    path = tmp_path / "new" / "scores.csv"
    first, second = tick_of([0.25, 0.75], "a, b.png", "cat"), tick_of([0.0, 0.0], empty=True)
    with ScoresTable(path, ["cat", "do,g"]) as table:
        table.add(first)
        table.add(first)  # the same pass again: no second row
        table.add(second)
        assert len(rows_of(path)) == 3  # a crash would lose nothing
    assert path.read_bytes().startswith(b'index,name,label,top_class,top_score,cat,"do,g"\n')
    assert rows_of(path) == [
        ["index", "name", "label", "top_class", "top_score", "cat", "do,g"],
        ["0", "a, b.png", "cat", "do,g", "0.750000", "0.250000", "0.750000"],
        ["1", "a.png", "", "", "0.000000", "0.000000", "0.000000"],
    ]


@pytest.mark.parametrize(
    ("tick", "row"),
    [
        (tick_of([float("nan"), 1.0]), ["0", "a.png", "", "", "0.000000", "nan", "1.000000"]),
        (
            tick_of([1.0, 0.0], name=os.fsdecode(b"caf\xe9.png"), label="café"),
            ["0", r"caf\udce9.png", "café", "a", "1.000000", "1.000000", "0.000000"],
        ),
    ],
    ids=["scores that are no numbers", "a file name of another encoding"],
)
def test_rows_of_odd_passes(tick: Tick, row: list[str], tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    with ScoresTable(path, ["a", "b"]) as table:
        table.add(tick)
    assert rows_of(path)[1] == row
