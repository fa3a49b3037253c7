import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livecnn.analysis.top.results import MANIFEST
from livecnn.errors import OutputError
from livecnn.io.files import write_png
from livecnn.panels.base.drawer import Context
from livecnn.panels.unit_parts import top_images as collection
from livecnn.panels.unit_parts.top_images import AUTO, TopImages, open_collections, percent
from tests.helpers.top_folder import DEAD, IMAGES, PATCH, WHOLE, write_top
from tests.helpers.unit_screens import explored


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One of the toy network's own."""
    monkeypatch.setenv("LIVECNN_TOPS", str(tmp_path))
    return tmp_path / "toy" / "digits"


def found(folder: str | Path = AUTO, context: Context | None = None) -> TopImages:
    """Where all layers have the same."""
    (one,) = set(open_collections(str(folder), context or explored()).values())
    return one


def test_the_networks_own_folder(folder: Path) -> None:
    assert open_collections(AUTO, explored()) == {}
    (folder / "shards").mkdir(parents=True)
    assert open_collections(AUTO, explored()) == {}  # not finished
    write_top(folder)
    assert (found().path, found().images, found().layers) == (folder, IMAGES, ("conv", "fc"))


def write_at(second: int, folder: Path, *layers: str, **about: Any) -> Path:
    units = {"conv": 12, "act_1": 12, "fc": 30}
    write_top(folder, {layer: units[layer] for layer in layers}, **about)
    os.utime(folder / MANIFEST, (second, second))
    return folder


def test_of_several_the_newest_with_the_layer(folder: Path) -> None:
    both = write_at(1, folder.with_name("b"), "conv", "act_1")
    one = write_at(2, folder.with_name("c"), "conv", images=7)
    write_at(3, folder.with_name("a"), "fc", weights="of another network")
    assert {layer: (each.path, each.images) for layer, each in open_collections(AUTO, explored()).items()} == {
        "conv": (one, 7),
        "act_1": (both, IMAGES),
    }
    write_at(4, both, "conv", "act_1")
    assert set(open_collections(AUTO, explored()).values()) == {found()}
    assert found().path == both


def test_a_damaged_one_is_passed_over(folder: Path) -> None:
    older = write_at(1, folder.with_name("older"), "conv")
    (write_at(2, folder.with_name("newer"), "conv", "fc") / "statistics.npz").write_bytes(b"PK")
    (write_at(3, folder.with_name("newest"), "conv") / MANIFEST).write_text("{")
    assert {layer: each.path for layer, each in open_collections(AUTO, explored()).items()} == {"conv": older}


def test_tables_that_nobody_looks_at_are_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    monkeypatch.setattr(collection, "TopImages", lambda top, size: read.append(top.path) or TopImages(top, size))
    write_at(1, folder.with_name("older"), "conv")
    newer = write_at(2, folder.with_name("newer"), "conv", "fc")
    assert found().path == newer
    assert read == [newer]
    found()
    assert read == [newer]


def test_a_folder_by_name(tmp_path: Path) -> None:
    assert found(write_top(tmp_path / "other")).path == tmp_path / "other"
    with pytest.raises(OutputError, match=r"holds no top\.json"):
        open_collections(str(tmp_path / "nowhere"), explored())


def test_the_weights_decide_whose_it_is(folder: Path) -> None:
    write_top(folder, weights="aa", model="the same by another name")
    assert found(context=explored(weights="aa")).images == IMAGES
    for weights in ("bb", None):
        with pytest.raises(OutputError, match="digits: of another network, 'the same by another name', or of other weights"):
            open_collections(AUTO, explored(weights=weights))
    write_top(folder, model="other")
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
def test_layers_must_have_as_many_units(folder: Path, units: dict[str, int], message: str) -> None:
    write_top(folder, units)
    if not message:
        assert found().layers == tuple(units)
        return
    with pytest.raises(OutputError, match=message):
        open_collections(AUTO, explored())


def test_patches_and_where_they_see_most_of_it_images(folder: Path) -> None:
    write_top(folder, {"conv": 12, "act_1": 12, "fc": 30})
    patch, wide, whole = (found().exemplars(layer, 3)[1] for layer in ("conv", "act_1", "fc"))
    assert (patch.picture.shape, patch.picture[0, 0, 0], patch.edges) == ((3, 3, 3), PATCH - 1, None)
    assert (wide.picture.shape, wide.picture[0, 0, 0], wide.edges) == ((8, 8, 3), WHOLE, (1 / 8, 0, 7 / 8, 5 / 8))
    assert (whole.picture.shape, whole.edges) == ((8, 8, 3), None)
    assert [each.value for each in found().exemplars("fc", 0)] == [9.5, 8.5, 7.5, 6.5]
    assert found().exemplars("conv", 3)[0].lines == ("0.png", "label 7", "value 9.50 at row 1, column 2")
    assert found().exemplars("fc", 3)[1].lines == ("1.png", "value 8.50")


def test_nine_at_most_and_no_more_than_these_in_memory(folder: Path) -> None:
    write_top(folder, {"conv": 12}, k=20)
    exemplars = found().exemplars("conv", 0)
    assert len(exemplars) == 9
    assert all(each.picture.base is None for each in exemplars)


def test_they_are_read_once(folder: Path) -> None:
    known = found(write_top(folder))
    before = known.exemplars("conv", 3)
    (folder / "shots" / "conv" / "0003.png").unlink()
    assert known.exemplars("conv", 3) is before


def test_numbers_of_a_unit(folder: Path) -> None:
    words = found(write_top(folder)).words
    assert words("conv", 3) == ("mean 0.31 · active in 34 % of 12,345", "mean 0.31 · active in 34 %", "active in 34 %", "34 %")
    assert words("conv", DEAD) == ("dead: active in none of 12,345", "dead")
    assert words("conv", DEAD + 1)[2] == "active in < 1 %"
    assert words("conv", DEAD + 3) == ("no finite value",)
    assert found().exemplars("conv", DEAD) == ()


def test_shares_in_percent() -> None:
    assert [percent(share) for share in (0, 0.004, 0.344, 0.996, 1)] == ["0 %", "< 1 %", "34 %", "> 99 %", "100 %"]


@pytest.mark.parametrize("damage", [b"", b"PNG", b"cut"])
@pytest.mark.parametrize("name", ["0003.png", "0003-patch.png"])
def test_a_damaged_picture_is_told_by_its_place_in_the_folder(folder: Path, damage: bytes, name: str) -> None:
    picture = write_top(folder) / "shots" / "conv" / name
    whole = picture.read_bytes()
    picture.write_bytes(whole[: len(whole) // 2] if damage == b"cut" else damage)
    with pytest.raises(OutputError, match=rf"^shots/conv/{name}: "):
        found().exemplars("conv", 3)
    picture.write_bytes(whole)
    assert len(found().exemplars("conv", 3)) == 4


def test_a_picture_of_another_size(folder: Path) -> None:
    shots = write_top(folder) / "shots" / "conv"
    write_png(shots / "0003.png", np.zeros((8, 33, 3), np.uint8))  # four do not lie side by side in it
    with pytest.raises(OutputError, match=r"^shots/conv/0003\.png: cannot be read"):
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
def test_damaged_tables_are_found_at_the_start(folder: Path, file: str, data: bytes, message: str) -> None:
    (write_top(folder) / file).write_bytes(data)
    with pytest.raises(OutputError, match=message):
        open_collections(AUTO, explored())


def test_rows_that_hold_no_numbers(folder: Path) -> None:
    table = write_top(folder) / "shots.csv"
    table.write_text(table.read_text().replace("9.5", "strong"))
    with pytest.raises(OutputError, match=r"^shots\.csv: cannot be read: could not convert"):
        found().exemplars("conv", 3)


def test_statistics_of_fewer_units(folder: Path) -> None:
    write_top(folder / "fewer", {"conv": 11})
    write_top(folder)
    (folder / "statistics.npz").write_bytes((folder / "fewer" / "statistics.npz").read_bytes())
    with pytest.raises(OutputError, match=r"statistics\.npz: cannot be read"):
        open_collections(AUTO, explored())
