from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from livecnn import paths
from livecnn.errors import ConfigError
from livecnn.io import yaml_document as yamlfile
from livecnn.layout.layout import Layout, check_layout, find_layout, load_layout, make_drawers
from livecnn.panels.base.spec import PanelSpec
from livecnn.panels.camera import CameraPanel
from livecnn.panels.feature_maps import FeatureMapsPanel

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
    assert (layout.figure.size, layout.figure.theme, layout.figure.widths, layout.figure.heights) == (
        (1280, 720),
        "dark",
        None,
        None,
    )
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
    ("model: lenet-mnist", "model: 5", 1, r"model: found 5; allowed: a valid string"),
    ("size: auto", "size: 1.5", 2, r"box\.size: found 1\.5; allowed: auto, or a number from 0\.1 to 1\.0"),
    ("size: auto", "size: true", 2, r"box\.size: found True; allowed"),
    ("finder: centre", "finder: center", 2, r"box\.finder: found 'center'; did you mean 'centre'\? allowed: centre, face"),
    ("finder: centre", "margin: 3", 2, r"box\.margin: found 3; allowed: less than or equal to 2"),
    ("{size: auto, finder: centre}", "5", 2, r"box: found 5; allowed: a mapping"),
    ("[1280, 720]", "[1280, 20]", 3, r"figure\.size\.1: found 20; allowed: greater than or equal to 240"),
    ("[1280, 720]", "[1280]", 3, r"figure\.size\.1: nothing found; it is needed"),
    ("[1280, 720]", "big", 3, r"figure\.size: found 'big'; allowed: a valid list"),
    ("[1280, 720]", "[1280, '720']", 3, r"figure\.size\.1: found '720'; allowed: a valid integer"),
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
    ("{kind: patch}", "{title: a}", 9, r"panels\.patch: found {'title': 'a'}; needed: a mapping with a `kind`"),
    ("{kind: patch}", "{kind: [1]}", 9, r"panels\.patch: found {'kind': \[1\]}; needed: a mapping with a `kind`"),
    ("{kind: patch}", "{kind: patch, title: 3}", 9, r"panels\.patch\.title: found 3; allowed: a valid string"),
    (
        "layer: conv1",
        "layers: conv1",
        11,
        r"panels\.conv1\.(layer: nothing found; it is needed|layers: unknown key).* \(and 1 more\)",
    ),
    ("channels: 0-19", "channels: 19-0", 11, r"panels\.conv1\.channels: found '19-0', which runs backwards"),
    ("channels: 0-19", "channels: []", 11, r"panels\.conv1\.channels: found an empty list; allowed"),
    ("[0, 3, 10-19]", "[0, 3, 3]", 12, r"panels\.conv2\.channels: found 3 twice"),
    (
        "colormap: gray, scale",
        "colormap: jet, scale",
        11,
        r"panels\.conv1\.colormap: found 'jet'; allowed: gray, viridis, inferno",
    ),
    ("colormap: viridis", "colormap: virdis", 13, r"panels\.ip1\.colormap: found 'virdis'; did you mean 'viridis'\?"),
    ("scale: map", "scale: [2, 1]", 11, r"panels\.conv1\.scale: found \[2, 1\]; the first number"),
    ("rows: 20", "rows: true", 13, r"panels\.ip1\.rows: found True; allowed: a valid integer"),
    ("rows: 20", "rows: '20'", 13, r"panels\.ip1\.rows: found '20'; allowed: a valid integer"),
    (
        "rows: 20",
        "sort_by_class: 1.5",
        13,
        r"panels\.ip1\.sort_by_class: found 1\.5; allowed: a valid integer or a valid string$",
    ),
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


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("layer: conv1", "layer: conv_1", r":11: panels\.conv1\.layer: unknown layer 'conv_1'; did you mean 'conv1'\?"),
        ("channels: 0-19", "channels: 0-20", r":11: panels\.conv1\.channels: channel 20: conv1 has 20 \(0-19\)"),
        ("units: all", "units: [499, 500]", r":13: panels\.ip1\.units: unit 500: ip1 has 500 \(0-499\)"),
        ("rows: 20", "sort_by_class: 10", r":13: panels\.ip1\.sort_by_class: .*10.*0-9"),
    ],
)
def test_what_does_not_fit_the_model(file: Path, old: str, new: str, message: str) -> None:
    file.write_text(EXAMPLE.replace(old, new, 1))
    with pytest.raises(ConfigError, match=message):
        check_layout(load_layout(file), SHAPES, DIGITS)


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
        "all",
        "auto",
        "camera",
        "feature_maps",
        "neurons",
        "scores",
        "conv1",
        "gray",
        "map",
        "0-3",
        "5-1",
        "a b\nc d",
        "a",
        "centre",
    ]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 2000)
    | st.floats(allow_nan=False, allow_infinity=False)
    | words
    | st.text(max_size=5)
)
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
        result: Layout | ConfigError = make_drawers(document)
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
        result: Layout | ConfigError = make_drawers(yamlfile.parse(text, Path("f.yaml")))
    except ConfigError as error:
        result = error
    assert isinstance(result, Layout) or str(result).startswith("f.yaml:")
