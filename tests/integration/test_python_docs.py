"""The examples of docs/python.md run as they stand."""

import re
from pathlib import Path
from typing import Any

import pytest
import tqdm

import livecnn
from livecnn.app.watch import watch
from tests.helpers.paths import ROOT

PAGE = ROOT / "docs" / "python.md"


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One after the other; nobody sits here, so a `watch` ends after two pictures of the demo."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)
    watched = []

    def unseen(module: Any, **options: Any) -> None:
        scores = tmp_path / f"{len(watched)}.csv"
        watch(module, **options, source="demo", headless=True, frames=2, scores=scores)
        watched.append(scores.read_text().splitlines())

    monkeypatch.setattr(livecnn, "watch", unseen, raising=False)
    names: dict[str, Any] = {}
    for example in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(example, names)
    assert [len(table) for table in watched] == [3, 3, 3]
    assert watched[0][0].endswith("mug,pen,phone,hand")
    out = capsys.readouterr().out
    assert "relu:2 (1, 8, 32, 32)\n" in out
    assert "add (1, 8, 32, 32)\n" in out
    assert out.endswith("1 torch.Size([1, 20, 24, 24])\n")
