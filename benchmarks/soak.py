"""A show of ten minutes or many hours in which everything goes wrong; `make soak`. Ends with 1 if anything stayed broken.

    python benchmarks/soak.py [--minutes 10 | --hours 8] [--seed 0] [--toolkit qtagg|tkagg] [--json FILE]

The real window runs on a display of its own (Xvfb, openbox) with a camera on the network as its source. At random times, all
drawn from the seed, the camera is cut off, stalls, stands still, sends half pictures or others of another size; the layout on
disk is broken and healed, views are switched, the window is resized, frozen, recorded. Then the cause is taken away, and the
fault counts as recovered when the window shows what it should. Outside faults of the camera the longest time without a fresh
picture on screen is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import psutil  # noqa: E402

from tests.helpers.servers import MjpegServer  # noqa: E402
from tests.helpers.virtual_display import Display, start_display  # noqa: E402

LONGEST_GAP = 0.5  # seconds without a fresh picture, outside faults
WARM_UP = 60.0  # seconds that do not count for the slope of memory: caches fill
RECOVERY = 40.0  # seconds after the end of its cause in which a fault must be over


@dataclass
class Tally:
    """What happened to one kind of fault."""

    faults: int = 0
    recovered: int = 0


@dataclass
class Report:
    seconds: float = 0.0
    frames: int = 0
    longest_gap_s: float = 0.0
    memory_mb: tuple[float, float] = (0.0, 0.0)
    memory_mb_per_hour: float = 0.0
    memory_mb_by_minute: list[float] = field(default_factory=list)
    exit_code: int = 0
    errors: list[str] = field(default_factory=list)
    faults: dict[str, Tally] = field(default_factory=dict)

    @property
    def fine(self) -> bool:
        healed = all(tally.recovered == tally.faults for tally in self.faults.values())
        return healed and not self.errors and self.exit_code == 0 and self.longest_gap_s < LONGEST_GAP


class Witness:
    """Looks at what the window shows: told of every tick, on the window's thread."""

    def __init__(self) -> None:
        self.excused = threading.Event()  # the camera is being disturbed: no fresh picture is expected
        self.seq, self.frames, self.longest = -1, 0, 0.0
        self._fresh: float | None = None

    def shown(self, seq: int) -> None:
        now = time.monotonic()
        if self.excused.is_set():
            self._fresh = None
        if seq <= self.seq:
            return
        if self._fresh is not None:
            self.longest = max(self.longest, now - self._fresh)
        self.seq, self._fresh = seq, None if self.excused.is_set() else now
        self.frames += 1


class Troublemaker(threading.Thread):
    """Makes one fault after another until the time is over, then asks the window to close."""

    def __init__(
        self, options: argparse.Namespace, witness: Witness, server: MjpegServer, layout: Path, display: Display
    ) -> None:
        super().__init__(name="trouble", daemon=True)
        self.report = Report()
        self._witness, self._server, self._layout, self._display = witness, server, layout, display
        self._random = np.random.default_rng(options.seed)
        self._seconds = 60 * options.minutes
        self._memory: list[tuple[float, float]] = []
        self.screen: object = None  # the window's, once there is one
        self._text = layout.read_text()

    def run(self) -> None:
        start = time.monotonic()
        try:
            self._until(lambda: self._witness.frames > 5, "the first pictures")
            end = time.monotonic() + self._seconds
            kinds = [name.removeprefix("_do_") for name in dir(self) if name.startswith("_do_")]
            while time.monotonic() < end:
                self._rest(self._random.uniform(1, 5))
                for kind in self._random.permutation(kinds)[:1]:
                    self._fault(str(kind))
        except Exception as error:
            self.report.errors.append(f"{type(error).__name__}: {error}")
        self.report.seconds = round(time.monotonic() - start, 1)
        self.report.frames, self.report.longest_gap_s = self._witness.frames, round(self._witness.longest, 3)
        self._note_memory(start)
        self._display.xdotool("key", "q")

    def _fault(self, kind: str) -> None:
        tally = self.report.faults.setdefault(kind, Tally())
        tally.faults += 1
        try:
            getattr(self, f"_do_{kind}")()
        except AssertionError as error:
            self.report.errors.append(f"{kind}: {error}")
        else:
            tally.recovered += 1

    def _do_cut(self) -> None:
        self._disturb(self._server.cut, self._random.uniform(0.5, 12))

    def _do_stall(self) -> None:
        self._disturb(self._server.stall, self._random.uniform(0.5, 9))

    def _do_freeze(self) -> None:
        self._disturb(self._server.freeze, self._random.uniform(6, 9))

    def _do_truncate(self) -> None:
        self._disturb(self._server.truncate, self._random.uniform(0.5, 3))

    def _do_resize_pictures(self) -> None:
        width, height = (int(side) for side in self._random.integers(48, 640, 2))
        self._disturb(lambda: self._server.resize(width, height), self._random.uniform(1, 3))

    def _disturb(self, fault: object, seconds: float) -> None:
        self._witness.excused.set()
        try:
            fault()  # type: ignore[operator]
            self._rest(seconds)
            self._server.restore()
            seq = self._witness.seq
            self._until(lambda: self._witness.seq > seq + 10, "fresh pictures")
        finally:
            self._witness.excused.clear()

    def _do_break_layout(self) -> None:
        broken = self._text.replace("kind: camera", "kind: kamera")
        self._layout.write_text(broken)
        self._until(lambda: "kamera" in self.screen.overlay_text, "the window tells of the broken layout")  # type: ignore[attr-defined]
        self._layout.write_text(self._text)
        self._until(lambda: "kamera" not in self.screen.overlay_text, "the window is content again")  # type: ignore[attr-defined]

    def _do_switch_view(self) -> None:
        name = self.screen.layout.name  # type: ignore[attr-defined]
        self._display.xdotool("key", "v")
        self._until(lambda: self.screen.layout.name != name, "another view")  # type: ignore[attr-defined]
        self._fresh()

    def _do_resize_window(self) -> None:
        width, height = (int(self._random.integers(*ends)) for ends in ((640, 1900), (480, 1060)))
        window = self._display.xdotool("search", "--onlyvisible", "--name", "^livecnn$").splitlines()[-1]
        self._display.xdotool("windowsize", window, width, height)
        size = self.screen.figure.bbox  # type: ignore[attr-defined]
        self._until(lambda: (round(size.width), round(size.height)) == (width, height), f"a window of {width}x{height}")
        self._fresh()

    def _do_freeze_key(self) -> None:
        self._witness.excused.set()
        self._display.xdotool("key", "space")
        self._rest(self._random.uniform(0.5, 3))
        self._display.xdotool("key", "space")
        self._fresh()
        self._witness.excused.clear()

    def _do_record(self) -> None:
        self._display.xdotool("key", "r")
        self._until(lambda: self.screen.mark.since is not None, "the mark of a recording")  # type: ignore[attr-defined]
        self._rest(self._random.uniform(1, 6))
        self._display.xdotool("key", "r")
        self._until(lambda: self.screen.mark.since is None, "the end of the recording")  # type: ignore[attr-defined]

    def _fresh(self) -> None:
        seq = self._witness.seq
        self._until(lambda: self._witness.seq > seq + 3, "fresh pictures")

    def _until(self, condition: object, what: str) -> None:
        deadline = time.monotonic() + RECOVERY
        while not condition():  # type: ignore[operator]
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            self._rest(0.05)

    def _rest(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 1.0))
            if not self._memory or time.monotonic() - self._memory[-1][0] > 1:
                self._memory.append((time.monotonic(), psutil.Process().memory_info().rss / 2**20))

    def _note_memory(self, start: float) -> None:
        settled = [(when, size) for when, size in self._memory if when - start > min(WARM_UP, self.report.seconds / 2)]
        if len(settled) < 2:
            return
        times, sizes = np.array(settled).T
        minutes = np.arange(0, self.report.seconds, 60) + self._memory[0][0]
        self.report.memory_mb_by_minute = np.interp(minutes, *np.array(self._memory).T).round(1).tolist()
        self.report.memory_mb = round(float(sizes[0]), 1), round(float(sizes[-1]), 1)
        self.report.memory_mb_per_hour = round(float(np.polyfit((times - times[0]) / 3600, sizes, 1)[0]), 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--hours", type=float, help="instead of minutes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--toolkit", choices=("qtagg", "tkagg"), default="qtagg")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    options = parser.parse_args()
    options.minutes = 60 * options.hours if options.hours else options.minutes
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        display = start_display(stack)
        os.environ["DISPLAY"] = display.name
        report = soak(options, folder, display, stack.enter_context(MjpegServer((640, 480))))
    print(table(report))
    if options.json:
        options.json.write_text(json.dumps(asdict(report), indent=2) + "\n")
    return 0 if report.fine else 1


def soak(options: argparse.Namespace, folder: Path, display: Display, server: MjpegServer) -> Report:
    from livecnn.app import run, window
    from livecnn.app.live.stats import Stats
    from livecnn.cli import main as livecnn

    layout = folder / "soak.yaml"
    layout.write_text((ROOT / "configs" / "lenet.yaml").read_text().replace("views: [lenet,", "views: [soak,"))
    os.chdir(folder)
    witness = Witness()
    trouble = Troublemaker(options, witness, server, layout, display)

    class Watched(Stats):
        def shown(self, scene, work, *, live=True):  # type: ignore[no-untyped-def]
            super().shown(scene, work, live=live)
            witness.shown(scene.frame.seq)

    class Seen(window.Window):
        def __init__(self, screen, *args):  # type: ignore[no-untyped-def]
            super().__init__(screen, *args)
            trouble.screen = screen

    run.Stats, run.Window = Watched, Seen  # type: ignore[misc]
    run.backend = lambda: options.toolkit
    trouble.start()
    code = livecnn(["run", str(layout), "--source", server.address])
    trouble.join(RECOVERY)
    trouble.report.exit_code = code
    check_films(folder / "recordings", trouble.report)
    return trouble.report


def check_films(folder: Path, report: Report) -> None:
    from livecnn._cv2 import cv2

    for path in sorted(folder.glob("*")) if folder.exists() else []:
        film = cv2.VideoCapture(str(path))
        if not film.read()[0]:
            report.errors.append(f"{path.name}: does not play")
        film.release()


def table(report: Report) -> str:
    lines = [f"{'fault':<18}{'made':>6}{'recovered':>11}"]
    lines += [f"{name:<18}{tally.faults:>6}{tally.recovered:>11}" for name, tally in sorted(report.faults.items())]
    start, end = report.memory_mb
    lines += [
        "",
        f"seconds                                      {report.seconds:>10}",
        f"pictures shown                               {report.frames:>10}",
        f"longest gap outside the camera's faults, s   {report.longest_gap_s:>10}   (less than {LONGEST_GAP})",
        f"memory, MB                                   {start:>10} at first, {end} at the end",
        f"memory, MB an hour                           {report.memory_mb_per_hour:>10}",
        f"exit code                                    {report.exit_code:>10}",
        f"errors                                       {len(report.errors):>10}",
        *(f"  {error}" for error in report.errors),
        "fine" if report.fine else "NOT fine",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
