"""The t-SNE of `livecnn embed` against scikit-learn's, on LeNet's ip1 for MNIST's test images; prints one line of JSON.

    python benchmarks/embed.py [--data FOLDER] [--images 10000]

Both get the same 50 principal components and the same number of threads, and take their own defaults otherwise. ours_s has the
principal component analysis in it. trust: scikit-learn's trustworthiness of the plane, for 10 neighbours in ip1's 500 values.
knn: accuracy of the 10 nearest neighbours in the plane, the image itself left out.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.manifold import TSNE, trustworthiness
from sklearn.neighbors import NearestNeighbors

from livecnn.analysis.embedding.api import COMPONENTS
from livecnn.analysis.embedding.embedding import Pca, features, project
from livecnn.networks.bundle import load
from livecnn.networks.inspection.probe import Probe
from livecnn.networks.training import mnist
from livecnn.types import Floats, Image

SHARED = Path(os.environ.get("LIVECNN_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data"
NEIGHBOURS = 10


def main() -> None:
    """Ours first, then scikit-learn's, in the same process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=SHARED / "mnist", help="folder of MNIST's idx files; downloaded where absent"
    )
    parser.add_argument("--images", type=int, default=10_000)
    options = parser.parse_args()
    images, labels = (array[: options.images] for array in mnist.load(options.data, "test"))
    values = activations(images)
    reduced = Pca.of(values, COMPONENTS)(values)
    warm = reduced[:200]
    project(warm, "tsne")
    TSNE(n_jobs=os.cpu_count(), random_state=0, max_iter=250).fit_transform(warm)
    ours_s, ours = timed(lambda: project(Pca.of(values, COMPONENTS)(values), "tsne"))
    sklearn_s, theirs = timed(lambda: TSNE(n_jobs=os.cpu_count(), random_state=0).fit_transform(reduced))
    told = {"n": len(images), "ours_s": round(ours_s, 1), "sklearn_s": round(sklearn_s, 1), "ratio": round(ours_s / sklearn_s, 3)}
    for name, points in (("ours", ours), ("sklearn", theirs)):
        told[f"{name}_trust"] = round(float(trustworthiness(values, points, n_neighbors=NEIGHBOURS)), 5)
        told[f"{name}_knn"] = round(accuracy(points, labels), 5)
    print(json.dumps(told))


def activations(images: Image) -> Floats:
    """Of ip1, float32 (N, 500), each picture through the whole input pipeline."""
    bundle = load("lenet-mnist")
    shots = (bundle.prepare(np.repeat(image[..., None], 3, axis=2)) for image in images)
    with Probe(bundle.module, ["ip1"]) as probe:
        batches = [features(probe(batch)[1]["ip1"]) for batch in torch.cat([*shots]).split(256)]
    return np.asarray(torch.cat(batches).numpy(), np.float32)


def accuracy(points: Floats, labels: Image) -> float:
    """Of a vote among the nearest others; the smallest class wins where it is a draw."""
    near = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(points).kneighbors(return_distance=False)
    votes = np.stack([(labels[near] == kind).sum(1) for kind in range(10)], axis=1)
    return float((votes.argmax(1) == labels).mean())


def timed(work: Callable[[], Floats]) -> tuple[float, Floats]:
    start = time.perf_counter()
    points = work()
    return time.perf_counter() - start, points


if __name__ == "__main__":
    main()
