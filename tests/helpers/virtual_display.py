"""Real windows: a display of our own, a small window manager, and the command as a child process driven by real keys."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

import numpy as np
import pytest
from PIL import ImageGrab

from livecnn.types import Image
from tests.helpers import waiting

PATIENCE = 40.0  # seconds until something that must happen counts as not happening, on a machine busy with other things
# No borders, so that a window's place is its picture's; every window at the top left corner; Alt-F4 asks a window to close.
OPENBOX = """<?xml version="1.0"?>
<openbox_config xmlns="http://openbox.org/3.4/rc">
  <theme><keepBorder>no</keepBorder></theme>
  <placement><policy>Smart</policy></placement>
  <keyboard><keybind key="A-F4"><action name="Close"/></keybind></keyboard>
  <applications><application class="*">
    <decor>no</decor><focus>yes</focus><position force="yes"><x>0</x><y>0</y></position>
  </application></applications>
</openbox_config>
"""
NO_QT = "import sys; sys.modules['matplotlib.backends.backend_qtagg'] = None\n"
TK = NO_QT + "from livecnn.cli import main; sys.exit(main())"


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a window, on a machine that may be busy."""
    waiting.until(condition, PATIENCE, what, pause=0.05)


def code_of(toolkit: str) -> str | None:
    """What a Program needs to be the command in that toolkit, "Qt" or "Tk"."""
    if toolkit == "Tk":
        pytest.importorskip("tkinter", reason="this Python has no Tk")
        return TK
    return None


@dataclass(frozen=True)
class Display:
    """An X server of 1920x1080."""

    name: str

    def xdotool(self, *words: object) -> str:
        """What it printed; "" if it failed, as it does when it finds no window."""
        told = subprocess.run(
            ["xdotool", *map(str, words)],
            env={**os.environ, "DISPLAY": self.name},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        return told.stdout.strip()

    def shot(self) -> Image:
        return np.asarray(ImageGrab.grab(xdisplay=self.name).convert("RGB"))


class Program:
    """`livecnn …` on a display; use it in a `with`, which ends it whatever happens."""

    def __init__(self, display: Display, folder: Path, *words: object, code: str | None = None) -> None:
        """code: Python to run instead of `-m livecnn`, given the same arguments."""
        self.display, self.folder = display, folder
        folder.mkdir(exist_ok=True)
        command = [sys.executable, *(["-m", "livecnn"] if code is None else ["-c", code]), *map(str, words)]
        environment = {**os.environ, "DISPLAY": display.name}
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def wait_for_window(self) -> None:
        def there() -> bool:
            assert self.process.poll() is None, self.process.communicate()[1]
            return bool(self.display.xdotool("search", "--onlyvisible", "--name", "^livecnn$"))

        until(there, "the window opens")
        self.id = self.display.xdotool("search", "--onlyvisible", "--name", "^livecnn$").splitlines()[-1]
        until(lambda: self.display.xdotool("getactivewindow") == self.id, "the window has the focus")
        until(lambda: int(self.shot().max()) > 200, "there is a picture")  # white text: more than the empty window

    def key(self, *names: str) -> None:
        """Press keys as a keyboard would."""
        self.display.xdotool("key", *names)

    def click(self, x: int, y: int, *held: str, times: int = 1) -> None:
        """held: keys that are down meanwhile; times: 2 for a double click."""
        keys = [word for key in held for word in ("keydown", key)]
        up = [word for key in held for word in ("keyup", key)]
        self.display.xdotool("mousemove", x, y, *keys, "click", "--repeat", times, "--delay", 60, 1, *up)

    def hover(self, x: int, y: int) -> None:
        self.display.xdotool("mousemove", x, y)

    def wheel(self, x: int, y: int, *, down: bool) -> None:
        self.display.xdotool("mousemove", x, y, "click", 5 if down else 4)

    def resize(self, width: int, height: int) -> None:
        self.display.xdotool("windowsize", self.id, width, height)

    def size(self) -> tuple[int, int]:
        facts = dict(line.split("=") for line in self.display.xdotool("getwindowgeometry", "--shell", self.id).splitlines())
        return int(facts["WIDTH"]), int(facts["HEIGHT"])

    def shot(self) -> Image:
        """The window's own pixels."""
        width, height = self.size()
        return self.display.shot()[:height, :width]

    def wait_for_motion(self) -> None:
        until(lambda: not self.steady(), "the picture moves")

    def steady(self) -> bool:
        """Does the picture stand still?"""
        before = self.shot()
        time.sleep(0.3)  # several pictures of any source that moves
        return bool(np.array_equal(before, self.shot()))

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, str, str]:
        """Wait for the end: exit code, stdout, stderr."""
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err

    def __enter__(self) -> Program:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def start_display(stack: ExitStack) -> Display:
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1920x1080x24", "-dpi", "96", "-noreset", "-nolisten", "tcp"]
    _start(stack, command, pass_fds=[write])
    os.close(write)
    with os.fdopen(read) as pipe:
        display = Display(f":{pipe.readline().strip()}")
    config = Path(stack.enter_context(TemporaryDirectory())) / "openbox.xml"
    config.write_text(OPENBOX)
    _start(stack, ["openbox", "--sm-disable", "--config-file", str(config)], env={**os.environ, "DISPLAY": display.name})
    until(lambda: display.xdotool("get_num_desktops") != "", "the window manager runs")
    return display


def _start(stack: ExitStack, command: Sequence[str], **options: object) -> None:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
    stack.callback(process.wait)
    stack.callback(process.terminate)
