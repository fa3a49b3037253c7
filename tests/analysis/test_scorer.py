import multiprocessing
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from livecnn.analysis import scorer as scoring
from livecnn.analysis.dataset import ImageDataset
from livecnn.analysis.scorer import ScoredImage, Scorer
from livecnn.engine.crop import Cropper
from livecnn.engine.observer import Observer
from livecnn.errors import UsageError
from livecnn.networks import bundle as bundles
from livecnn.networks.bundle import Bundle
from tests.helpers.mnist_files import typeset, write_mnist

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Typeset digits, the fourth blank, the third not readable."""
    folder = tmp_path_factory.mktemp("pictures")
    images, _ = typeset(9)
    images[3] = 200
    for i, image in enumerate(images):
        PillowImage.fromarray(image).save(folder / f"{i}.png")
    (folder / "2.png").write_bytes(b"broken")
    return folder


def scorer_of(images: ImageDataset, bundle: Bundle, **options: int) -> Scorer:
    return Scorer(images, Cropper(bundle.pipeline, 1.0), bundle.module, CPU, **options)


@pytest.mark.parametrize("size", [1, 4, 64])
def test_batches_give_what_single_passes_give(pictures: Path, lenet: Bundle, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(scoring, "BATCH", size)
    with ImageDataset(f"folder:{pictures}") as found, Observer(lenet.module, Cropper(lenet.pipeline, 1.0), CPU) as observe:
        scorer = scorer_of(found, lenet)
        scored = list(scorer([8, 0, 2, 3, 1]))
        assert [each.name for each in scored] == ["8.png", "0.png", "3.png", "1.png"]
        assert scorer.skipped == ["2.png: not a picture that can be read; allowed: PNG, JPEG, BMP, TIFF, WEBP"]
        for each in scored:
            assert each.thumbnail is None
            assert each.scores == pytest.approx(observe(found.at(each.index)).scores, abs=1e-5)
            assert each.top == (None if each.name == "3.png" else int(each.scores.argmax()))
            assert each.score == (0 if each.top is None else each.scores.max())


def test_processes_change_nothing_and_nobody_waits_for_one_that_was_killed(
    pictures: Path, lenet: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the middle of an answer, which is longer than a pipe holds, or ended while others ask no more."""
    monkeypatch.setattr(scoring, "BATCH", 2)
    places = [8, 0, 2, 3, 1, 7, 6, 5, 4]
    with ImageDataset(f"folder:{pictures}") as found:
        scorer = scorer_of(found, lenet, thumbnails=14)
        alone, batches = list(scorer(places)), list(scorer.watched(["ip1"], places))
        assert [each.index for each in alone] == [8, 0, 3, 1, 7, 6, 5, 4]
        assert [each.thumbnail.shape for each in alone if each.thumbnail is not None] == [(14, 14, 3)] * 8
        skipped, scorer.skipped = scorer.skipped, []
        with scorer.reading(2):
            assert_same(alone, list(scorer(places, 2)))
            shared = list(scorer.watched(["ip1"], places, 2))
            assert scorer.skipped == skipped == ["2.png: not a picture that can be read; allowed: PNG, JPEG, BMP, TIFF, WEBP"] * 2
            assert_same(alone, [each for batch, _ in shared for each in batch])
            assert activations(shared).equal(activations(batches))
            assert activations(list(scorer.activations(["ip1"], places))).equal(activations(batches))
            monkeypatch.setattr(scoring, "BATCH", 32)
            scored = scorer([0] * 320, 2)
            next(scored)
            scored.close()
            scored = scorer([1] * 320, 2)
            assert next(scored).index == 1  # and no answer to what was asked before
            for process in multiprocessing.active_children():
                process.kill()
            with pytest.raises(UsageError, match=r"--jobs: a process .* came to its end by itself \(exit code -9\)"):
                list(scored)
            list(scorer([3]))
    assert multiprocessing.active_children() == []


def assert_same(ones: list[ScoredImage], others: list[ScoredImage]) -> None:
    for one, other in zip(ones, others, strict=True):
        assert (one.index, one.name, one.label, one.top) == (other.index, other.name, other.label, other.top)
        assert one.scores.tobytes() == other.scores.tobytes()
        assert one.thumbnail is not None
        assert other.thumbnail is not None
        assert one.thumbnail.tobytes() == other.thumbnail.tobytes()


def activations(batches: Sequence[tuple[object, dict[str, torch.Tensor]]]) -> torch.Tensor:
    return torch.cat([layers["ip1"] for _, layers in batches])


def test_scores_that_are_no_numbers_have_no_top(pictures: Path) -> None:
    bundle = bundles.load("lenet-mnist")
    for parameter in bundle.module.parameters():
        parameter.fill_(float("nan"))
    with ImageDataset(f"folder:{pictures}") as found:
        (each,) = scorer_of(found, bundle)([0])
    assert (each.top, each.score) == (None, 0.0)


def test_whoever_stops_asking_saves_the_rest(tmp_path: Path, lenet: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(tmp_path, *typeset(20), "test")
    monkeypatch.setattr(scoring, "BATCH", 4)
    asked: list[int] = []
    with ImageDataset(f"idx:{tmp_path}") as found:
        at = found.at
        monkeypatch.setattr(found, "at", lambda index: asked.append(index) or at(index))
        scored = scorer_of(found, lenet)(range(20))
        assert [next(scored).index for _ in range(5)] == [0, 1, 2, 3, 4]
        scored.close()
    assert asked == list(range(8))
    assert np.isfinite(lenet.module(torch.zeros(1, 1, 28, 28)).numpy()).all()


KILLED = """
import os
import sys

import torch

from livecnn.analysis import scorer as scoring
from livecnn.networks import bundle as bundles
from livecnn.analysis.dataset import ImageDataset
from livecnn.engine.crop import Cropper

if __name__ == "__main__":
    scoring.BATCH = 2
    bundle = bundles.load("lenet-mnist")
    with ImageDataset(f"folder:{sys.argv[1]}") as pictures:
        scorer = scoring.Scorer(pictures, Cropper(bundle.pipeline, 1.0), bundle.module, torch.device("cpu"))
        for _ in scorer(range(9), 2):
            os._exit(3)
"""


def test_processes_end_with_the_one_that_was_killed(pictures: Path, tmp_path: Path) -> None:
    program = tmp_path / "killed.py"
    program.write_text(KILLED)
    # They hold its output: reading that ends when the last of them has ended.
    ended = subprocess.run([sys.executable, program, pictures], stdout=subprocess.PIPE, timeout=60, check=False)
    assert ended.returncode == 3


INTERRUPTED = """
import contextlib
import os
import signal
import sys
import time

if __name__ == "__mp_main__":  # a new process that does not come to an end with loading
    assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])  # the first one's, too
    with contextlib.suppress(FileExistsError):
        os.mkdir(sys.argv[2] + ".once")
        os.killpg(0, signal.SIGINT)  # as a terminal does
    time.sleep(600)

from livecnn.cli import main

if __name__ == "__main__":
    sys.exit(main(["replay", sys.argv[1], "--scores", sys.argv[2], "--jobs", "2"]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX's")
def test_an_interrupt_while_processes_start_is_quiet_and_nobody_waits_for_them(tmp_path: Path) -> None:
    write_mnist(tmp_path, *typeset(80), "test")
    program = tmp_path / "interrupted.py"
    program.write_text(INTERRUPTED)
    command = [sys.executable, program, tmp_path, tmp_path / "scores.csv"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, start_new_session=True)
    assert (ended.returncode, ended.stdout.strip(), ended.stderr.strip()) == (130, "", "")
    assert not (tmp_path / "scores.csv").exists()
