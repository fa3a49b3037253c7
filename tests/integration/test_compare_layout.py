"""The shipped layout that compares two networks, with the real Caffe network."""

import csv
from pathlib import Path

import pytest

from livecnn.cli import main


@pytest.fixture
def imported(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVECNN_MODELS", str(tmp_path / "models"))
    files = [str(shared / "caffe" / name) for name in ("lenet.prototxt", "lenet_iter_10000.caffemodel")]
    ink = ["--input", "kind=ink", "--input", "mean=0", "--input", "std=1"]
    assert main(["models", "import", *files, "--name", "lenet-caffe", *ink]) == 0


@pytest.mark.usefixtures("imported")
def test_our_lenet_beside_caffes(tmp_path: Path, shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "check", "compare"]) == 0
    assert capsys.readouterr().out.endswith("compare: fine: 11 panels, model lenet-mnist · lenet-caffe\n")
    film, table = tmp_path / "x.gif", tmp_path / "x.csv"
    source = f"folder:{shared / 'digits'}"
    words = ["run", "compare", "--source", source, "--headless", "--once", "--record", str(film), "--scores", str(table)]
    assert main([*words, "--set", "figure.size=[640, 360]", "--frames", "8"]) == 0
    assert film.exists()
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert all(row["top_class"] == row["name"].split("label")[1][0] for row in rows)
