import fcntl
import getpass
import itertools
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecnn import paths
from livecnn.analysis.annotations.store import Annotations, Mark, Verdict, annotations_path
from livecnn.errors import OutputError
from livecnn.io import files

TIME = "2026-01-31T14:23:55Z"
UNIT = {"verdict": "good", "time": TIME}
FILE: dict[str, Any] = {"version": 1, "model": "lenet", "annotator": "ana", "units": {"conv2": {"31": UNIT}}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mine.annotations.json"


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "strftime", lambda *_: TIME)


def stored(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data


def verdicts_of(annotations: Annotations, layer: str) -> dict[int, Verdict | None]:
    return {unit: mark.verdict for unit, mark in annotations.units.get(layer, {}).items()}


def test_the_file(path: Path) -> None:
    annotations = Annotations.open(path, "lenet-mnist", "ana")
    assert not path.exists()
    annotations.mark("ip1", 100, "bad")
    annotations.mark("conv2", 31, "good")
    annotations.note("conv2", 4, "a “7”, 七 🙂\nand more")
    assert stored(path) == {
        "version": 1,
        "model": "lenet-mnist",
        "annotator": "ana",
        "units": {
            "ip1": {"100": {"verdict": "bad", "time": TIME}},
            "conv2": {"4": {"note": "a “7”, 七 🙂\nand more", "time": TIME}, "31": {"verdict": "good", "time": TIME}},
        },
    }
    assert list(stored(path)["units"]) == ["ip1", "conv2"]
    assert list(stored(path)["units"]["conv2"]) == ["4", "31"]
    assert "七 🙂" in path.read_text(encoding="utf-8")
    assert list(path.parent.iterdir()) == [path]


def test_verdict_and_note_come_and_go_apart(path: Path) -> None:
    annotations = Annotations.open(path, "lenet", "ana")
    assert annotations.of("conv1", 3) == Mark()
    annotations.mark("conv1", 3, "good")
    annotations.note("conv1", 3, "edges")
    annotations.mark("conv1", 3, "bad")
    assert annotations.of("conv1", 3) == Mark("bad", "edges", TIME, "ana")
    annotations.mark("conv1", 3, None)
    assert annotations.of("conv1", 3) == Annotations.open(path, "lenet").of("conv1", 3) == Mark(None, "edges", TIME, "ana")
    annotations.note("conv1", 3, "")
    assert annotations.of("conv1", 3) == Mark()
    assert stored(path)["units"] == {}


def test_counts(path: Path) -> None:
    annotations = Annotations.open(path, "lenet")
    assert annotations.counts("conv1", 20) == (0, 0, 20)
    for unit, verdict in enumerate(("good", "good", "bad", None)):
        annotations.mark("conv1", unit, verdict)  # type: ignore[arg-type]
    annotations.note("conv1", 9, "neither")
    annotations.mark("conv2", 0, "bad")
    assert annotations.counts("conv1", 20) == (2, 1, 17)
    assert Annotations.open(path, "lenet").counts("conv1", 20) == (2, 1, 17)


def test_the_hour_is_that_of_greenwich(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    annotations = Annotations.open(path, "lenet")
    annotations.mark("conv1", 0, "good")
    noon, before = "2026-07-01T12:00:00Z", annotations.of("conv1", 0).time
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", before)
    monkeypatch.setattr(time, "gmtime", lambda: time.struct_time((2026, 7, 1, 12, 0, 0, 2, 182, 0)))
    annotations.note("conv1", 0, "noon")
    assert annotations.of("conv1", 0).time == noon


def test_who_marks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "eve")
    assert Annotations.open(path, "lenet").annotator == "eve"
    monkeypatch.setattr(getpass, "getuser", Mock(side_effect=KeyError("uid not found")))
    assert Annotations.open(path, "lenet").annotator == "unknown"


def test_another_hand_in_the_same_file(path: Path) -> None:
    Annotations.open(path, "lenet", "ana").mark("conv1", 0, "good")
    Annotations.open(path, "lenet", "ben").mark("conv1", 1, "bad")
    assert stored(path)["annotator"] == "ana"
    assert stored(path)["units"]["conv1"]["1"] == {"verdict": "bad", "time": TIME, "annotator": "ben"}
    read = Annotations.read(path)
    assert (read.model, read.annotator) == ("lenet", "ana")
    assert [read.of("conv1", unit).annotator for unit in (0, 1)] == ["ana", "ben"]


def test_half_a_character_is_no_reason_to_end(path: Path) -> None:
    annotations = Annotations.open(path, "lenet", "\udce9ve")
    annotations.note("conv1", 0, "x\ud83dy")
    assert annotations.of("conv1", 0) == Annotations.open(path, "lenet").of("conv1", 0) == Mark(None, "x?y", TIME, "?ve")


def test_units_count_from_0(path: Path) -> None:
    with pytest.raises(ValueError, match=r"^unit -1: units count from 0$"):
        Annotations.open(path, "lenet").mark("conv1", -1, "good")
    assert not path.exists()


Changes = st.lists(
    st.tuples(st.text(max_size=3), st.integers(0, 10**8), st.one_of(st.sampled_from(["good", "bad", None]), st.text())),
    max_size=6,
)


@given(Changes)
def test_read_back(tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, int, Any]]) -> None:
    path = tmp_path_factory.mktemp("any") / "a.annotations.json"
    annotations = Annotations.open(path, "lenet", "ana")
    expected: dict[tuple[str, int], Mark] = {}
    for index, (layer, unit, what) in enumerate(changes):
        before = expected.get((layer, unit), Mark())
        if index % 2 or what not in ("good", "bad", None):
            annotations.note(layer, unit, what or "")
            expected[layer, unit] = Mark(before.verdict, what or "", TIME, "ana")
        else:
            annotations.mark(layer, unit, what)
            expected[layer, unit] = Mark(what, before.note, TIME, "ana")
        if not (expected[layer, unit].verdict or expected[layer, unit].note):
            del expected[layer, unit]
    for each in (annotations, *([Annotations.open(path, "lenet")] if changes else [])):
        assert {(layer, unit): mark for layer, marks in each.units.items() for unit, mark in marks.items()} == expected


def test_two_windows_on_one_file(path: Path) -> None:
    one, other = Annotations.open(path, "lenet", "ana"), Annotations.open(path, "lenet", "ben")
    one.mark("conv1", 0, "good")
    other.mark("conv1", 1, "bad")
    other.note("conv1", 0, "sure?")
    assert one.of("conv1", 1) == Mark()  # so far
    one.mark("conv1", 0, "bad")
    assert one.of("conv1", 0) == Mark("bad", "sure?", TIME, "ana")
    assert verdicts_of(one, "conv1") == {0: "bad", 1: "bad"}


def test_two_writers_at_the_same_moment(path: Path) -> None:
    def work(layer: str) -> None:
        annotations = Annotations.open(path, "lenet", layer)
        for unit in range(30):
            annotations.mark(layer, unit, "good")

    threads = [threading.Thread(target=work, args=(layer,)) for layer in ("conv1", "conv2", "ip1")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {layer: len(units) for layer, units in stored(path)["units"].items()} == {"conv1": 30, "conv2": 30, "ip1": 30}


LOOP = """
import sys
from pathlib import Path
from livecnn.analysis.annotations.store import Annotations

annotations = Annotations.open(Path(sys.argv[1]), "lenet", "ana")
unit = len(annotations.units.get("conv1", {}))
while True:
    annotations.mark("conv1", unit, "good")
    print(unit, flush=True)
    unit += 1
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_killed_while_it_writes(path: Path) -> None:
    told = -1
    for enough in (3, 10, 40):
        with subprocess.Popen([sys.executable, "-c", LOOP, str(path)], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            told = [int(line) for line in itertools.islice(process.stdout, enough)][-1]
            process.kill()
            told = max([told, *(int(line) for line in process.stdout if line.endswith("\n"))])
        units = Annotations.open(path, "lenet").units["conv1"]
        assert list(units)[: told + 1] == list(range(told + 1))
        assert len(units) <= told + 2  # one more may be written, but not told
    assert told >= 50


def test_written_before_it_is_told_as_saved(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda number: done.append("folder" if os.path.isdir(f"/dev/fd/{number}") else "file") or fsync(number)
    )
    monkeypatch.setattr(os, "replace", lambda *names: done.append("name") or replace(*names))
    Annotations.open(path, "lenet").mark("conv1", 0, "good")
    assert done == ["file", "name", "folder"]


def refuse_folders(number: int, fsync: Callable[[int], None] = os.fsync) -> None:
    if os.path.isdir(f"/dev/fd/{number}"):
        raise OSError(22, "Invalid argument")
    fsync(number)


@pytest.mark.parametrize(
    ("module", "name", "refuse"),
    [(os, "fsync", refuse_folders), (fcntl, "flock", Mock(side_effect=OSError(95, "Operation not supported")))],
    ids=["folders are not synchronised", "no locks"],
)
def test_what_a_file_system_lacks_is_no_error(
    path: Path, monkeypatch: pytest.MonkeyPatch, module: object, name: str, refuse: Callable[..., None]
) -> None:
    monkeypatch.setattr(module, name, refuse)
    Annotations.open(path, "lenet").mark("conv1", 0, "good")
    assert verdicts_of(Annotations.open(path, "lenet"), "conv1") == {0: "good"}


def test_a_mark_that_cannot_be_saved_stays_and_is_saved_later(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    annotations = Annotations.open(path, "lenet", "ana")
    annotations.mark("conv1", 0, "good")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", Mock(side_effect=OSError(28, "No space left on device")))
        for unit in (1, 2):
            with pytest.raises(OutputError, match=r"mine\.annotations\.json: cannot be written: No space left on device$"):
                annotations.mark("conv1", unit, "bad")
    assert verdicts_of(annotations, "conv1") == {0: "good", 1: "bad", 2: "bad"}
    assert annotations.counts("conv1", 20) == (1, 2, 17)
    assert list(stored(path)["units"]["conv1"]) == ["0"]
    Annotations.open(path, "lenet", "ben").note("conv1", 2, "meanwhile")
    annotations.mark("conv1", 3, "good")
    assert verdicts_of(Annotations.open(path, "lenet"), "conv1") == {0: "good", 1: "bad", 2: "bad", 3: "good"}
    assert annotations.of("conv1", 2).note == "meanwhile"


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    annotations = Annotations.open(tmp_path / "late" / "a.json", "lenet")
    (tmp_path / "late").write_text("a file")
    with pytest.raises(OutputError, match=r"late/a\.json: cannot be written: .*late is not a folder$"):
        annotations.mark("conv1", 0, "good")
    assert annotations.of("conv1", 0).verdict == "good"


def test_whoever_holds_the_file_is_waited_for_but_not_for_ever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LOCK_PATIENCE", 0.02)
    annotations = Annotations.open(path, "lenet")
    refused = pytest.raises(OutputError, match=r"another program has been writing there for 0\.02 seconds$")
    with files.locked(path), refused:
        annotations.mark("conv1", 0, "good")
    assert not path.exists()
    annotations.mark("conv1", 1, "bad")
    assert verdicts_of(Annotations.open(path, "lenet"), "conv1") == {0: "good", 1: "bad"}


def test_a_file_that_is_gone_is_written_anew(path: Path) -> None:
    annotations = Annotations.open(path, "lenet")
    annotations.mark("conv1", 0, "good")
    path.unlink()
    annotations.mark("conv1", 1, "bad")
    assert verdicts_of(Annotations.open(path, "lenet"), "conv1") == {0: "good", 1: "bad"}


def test_a_link_is_written_through(path: Path) -> None:
    link = path.parent / "links" / "link.json"
    link.parent.mkdir()
    link.symlink_to(path)
    Annotations.open(link, "lenet").mark("conv1", 0, "good")
    assert link.is_symlink()
    assert stored(path)["units"]["conv1"].keys() == {"0"}


def in_file(**changes: Any) -> str:
    return json.dumps({**FILE, **changes})


DAMAGED = [
    ("{", r":1: not valid JSON: .*"),
    ('{"a": 1,\n"a"}', r":2: not valid JSON: .*"),
    ("[1]", r": found \[1\]; allowed: an object with version, model, annotator, units"),
    ("", r":1: not valid JSON: .*"),
    ("null", r": version: nothing found; it is needed \(and 3 more\)"),
    ('{"version": 1, "version": 1}', r": version: found twice; once is allowed"),
    ("[" * 100_000, r": .*recursion.*"),
    ("1" * 5000, r": .*digits.*"),
    (in_file(version=2), r": version: found 2; allowed: 1"),
    (in_file(version=2, later="x"), r": version: found 2; allowed: 1 \(and 1 more\)"),
    (in_file(model="vgg16"), r": model: found 'vgg16'; allowed: 'lenet'"),
    (in_file(colour="red"), r": colour: unknown key; allowed: version, model, annotator, units"),
    (in_file(units=[]), r": units: found \[\]; allowed: a mapping.*"),
    (in_file(units={"conv2": {"-1": UNIT}}), r": units\.conv2\.-1: found '-1'; allowed: a unit's number, such as 31"),
    (in_file(units={"conv2": {"01": UNIT}}), r": units\.conv2\.01: found '01'; allowed: a unit's number, such as 31"),
    (in_file(units={"conv2": {"1": {"verdict": "good"}}}), r": units\.conv2\.1\.time: nothing found; it is needed"),
    (in_file(units={"c": {"1": {"time": "now"}}}), r": units\.c\.1\.time: found 'now'; allowed: a time, such as 2026-.*"),
    (in_file(units={"c": {"1": {**UNIT, "verdict": "god"}}}), r": units\.c\.1\.verdict: found 'god'; .*allowed: good, bad"),
    (in_file(units={"c": {"1": {**UNIT, "note": 7}}}), r": units\.c\.1\.note: found 7; allowed: a valid string"),
    (in_file(units={"c": {"1": {**UNIT, "more": 7}}}), r": units\.c\.1\.more: unknown key"),
    (in_file(annotator="\ud83d"), r": not UTF-8 text; is it a file of annotations\?"),
    (b"\xff\xfe", r": not UTF-8 text; is it a file of annotations\?"),
]


@pytest.mark.parametrize(("content", "message"), DAMAGED, ids=[str(number) for number in range(len(DAMAGED))])
def test_what_cannot_be_understood_is_told_and_left_alone(path: Path, content: str | bytes, message: str) -> None:
    raw = content.encode() if isinstance(content, str) else content
    annotations = Annotations.open(path, "lenet")
    path.write_bytes(raw)
    line = f"^{re.escape(str(path))}{message}$"
    with pytest.raises(OutputError, match=line):
        Annotations.open(path, "lenet")
    with pytest.raises(OutputError, match=line):
        annotations.mark("conv1", 0, "good")
    assert annotations.of("conv1", 0).verdict == "good"
    assert path.read_bytes() == raw
    assert list(path.parent.iterdir()) == [path]


def test_what_is_no_file_of_annotations_at_all(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputError, match=r"no such file; allowed: a file of annotations$"):
        Annotations.read(path)
    with pytest.raises(OutputError, match=r"cannot be read: Is a directory$"):
        Annotations.open(path.parent, "lenet")
    monkeypatch.setattr("livecnn.analysis.annotations.store.MOST_BYTES", 10)
    path.write_text(json.dumps(FILE))
    with pytest.raises(OutputError, match="found more than 10 bytes; is it a file of annotations"):
        Annotations.open(path, "lenet")


def test_an_empty_layer_is_none(path: Path) -> None:
    path.write_text(in_file(units={"conv1": {}, "conv2": {"31": UNIT}}))
    assert list(Annotations.open(path, "lenet").units) == ["conv2"]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("lenet-mnist", "mine.lenet-mnist.annotations.json"),
        ("nets.mine:Net", "mine.nets.mine-Net.annotations.json"),
        ("../up/net é", "mine.up-net-é.annotations.json"),
        ("::", "mine.unnamed.annotations.json"),
    ],
)
def test_beside_a_users_own_layout(tmp_path: Path, model: str, name: str) -> None:
    assert annotations_path(tmp_path / "mine.yaml", True, model) == tmp_path / name


def test_in_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVECNN_ANNOTATIONS", str(tmp_path))
    assert annotations_path(paths.layouts()["lenet"], True, "a") == tmp_path / "lenet.a.annotations.json"
    monkeypatch.chdir(paths.shipped("configs"))
    assert annotations_path(Path("lenet.yaml"), True, "a") == tmp_path / "lenet.a.annotations.json"
    assert annotations_path(Path("My net: v1.2/x"), False, "a") == tmp_path / "My-net-v1.2-x.a.annotations.json"

    monkeypatch.setenv("LIVECNN_ANNOTATIONS", "~/marks")
    assert annotations_path(Path("lenet.yaml"), True, "a") == Path.home() / "marks" / "lenet.a.annotations.json"
