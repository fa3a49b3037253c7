import base64
import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from livecnn.analysis.embedding.embedding import load
from livecnn.analysis.embedding.export import check_out, write
from livecnn.errors import OutputError, UsageError
from tests.helpers.embeddings import embedding

NASTY = "</script><img src=//evil.example/x onerror=alert(1)>&amp;.png"


class Reader(HTMLParser):
    """Elements with their attributes, what a script element holds, and whether every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)


def page_of(tmp_path: Path, grid: bool = False, **fields: Any) -> tuple[Reader, dict[str, Any], str]:
    write(embedding(**fields), tmp_path / "x.html", grid=grid)
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert not reader.open
    return reader, json.loads(reader.scripts[0]), text


def test_the_page_stands_alone(tmp_path: Path) -> None:
    reader, _, text = page_of(tmp_path, names=(NASTY, *map(str, range(23))), layer="<b>", classes=tuple("<>&\"'abcde"))
    assert len(reader.scripts) == 2
    assert {tag for tag, _ in reader.found} & {"link", "img", "iframe", "b"} == set()
    assert not any({"src", "href"} & attributes.keys() for _, attributes in reader.found)
    code = text.replace(reader.scripts[0], "")
    assert not re.search(r"https?:|evil|fetch\(|XMLHttpRequest|import\(|url\(", code)
    policy = next(attributes["content"] for tag, attributes in reader.found if attributes.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "<!--" not in text


def test_the_page_holds_the_data(tmp_path: Path) -> None:
    made = embedding(names=(NASTY, *(f"{i}.png" for i in range(1, 24))))
    _, data, _ = page_of(tmp_path, names=made.names)
    assert (data["names"], data["labels"], data["tops"]) == ([*made.names], [*made.labels], made.tops.tolist())
    points = np.array(data["points"])
    assert points.min() == pytest.approx(0, abs=1e-4)
    assert points.max() == pytest.approx(1, abs=1e-4)
    assert np.corrcoef(points[:, 1], made.points[:, 1])[0, 1] == pytest.approx(-1)
    assert len(set(map(tuple, data["cells"]))) == 24
    for best, told, scores in zip(data["best"], data["scores"], made.scores, strict=True):
        assert told == pytest.approx(np.sort(scores)[::-1][:5], abs=1e-4)
        assert scores[best] == pytest.approx(told, abs=1e-4)
    assert [kind["name"] for kind in data["kinds"]] == [*"0123456789"]
    kind, _, content = data["sheet"].partition(",")
    assert kind == "data:image/png;base64"
    with PillowImage.open(io.BytesIO(base64.b64decode(content))) as sheet:
        tiles = np.asarray(sheet)
    assert (data["tile"], data["columns"]) == (8, 5)
    assert [int(tiles[i // 5 * 8, i % 5 * 8]) for i in range(24)] == [*range(24)]


def test_a_page_of_photographs_and_of_scores_that_are_no_numbers(tmp_path: Path) -> None:
    colors = np.random.default_rng(0).integers(0, 255, (24, 80, 80, 3), np.uint8)
    _, data, _ = page_of(
        tmp_path, grid=True, thumbnails=colors, scores=np.full((24, 10), np.nan, np.float32), tops=np.full(24, -1)
    )
    assert data["sheet"].startswith("data:image/jpeg;base64,")
    assert data["grid"] is True
    assert data["scores"][0] == [0] * 5


def test_the_table(tmp_path: Path) -> None:
    made = embedding(4, labels=("7", "", "2", "2"), tops=np.array([3, -1, 9, 3]), names=("a", 'b,"\n', "caf\udce9", "d"))
    write(made, tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["index", "name", "label", "x", "y", "top_class", *"0123456789"]
    assert [row["name"] for row in rows] == ["a", 'b,"\n', "caf\\udce9", "d"]
    assert [row["top_class"] for row in rows] == ["3", "", "9", "3"]
    assert [row["label"] for row in rows] == ["7", "", "2", "2"]
    assert [int(row["index"]) for row in rows] == [0, 2, 4, 6]
    assert [[float(row["x"]), float(row["y"])] for row in rows] == pytest.approx(made.points, rel=1e-4)
    assert [float(row["4"]) for row in rows] == pytest.approx(made.scores[:, 4], abs=1e-6)


def test_the_picture_and_the_map(tmp_path: Path) -> None:
    made = embedding()
    write(made, tmp_path / "x.png", 500, grid=True)
    with PillowImage.open(tmp_path / "x.png") as image:
        assert (np.asarray(image) == made.picture(500, grid=True)).all()
    write(made, tmp_path / "x.npz")
    assert load(tmp_path / "x.npz").names == made.names


@pytest.mark.parametrize(
    ("name", "size", "grid", "kind", "message"),
    [
        ("x.gif", None, False, OutputError, "unknown suffix '.gif'; allowed: .png, .html, .csv, .npz"),
        ("x.png", 100, False, UsageError, "--size: found 100; allowed: 320 to 12000 pixels"),
        ("x.html", 600, False, UsageError, "--size: .*x.html is no picture; allowed with .png"),
        ("x.csv", None, True, UsageError, "--grid: .*x.csv is no picture; allowed with .png or .html"),
    ],
)
def test_what_cannot_be_written(
    tmp_path: Path, name: str, size: int | None, grid: bool, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        check_out(tmp_path / name, str(tmp_path), size, grid=grid)


def test_a_picture_among_the_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"^--out in/new/x\.png: lies in the folder of the images; name one outside .*in$"):
        check_out(Path("in/new/x.png"), "in", None, grid=False)
    assert not (tmp_path / "in" / "new").exists()
    check_out(Path("in/x.html"), "in", None, grid=True)  # which is none of them
    check_out(Path("x.png"), "in", 600, grid=True)
