import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from torch import nn

from livecnn import paths, registry
from livecnn.errors import ConfigError
from livecnn.io import yaml_document as yamlfile
from livecnn.io.validation import ValidationProblem
from livecnn.layout.layout import (
    FocusOptions,
    Layout,
    check_layout,
    find_layout,
    json_schema,
    layout_from_document,
    load_layout,
    markdown,
    panels_of,
    parse_grid,
)
from livecnn.networks.inspection.architecture import Architecture
from livecnn.panels.base.spec import FieldError, PanelSpec
from livecnn.panels.camera import CameraPanel
from livecnn.panels.feature_maps import FeatureMapsPanel
from livecnn.selection import INPUT, OUTPUT, Selection
from tests.helpers.paths import ROOT

EXAMPLE = """\
model: lenet-mnist
box: {size: auto, finder: centre}
figure: {size: [1280, 720], theme: dark}
layout: |
  camera patch  conv1 conv2
  scores scores ip1   ip1
panels:
  camera: {kind: camera}
  patch:  {kind: patch}
  scores: {kind: scores}
  conv1:  {kind: feature_maps, layer: conv1, channels: 0-19, colormap: gray, scale: map}
  conv2:  {kind: feature_maps, layer: conv2, channels: [0, 3, 10-19], colormap: gray}
  ip1:    {kind: neurons, layer: ip1, units: all, rows: 20, colormap: viridis}
"""
SHAPES = {"conv1": (1, 20, 24, 24), "conv2": (1, 50, 8, 8), "ip1": (1, 500)}
DIGITS = tuple("0123456789")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(EXAMPLE)
    return path


def test_the_example_of_the_design(file: Path) -> None:
    layout = load_layout(file)
    assert layout.name == "mine"
    assert (layout.model, layout.source, layout.views, layout.description) == ("lenet-mnist", "auto", (), "")
    assert (layout.box.size, layout.box.finder) == ("auto", "centre")
    assert layout.figure.model_dump() == {"size": (1280, 720), "theme": "dark", "widths": None, "heights": None}
    assert layout.layout == (("camera", "patch", "conv1", "conv2"), ("scores", "scores", "ip1", "ip1"))
    assert isinstance(layout.panels["camera"], CameraPanel)
    conv2 = layout.panels["conv2"]
    assert isinstance(conv2, FeatureMapsPanel)
    assert (conv2.layer, conv2.channels, conv2.colormap) == ("conv2", (0, 3, *range(10, 20)), "gray")
    check_layout(layout, SHAPES, DIGITS)


def test_a_layout_does_not_change(file: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_layout(file).model = "other"  # type: ignore[misc]


@pytest.mark.parametrize("name", paths.layouts())
def test_every_shipped_layout_loads_and_says_what_it_is(name: str) -> None:
    layout = load_layout(name)
    assert layout.description
    assert all(load_layout(view).panels for view in layout.views)


def test_overrides(file: Path) -> None:
    layout = load_layout(file, ["panels.conv1.channels=0-3,7", "box.size=0.8", "figure={size: [800, 600]}", "name=on"])
    conv1 = layout.panels["conv1"]
    assert isinstance(conv1, FeatureMapsPanel)
    assert conv1.channels == (0, 1, 2, 3, 7)
    assert (layout.box.size, layout.figure.size, layout.name) == (0.8, (800, 600), "on")


def test_an_override_can_add_a_panel(file: Path) -> None:
    layout = load_layout(file, ["panels.extra={kind: status}", "layout=camera patch conv1 conv2\n\nscores extra ip1 ip1"])
    assert layout.panels["extra"].kind == "status"


# What is put in for what, and the line and text of the error.
MISTAKES = [
    ("model: lenet", "modle: lenet", 1, r"modle: unknown key; did you mean 'model'\? allowed: name, "),
    ("model: lenet-mnist", "model: ''", 1, r"model: found ''; allowed: at least 1 character"),
    ("size: auto", "size: 1.5", 2, r"box\.size: found 1\.5; allowed: auto, or a number from 0\.1 to 1\.0"),
    ("finder: centre", "finder: center", 2, r"box\.finder: found 'center'; did you mean 'centre'\? allowed: centre, face"),
    ("finder: centre", "margin: 3", 2, r"box\.margin: found 3; allowed: less than or equal to 2"),
    ("{size: auto, finder: centre}", "5", 2, r"box: found 5; allowed: a mapping"),
    ("[1280, 720]", "[1280, 20]", 3, r"figure\.size\.1: found 20; allowed: greater than or equal to 240"),
    ("[1280, 720]", "[1280]", 3, r"figure\.size\.1: nothing found; it is needed"),
    ("[1280, 720]", "big", 3, r"figure\.size: found 'big'; allowed: a valid list"),
    ("theme: dark", "them: dark", 3, r"figure\.them: unknown key; did you mean 'theme'\? allowed: size, theme, widths, heights"),
    ("theme: dark", "widths: [1, 2]", 3, r"figure\.widths: found 2 numbers; the grid has 4 columns, each needs one"),
    ("theme: dark", "heights: [1, 2, 3]", 3, r"figure\.heights: found 3 numbers; the grid has 2 rows, each needs one"),
    ("theme: dark", "widths: [1, 2, 0, 1]", 3, r"figure\.widths\.2: found 0; allowed: greater than 0"),
    ("ip1   ip1", "ip1", 6, r"layout: row 2 has 3 names, row 1 has 4"),
    ("scores scores", "scores conv2", 5, r"layout: panel 'conv2' does not fill a rectangle \(rows 1 to 2, columns 2 to 4\)"),
    ("scores scores", "ip1 ip1", 10, r"panels\.scores: this panel has no place in the grid; allowed: camera"),
    ("ip1   ip1", "ip2   ip2", 6, r"layout: no panel is named 'ip2'; did you mean 'ip1'\? allowed: camera"),
    ("  patch: ", "  patch.2: ", 5, r"layout: no panel is named 'patch'; did you mean 'patch\.2'\?"),
    (
        "{kind: patch}",
        "{kind: pach}",
        9,
        r"panels\.patch\.kind: unknown kind 'pach' in panels; did you mean 'patch'\? allowed: architecture",
    ),
    ("{kind: patch}", "patch", 9, r"panels\.patch: found 'patch'; needed: a mapping with a `kind`; allowed: architecture"),
    ("{kind: patch}", "{kind: [1]}", 9, r"panels\.patch: found {'kind': \[1\]}; needed: a mapping with a `kind`"),
    ("{kind: patch}", "{kind: patch, title: 3}", 9, r"panels\.patch\.title: found 3; allowed: a valid string"),
    (
        "layer: conv1",
        "layers: conv1",
        11,
        r"panels\.conv1\.(layer: nothing found; it is needed|layers: unknown key).* \(and 1 more\)",
    ),
    ("channels: 0-19", "channels: 19-0", 11, r"panels\.conv1\.channels: found '19-0', which runs backwards"),
    ("[0, 3, 10-19]", "[0, 3, 3]", 12, r"panels\.conv2\.channels: found 3 twice"),
    ("rows: 20", "rows: true", 13, r"panels\.ip1\.rows: found True; allowed: a valid integer"),
    ("  ip1: ", "  conv1: ", 13, r"panels\.conv1: found twice \(first in line 11\)"),
    ("theme: dark", "theme: drak, bottom: 3", 3, r"figure\.(theme|bottom): .* \(and 1 more\)$"),
]


@pytest.mark.parametrize(("old", "new", "line", "message"), MISTAKES)
def test_a_mistake_is_told_with_its_line_and_key(file: Path, old: str, new: str, line: int, message: str) -> None:
    assert old in EXAMPLE
    file.write_text(EXAMPLE.replace(old, new, 1))
    with pytest.raises(ConfigError, match=rf"mine\.yaml:{line}: {message}"):
        load_layout(file)


def test_the_first_problem_by_line_and_how_many_more(file: Path) -> None:
    file.write_text(EXAMPLE.replace("rows: 20", "rows: x").replace("size: auto", "size: 2").replace("kind: patch", "kind: p"))
    with pytest.raises(ConfigError, match=r"^[^\n]*:2: box\.size: found 2; [^\n]*\(and 2 more\)$"):
        load_layout(file)


def test_a_mistake_in_an_override_names_the_override(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--set panels\.conv1\.channels=5-2: panels\.conv1\.channels: found '5-2'"):
        load_layout(file, ["panels.conv1.channels=5-2"])
    with pytest.raises(ConfigError, match=r"^--set figure=\{theme: x\}: figure\.theme: found 'x'; allowed: dark, light"):
        load_layout(file, ["figure={theme: x}"])


@pytest.mark.parametrize("name", ["a b", "a.b", ""])
def test_names_of_panels_are_words(name: str) -> None:
    fields = {"layout": "x", "panels": {"x": CameraPanel(), name: CameraPanel()}}
    with pytest.raises(ValueError, match="found an unusable name; allowed: letters"):
        Layout.model_validate(fields)


def test_layouts_made_in_code_are_checked_too() -> None:
    layout = Layout(layout="a b", panels={"a": CameraPanel(), "b": FeatureMapsPanel(layer="conv1", channels=(30,))})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^livecnn: panels\.b\.channels: channel 30: conv1 has 20 \(0-19\)$"):
        check_layout(layout, SHAPES, DIGITS)
    with pytest.raises(ValueError, match="instance of PanelSpec"):
        Layout(layout="a", panels={"a": {"kind": "camera"}})  # type: ignore[arg-type, dict-item]


def test_several_panels_that_do_not_fit_are_counted(file: Path) -> None:
    with pytest.raises(ConfigError, match=r":12: panels\.conv2\.layer: unknown layer.* \(and 1 more\)$"):
        check_layout(load_layout(file), {"conv1": (1, 20, 24, 24)}, DIGITS)


def test_finding_layouts(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_layout(str(file)) == find_layout("mine", file.parent) == file
    assert find_layout("lenet") == paths.layouts()["lenet"]
    monkeypatch.chdir(file.parent)
    assert load_layout("mine.yaml").name == load_layout("mine").name == "mine"


@pytest.mark.parametrize("name", ["lenett", "no/such.yaml", "", "~nobody/x", "a\0b", "x" * 5000, "/"])
def test_layouts_that_are_not_there(name: str) -> None:
    with pytest.raises(ConfigError, match=r"neither a file nor a layout that ships; .*allowed: FILE\.yaml, age"):
        find_layout(name)


def test_views_are_found_beside_the_layout_and_among_the_shipped(file: Path) -> None:
    file.write_text(f"views: [mine, lenet]\n{EXAMPLE}")
    assert load_layout(file).views == (str(file), str(paths.layouts()["lenet"]))
    file.write_text(f"views: [mine, lenettt]\n{EXAMPLE}")
    with pytest.raises(ConfigError, match=r"mine\.yaml:1: views\.1: lenettt: neither a file nor .*did you mean 'lenet'\?"):
        load_layout(file)
    file.write_text(f"views: [5]\n{EXAMPLE}")
    with pytest.raises(ConfigError, match=r"mine\.yaml:1: views\.0: found 5; allowed: a valid string"):
        load_layout(file)


keys = st.sampled_from(
    [*Layout.model_fields, *FeatureMapsPanel.model_fields, "size", "finder", "theme", "widths", "heights", "rows", "camera"]
)
words = st.sampled_from(
    [
        *["all", "auto", "camera", "feature_maps", "neurons", "scores", "conv1", "gray", "map", "0-3", "5-1", "a", "centre"],
        "a b\nc d",
    ]
)
numbers = st.integers(-3, 2000) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | words | st.text(max_size=5)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | words, inner, max_size=5), max_leaves=20
)


@given(st.dictionaries(keys, anything, max_size=6))
@example({"layout": "a", "panels": {"a": {"kind": "camera"}}})
@example({"layout": "a", "panels": {"a": {"kind": "camera", "\ud800": 1}}})
@example({"layout": "a", "panels": {"a": {"kind": "neurons", "layer": "x", "rows": 10**30}}})
@example({"layout": "a", "panels": {"a": {"kind": "feature_maps", "layer": "x", "scale": [0, 10**400]}}})
def test_any_mapping_is_a_layout_or_a_clear_error(fields: dict[str, Any]) -> None:
    document = yamlfile.Document(fields, Path("f.yaml"), {(): 1})
    try:
        result: Layout | ConfigError = layout_from_document(document)
    except ConfigError as error:
        result = error
    if isinstance(result, Layout):
        assert all(type(panel) is not PanelSpec for panel in result.panels.values())
    else:
        assert str(result).startswith("f.yaml:1: ")
        assert "\n" not in str(result)


@given(st.text("abxy:{}[]-, \n'\"|0159.&*!", max_size=40), st.integers(0, len(EXAMPLE)), st.integers(0, 60))
def test_a_damaged_file_is_a_layout_or_a_clear_error(junk: str, start: int, length: int) -> None:
    text = EXAMPLE[:start] + junk + EXAMPLE[start + length :]
    try:
        result: Layout | ConfigError = layout_from_document(yamlfile.parse(text, Path("f.yaml")))
    except ConfigError as error:
        result = error
    assert isinstance(result, Layout) or str(result).startswith("f.yaml:")


cells_of_a_grid = (
    st.integers(1, 3)
    .flatmap(lambda width: st.lists(st.lists(st.sampled_from("ab."), min_size=width, max_size=width), min_size=1, max_size=3))
    .filter(lambda rows: any(name != "." for row in rows for name in row))
)


def test_rows_and_panels_of_a_grid() -> None:
    grid = parse_grid("\n  camera camera  conv1\n\n  scores .       conv1  \n")
    assert grid == (("camera", "camera", "conv1"), ("scores", ".", "conv1"))
    assert list(panels_of(grid).items()) == [("camera", 0), ("conv1", 0), ("scores", 1)]


@given(cells_of_a_grid)
def test_the_same_areas_are_rectangles_as_for_matplotlib(cells: list[Any]) -> None:
    text = "\n".join(" ".join(row) for row in cells)
    try:
        Figure().subplot_mosaic(cells, empty_sentinel=".")
    except ValueError:
        with pytest.raises(ValidationProblem, match="does not fill a rectangle"):
            parse_grid(text)
    else:
        assert [list(row) for row in parse_grid(text)] == cells


@pytest.mark.parametrize(
    ("text", "message", "row"),
    [
        ("a b\na b c\n", r"row 2 has 3 names, row 1 has 2; all rows need the same number", 1),
        ("a b\nb a", r"panel 'a' does not fill a rectangle \(rows 1 to 2, columns 1 to 2\)", 0),
        ("a\nb\na", r"panel 'a' does not fill a rectangle \(rows 1 to 3, columns 1 to 1\)", 0),
        ("", r"found nothing; needed: rows of panel names", None),
        (". .", r"found empty cells only; needed: the name of a panel", None),
        (" \n ", r"found ' \\n '; needed", None),
        (None, r"found nothing; needed", None),
        ([["a"]], r"found \[\['a'\]\]; needed", None),
        ("a " * 33, r"found 1 rows and 33 columns; at most 32", None),
        ("a\n" * 33, r"found 33 rows and 1 columns; at most 32", None),
    ],
)
def test_grids_that_are_refused(text: Any, message: str, row: int | None) -> None:
    with pytest.raises(ValidationProblem, match=message) as caught:
        parse_grid(text)
    assert caught.value.row == row


@pytest.fixture(scope="module")
def architecture() -> Architecture:
    net = nn.Sequential()
    net.add_module("conv", nn.Conv2d(1, 4, 3))
    net.add_module("relu", nn.ReLU())
    net.add_module("flat", nn.Flatten())
    net.add_module("fc", nn.Linear(144, 10))
    return Architecture.of(net, torch.zeros(1, 1, 8, 8))


def with_focus(focus: str) -> Layout:
    text = f"layout: a\npanels: {{a: {{kind: patch}}}}\nfocus: {focus}\n"
    return layout_from_document(yamlfile.parse(text, Path("test.yaml")))


def test_a_layout_starts_at_the_last_convolution(architecture: Architecture) -> None:
    assert FocusOptions().focus(architecture, DIGITS) == Selection(layer="conv")


@pytest.mark.parametrize(
    ("layers", "start"), [((nn.Linear(16, 5), nn.Linear(5, 2), nn.Softmax(1)), "2"), ((nn.Softmax(1),), OUTPUT)]
)
def test_without_convolutions_at_the_last_layer_with_weights_or_the_output(layers: tuple[nn.Module, ...], start: str) -> None:
    made = Architecture.of(nn.Sequential(nn.Flatten(), *layers), torch.zeros(1, 1, 4, 4))
    assert FocusOptions().focus(made, DIGITS).layer == start


def test_a_focus_can_be_said(architecture: Architecture) -> None:
    said = with_focus("{layer: fc, unit: 3, target: '7', methods: [gradient, occlusion], grid: gradient, order: weight}").focus
    assert said.focus(architecture, DIGITS) == Selection(
        "fc", 3, target=7, methods=("gradient", "occlusion"), grid="gradient", order="weight"
    )


@pytest.mark.parametrize(("name", "layer"), [("(input)", INPUT), ("(output)", OUTPUT)])
def test_the_ends_have_names(architecture: Architecture, name: str, layer: str) -> None:
    assert FocusOptions(layer=name).focus(architecture, DIGITS).layer == layer


@pytest.mark.parametrize(
    ("said", "key", "message"),
    [
        ({"layer": "conw"}, "layer", "unknown layer 'conw'; did you mean 'conv'"),
        ({"layer": "conv", "unit": 4}, "unit", "unit 4: conv has 4 (0-3)"),
        ({"target": 10}, "target", "no class 10; allowed: 0-9, or "),
        ({"target": "ten"}, "target", "no class 'ten'; allowed: 0-9, or "),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_focus_that_the_network_does_not_have(architecture: Architecture, said: dict[str, Any], key: str, message: str) -> None:
    with pytest.raises(FieldError, match=re.escape(message)) as caught:
        FocusOptions(**said).focus(architecture, DIGITS)
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("{methods: [gradent]}", r"test.yaml:3: focus.methods.0: .*unknown kind 'gradent' in methods; did you mean 'gradient'"),
        ("{methods: [gradient, gradient]}", r"test.yaml:3: focus.methods: found 'gradient' twice; allowed: each once"),
        ("{methods: []}", r"test.yaml:3: focus.methods: "),
        ("{methods: [gradient, gradient, occlusion, activation]}", r"test.yaml:3: focus.methods: "),
        ("{order: size}", r"test.yaml:3: focus.order: .*number.*weight"),
        ("{unit: -1}", r"test.yaml:3: focus.unit: "),
        ("{layr: conv}", r"test.yaml:3: focus.layr: "),
    ],
    ids=str,
)
def test_a_focus_that_is_wrong(said: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        with_focus(said)


@pytest.fixture(scope="module")
def full() -> dict[str, Any]:
    return json_schema()


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from references(inner)


def test_every_reference_leads_somewhere(full: dict[str, Any]) -> None:
    assert set(references(full)) == {f"#/$defs/{name}" for name in full["$defs"]}


def test_a_panel_may_be_of_any_kind_and_has_to_say_which(full: dict[str, Any]) -> None:
    choices = full["$defs"]["Layout"]["properties"]["panels"]["additionalProperties"]["anyOf"]
    parts = [full["$defs"][choice["$ref"].rpartition("/")[2]] for choice in choices]
    assert sorted(part["properties"]["kind"]["const"] for part in parts) == list(registry.kinds("panels"))
    assert all("kind" in part["required"] for part in parts)


@pytest.mark.parametrize("path", paths.layouts().values(), ids=lambda path: path.stem)
def test_shipped_layouts_hold_no_key_that_the_schema_lacks(path: Path, full: dict[str, Any]) -> None:
    layout, parts = yamlfile.load(path).data, full["$defs"]
    by_kind = {part["properties"]["kind"]["const"]: part for part in parts.values() if "kind" in part["properties"]}
    assert layout.keys() <= parts["Layout"]["properties"].keys()
    for panel in layout["panels"].values():
        part = by_kind[panel["kind"]]
        assert set(part["required"]) <= panel.keys() <= part["properties"].keys()


def test_the_page_tells_every_option_of_every_panel() -> None:
    page = markdown()
    for kind in registry.kinds("panels"):
        section = page.partition(f"\n### {kind}\n")[2].partition("\n### ")[0]
        for key, field in registry.find("panels", kind, ConfigError).model_fields.items():
            assert f"| `{key}` |" in section
            assert field.description in section


def test_the_page_reads_well() -> None:
    page = markdown()
    assert '| `channels` | `all`, `5`, `0-19`, `[0, 3, "10-19"]` | `all` | Which maps, in this order. |' in page
    assert "| `layer` | text | needed | " in page
    assert "| `size` | `auto` or number from 0.1 to 1 | `auto` | " in page
    assert "| `widths` | list (number above 0 to 1000) |  | " in page


def test_the_page_in_docs_is_up_to_date() -> None:
    """`livecnn config schema --markdown > docs/layouts.md` makes it so."""
    assert (ROOT / "docs" / "layouts.md").read_text(encoding="utf-8") == markdown()
