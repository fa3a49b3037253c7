"""What it takes to import a Caffe network: seconds, and the most memory against the size of its file; prints one line of JSON.

    python benchmarks/caffe_import.py [--prototxt FILE]

A caffemodel of random weights is made for the prototxt (by default the DEX age network, a VGG-16: 540 MB), then a process of its
own imports both and writes the bundle. Its seconds count from its start, its memory is the most that was ever resident.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("LIVECNN_SHARED", ROOT.parent / "shared")) / "data"


def main() -> None:
    """Make the caffemodel and measure; or, as the process that is measured, import it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prototxt", type=Path, default=SHARED / "age" / "dex_age.prototxt")
    parser.add_argument("--weights", type=Path, help="be the process that is measured: import this caffemodel, write the bundle")
    parser.add_argument("--bundle", type=Path, help="folder of that bundle")
    options = parser.parse_args()
    if options.weights:
        import_one(options.prototxt, options.weights, options.bundle)
    else:
        print(json.dumps(measured(options.prototxt)))


def measured(prototxt: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "random.caffemodel"
        # Not here: to a child the system counts what its parent had when it started.
        maker = multiprocessing.get_context("spawn").Process(target=make, args=(prototxt, weights))
        maker.start()
        maker.join()
        size = weights.stat().st_size
        words = [str(prototxt), "--weights", str(weights), "--bundle", str(Path(folder) / "bundle")]
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, __file__, "--prototxt", *words], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT
        )
        seconds = time.monotonic() - start
    peak = int(done.stdout)
    return {
        "file_mb": round(size / 1e6, 1),
        "seconds": round(seconds, 2),
        "peak_mb": round(peak / 1e6, 1),
        "ratio": round(peak / size, 2),
    }


def make(prototxt: Path, weights: Path) -> None:
    """A caffemodel of random weights."""
    sys.path.insert(0, str(ROOT))
    from tests.helpers import caffe_files

    caffe_files.write(weights, caffe_files.random_weights(prototxt.read_text()))


def import_one(prototxt: Path, weights: Path, bundle: Path) -> None:
    """Prints the most resident memory, in bytes."""
    import resource

    from livecnn.networks.bundle import save
    from livecnn.networks.importers.caffe import CaffeImporter

    found = CaffeImporter()([prototxt, weights])
    card = {
        "name": "imported", "architecture": found.architecture, "options": found.options, "input": found.input,
        "classes": [], "licence": "", "source": "random numbers",
    }  # fmt: skip
    save(bundle, found.module, card)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(most * (1 if sys.platform == "darwin" else 1024))


if __name__ == "__main__":
    main()
