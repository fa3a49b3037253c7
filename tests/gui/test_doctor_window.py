from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.windows import Display


def window(display_name: str) -> dict[str, str]:
    """What the doctor finds about the window."""
    environment = {**os.environ, "DISPLAY": display_name}
    environment.pop("WAYLAND_DISPLAY", None)
    command = [sys.executable, "-m", "livecnn", "doctor", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=100)
    (found,) = [entry for entry in json.loads(done.stdout) if entry["name"] == "window"]
    return dict(found)


def test_on_a_display(display: Display) -> None:
    found = window(display.name)
    assert (found["status"], found["found"]) == ("ok", "qtagg: Qt, the fastest; it opens")


def test_on_a_display_that_does_not_answer() -> None:
    found = window(":987")
    assert found["status"] == "failed"
    assert ":987" in found["found"]
