import json
import os
import subprocess
import sys

from tests.helpers.virtual_display import Display

CHECK = """
import json
from dataclasses import asdict
from livecnn.cli import doctor
print(json.dumps([asdict(finding) for finding in doctor.window()]))
"""


def window(display_name: str) -> dict[str, str]:
    """What the doctor finds about the window."""
    environment = {**os.environ, "DISPLAY": display_name}
    environment.pop("WAYLAND_DISPLAY", None)
    done = subprocess.run([sys.executable, "-c", CHECK], env=environment, capture_output=True, text=True, check=True, timeout=100)
    (found,) = json.loads(done.stdout)
    return dict(found)


def test_on_a_display(display: Display) -> None:
    found = window(display.name)
    assert (found["status"], found["found"]) == ("ok", "qtagg: Qt, the fastest; it opens")


def test_on_a_display_that_does_not_answer() -> None:
    found = window(":987")
    assert found["status"] == "failed"
    assert ":987" in found["found"]
