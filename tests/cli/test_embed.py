"""`livecnn embed` from its words."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

import livecnn
from livecnn.analysis import shards
from livecnn.analysis.embedding import api as embedder
from livecnn.cli import main
from livecnn.io import files
from tests.cli.conftest import Refused
from tests.helpers.mnist_files import typeset, write_mnist

Output = pytest.CaptureFixture[str]
PCA = ["--layer", "ip1", "--method", "pca"]


@pytest.fixture(autouse=True)
def _digits(elsewhere: Path) -> None:
    (elsewhere / "digits").mkdir()
    write_mnist(elsewhere / "digits", *typeset(20), "test")


def test_a_picture_a_page_a_table_and_a_map(elsewhere: Path, capsys: Output) -> None:
    made = livecnn.embed("digits", layer="ip1", method="pca", limit=12, seed=3)
    for name in ("x.html", "x.csv", "x.npz", "new/x.png"):
        assert main(["embed", "digits", *PCA, "--limit", "12", "--seed", "3", "--out", name]) == 0
        assert capsys.readouterr() == (f"{name}: 12 pictures, ip1 by pca\n", "")
    assert (elsewhere / "x.npz").read_bytes() == made.data()
    with PillowImage.open("new/x.png") as image:
        assert (np.asarray(image) == made.picture()).all()
    assert main(["embed", "idx:digits", "lenet-mnist", *PCA, "--out", "g.png", "--grid", "--size", "640"]) == 0
    with PillowImage.open("g.png") as image:
        assert image.width == 640


def test_what_is_skipped_is_told(elsewhere: Path, capsys: Output) -> None:
    for i, image in enumerate(typeset(9)[0]):
        PillowImage.fromarray(image).save(elsewhere / f"{i}.png")
    (elsewhere / "4.png").write_bytes(b"")
    assert main(["embed", "folder:.", *PCA, "--out", "x/x.csv"]) == 0
    assert capsys.readouterr().out.startswith("x/x.csv: 8 pictures, 1 skipped (first: 4.png: ")


def test_tsne_without_its_library(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openTSNE", None)
    assert main(["embed", "digits", "--layer", "ip1", "--out", "x.png"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("livecnn: --method tsne needs ")
    assert told.endswith(": pip install 'livecnn[embed]'; --method pca does not\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nosuch", *PCA, "--out", "x.png"], "nosuch: no such folder or video"),
        (["digits", *PCA, "--out", "x.bmp"], "x.bmp: unknown suffix '.bmp'"),
        (["digits", "--layer", "fc", "--method", "pca", "--out", "x.png"], "unknown layer 'fc'"),
        (["digits", "nosuch", *PCA, "--out", "x.png"], "nosuch"),
        (["digits", "--out", "x.png"], "Missing option '--layer'"),
    ],
)
def test_mistakes_are_one_line(words: list[str], message: str, elsewhere: Path, refused: Refused) -> None:
    assert message in refused(["embed", *words])
    assert not (elsewhere / "x.png").exists()


def test_an_interrupted_run_goes_on_from_what_is_finished(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    words = ["embed", "digits", *PCA, "--out", "x.npz"]
    with monkeypatch.context() as patched:
        patched.setattr(embedder, "project", interrupt)
        assert main(words) == 130
    assert sorted(str(path.relative_to(elsewhere)) for path in elsewhere.rglob("x*/*")) == [
        "x.npz.parts/00000.npz",
        "x.npz.parts/job.json",
    ]
    monkeypatch.setattr(shards, "Worker", None)  # nobody works
    assert main(words) == 0
    assert sorted(path.name for path in elsewhere.iterdir()) == ["digits", "x.npz"]


def test_an_interrupt_before_anything_is_finished_leaves_nothing(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shards.Worker, "__call__", interrupt)
    assert main(["embed", "digits", *PCA, "--out", "x.png"]) == 130
    assert [path.name for path in elsewhere.iterdir()] == ["digits"]


def test_two_at_a_time_into_the_same_file(elsewhere: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LOCK_PATIENCE", 0)
    words = ["embed", "digits", *PCA, "--out", "x.npz"]
    with shards.exclusive(elsewhere / "x.npz.parts"):
        assert main(words) == 2
        assert "x.npz.parts/job.json: cannot be written: another program has been writing there" in capsys.readouterr().err
    assert [path.name for path in elsewhere.iterdir()] == ["digits"]
    assert main(words) == 0
    assert sorted(path.name for path in elsewhere.iterdir()) == ["digits", "x.npz"]
