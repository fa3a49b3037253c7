"""The layouts `age` and `age-dex`: on stand-ins, as the weights of their networks do not ship."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch

from livecnn._cv2 import cv2
from livecnn.app import plan
from livecnn.app.plan import Plan
from livecnn.app.replay import replay
from livecnn.app.run import RunOptions, run_plan
from livecnn.app.screen.figure import FigureView
from livecnn.engine import crop
from livecnn.engine.crop import FACE, Cropper, Face
from livecnn.engine.observer import Observer
from livecnn.errors import LivecnnError
from livecnn.io.files import write_png
from livecnn.layout.layout import Layout, load_layout
from livecnn.networks import bundle as bundles
from livecnn.networks.bundle import Bundle
from livecnn.types import Frame, Image, LoopStatus, Patch, Scene, SourceStatus
from tests.helpers import fake_age_networks
from tests.helpers.scenes import assert_texts_apart

STAND_INS: dict[str, Callable[[], fake_age_networks.StandIn]] = {"age": fake_age_networks.age, "age-dex": fake_age_networks.dex}
SIZES = [(800, 600), (1280, 720), (1920, 1080)]
STATUS = LoopStatus(SourceStatus("live", "camera 0"), 25.0, 24.0, 3.1, 21.0, 40.0)

views = pytest.mark.parametrize("name", STAND_INS)


def planned(name: str, source: str = "demo", changes: tuple[str, ...] = ()) -> Plan:
    layout = load_layout(name, changes)
    return Plan.for_bundle(bundles.bundle_from_module(STAND_INS[name](), name), layout, [layout], source=source)


def observer_of(bundle: Bundle, layout: Layout) -> Observer:
    return Observer(bundle.module, Cropper(bundle.pipeline, 0.55, layout.box.finder, layout.box.margin), torch.device("cpu"))


@views
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_panel_shows_something_and_no_text_is_in_the_way_of_another(name: str, size: tuple[int, int]) -> None:
    plan = planned(name, changes=(f"figure.size={list(size)}",))
    screen = FigureView(plan.layout, plan.context)
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    with observer_of(plan.bundle, plan.layout) as observe:
        observe.watch(screen.reducers)
        for seq, picture in enumerate((noise, 255 - noise)):
            tick = observe(Frame(picture, seq, seq / 30, "camera 0"))
            for lost in (True, False):
                screen.show(Scene(tick.frame, replace(tick, patch=replace(tick.patch, lost=lost)), STATUS))
                screen.draw()
                for panel in screen.drawers:
                    assert_texts_apart(screen, panel)
    seen = screen.pixels()
    for panel, drawer in screen.drawers.items():
        x, y, w, h = drawer.body
        assert (seen[y : y + h, x : x + w] != screen.context.theme.card).any(), panel
        assert drawer.heading.width is None or drawer.heading.advance() <= drawer.heading.width, panel


@views
def test_four_layers_of_growing_depth_are_on_show_at_once(name: str) -> None:
    plan = planned(name)
    panels = [panel for panel in plan.layout.panels.values() if panel.kind == "feature_maps"]
    counts = [plan.context.shapes[panel.layers()[0]][1] for panel in panels]
    assert len(counts) == 4
    assert counts == sorted(set(counts))


@views
def test_a_headless_run_gives_the_same_bytes_twice(name: str, tmp_path: Path) -> None:
    for number in (1, 2):
        options = RunOptions(
            headless=True, frames=4, record=tmp_path / f"{number}.gif", stats=tmp_path / "stats.json", device="cpu"
        )
        run_plan(planned(name), options)
    assert (tmp_path / "1.gif").read_bytes() == (tmp_path / "2.gif").read_bytes()
    assert json.loads((tmp_path / "stats.json").read_text())["ticks"] == 4


def test_the_box_finds_the_face_and_what_the_network_says_of_it_is_on_show(shared: Path) -> None:
    plan = planned("age", f"video:{shared / 'videos' / 'webcam_person_640x480_30fps.mkv'}")
    screen = FigureView(plan.layout, plan.context)
    with plan.source as source, observer_of(plan.bundle, plan.layout) as observe:
        observe.watch(screen.reducers)
        frame = source.read()
        assert frame is not None
        tick = observe(frame)
    screen.show(Scene(frame, tick, STATUS))
    screen.draw()
    assert tick.patch.note == FACE
    assert 250 < tick.patch.box.left < tick.patch.box.left + tick.patch.box.width < 370
    age = tick.views["age"]
    assert isinstance(age, float)
    assert tick.views["trace"] == age
    assert_texts_apart(screen, "age")


class KeepsPatches(Cropper):
    patches: ClassVar[list[Patch]] = []

    def __call__(self, frame: Frame) -> Patch:
        self.patches.append(super().__call__(frame))
        return self.patches[-1]


class SeenOnce:
    """In the place of the detector: finds a face at the first search only."""

    def __init__(self) -> None:
        self._found = [Face(60, 60, 50)]

    def __call__(self, image: Image) -> list[Face]:
        found, self._found = self._found, []
        return found


@pytest.mark.parametrize(("source", "lost"), [("demo", [False] * 3), ("folder", [False, True, True])])
def test_the_box_waits_for_a_face_only_where_frames_follow_one_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, lost: list[bool]
) -> None:
    for number in range(3):
        write_png(tmp_path / f"{number}.png", np.zeros((120, 120, 3), np.uint8))
    monkeypatch.setattr(crop, "Detector", SeenOnce)
    monkeypatch.setattr(plan, "Cropper", KeepsPatches)
    monkeypatch.setattr(KeepsPatches, "patches", [])
    spec = f"folder:{tmp_path}" if source == "folder" else source
    run_plan(planned("age", spec), RunOptions(headless=True, frames=3, device="cpu"))
    assert [patch.lost for patch in KeepsPatches.patches] == lost


def test_a_replay_sees_each_picture_on_its_own_whatever_the_number_of_jobs(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = [shared / "photos" / name for name in ("astronaut.png", "cat.png")]
    for number, photo in enumerate([*photos, *photos]):
        (tmp_path / f"{number}.png").symlink_to(photo)
    folder = tmp_path / "own"
    bundle = bundles.bundle_from_module(fake_age_networks.dex(), "age-dex")
    monkeypatch.setattr(bundles, "load", lambda *_, **__: bundle)
    rows = []
    for jobs in (1, 2):
        table = folder / f"{jobs}.csv"
        table.parent.mkdir(exist_ok=True)
        replay(tmp_path, "age-dex", scores=table, jobs=jobs, device="cpu")
        rows.append(list(csv.reader(table.read_text().splitlines())))
    assert rows[0] == rows[1]
    scores = [row[2:] for row in rows[0][1:]]
    assert len(scores) == 4
    assert scores[0] == scores[2] != scores[1] == scores[3]


def test_without_its_cascade_the_layout_is_refused_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "data", SimpleNamespace(haarcascades=str(tmp_path)))
    with pytest.raises(LivecnnError, match=r"age\.yaml:\d+: box\.finder: .*the cascade that finds faces is missing"):
        planned("age")
