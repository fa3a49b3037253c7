import os
import sys
import types

import pytest

from livecnn.app.toolkit.backend import backend, has_display
from livecnn.errors import UsageError


@pytest.mark.parametrize(
    ("platform", "variables", "there"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ""}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("win32", {}, True),
        ("darwin", {}, True),
    ],
)
def test_where_a_window_can_be(monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], there: bool) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(os, "environ", variables)
    assert has_display() is there


@pytest.mark.parametrize(
    ("missing", "chosen"), [((), "qtagg"), (("qtagg",), "tkagg"), (("qtagg", "tkagg"), None)], ids=["both", "no Qt", "none"]
)
def test_which_toolkit(monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...], chosen: str | None) -> None:
    for name in ("qtagg", "tkagg"):
        found = None if name in missing else types.ModuleType(name)
        monkeypatch.setitem(sys.modules, f"matplotlib.backends.backend_{name}", found)
    if chosen is None:
        with pytest.raises(UsageError, match=r"no window toolkit: `pip install PySide6-Essentials`, .* or use --headless"):
            backend()
    else:
        assert backend() == chosen


def test_qt_without_its_system_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("ctypes.util.find_library", lambda _: None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_tkagg", None)
    with pytest.raises(UsageError, match="Qt lacks the system library libxcb-cursor"):
        backend()
