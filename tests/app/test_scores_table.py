import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from livecnn.app.scores_table import ScoresTable
from livecnn.errors import OutputError
from livecnn.types import Box, Frame, Patch, Prepared, Tick
from tests.helpers.files import rows_of
from tests.io.test_files import places_that_cannot_be

PICTURE = np.zeros((2, 2, 3), np.uint8)
FULL = Path("/dev/full")  # every write to it fails as on a full disk
needs_dev_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def tick_of(scores: Sequence[float], name: str = "a.png", label: str = "", empty: bool = False) -> Tick:
    patch = Patch(PICTURE, Box(0, 0, 2, 2), Prepared(torch.zeros(1, 1, 2, 2), PICTURE, empty))
    return Tick(Frame(PICTURE, 0, 0.0, name, label), patch, np.array(scores, np.float32))


def test_a_table(tmp_path: Path) -> None:
    path = tmp_path / "new" / "scores.csv"
    first, second = tick_of([0.25, 0.75], "a, b.png", "cat"), tick_of([0.0, 0.0], empty=True)
    with ScoresTable(path, ["cat", "do,g"]) as table:
        table.add(first)
        table.add(first)  # the same pass again: no second row
        table.add(second)
        assert len(rows_of(path)) == 3  # a crash would lose nothing
    assert path.read_bytes().startswith(b'index,name,label,top_class,top_score,cat,"do,g"\n')
    assert rows_of(path) == [
        ["index", "name", "label", "top_class", "top_score", "cat", "do,g"],
        ["0", "a, b.png", "cat", "do,g", "0.750000", "0.250000", "0.750000"],
        ["1", "a.png", "", "", "0.000000", "0.000000", "0.000000"],
    ]


def test_scores_that_are_no_numbers_name_no_class(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    with ScoresTable(path, ["a", "b"]) as table:
        table.add(tick_of([float("nan"), 1.0]))
    assert rows_of(path)[1] == ["0", "a.png", "", "", "0.000000", "nan", "1.000000"]


def test_file_names_of_another_encoding_are_written_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    with ScoresTable(path, ["a"]) as table:
        table.add(tick_of([1.0], name=os.fsdecode(b"caf\xe9.png"), label="café"))
    assert rows_of(path)[1][1:3] == [r"caf\udce9.png", "café"]


def test_a_table_that_cannot_be_opened(tmp_path: Path) -> None:
    for path, _ in places_that_cannot_be(tmp_path):
        with pytest.raises(OutputError, match=r"cannot be written"):
            ScoresTable(path, ["a"])


@needs_dev_full
def test_a_table_on_a_full_disk() -> None:
    with pytest.raises(OutputError, match=r"^/dev/full: cannot be written: No space left on device$"):
        ScoresTable(FULL, ["a"])


def test_a_disk_that_gets_full_under_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "scores.csv"

    class Full:
        def writerows(self, _: object) -> None:
            raise OSError(28, "No space left on device")

    table = ScoresTable(path, ["a"])
    monkeypatch.setattr(table, "_writer", Full())
    with pytest.raises(OutputError, match=r"scores\.csv: cannot be written: No space left on device"), table:
        table.add(tick_of([1.0]))
    assert len(rows_of(path)) == 1
