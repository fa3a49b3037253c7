import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from livecnn.analysis.top.results import MANIFEST
from livecnn.app.plan import check_fit
from livecnn.app.screen.figure import FigureView
from livecnn.errors import ConfigError, OutputError
from livecnn.io.files import write_png
from livecnn.panels import strongest
from livecnn.panels.base.drawer import Context
from livecnn.panels.base.session import MOST, Session
from livecnn.panels.base.spec import FieldError
from livecnn.panels.base.targets import ButtonTarget, ImageRank
from livecnn.panels.strongest import AUTO, TopImages, open_collections, percent
from livecnn.selection import Action, Selection, Unit
from livecnn.types import ExplanationUpdate, Frame, LoopStatus, PreferredInput
from tests.helpers.panel_screen import CONV, again, body, color_count, every_size, explored, it, looking, texts
from tests.helpers.scenes import assert_texts_apart, labels, layout, place
from tests.helpers.top_folder import DEAD, IMAGES, PATCH, WHOLE, write_top

LARGE = (900, 620)
UNITS = {"conv": 12, "fc": 30, "out": 10}


def answers(**values: float) -> dict[str, torch.Tensor]:
    """By layer, what its unit 3 answers; all others 0."""
    layers = {"conv": torch.zeros(1, 12, 9, 7), "fc": torch.zeros(1, 30), "out": torch.zeros(1, 10)}
    for layer, value in values.items():
        layers[layer][0, 3, ...] = value
    return layers


def frame(time: float, gray: int = 100) -> Frame:
    return Frame(np.full((48, 48, 3), gray, np.uint8), round(time), time)


def seen(screen: FigureView) -> list[float]:
    return [each.value for each in screen.context.session.strongest.of("conv", 3)]


def values(screen: FigureView) -> list[str]:
    """Under the images, the strongest first."""
    return [text for text in texts(screen) if re.fullmatch(r"0|\d\.\d\d", text)]


def preferring(unit: Unit, step: int = 40, **options: Any) -> ExplanationUpdate:
    picture = np.full((8, 8), 250, np.uint8)
    return ExplanationUpdate(0, CONV, 0, preferred=PreferredInput(unit, picture, 12.5, step, 100), **options)


def test_it_follows_every_layer_but_functions_only_when_they_are_looked_at() -> None:
    screen = looking("strongest", CONV)
    assert {key: reducer.layer for key, reducer in screen.reducers.items()} == {f"it/{layer}": layer for layer in UNITS}
    before = dict(screen.reducers)
    screen.attend(replace(CONV, hover=Unit("conv", 5)))
    assert all(screen.reducers[key] is reducer for key, reducer in before.items())
    screen.attend(Selection(layer="act_1"))
    assert "it/act_1" in screen.reducers
    assert screen.reducers["it/conv"] is before["it/conv"]


def test_the_strongest_shots_are_kept_live() -> None:
    screen = looking("strongest", CONV, LARGE, layers=answers(conv=1.0))
    for second, value in enumerate([5.0, 3.0, 4.0], 2):
        again(screen, answers(conv=value), frame=frame(2.0 * second))
    assert seen(screen) == [5.0, 4.0, 3.0, 1.0]
    assert values(screen) == ["5.00", "4.00", "3.00", "1.00"]
    assert it(screen).caption.text == "unit 3 of conv · this session"
    assert colors(screen) == {}  # there are no tabs without a folder
    screen.attend(Selection(layer="fc", unit=3))
    again(screen, answers(conv=9.0, fc=7.5), frame=frame(20.0))
    assert values(screen) == ["7.50", "0", "0", "0", "0"]
    assert seen(screen)[0] == 9.0


def test_shots_are_shown_as_they_were() -> None:
    screen = looking("strongest", CONV, LARGE, layers=answers(conv=1.0))
    again(screen, answers(conv=5.0), frame=frame(5.0, gray=222))
    again(screen, answers(conv=2.0), frame=frame(9.0, gray=33))
    first, second = ((body(screen) == gray).all(axis=2) for gray in (222, 33))
    assert first.sum() == second.sum() > 1000
    assert np.argwhere(first)[:, 1].max() < np.argwhere(second)[:, 1].min()


@pytest.mark.parametrize(
    "options",
    [{"status": LoopStatus(frozen=True)}, {"empty": True}, {"frame": None}],
    ids=["frozen", "empty", "the same frame"],
)
def test_what_does_not_count(options: dict[str, Any]) -> None:
    screen = looking("strongest", CONV, layers=answers(conv=1.0))
    assert screen.scene is not None
    options = {"frame": frame(10.0), **options}
    if options["frame"] is None:
        options["frame"] = screen.scene.frame
    again(screen, answers(conv=9.0), **options)
    assert seen(screen) == [1.0]


def test_muted_units_do_not_count() -> None:
    screen = looking("strongest", CONV, layers=answers(conv=1.0), muted={("conv", 3)})
    assert seen(screen) == []
    assert "nothing seen yet" in " ".join(texts(screen, still=True))


def test_views_of_another_kind_are_passed_over() -> None:
    screen = looking("strongest", CONV)
    given = screen.scene
    assert given is not None
    kept = len(screen.context.session.strongest.shots)
    tick = replace(given.tick, frame=frame(30.0), views={"it/conv": object()})
    screen.show(replace(given, tick=tick))
    assert len(screen.context.session.strongest.shots) == kept


def test_it_remembers_while_other_views_are_open() -> None:
    session = Session()
    looking("strongest", CONV, about=explored(session), layers=answers(conv=4.0))
    screen = looking("strongest", CONV, about=explored(session), layers=answers(conv=2.0))
    assert seen(screen)[0] == 4.0


@pytest.mark.parametrize("focus", [Selection(), Selection(layer="conv", unit=99)], ids=str)
def test_without_a_unit_it_says_how_to_select_one(focus: Selection) -> None:
    screen = looking("strongest", focus, LARGE, findings=preferring(Unit("conv", 3)))
    assert "a click on a map or a neuron selects a unit" in " ".join(texts(screen, still=True))
    assert not any("preferred" in text for text in texts(screen, still=True))
    assert it(screen).caption.text == ""


def accents(screen: FigureView) -> int:
    return color_count(screen, screen.context.theme.accent)


def test_the_preferred_image_of_this_unit() -> None:
    screen = looking("strongest", CONV, LARGE, findings=preferring(Unit("conv", 3)))
    assert "preferred image · 12.5" in texts(screen, still=True)
    assert color_count(screen, 250) > 5000
    again(screen, findings=screen.scene.findings if screen.scene else None)  # not made anew, and it stays
    assert color_count(screen, 250) > 5000
    under_way = accents(screen)
    assert under_way > 100
    again(screen, findings=preferring(Unit("conv", 3), step=80))
    assert accents(screen) == pytest.approx(2 * under_way, rel=0.05)
    again(screen, findings=preferring(Unit("conv", 3), step=100))
    assert accents(screen) == 0


def test_that_of_another_unit_is_not_shown() -> None:
    screen = looking("strongest", CONV, LARGE, findings=preferring(Unit("conv", 4)))
    assert "…" in texts(screen, still=True)
    assert "preferred image" in texts(screen, still=True)
    assert not color_count(screen, 250) > 1000
    again(screen, findings=preferring(Unit("conv", 3)))
    again(screen, findings=preferring(Unit("conv", 4)))
    assert not color_count(screen, 250) > 1000
    assert accents(screen) == 0


@every_size
@pytest.mark.parametrize("focus", [CONV, Selection()], ids=["unit", "no unit"])
def test_texts_stay_apart_at_every_size(size: tuple[int, int], grid: str, focus: Selection) -> None:
    screen = looking("strongest", focus, size, grid=grid, layers=answers(conv=-12.345))
    for second in range(1, MOST + 2):
        again(screen, answers(conv=-1e-5 * second), frame=frame(2.0 * second), findings=preferring(Unit("conv", 3)))
    assert len(seen(screen)) == MOST
    assert_texts_apart(screen, "it")


SESSION, COLLECTION = ButtonTarget(Action.CHOOSE_SHOTS, "session"), ButtonTarget(Action.CHOOSE_SHOTS, "collection")


@pytest.fixture
def folder_of_top_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One of the toy network's own."""
    monkeypatch.setenv("LIVECNN_TOPS", str(tmp_path))
    return tmp_path / "toy" / "digits"


@pytest.fixture
def folder(folder_of_top_images: Path) -> Path:
    """What the toy network did over a collection; not with its layer `out`."""
    return write_top(folder_of_top_images, {"conv": 12, "act_1": 12, "fc": 30})


def colors(screen: FigureView) -> dict[str, Any]:
    """Of the tabs."""
    drawer = it(screen)
    found = {
        label.text: label.color for label in labels(drawer.live) if label.text in ("this session", "12,345 images", "collection")
    }
    theme = screen.context.theme
    return {text: {theme.accent: "on", theme.muted: "off"}[color] for text, color in found.items()}


def test_the_collection_comes_first(folder: Path) -> None:
    screen = looking("strongest", CONV, LARGE, layers=answers(conv=1.0))
    assert colors(screen) == {"this session": "off", "12,345 images": "on"}
    assert values(screen) == ["9.50", "8.50", "7.50", "6.50"]
    assert "unit 3 of conv · mean 0.31 · active in 34 % of 12,345" in texts(screen, still=True)
    assert all(color_count(screen, PATCH - rank) > 1000 for rank in range(4))
    assert seen(screen) == [1.0]  # the session goes on
    screen.attend(replace(CONV, hover=Unit("conv", 5)))
    again(screen)
    assert "unit 5 of conv · mean 0.31 · active in 34 % of 12,345" in texts(screen, still=True)


def test_one_may_choose(folder: Path) -> None:
    screen = looking("strongest", replace(CONV, collection=False), LARGE, layers=answers(conv=1.0))
    assert colors(screen) == {"this session": "on", "12,345 images": "off"}
    assert values(screen) == ["1.00"]
    assert "unit 3 of conv" in texts(screen, still=True)
    screen.attend(replace(CONV, collection=True))
    again(screen)
    assert values(screen) == ["9.50", "8.50", "7.50", "6.50"]


def test_the_part_that_the_unit_sees_is_outlined(folder: Path) -> None:
    screen = looking("strongest", replace(CONV, layer="act_1"), LARGE)
    assert color_count(screen, WHOLE) > 5000
    outlined = accents(screen)
    screen.attend(replace(CONV, layer="fc"))
    again(screen)
    assert color_count(screen, WHOLE) > 5000
    assert outlined > accents(screen) + 200


def test_of_a_layer_that_the_folder_lacks(folder: Path) -> None:
    out = replace(CONV, layer="out")
    screen = looking("strongest", out, LARGE, layers=answers(out=2.0))
    assert colors(screen)["this session"] == "on"
    assert "2.00" in texts(screen, still=True)
    screen.attend(replace(out, collection=True))
    again(screen)
    told = " ".join(texts(screen, still=True))
    assert "nothing of out yet; livecnn top IMAGES toy --layers out looks at it" in told
    assert "2.00" not in told
    assert colors(screen) == {"this session": "off", "collection": "on"}
    told = " ".join(texts(looking("strongest", replace(out, collection=True), LARGE, folder=str(folder)), still=True))
    assert "nothing of out in this folder; livecnn top IMAGES toy --layers out --out DIR/ makes another" in told
    assert "--set panels.it.folder=DIR/" in told


def test_each_layer_has_the_newest_folder_with_it(folder: Path) -> None:
    newer = write_top(folder.with_name("flowers"), {"fc": 30}, images=77)
    os.utime(newer / MANIFEST, (4e9, 4e9))
    screen = looking("strongest", CONV, LARGE)
    assert "unit 3 of conv · mean 0.31 · active in 34 % of 12,345" in texts(screen, still=True)
    screen.attend(replace(CONV, layer="fc"))
    again(screen)
    assert "77 images" in texts(screen, still=True)
    assert "unit 3 of fc · mean 0.31 · active in 34 % of 77" in texts(screen, still=True)
    screen.point(*place(screen, COLLECTION))
    assert screen.tooltip.tip.lines == ("77 images", str(newer))


def test_a_dead_unit(folder: Path) -> None:
    screen = looking("strongest", replace(CONV, unit=DEAD), LARGE)
    assert "dead: active in none of 12,345" in texts(screen, still=True)
    assert values(screen) == []


def test_without_a_unit_there_are_tabs(folder: Path) -> None:
    screen = looking("strongest", Selection(), LARGE)
    assert colors(screen) == {"this session": "on", "collection": "off"}
    assert "a click on a map or a neuron selects a unit" in " ".join(texts(screen, still=True))


def test_a_damaged_picture_is_told_in_its_place(folder: Path) -> None:
    (folder / "shots" / "conv" / "0003.png").write_bytes(b"PNG")
    screen = looking("strongest", CONV, LARGE)
    assert "shots/conv/0003.png: not a picture that can be read" in " ".join(texts(screen, still=True))
    screen.attend(replace(CONV, unit=4))
    again(screen)
    assert "9.50" in texts(screen, still=True)


def test_a_folder_of_other_weights_is_not_used(folder: Path) -> None:
    screen = looking("strongest", CONV, LARGE, about=explored(weights="aa"), layers=answers(conv=1.0))
    assert colors(screen) == {"this session": "on", "collection": "off"}
    assert "1.00" in texts(screen, still=True)
    screen.attend(replace(CONV, collection=True))
    again(screen)
    assert "of other weights" in " ".join(texts(screen, still=True))
    assert "9.50" not in texts(screen, still=True)


def test_a_folder_that_is_named_must_fit(folder: Path, tmp_path: Path) -> None:
    other = write_top(tmp_path / "mine", model="other")
    for named, message in ((other, "of another network, 'other'"), (tmp_path / "nix", r"holds no top\.json")):
        command = rf"; make it: livecnn top IMAGES toy --layers A,B --out {named}"
        with pytest.raises(FieldError, match=message + ".*" + command) as caught:
            looking("strongest", CONV, folder=str(named))
        assert caught.value.key == "folder"
        with pytest.raises(ConfigError, match=message):
            check_fit(layout({"it": {"kind": "strongest", "folder": str(named)}}, "it"), explored())
    assert colors(looking("strongest", CONV, LARGE, folder=str(folder)))["12,345 images"] == "on"
    assert found(folder).path == folder


def test_words_about_tabs_and_images(folder: Path) -> None:
    screen = looking("strongest", CONV, LARGE)
    drawer = it(screen)
    screen.point(*place(screen, ImageRank(1)))
    assert screen.tooltip.tip.lines == ("1.png", "value 8.50 at row 1, column 2")
    screen.point(*place(screen, COLLECTION))
    assert screen.tooltip.tip.lines == ("12,345 images", str(folder))
    assert screen.point(*place(screen, SESSION)) == SESSION
    assert screen.tooltip.tip is None
    x, y = place(screen, ImageRank(3))
    screen.point(x, y)
    screen.attend(replace(CONV, unit=DEAD))  # while the mouse is still there
    again(screen)
    assert screen.tooltip.tip is None
    assert drawer.target_at(x, y) is None
    screen.attend(replace(CONV, collection=False))
    again(screen, answers(conv=1.0))
    assert drawer.target_at(*it(screen).body[:2]) is None  # a shot of this session


@every_size
@pytest.mark.parametrize("focus", [CONV, replace(CONV, layer="out", collection=True), replace(CONV, collection=False)], ids=repr)
def test_texts_of_the_collection_stay_apart(folder: Path, size: tuple[int, int], grid: str, focus: Selection) -> None:
    screen = looking("strongest", focus, size, grid=grid)
    again(screen, answers(conv=-1e-5), frame=frame(2.0), findings=preferring(Unit("conv", 3)))
    assert_texts_apart(screen, "it")


def found(folder_of_top_images: str | Path = AUTO, context: Context | None = None) -> TopImages:
    """Where all layers have the same."""
    (one,) = set(open_collections(str(folder_of_top_images), context or explored()).values())
    return one


def test_the_networks_own_folder(folder_of_top_images: Path) -> None:
    assert open_collections(AUTO, explored()) == {}
    (folder_of_top_images / "shards").mkdir(parents=True)
    assert open_collections(AUTO, explored()) == {}  # not finished
    write_top(folder_of_top_images)
    assert (found().path, found().images, found().layers) == (folder_of_top_images, IMAGES, ("conv", "fc"))


def write_at(second: int, folder_of_top_images: Path, *layers: str, **about: Any) -> Path:
    units = {"conv": 12, "act_1": 12, "fc": 30}
    write_top(folder_of_top_images, {layer: units[layer] for layer in layers}, **about)
    os.utime(folder_of_top_images / MANIFEST, (second, second))
    return folder_of_top_images


def test_of_several_the_newest_with_the_layer(folder_of_top_images: Path) -> None:
    both = write_at(1, folder_of_top_images.with_name("b"), "conv", "act_1")
    one = write_at(2, folder_of_top_images.with_name("c"), "conv", images=7)
    write_at(3, folder_of_top_images.with_name("a"), "fc", weights="of another network")
    assert {layer: (each.path, each.images) for layer, each in open_collections(AUTO, explored()).items()} == {
        "conv": (one, 7),
        "act_1": (both, IMAGES),
    }
    write_at(4, both, "conv", "act_1")
    assert set(open_collections(AUTO, explored()).values()) == {found()}
    assert found().path == both


def test_a_damaged_one_is_passed_over(folder_of_top_images: Path) -> None:
    older = write_at(1, folder_of_top_images.with_name("older"), "conv")
    (write_at(2, folder_of_top_images.with_name("newer"), "conv", "fc") / "statistics.npz").write_bytes(b"PK")
    (write_at(3, folder_of_top_images.with_name("newest"), "conv") / MANIFEST).write_text("{")
    assert {layer: each.path for layer, each in open_collections(AUTO, explored()).items()} == {"conv": older}


def test_tables_that_nobody_looks_at_are_not_read(folder_of_top_images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    monkeypatch.setattr(strongest, "TopImages", lambda top, size: read.append(top.path) or TopImages(top, size))
    write_at(1, folder_of_top_images.with_name("older"), "conv")
    newer = write_at(2, folder_of_top_images.with_name("newer"), "conv", "fc")
    assert found().path == newer
    assert read == [newer]
    found()
    assert read == [newer]


def test_the_weights_decide_whose_it_is(folder_of_top_images: Path) -> None:
    write_top(folder_of_top_images, weights="aa", model="the same by another name")
    assert found(context=explored(weights="aa")).images == IMAGES
    for weights in ("bb", None):
        with pytest.raises(OutputError, match="digits: of another network, 'the same by another name', or of other weights"):
            open_collections(AUTO, explored(weights=weights))
    write_top(folder_of_top_images, model="other")
    with pytest.raises(OutputError, match="of another network, 'other'"):
        open_collections(AUTO, explored())


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ({"conv": 13}, "conv has 13 units there, here 12"),
        ({"conv": 12, "act_1": 12}, ""),
        ({"fc": 12}, "fc has 12 units there, here 30"),
    ],
)
def test_layers_must_have_as_many_units(folder_of_top_images: Path, units: dict[str, int], message: str) -> None:
    write_top(folder_of_top_images, units)
    if not message:
        assert found().layers == tuple(units)
        return
    with pytest.raises(OutputError, match=message):
        open_collections(AUTO, explored())


def test_patches_and_where_they_see_most_of_it_images(folder_of_top_images: Path) -> None:
    write_top(folder_of_top_images, {"conv": 12, "act_1": 12, "fc": 30})
    patch, wide, whole = (found().exemplars(layer, 3)[1] for layer in ("conv", "act_1", "fc"))
    assert (patch.picture.shape, patch.picture[0, 0, 0], patch.edges) == ((3, 3, 3), PATCH - 1, None)
    assert (wide.picture.shape, wide.picture[0, 0, 0], wide.edges) == ((8, 8, 3), WHOLE, (1 / 8, 0, 7 / 8, 5 / 8))
    assert (whole.picture.shape, whole.edges) == ((8, 8, 3), None)
    assert [each.value for each in found().exemplars("fc", 0)] == [9.5, 8.5, 7.5, 6.5]
    assert found().exemplars("conv", 3)[0].lines == ("0.png", "label 7", "value 9.50 at row 1, column 2")
    assert found().exemplars("fc", 3)[1].lines == ("1.png", "value 8.50")


def test_nine_at_most_and_no_more_than_these_in_memory(folder_of_top_images: Path) -> None:
    write_top(folder_of_top_images, {"conv": 12}, k=20)
    exemplars = found().exemplars("conv", 0)
    assert len(exemplars) == 9
    assert all(each.picture.base is None for each in exemplars)
    (folder_of_top_images / "shots" / "conv" / "0000.png").unlink()
    assert found().exemplars("conv", 0) is exemplars  # they are read once


def test_numbers_of_a_unit(folder_of_top_images: Path) -> None:
    words = found(write_top(folder_of_top_images)).words
    assert words("conv", 3) == ("mean 0.31 · active in 34 % of 12,345", "mean 0.31 · active in 34 %", "active in 34 %", "34 %")
    assert words("conv", DEAD) == ("dead: active in none of 12,345", "dead")
    assert words("conv", DEAD + 1)[2] == "active in < 1 %"
    assert words("conv", DEAD + 3) == ("no finite value",)
    assert found().exemplars("conv", DEAD) == ()


def test_shares_in_percent() -> None:
    assert [percent(share) for share in (0, 0.004, 0.344, 0.996, 1)] == ["0 %", "< 1 %", "34 %", "> 99 %", "100 %"]


@pytest.mark.parametrize("damage", [b"", b"PNG", b"cut"])
@pytest.mark.parametrize("name", ["0003.png", "0003-patch.png"])
def test_a_damaged_picture_is_told_by_its_place_in_the_folder(folder_of_top_images: Path, damage: bytes, name: str) -> None:
    picture = write_top(folder_of_top_images) / "shots" / "conv" / name
    whole = picture.read_bytes()
    picture.write_bytes(whole[: len(whole) // 2] if damage == b"cut" else damage)
    with pytest.raises(OutputError, match=rf"^shots/conv/{name}: "):
        found().exemplars("conv", 3)
    picture.write_bytes(whole)
    assert len(found().exemplars("conv", 3)) == 4


def test_a_picture_of_another_size_and_rows_that_hold_no_numbers(folder_of_top_images: Path) -> None:
    folder = write_top(folder_of_top_images)
    write_png(folder / "shots" / "conv" / "0003.png", np.zeros((8, 33, 3), np.uint8))  # four do not lie side by side in it
    with pytest.raises(OutputError, match=r"^shots/conv/0003\.png: cannot be read"):
        found().exemplars("conv", 3)
    table = write_top(folder) / "shots.csv"
    table.write_text(table.read_text().replace("9.5", "strong"))
    with pytest.raises(OutputError, match=r"^shots\.csv: cannot be read: could not convert"):
        found().exemplars("conv", 3)


@pytest.mark.parametrize(
    ("file", "data", "message"),
    [
        ("statistics.npz", b"PK", "cannot be read"),
        ("statistics.npz", b"", "cannot be read"),
        ("shots.csv", b"layer,unit\nconv,x\n", "cannot be read"),
        ("shots.csv", b"layer\nconv\n", "cannot be read"),
        ("shots.csv", b"\xff", "cannot be read"),
        ("top.json", b"{}", "not what `livecnn top` writes"),
        (
            "top.json",
            b'{"version": 1, "model": "toy", "images": 1, "skipped": 0, "classes": [], "layers": {"a": {"units": 1}}}',
            "not what",
        ),
    ],
)
def test_damaged_tables_are_found_at_the_start(folder_of_top_images: Path, file: str, data: bytes, message: str) -> None:
    (write_top(folder_of_top_images) / file).write_bytes(data)
    with pytest.raises(OutputError, match=message):
        open_collections(AUTO, explored())


def test_statistics_of_fewer_units(folder_of_top_images: Path) -> None:
    write_top(folder_of_top_images / "fewer", {"conv": 11})
    write_top(folder_of_top_images)
    (folder_of_top_images / "statistics.npz").write_bytes((folder_of_top_images / "fewer" / "statistics.npz").read_bytes())
    with pytest.raises(OutputError, match=r"statistics\.npz: cannot be read"):
        open_collections(AUTO, explored())
