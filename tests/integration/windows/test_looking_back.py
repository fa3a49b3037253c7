"""Freeze a window, go back in time by keys, and return to the present."""

from pathlib import Path

import numpy as np
import pytest

from livecnn.app.plan import Plan
from livecnn.drawing.theme import THEMES
from livecnn.types import Frame, Image
from tests.helpers.controlled_screen import controlled, seven
from tests.helpers.virtual_display import Display, Program, until


def test_looking_back_while_frozen(display: Display, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIVECNN_ANNOTATIONS", str(tmp_path))
    accent = THEMES["dark"].accent

    def marker(program: Program) -> int:
        """Columns of the timeline that are the accent's from top to bottom."""
        x, y, w, h = timeline
        picture = program.shot()[y + h // 4 : y + h // 2, x : x + w]
        return int((picture == accent).all(axis=(0, 2)).sum())

    def same(program: Program) -> bool:
        """Does the camera's picture stand still, whatever the search for the preferred image draws?"""
        before = _part(program.shot(), camera)
        program.display.xdotool("sleep", 0.3)  # several pictures of any source that moves
        return bool(np.array_equal(before, _part(program.shot(), camera)))

    with (
        controlled(Plan.of("explorer", source="demo"), Frame(seven(), 0, 0.0), tmp_path, box=1.0) as oracle,
        Program(display, tmp_path / "window", "run", "explorer", "--source", "demo") as program,
    ):
        timeline, camera = oracle.screen.drawers["timeline"].body, oracle.screen.drawers["camera"].card
        program.wait_for_window()
        program.wait_for_motion()
        program.key("space")
        until(lambda: same(program), "the camera stands still")
        present = program.shot()
        program.key("comma", "comma", "comma", "comma", "comma")
        until(lambda: not np.array_equal(_part(program.shot(), camera), _part(present, camera)), "another moment is shown")
        until(lambda: marker(program) > 0, "a line tells which")
        program.key("period", "period", "period", "period", "period", "period")
        until(lambda: np.array_equal(_part(program.shot(), camera), _part(present, camera)), "the present is back")
        program.key("space")
        program.wait_for_motion()
        program.key("q")
        assert program.end() == (0, "", "")


def _part(picture: Image, card: tuple[int, int, int, int]) -> Image:
    x, y, w, h = card
    return picture[y : y + h, x : x + w]
