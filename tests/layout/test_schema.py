from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from livecnn import paths, registry
from livecnn.errors import ConfigError
from livecnn.io import yaml_document as yamlfile
from livecnn.layout import schema
from tests.helpers.paths import ROOT


@pytest.fixture(scope="module")
def full() -> dict[str, Any]:
    return schema.json_schema()


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
    page = schema.markdown()
    for kind in registry.kinds("panels"):
        section = page.partition(f"\n### {kind}\n")[2].partition("\n### ")[0]
        for key, field in registry.find("panels", kind, ConfigError).model_fields.items():
            assert f"| `{key}` |" in section
            assert field.description in section


def test_the_page_reads_well() -> None:
    page = schema.markdown()
    assert '| `channels` | `all`, `5`, `0-19`, `[0, 3, "10-19"]` | `all` | Which maps, in this order. |' in page
    assert "| `layer` | text | needed | " in page
    assert "| `size` | `auto` or number from 0.1 to 1 | `auto` | " in page
    assert "| `widths` | list (number above 0 to 1000) |  | " in page


def test_the_page_in_docs_is_up_to_date() -> None:
    """`livecnn config schema --markdown > docs/layouts.md` makes it so."""
    assert (ROOT / "docs" / "layouts.md").read_text(encoding="utf-8") == schema.markdown()
