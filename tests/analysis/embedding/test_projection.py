import importlib.util
import sys

import numpy as np
import pytest

from livecnn.analysis.embedding import projection
from livecnn.analysis.embedding.projection import WAYS, check, project
from livecnn.errors import UsageError
from livecnn.types import Floats

HERE = [
    pytest.param(
        method, marks=pytest.mark.skipif(importlib.util.find_spec(library) is None, reason=f"{library} is not installed")
    )
    for method, library in (("pca", "numpy"), ("tsne", "openTSNE"))
]


def clusters(count: int = 60) -> Floats:
    """Three, in six dimensions."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(count, 6)) + 12 * np.eye(6)[np.arange(count) % 3]).astype(np.float32)


@pytest.mark.parametrize("method", HERE)
def test_clusters_stay_apart_and_the_same_seed_gives_the_same(method: str) -> None:
    points = project(clusters(), method, seed=3)
    assert (points.shape, points.dtype) == ((60, 2), np.float32)
    assert points.mean(0) == pytest.approx(0, abs=1e-4)
    middles = np.stack([points[i::3].mean(0) for i in range(3)])
    nearest = np.linalg.norm(points[:, None] - middles, axis=2).argmin(1)
    assert (nearest == np.arange(60) % 3).all()
    assert project(clusters(), method, seed=3).tobytes() == points.tobytes()


@pytest.mark.skipif(importlib.util.find_spec("openTSNE") is None, reason="openTSNE is not installed")
def test_of_very_many_pictures_the_neighbours_are_nearly_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = project(clusters(300), "tsne")
    monkeypatch.setattr(projection, "EXACT", 299)
    points = project(clusters(300), "tsne")
    assert points.tobytes() != exact.tobytes()
    middles = np.stack([points[i::3].mean(0) for i in range(3)])
    nearest = np.linalg.norm(points[:, None] - middles, axis=2).argmin(1)
    assert (nearest == np.arange(300) % 3).all()


@pytest.mark.parametrize("method", HERE)
@pytest.mark.parametrize("features", [clusters(8), clusters(20)[:, :1], np.repeat(clusters(3), 4, 0)], ids=["8", "line", "twins"])
def test_few_pictures_and_few_components(method: str, features: Floats) -> None:
    points = project(features, method)
    assert points.shape == (len(features), 2)
    assert np.isfinite(points).all()


def test_too_few_pictures() -> None:
    with pytest.raises(UsageError, match="found 7 pictures; a map needs 8 or more"):
        project(clusters(7), "pca")


def test_an_unknown_method() -> None:
    with pytest.raises(UsageError, match="--method: found 'tnse'; allowed: tsne, pca, umap"):
        check("tnse")


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

        def fit_transform(self, features: Floats) -> Floats:
            return features[:, 1:3]

    monkeypatch.setitem(sys.modules, "umap", type(sys)("umap"))
    monkeypatch.setattr(sys.modules["umap"], "UMAP", Umap, raising=False)
    check("umap")
    assert project(clusters(), "umap", 4) == pytest.approx(clusters()[:, 1:3] - clusters()[:, 1:3].mean(0))
