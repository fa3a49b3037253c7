"""How many of MNIST's 10,000 test pictures a model gets right through its own input pipeline; prints JSON.

python benchmarks/accuracy.py [--data FOLDER] [--model lenet-mnist]
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
import torch

from livecnn.networks.bundle import load
from livecnn.networks.training import mnist

SHARED = Path(os.environ.get("LIVECNN_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data"


def main() -> None:
    """Each picture as a shot; one that the pipeline calls empty counts as wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=SHARED / "mnist", help="folder of MNIST's idx files; downloaded where absent"
    )
    parser.add_argument("--model", default="lenet-mnist")
    options = parser.parse_args()
    bundle = load(options.model)
    images, labels = mnist.load(options.data, "test")
    shots = [bundle.pipeline(np.repeat(image[..., None], 3, axis=2)) for image in images]
    with torch.inference_mode():
        answers = torch.cat([bundle.module(shot.tensor) for shot in shots]).argmax(1).numpy()
    empty = np.array([shot.empty for shot in shots])
    right = (np.array(bundle.classes)[answers] == labels.astype(str)) & ~empty
    print(json.dumps({"accuracy": float(right.mean()), "n": len(labels), "empty": int(empty.sum())}))


if __name__ == "__main__":
    main()
