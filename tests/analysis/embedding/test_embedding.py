import io
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from livecnn.analysis.embedding import embedding as module
from livecnn.analysis.embedding.embedding import load
from livecnn.errors import SourceError
from tests.helpers.embeddings import embedding


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "map.npz"
    path.write_bytes(embedding(names=tuple(f"größe {i}\n" for i in range(24)), skipped=("a: b",)).data())
    return path


def test_a_file_gives_it_back(file: Path) -> None:
    given, found = embedding(names=tuple(f"größe {i}\n" for i in range(24)), skipped=("a: b",)), load(file)
    for field in fields(given):
        one, other = getattr(given, field.name), getattr(found, field.name)
        if field.name == "pca":
            assert all((getattr(one, part) == getattr(other, part)).all() for part in ("mean", "components", "share"))
        elif isinstance(one, np.ndarray):
            assert one.dtype == other.dtype
            assert (one == other).all()
        else:
            assert one == other
    assert found.data() == file.read_bytes()


def test_what_is_no_such_file(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match=r"x\.npz: no such file"):
        load(tmp_path / "x.npz")
    damaged, other = tmp_path / "damaged.npz", tmp_path / "other.npz"
    damaged.write_bytes(file.read_bytes()[:-300])
    np.savez(other, points=np.zeros((3, 2)))
    for path in (damaged, other, tmp_path):
        with pytest.raises(SourceError, match="not a map that `livecnn embed` wrote"):
            load(path)
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    with pytest.raises(SourceError, match="not a map that `livecnn embed` wrote: more than"):
        load(file)


@pytest.mark.parametrize(
    "change",
    [{"points": np.zeros((23, 2), np.float32)}, {"labels": ()}, {"scores": np.zeros((24, 3))}, {"tops": np.full(24, 10)}],
    ids=str,
)
def test_arrays_that_do_not_fit_together(change: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "map.npz").write_bytes(embedding(**change).data())
    with pytest.raises(SourceError, match="its arrays do not fit together"):
        load(tmp_path / "map.npz")


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "map.npz", points=np.array([Path()], object))
    with pytest.raises(SourceError, match="not a map"):
        load(tmp_path / "map.npz")


def test_the_nearest_and_the_place_between_them() -> None:
    made = embedding(40)
    asked = np.full(5, 0.3, np.float32)
    nearest, distances = made.nearest(asked, 7)
    every = np.linalg.norm(made.features - asked, axis=1)
    assert nearest.tolist() == np.argsort(every)[:7].tolist()
    assert distances == pytest.approx(np.sort(every)[:7])
    weights = 1 / distances**2
    assert made.place(nearest, distances) == pytest.approx(weights @ made.points[nearest] / weights.sum(), abs=1e-5)


def test_a_picture_of_the_map_lies_where_it_lies() -> None:
    made = embedding(12)
    nearest, distances = made.nearest(made.features[4])
    assert (nearest[0], distances[0]) == (4, 0)
    assert made.place(nearest, distances) == pytest.approx(made.points[4], abs=1e-4)
    alone = embedding(8, features=np.zeros((8, 5), np.float32))
    assert np.isfinite(alone.place(*alone.nearest(np.zeros(5, np.float32)))).all()


def test_groups_are_the_true_classes_where_all_are_known() -> None:
    made = embedding(6, labels=("7", "2", "2", "10", "7", "7"))
    assert made.groups[0] == ("2", "7", "10")
    assert made.groups[1].tolist() == [1, 0, 0, 2, 1, 1]
    assert "true class" in made.words()[1]


def test_else_they_are_what_the_network_sees() -> None:
    made = embedding(4, labels=("7", "", "2", "2"), tops=np.array([3, -1, 9, 3]))
    assert made.groups[0] == ("3", "9")
    assert made.groups[1].tolist() == [0, -1, 1, 0]
    assert "the class that the network sees" in made.words()[1]


def test_a_notebook_shows_its_picture() -> None:
    made = embedding()
    with PillowImage.open(io.BytesIO(made._repr_png_())) as picture:
        assert (np.asarray(picture) == made.picture()).all()
    assert repr(made) == "<map of 24 pictures: fc of toy, PCA>"
