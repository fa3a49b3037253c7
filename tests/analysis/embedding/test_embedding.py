import importlib.util
import io
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from livecnn.analysis.embedding import embedding as module
from livecnn.analysis.embedding.embedding import MOST, WAYS, Pca, check, count, features, load, project
from livecnn.analysis.top import Covariance
from livecnn.errors import SourceError, UsageError
from livecnn.types import Floats
from tests.helpers.embeddings import embedding

HERE = [
    pytest.param(
        method, marks=pytest.mark.skipif(importlib.util.find_spec(library) is None, reason=f"{library} is not installed")
    )
    for method, library in (("pca", "numpy"), ("tsne", "openTSNE"))
]


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
    damaged, other, objects = (tmp_path / f"{name}.npz" for name in ("damaged", "other", "objects"))
    damaged.write_bytes(file.read_bytes()[:-300])
    np.savez(other, points=np.zeros((3, 2)))
    np.savez(objects, points=np.array([Path()], object))  # which are not unpickled
    for path in (damaged, other, objects, tmp_path):
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


@pytest.mark.parametrize(
    ("labels", "tops", "names", "groups", "told"),
    [
        (("7", "2", "2", "10"), [1, 1, 1, 1], ("2", "7", "10"), [1, 0, 0, 2], "true class"),
        (("7", "", "2", "2"), [3, -1, 9, 3], ("3", "9"), [0, -1, 1, 0], "the class that the network sees"),
    ],
    ids=["all are known", "not all are known"],
)
def test_groups_are_the_true_classes_or_what_the_network_sees(
    labels: tuple[str, ...], tops: list[int], names: tuple[str, ...], groups: list[int], told: str
) -> None:
    made = embedding(4, labels=labels, tops=np.array(tops))
    assert made.groups[0] == names
    assert made.groups[1].tolist() == groups
    assert told in made.words()[1]


def test_a_notebook_shows_its_picture() -> None:
    made = embedding()
    with PillowImage.open(io.BytesIO(made._repr_png_())) as picture:
        assert (np.asarray(picture) == made.picture()).all()
    assert repr(made) == "<map of 24 pictures: fc of toy, PCA>"


def clusters(size: int = 60) -> Floats:
    """Three, in six dimensions."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(size, 6)) + 12 * np.eye(6)[np.arange(size) % 3]).astype(np.float32)


def assert_apart(points: Floats) -> None:
    middles = np.stack([points[i::3].mean(0) for i in range(3)])
    nearest = np.linalg.norm(points[:, None] - middles, axis=2).argmin(1)
    assert (nearest == np.arange(len(points)) % 3).all()


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Go through all the phases of t-SNE, but quickly."""
    monkeypatch.setattr(module, "PHASES", tuple((20, settings) for _, settings in module.PHASES))


@pytest.mark.parametrize("method", HERE)
def test_clusters_stay_apart(method: str) -> None:
    points = project(clusters(), method, seed=3)
    assert (points.shape, points.dtype) == ((60, 2), np.float32)
    assert points.mean(0) == pytest.approx(0, abs=1e-4)
    assert_apart(points)


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("method", HERE)
def test_the_same_seed_gives_the_same(method: str) -> None:
    assert project(clusters(), method, seed=3).tobytes() == project(clusters(), method, seed=3).tobytes()


@pytest.mark.usefixtures("few_steps")
@pytest.mark.skipif(importlib.util.find_spec("openTSNE") is None, reason="openTSNE is not installed")
def test_of_very_many_pictures_the_neighbours_are_nearly_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = project(clusters(300), "tsne")
    monkeypatch.setattr(module, "EXACT", 299)
    points = project(clusters(300), "tsne")
    assert points.tobytes() != exact.tobytes()
    assert_apart(points)


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("method", HERE)
@pytest.mark.parametrize("values", [clusters(8), clusters(20)[:, :1], np.repeat(clusters(3), 4, 0)], ids=["8", "line", "twins"])
def test_few_pictures_and_few_components(method: str, values: Floats) -> None:
    points = project(values, method)
    assert points.shape == (len(values), 2)
    assert np.isfinite(points).all()


def test_too_few_pictures() -> None:
    with pytest.raises(UsageError, match="found 7 pictures; a map needs 8 or more"):
        project(clusters(7), "pca")


@pytest.mark.parametrize(("method", "library", "extra"), [("tsne", "openTSNE", "embed"), ("umap", "umap", "umap")])
def test_what_is_not_installed_is_named(method: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    for ask in (lambda: check(method), lambda: WAYS[method](clusters(), 0)):
        with pytest.raises(
            UsageError, match=rf"^--method {method} needs .*: pip install 'livecnn\[{extra}\]'; --method pca does not$"
        ):
            ask()
    check("pca")
    assert project(clusters(), "pca").shape == (60, 2)


def test_umap_is_asked_for_the_same_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class Umap:
        def __init__(self, **options: object) -> None:
            assert options == {"n_neighbors": 15, "init": "pca", "random_state": 4, "n_jobs": 1}

        def fit_transform(self, values: Floats) -> Floats:
            return values[:, 1:3]

    monkeypatch.setitem(sys.modules, "umap", type(sys)("umap"))
    monkeypatch.setattr(sys.modules["umap"], "UMAP", Umap, raising=False)
    check("umap")
    assert project(clusters(), "umap", 4) == pytest.approx(clusters()[:, 1:3] - clusters()[:, 1:3].mean(0))


@pytest.mark.parametrize("shape", [(40, 7), (7, 40), (20, 20)], ids=str)
def test_it_is_that_of_the_singular_value_decomposition(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).normal(3, 2, shape).astype(np.float32)
    pca = Pca.of(values, 4)
    _, stretch, axes = np.linalg.svd(values - values.mean(0), full_matrices=False)
    assert pca.components.shape == (4, shape[1])
    assert np.abs(np.einsum("kd,kd->k", pca.components, axes[:4])) == pytest.approx(1, abs=1e-4)
    assert pca.components @ pca.components.T == pytest.approx(np.eye(4), abs=1e-4)
    assert pca.share == pytest.approx((stretch**2 / (stretch**2).sum())[:4], rel=1e-4)
    assert pca(values) == pytest.approx((values - values.mean(0)) @ pca.components.T, abs=1e-4)
    largest = np.abs(pca.components).argmax(1)
    assert (pca.components[np.arange(4), largest] > 0).all()


def test_no_more_components_than_the_values_span() -> None:
    line = np.outer(np.arange(9), [1, 2, 0.5]).astype(np.float32)
    assert len(Pca.of(line, 3).components) == 1
    assert Pca.of(line, 3).share == pytest.approx([1])
    pca = Pca.of(np.full((6, 3), 2, np.float32), 3)
    assert pca.components.shape == (0, 3)
    assert pca(np.ones((2, 3), np.float32)).shape == (2, 0)


@pytest.mark.parametrize("shape", [(40, 7), (7, 40)], ids=str)
def test_from_moments_it_is_the_same(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).normal(3, 2, shape).astype(np.float32)
    moments = Covariance.none(shape[1])
    for part in np.array_split(values, 3):
        moments.add(part.astype(np.float64))
    found, expected = Pca.from_covariance(moments.mean, moments.products, 4), Pca.of(values, 4)
    for name in ("mean", "components", "share"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-6)
    alike = Covariance.none(3)
    alike.add(np.full((6, 3), 2.0))
    assert Pca.from_covariance(alike.mean, alike.products, 3).components.shape == (0, 3)


@pytest.mark.parametrize("shape", [(2, 7), (2, 7, 1, 1), (2, 3, 4, 5), (2, MOST)], ids=str)
def test_every_value_of_a_small_activation(shape: tuple[int, ...]) -> None:
    activation = torch.randn(shape)
    assert features(activation).equal(activation.reshape(2, -1))
    assert features(activation).shape[1] == count(shape)


def test_means_of_large_maps() -> None:
    activation = torch.randn(2, 50, 10, 10)
    assert features(activation).allclose(activation.mean((2, 3)))
    assert features(activation.half()).dtype == torch.float32
    assert count(activation.shape) == 50
    assert count((1, 2 * MOST)) == 2 * MOST
