from collections.abc import Callable
from pathlib import Path

import platformdirs
import pytest

from livecnn import paths


def put_bundle(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.yaml").touch()
    return folder


def test_a_checkout_has_its_layouts_beside_the_package() -> None:
    assert paths.shipped("configs") == paths.PACKAGE.parent / "configs"
    assert {"lenet", "lenet-sorted", "lenet-overview"} <= set(paths.layouts())


def test_an_installed_package_has_them_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "_shipped" / "configs").mkdir(parents=True)
    (tmp_path / "_shipped" / "configs" / "mine.yaml").touch()
    monkeypatch.setattr(paths, "PACKAGE", tmp_path)
    assert paths.layouts() == {"mine": tmp_path / "_shipped" / "configs" / "mine.yaml"}


@pytest.mark.parametrize(
    ("folder", "variable", "place"),
    [
        (paths.user_models, "LIVECNN_MODELS", "models"),
        (paths.user_annotations, "LIVECNN_ANNOTATIONS", "annotations"),
        (lambda: paths.user_top("lenet").parent, "LIVECNN_TOPS", "top"),
    ],
)
def test_the_users_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Callable[[], Path], variable: str, place: str
) -> None:
    monkeypatch.delenv(variable, raising=False)
    assert folder() == platformdirs.user_data_path("livecnn", appauthor=False) / place
    monkeypatch.setenv(variable, str(tmp_path))
    assert folder() == tmp_path


def test_what_top_found_is_named_like_its_network() -> None:
    folder = paths.user_top("lenet").parent
    assert [paths.user_top(model) for model in ("my.net:make", "../..")] == [folder / "my.net-make", folder / "unnamed"]


def test_the_users_bundles_hide_shipped_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "package")
    monkeypatch.setenv("LIVECNN_MODELS", str(tmp_path / "own"))
    shipped = put_bundle(tmp_path / "models" / "a"), put_bundle(tmp_path / "models" / "b")
    own = put_bundle(tmp_path / "own" / "b"), put_bundle(tmp_path / "own" / "c")
    (tmp_path / "own" / "no-bundle").mkdir()
    assert paths.bundles() == {"a": shipped[0], "b": own[0], "c": own[1]}


def test_no_bundles_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "package")
    monkeypatch.setenv("LIVECNN_MODELS", str(tmp_path / "nix"))
    assert paths.bundles() == {}


def test_file_names_are_distinct_on_any_system() -> None:
    names = paths.file_names(["a/b", "a-b", "A:b", "shots", "..", "ok", "features.3"], ["shots"])
    assert names == {
        "a/b": "a-b", "a-b": "a-b-1", "A:b": "A-b-2", "shots": "shots-3", "..": "unnamed", "ok": "ok", "features.3": "features.3"
    }  # fmt: skip
