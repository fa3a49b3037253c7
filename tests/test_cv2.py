import json
import os
import subprocess
import sys

import pytest

from livecnn._cv2 import cv2, one_thread

SHOW = "import json, os; print(json.dumps(dict(os.environ)))"
QT = ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR")


def environment_after(code: str, **variables: str) -> dict[str, str]:
    """The environment of a fresh process after it ran the code."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OPENCV_", "QT_"))}
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\n{SHOW}"], env=clean | variables, capture_output=True, text=True, check=True
    )
    found: dict[str, str] = json.loads(run.stdout)
    return found


@pytest.mark.parametrize(
    "code", ["from livecnn._cv2 import cv2", "import cv2; from livecnn._cv2 import cv2", "import livecnn.app.live.capture"]
)
def test_qt_does_not_find_the_plugins_of_opencv(code: str) -> None:
    assert not set(QT) & set(environment_after(code))


def test_a_users_own_qt_plugins_and_settings_stay() -> None:
    own = {"QT_QPA_PLATFORM_PLUGIN_PATH": "/own/plugins", "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "7"}
    found = environment_after("from livecnn._cv2 import cv2", **own)
    assert own.items() <= found.items()
    assert "QT_QPA_FONTDIR" not in found


def test_limits_are_in_force() -> None:
    found = environment_after("from livecnn._cv2 import cv2")
    assert found["OPENCV_IO_MAX_IMAGE_PIXELS"] == "50000000"
    assert 0 < int(found["OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"]) < 10


def test_probing_for_a_camera_is_silent() -> None:
    code = "from livecnn._cv2 import cv2; cv2.VideoCapture(63).read(); cv2.VideoCapture('nothing.mp4').read()"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout + run.stderr == ""


def test_one_thread_for_as_long_as_it_is_wanted() -> None:
    before = cv2.getNumThreads()
    with pytest.raises(ValueError, match="oops"), one_thread():
        assert cv2.getNumThreads() == 1
        raise ValueError("oops")
    assert cv2.getNumThreads() == before
