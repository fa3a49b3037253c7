from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from livecnn.errors import ConfigError, ModelError
from livecnn.io import yaml_document as yamlfile

FILE = Path("f.yaml")

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
tricky = st.sampled_from(
    ["on", "yes", "1e3", "010", "0o7", "0-19", "~", "", "null", "true", "1_0", "1:30", "=", "<<", "2020-01-01", ".5"]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text | tricky
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text | tricky, inner, max_size=4), max_leaves=12
)


def data(content: str) -> dict[str, Any]:
    return dict(yamlfile.parse(content, FILE).data)


def test_core_schema_of_yaml_1_2() -> None:
    content = "[on, yes, True, false, ~, , 1e3, 010, 0x1F, 0o17, -3, +.5, 1., 1_0, 1:30, 2020-01-01, 0-19, =, '5', !!str 5]"
    expected = ["on", "yes", True, False, None, None, 1000.0, 10, 31, 15, -3, 0.5, 1.0,
                "1_0", "1:30", "2020-01-01", "0-19", "=", "5", "5"]  # fmt: skip
    found = data(f"a: {content.replace(', ,', ', ~,')}")["a"]
    assert found == expected
    assert list(map(type, found)) == list(map(type, expected))


def test_keys_are_text_as_written() -> None:
    assert data("on: 1\n7: 2\ntrue: 3\n<<: {x: 1}\n") == {"on": 1, "7": 2, "true": 3, "<<": {"x": 1}}


@given(st.dictionaries(text | tricky, values, max_size=5))
def test_what_is_dumped_reads_back(original: dict[str, Any]) -> None:
    assert data(yamlfile.dump(original)) == original


@given(st.dictionaries(text, text, max_size=3))
def test_texts_that_are_dumped_read_back_by_a_yaml_1_1_reader_too(original: dict[str, str]) -> None:
    assert yaml.safe_load(yamlfile.dump(original)) == original


def test_lines_of_values() -> None:
    document = yamlfile.parse("# top\na:\n  b: 1\n  c:\n    - 5\n    - 6\nd: {e: 7}\n", FILE)
    found = {
        loc: document.line_of(loc) for loc in [("a",), ("a", "b"), ("a", "c"), ("a", "c", 1), ("d", "e"), ("a", "zz"), ("zz",)]
    }
    assert found == {("a",): 2, ("a", "b"): 3, ("a", "c"): 4, ("a", "c", 1): 6, ("d", "e"): 7, ("a", "zz"): 2, ("zz",): 2}


def test_lines_of_the_rows_of_a_literal_block() -> None:
    document = yamlfile.parse("grid: |\n\n  a b\n\n  c d\nnext: 1\n", FILE)
    assert [document.line_of(("grid", row)) for row in (0, 1)] == [3, 5]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"^f\.yaml:1: found nothing; a mapping"),
        ("# only this\n", r"^f\.yaml:1: found nothing"),
        ("\n- 1", r"^f\.yaml:2: found a list; a mapping"),
        ("word", r"^f\.yaml:1: found a single value; a mapping"),
        ("a: 1\nb: 2\na: 3", r"^f\.yaml:3: a: found twice \(first in line 1\); once is allowed$"),
        ("a:\n  b: 1\n  'b': 2", r"^f\.yaml:3: a\.b: found twice \(first in line 2\)"),
        ("a: 1\nb: [1", r"^f\.yaml:2: not valid YAML: "),
        ("a: 1\n\tb: 2", r"^f\.yaml:2: not valid YAML: .*'\\t'"),
        ("a: *b", r"^f\.yaml:1: not valid YAML: found undefined alias 'b'"),
        ("a: 1\n---\nb: 2", r"^f\.yaml:2: not valid YAML: "),
        ("a: 1\nb: \0", r"^f\.yaml:2: found the character '\\x00'"),
        ("[a]: 1", r"^f\.yaml:1: found a list or mapping as a key"),
        ("a: 1e999", r"^f\.yaml:1: a: found '1e999', which is no valid float"),
        ("a: !!float .nan", r"^f\.yaml:1: a: found '\.nan', which is no valid float"),
        ("a: !!bool on", r"^f\.yaml:1: a: found 'on', which is no valid bool"),
        ("a: !!int ''", r"^f\.yaml:1: a: found '', which is no valid int"),
        ("a: " + "9" * 5000, r"^f\.yaml:1: a: found '9{40}', which is no valid int"),
        ("a: !!python/object/apply:os.system [x]", r"^f\.yaml:1: found the tag !!python/object/apply:os\.system; allowed"),
        ("a: !!binary aGk=", r"^f\.yaml:1: found the tag !!binary"),
        ("a: !mine 5", r"^f\.yaml:1: found the tag !mine"),
        ("[" * 5000, r"^f\.yaml:1: not valid YAML: nested more than 32 deep"),
        ("a: &x [*x]", r"^f\.yaml:1: nested more than 32 deep, aliases expanded"),
    ],
)
def test_what_is_refused(content: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        yamlfile.parse(content, FILE)


def test_aliases_stand_for_what_they_name() -> None:
    assert data("a: &x {k: 1}\nb: *x") == {"a": {"k": 1}, "b": {"k": 1}}


def test_few_aliases_cannot_stand_for_billions_of_values() -> None:
    rows = ["l0: &l0 [1,1,1,1,1,1,1,1,1,1]"] + [f"l{n}: &l{n} [{','.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(ConfigError, match=r"more than 20000 values, aliases expanded"):
        yamlfile.parse("\n".join(rows), FILE)


@given(st.text(max_size=60) | st.text("ab: -[]{}&*!|>'\"#,\n\t?%@`~<", max_size=60))
def test_any_text_is_a_mapping_or_a_clear_error(content: str) -> None:
    try:
        found: dict[str, Any] | str = data(content)
    except ConfigError as error:
        found = str(error)
    assert isinstance(found, dict) or found.startswith("f.yaml:")


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes("\ufeffname: Größe\r\nb: 1\r\n".encode())
    assert yamlfile.load(file).data == {"name": "Größe", "b": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\nb: \xff\xfe", r"a\.yaml:2: not UTF-8 text"),
        (b"\x89PNG\r\n\x1a\n", r"a\.yaml:1: not UTF-8 text"),
    ],
)
def test_files_that_are_no_yaml(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(ModelError, match=message):
        yamlfile.load(tmp_path / "a.yaml", ModelError)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nix\.yaml: cannot be read: No such file or directory"):
        yamlfile.load(tmp_path / "nix.yaml")
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory"):
        yamlfile.load(tmp_path)


def test_overrides_replace_and_add() -> None:
    document = yamlfile.parse("a: {b: 1, c: 2}\n", FILE)
    changed = document.with_override("a.b=[1, 0-3]").with_override("x.y=on").with_override("a.c=")
    assert changed.data == {"a": {"b": [1, "0-3"], "c": None}, "x": {"y": "on"}}
    assert document.data == {"a": {"b": 1, "c": 2}}
    assert changed.where(("a", "b", 1)) == "--set a.b=[1, 0-3]"
    assert changed.where(("a",)) == "f.yaml:1"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("a", r"^--set a: found no KEY=VALUE; allowed: for example"),
        ("=1", r"^--set =1: found no KEY=VALUE"),
        ("a..b=1", r"^--set a\.\.b=1: found no KEY=VALUE"),
        ("a=[1", r"^--set a=\[1: not valid YAML: "),
        ("a={x: 1, x: 2}", r"^--set a={x: 1, x: 2}: x: found twice"),
        ("a.b=1", r"^--set a\.b=1: a holds 5, not a mapping, so it has no key 'b'"),
    ],
)
def test_overrides_that_are_refused(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        yamlfile.parse("a: 5\n", FILE).with_override(assignment)
