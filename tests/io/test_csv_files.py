from pathlib import Path

import pytest

from livecnn.errors import OutputError
from livecnn.io.csv_files import CsvFile, as_csv

ROWS = [("name", "value"), ("a, b", 1), ("\udcff", ""), ('said "no"', "two\nlines")]
TEXT = b'name,value\n"a, b",1\n\\udcff,\n"said ""no""","two\nlines"\n'


def test_a_whole_file() -> None:
    assert as_csv(ROWS) == TEXT


def test_row_by_row(tmp_path: Path) -> None:
    path, part = tmp_path / "new" / "x.csv", tmp_path / "x.part.csv"
    for written, options in ((part, {"part": part}), (path, {})):
        with CsvFile(path, buffering=1, **options) as file:
            for count, row in enumerate(ROWS, 1):
                file.write(row)
                assert written.read_bytes() == as_csv(ROWS[:count])
        assert path.exists() == (written == path)


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r": cannot be written: Is a directory$"):
        CsvFile(tmp_path, part=tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk")
def test_a_full_disk(tmp_path: Path) -> None:
    file = CsvFile(tmp_path / "x.csv", part=Path("/dev/full"), buffering=1)
    with pytest.raises(OutputError, match=r"x\.csv: cannot be written: No space left on device$"):
        file.write(ROWS[0])
    file.close()
