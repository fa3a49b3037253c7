import gc
import io
import pathlib
import re
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageSequence

from livecnn._cv2 import cv2
from livecnn.errors import OutputError
from livecnn.io.recorders import (
    SUFFIXES,
    GifRecorder,
    Mp4Recorder,
    Recorder,
    ThreadedRecorder,
    find_ffmpeg,
    letterbox,
    open_recorder,
)
from livecnn.types import Image

if sys.platform != "win32":
    import resource

RNG = np.random.default_rng(7)
KINDS = ("x.gif", "x.mp4", "x/")
UNKNOWN = r"unknown suffix '.*'; allowed: \.gif, \.mp4, or a folder: \S+/$"
films = pytest.mark.parametrize("suffix", SUFFIXES)
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are a POSIX thing")


def scene(i: int, width: int = 160, height: int = 120) -> Image:
    """Like our pictures: flat grounds, text, a gray photograph, and something that moves."""
    image = PillowImage.new("RGB", (width, height), (13, 17, 23))
    draw = ImageDraw.Draw(image)
    draw.rectangle((8, 8, 70, 70), (22, 27, 34), (48, 54, 61))
    draw.text((12, 90), f"frame {i}", (230, 237, 243))
    draw.ellipse((80 + 5 * i, 20, 110 + 5 * i, 50), (255, 166, 87))
    ramp = np.linspace(0, 255, 60).astype(np.uint8)
    picture = np.asarray(image).copy()
    picture[10:70, 10:70] = np.minimum(ramp[:, None], ramp[None])[..., None]
    return picture


def film_of(path: Path) -> tuple[list[Image], list[int]]:
    """Pictures of a GIF as Pillow shows them, and their durations in milliseconds."""
    with PillowImage.open(path) as gif:
        frames = [(np.asarray(frame.convert("RGB")), frame.info["duration"]) for frame in ImageSequence.Iterator(gif)]
    return [picture for picture, _ in frames], [duration for _, duration in frames]


def record(path: Path | str, pictures: list[Image], times: list[float], hold: float = 0.0) -> Path:
    with open_recorder(path, hold=hold) as recorder:
        for picture, when in zip(pictures, times, strict=True):
            recorder.add(picture, when)
    return Path(path)


@contextmanager
def limited(bytes_: int) -> Iterator[None]:
    """No file may grow beyond this: what the system does is the same as on a full disk, partial writes included."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_gif_shows_what_was_recorded(tmp_path: Path) -> None:
    pictures = [scene(i) for i in range(8)]
    path = record(tmp_path / "x.gif", pictures, [100 + 0.04 * i for i in range(8)])
    film, durations = film_of(path)
    for read in (film, list(frames_of(path))):  # by Pillow and by OpenCV
        assert len(read) == 8
        assert min(map(cv2.PSNR, read, pictures)) > 30
    assert durations == [40] * 7 + [100]
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes()[-1:] == b";"


@pytest.mark.parametrize(("loop", "told"), [(0, 0), (1, None), (2, 1), (300, 299)])  # the file tells the repeats; 0: for ever
def test_how_often_it_is_played(tmp_path: Path, loop: int, told: int | None) -> None:
    with open_recorder(tmp_path / "x.gif", loop=loop) as recorder:
        for i in range(2):
            recorder.add(scene(i), 0.1 * i)
    with PillowImage.open(recorder.path) as gif:
        assert gif.info.get("loop") == told
        assert gif.n_frames == 2


@pytest.mark.parametrize("name", KINDS)
def test_options_of_one_kind_do_not_matter_to_another(tmp_path: Path, name: str) -> None:
    with open_recorder(f"{tmp_path}/{name}", fps=4, hold=0, loop=1) as recorder:
        recorder.add(scene(0), 3.0)
    assert recorder.pictures == 1
    if name != "x/":
        assert length_of(recorder.path) == pytest.approx(0.25, abs=0.02)


@films
@pytest.mark.parametrize(
    ("times", "until", "hold", "seconds", "most"),
    [
        ((0.0, 0.25, 0.5, 0.75), 1.0, 2.0, 3.0, 0.02),
        ((5.0,), None, 1.5, 1.6, 0.02),
        ((7.0, 7.04, 7.08), 12.0, 0.0, 5.0, 0.1),
        *(((2.0, 3.0), until, 0.0, 1.0, 0.1) for until in (3.0, 3.001, 2.0)),
    ],
)
def test_the_end_is_when_it_was_asked_for_and_is_held(
    tmp_path: Path, suffix: str, times: tuple[float, ...], until: float | None, hold: float, seconds: float, most: float
) -> None:
    with open_recorder(tmp_path / f"x{suffix}", hold=hold) as recorder:
        for i, when in enumerate(times):
            recorder.add(scene(i), when)
        recorder.close(until)
        recorder.close(99.0)  # it has ended
    assert length_of(recorder.path) == pytest.approx(seconds, abs=most)


def test_a_folder_of_pngs(tmp_path: Path) -> None:
    pictures = [scene(i) for i in range(4)]
    with open_recorder(f"{tmp_path}/new/folder/") as recorder:
        for i, picture in enumerate(pictures):
            recorder.add(picture, 0.001 * i)  # too fast for a GIF
            written = sorted(path.name for path in recorder.path.iterdir())
            assert written == [f"{n:04}.png" for n in range(i + 1)]
    for i, picture in enumerate(pictures):
        with PillowImage.open(recorder.path / f"{i:04}.png") as png:
            np.testing.assert_array_equal(np.asarray(png), picture)


def test_a_folder_with_numbered_pictures_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / "logo.png").touch()
    path = record(tmp_path, [scene(0)], [0.0])  # an existing folder needs no slash
    before = (path / "0000.png").read_bytes()
    with pytest.raises(OutputError, match=r"holds 0000\.png already; name an empty folder or a new one"):
        open_recorder(path)
    assert (path / "0000.png").read_bytes() == before


TWICE = """
import sys
from livecnn.io.recorders import open_recorder
from livecnn.sources import open_source
for path in sys.argv[1:]:
    with open_source("demo") as demo, open_recorder(path, fps=8, hold=1) as recorder:
        for i in range(6):
            recorder.add(demo.read().image, i / 8)
"""


def test_the_same_pictures_give_the_same_bytes_in_any_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = ([str(tmp_path / f"{name}{suffix}") for suffix in SUFFIXES] for name in ("one", "other"))
    monkeypatch.setattr(sys, "argv", ["-c", *here])
    exec(TWICE, {})
    subprocess.run([sys.executable, "-c", TWICE, *there], check=True)
    for suffix in SUFFIXES:
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"other{suffix}").read_bytes()


@pytest.mark.parametrize("name", KINDS)
def test_memory_does_not_grow_with_the_film(tmp_path: Path, name: str) -> None:
    interned = tracemalloc.Filter(False, pathlib.__file__)  # Python's table of names grows by megabytes at any moment
    with open_recorder(f"{tmp_path}/{name}") as recorder:
        picture = np.repeat(RNG.integers(0, 256, (50, 70, 1), np.uint8), 3, axis=2)
        sizes = []
        tracemalloc.start()
        try:
            for i in range(150):
                recorder.add(np.roll(picture, i, axis=1), 0.1 * i)
                if i in (49, 149):
                    gc.collect()
                    found = tracemalloc.take_snapshot().filter_traces([interned])
                    sizes.append(sum(trace.size for trace in found.traces))
        finally:
            tracemalloc.stop()
    assert sizes[1] - sizes[0] < 200_000  # the pictures have more than a million bytes


def test_what_stays_costs_nothing(tmp_path: Path) -> None:
    noise = np.random.default_rng(7).integers(0, 256, (120, 160, 3), np.uint8)
    one = record(tmp_path / "one.gif", [noise], [0.0]).stat().st_size
    still = record(tmp_path / "still.gif", [noise] * 11, [0.1 * i for i in range(11)])
    assert still.stat().st_size == one
    assert film_of(still)[1] == [1100]  # one picture that lasts
    moved = [noise.copy() for _ in range(11)]
    for i, picture in enumerate(moved):
        picture[:10, :10] = 20 * i
    film, _ = film_of(path := record(tmp_path / "moved.gif", moved, [0.1 * i for i in range(11)]))
    assert path.stat().st_size < one + 10 * 1500
    assert [int(picture[5, 5].max()) for picture in film] == pytest.approx([20 * i for i in range(11)], abs=20)


@given(gaps=st.lists(st.floats(0.001, 0.5), min_size=1, max_size=12))
def test_a_film_keeps_real_time(tmp_path_factory: pytest.TempPathFactory, gaps: list[float]) -> None:
    times = np.concatenate(([12.3], 12.3 + np.cumsum(gaps)))
    pictures = [np.full((4, 6, 3), 20 * i, np.uint8) for i in range(len(times))]
    path = record(tmp_path_factory.mktemp("time") / "x.gif", pictures, [float(t) for t in times])
    _, durations = film_of(path)
    assert min(durations) >= 20  # anything shorter is shown slower by viewers
    assert sum(durations) / 1000 == pytest.approx(times[-1] - times[0] + 0.1, abs=0.5 + 0.01 if len(durations) == 1 else 0.02)


def test_pictures_that_come_too_fast_are_left_out(tmp_path: Path) -> None:
    pictures = [np.full((4, 4, 3), i, np.uint8) for i in range(100)]
    film, durations = film_of(record(tmp_path / "x.gif", pictures, [i / 200 for i in range(100)]))
    assert 20 <= len(film) <= 26
    assert sum(durations) == pytest.approx(600, abs=20)


@films
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (31, 17)])
def test_any_size(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    pictures = [np.full((size[1], size[0], 3), 50 * i, np.uint8) for i in range(3)]
    assert record(tmp_path / f"x{suffix}", pictures, [0.0, 0.1, 0.2]).stat().st_size > 0


def test_a_window_that_changes_its_size(tmp_path: Path) -> None:
    wide = np.full((40, 160, 3), 200, np.uint8)
    film, _ = film_of(record(tmp_path / "x.gif", [scene(0), wide, scene(2)], [0.0, 0.1, 0.2]))
    assert {picture.shape for picture in film} == {(120, 160, 3)}
    assert film[1][:40].max() == film[1][80:].max() == 0
    np.testing.assert_allclose(film[1][40:80], 200, atol=3)  # less than the eye sees
    assert cv2.PSNR(film[2], scene(2)) > 30


def test_half_an_hour_of_stillness(tmp_path: Path) -> None:
    path = tmp_path / "x.gif"
    film, durations = film_of(record(path, [scene(0), scene(1)], [0.0, 1800.01]))  # the format counts up to 655 s
    assert sum(durations) == 1_800_110
    assert min(map(cv2.PSNR, film, [scene(0)] * 3 + [scene(1)])) > 30


def length_of(path: Path) -> float:
    """Seconds."""
    if path.suffix == ".gif":
        return sum(film_of(path)[1]) / 1000
    return sum(1 for _ in frames_of(path)) / Mp4Recorder.RATE


@films
def test_what_was_recorded_survives_a_kill(tmp_path: Path, suffix: str) -> None:
    code = f"""
import sys
from pathlib import Path
from livecnn.io.recorders import open_recorder
from tests.io.test_recorders import scene
recorder = open_recorder(Path(r"{tmp_path}") / "x{suffix}")
for i in range(6):
    recorder.add(scene(i), 0.1 * i)
print("recording", flush=True)
sys.stdin.read()
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with child:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == b"recording"
        encoders = psutil.Process(child.pid).children()
        child.kill()
    assert not psutil.wait_procs(encoders, timeout=30)[1]
    path = tmp_path / f"x.part{suffix}"
    assert list(tmp_path.iterdir()) == [path]
    film = film_of(path)[0] if suffix == ".gif" else list(frames_of(path))[1::3]
    assert len(film) == 6 if suffix == ".gif" else 5  # the last frame of an MP4 is a single one
    assert all(cv2.PSNR(picture, scene(i)) > 28 for i, picture in enumerate(film))
    assert len(encoders) == (suffix == ".mp4")


def test_an_unfinished_gif_is_complete_after_every_step(tmp_path: Path) -> None:
    """A process may be killed between any two calls of the system."""
    part, seen = tmp_path / "x.part.gif", []

    class Watched(io.FileIO):
        def write(self, data: Any) -> int:
            half = super().write(data[: len(data) // 2 or 1])
            seen.append((recorder.pictures, len(film_of(part)[0])))
            return half

    with GifRecorder(tmp_path / "x.gif") as recorder:
        recorder.add(scene(0), 0.0)
        recorder._file.close()
        recorder._file = Watched(part, "r+b")
        for i in range(1, 4):
            recorder.add(scene(i), 0.1 * i)
    assert {pictures for pictures, _ in seen} == {1, 2, 3, 4}
    assert all(found in (pictures, pictures + 1) for pictures, found in seen)
    assert len(film_of(tmp_path / "x.gif")[0]) == 4


@given(st.tuples(*[st.integers(1, 40)] * 4))
def test_fitting_keeps_the_whole_picture_in_the_middle(sizes: tuple[int, int, int, int]) -> None:
    h, w, height, width = sizes
    film = letterbox(np.full((h, w, 3), 255, np.uint8), width, height)
    assert film.shape == (height, width, 3)
    rows, columns = np.flatnonzero(film.any((1, 2))), np.flatnonzero(film.any((0, 2)))
    assert abs(rows[0] - (height - 1 - rows[-1])) <= 1
    assert abs(columns[0] - (width - 1 - columns[-1])) <= 1


@pytest.mark.parametrize("interrupted", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_without_a_picture_there_is_no_file(tmp_path: Path, name: str, interrupted: bool) -> None:
    def nothing() -> None:
        with open_recorder(f"{tmp_path}/{name}"):
            if interrupted:
                raise KeyboardInterrupt("ctrl-c")

    with pytest.raises((KeyboardInterrupt, OutputError), match="ctrl-c" if interrupted else r"x\S*: nothing to record"):
        nothing()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@films
def test_a_recording_that_breaks_off_plays(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"

    def break_off() -> None:
        with open_recorder(path) as recorder:
            for i in range(5):
                assert not path.exists()  # nothing half done under the final name
                recorder.add(scene(i), 0.1 * i)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert list(tmp_path.iterdir()) == [path]
    assert sum(1 for _ in frames_of(path)) >= 5


def frames_of(path: Path) -> Iterator[Image]:
    video = cv2.VideoCapture(str(path))
    while (step := video.read())[0]:
        yield cv2.cvtColor(step[1], cv2.COLOR_BGR2RGB)
    video.release()


def test_an_mp4(tmp_path: Path) -> None:
    pictures = [scene(i, 161, 121) for i in range(8)]
    path = record(tmp_path / "x.MP4", pictures, [7 + 0.1 * i for i in range(8)])
    film = list(frames_of(path))
    assert len(film) == 24  # 0.8 s at 30 pictures a second
    assert film[0].shape == (122, 162, 3)  # even, as the format wants it
    assert min(cv2.PSNR(film[3 * i + 1][:121, :161], pictures[i]) for i in range(8)) > 28  # colours are stored at half the size
    told = subprocess.run([find_ffmpeg(), "-hide_banner", "-i", str(path)], capture_output=True, text=True, check=False).stderr
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # it plays while it is loaded
    assert re.search(r"Video: h264 \(High\) .*yuv420p.*162x122.* 30 fps", told)
    assert "Duration: 00:00:00.80" in told
    assert list(tmp_path.iterdir()) == [path]


def test_ffmpeg_is_looked_for_on_the_path_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/opt/bin/{name}")
    assert find_ffmpeg() == "/opt/bin/ffmpeg"
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert Path(find_ffmpeg()).name.startswith("ffmpeg")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    for call in (find_ffmpeg, lambda: open_recorder(tmp_path / "x.mp4")):
        with pytest.raises(
            OutputError, match=r"MP4 needs ffmpeg: .* `pip install imageio-ffmpeg` \(the extra livecnn\[video\]\)"
        ):
            call()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        *((name, UNKNOWN) for name in ("x.avi", "x", "gif", "x.gif.part")),
        ("file/x.gif", r"file/x\.gif: cannot be written: .*file is not a folder"),
        ("folder.gif", r"folder\.gif: cannot be written: it is a folder"),
    ],
)
def test_places_that_cannot_be_written_to(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.gif").mkdir()
    with pytest.raises(OutputError, match=message):
        open_recorder(tmp_path / name)


@posix_only
@pytest.mark.parametrize(
    ("name", "bytes_", "message", "left"),
    [
        ("x.gif", 0, r"x\.gif: File too large after 0 pictures", []),
        ("x.gif", 50_000, r"x\.gif: File too large after [1-9]\d* pictures", ["x.gif"]),
        ("x.mp4", 0, r"x\.mp4: ffmpeg: .* after \d+ pictures", []),
        ("x.mp4", 20_000, r"x\.mp4: ffmpeg: .* after \d+ pictures", []),
        ("x/", 5000, r"0001\.png: cannot be written: File too large", ["x/0000.png"]),
    ],
)
def test_a_disk_that_gets_full_keeps_what_is_whole_and_nothing_else(
    tmp_path: Path, name: str, bytes_: int, message: str, left: list[str]
) -> None:
    pictures = [scene(0, 80, 80), *RNG.integers(0, 256, (40, 80, 80, 3), np.uint8)]
    with limited(bytes_), pytest.raises(OutputError, match=message):
        record(f"{tmp_path}/{name}", pictures, [0.1 * i for i in range(41)])
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()] == left
    if left == ["x.gif"]:
        film, _ = film_of(tmp_path / name)
        assert 3 < len(film) < 40
        assert min(map(cv2.PSNR, film, pictures)) > 20  # noise; but no picture is broken
        assert (tmp_path / name).read_bytes()[-1:] == b";"


@posix_only
def test_a_full_disk_at_the_very_end(tmp_path: Path) -> None:
    path = record(tmp_path / "x.gif", [scene(0)], [0.0])
    before = path.read_bytes()
    with limited(len(before) - 1), pytest.raises(OutputError, match=r"x\.gif: File too large after 0 pictures"):
        record(path, [scene(0)], [0.0])
    assert path.read_bytes() == before  # the earlier recording
    with limited(len(before)), pytest.raises(OutputError, match=r"x\.gif: File too large after 1 pictures"):
        record(path, [scene(0), scene(1)], [0.0, 0.1])
    assert len(film_of(path)[0]) == 1
    assert path.stat().st_size == len(before)
    assert list(tmp_path.iterdir()) == [path]


def test_an_ffmpeg_that_refuses_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mp4Recorder, "RATE", "many")

    def refused() -> None:
        with open_recorder(tmp_path / "x.mp4") as film:
            film.add(scene(0), 0.0)
            monkeypatch.setattr(Mp4Recorder, "RATE", 30)

    with pytest.raises(OutputError, match=r"x\.mp4: ffmpeg: \S.* after \d pictures"):
        refused()
    assert not list(tmp_path.iterdir())


class Slow(GifRecorder):
    """Keeps what it is given, one picture at a time, when the test lets it; `failing`: the method that finds the disk full."""

    def __init__(self, failing: str = "") -> None:
        super().__init__(Path("x.gif"))
        self.taken: list[float] = []
        self.gate = threading.Semaphore(0)
        self.at_work = threading.Event()
        self.closed = False
        self.until: float | None = None
        self._failing = failing
        self._open = True  # as after a first picture

    def add(self, picture: Image, when: float) -> None:
        self.at_work.set()
        assert self.gate.acquire(timeout=30)
        if self._failing == "add":
            raise OutputError("disk full")
        self.taken.append(when)

    def close(self, until: float | None = None) -> None:
        self.closed = True
        self.until = self.until or until
        if self._failing == "close":
            raise OutputError("disk full")


@pytest.mark.parametrize(
    ("every", "taken"),
    [(False, 5), (True, 100)],  # one in work, the queue; the rest was left out
    ids=["it holds up nothing", "every picture if asked for"],
)
def test_in_the_background_a_slow_recorder(every: bool, taken: int) -> None:
    slow = Slow()
    with ThreadedRecorder(slow, every=every) as recorder:
        recorder.add(scene(0), 0.0)
        assert slow.at_work.wait(30)
        if every:
            slow.gate.release(1000)
        for i in range(1, 100):
            recorder.add(scene(0), float(i))
        slow.gate.release(1000)
    assert slow.taken == [float(i) for i in range(taken)]
    assert slow.closed


def test_in_the_background_the_end_is_when_it_was_asked_for() -> None:
    slow, now = Slow(), [100.0]
    with ThreadedRecorder(slow, clock=lambda: now[0]) as recorder:
        recorder.add(scene(0), 100.0)
        slow.gate.release()
        now[0] = 105.0
    assert slow.until == 105.0


def record_in_background(recorder: Recorder, pictures: int, *, every: bool = False, then: Exception | None = None) -> None:
    with ThreadedRecorder(recorder, every=every) as background:
        for i in range(pictures):
            background.add(scene(i), 0.1 * i)
        if isinstance(recorder, Slow):
            recorder.gate.release(1000)
        if then is not None:
            raise then


@pytest.mark.parametrize(
    ("failing", "pictures", "every"), [("add", 1000, True), ("add", 1000, False), ("add", 1, False), ("close", 1, False)]
)
def test_in_the_background_errors_come_back(failing: str, pictures: int, every: bool) -> None:
    slow = Slow(failing)
    if pictures > 1:  # else at the end
        slow.gate.release(1000)
    with pytest.raises(OutputError, match="disk full"):
        record_in_background(slow, pictures, every=every)
    assert slow.closed


def test_in_the_background_whoever_adds_learns_of_an_error() -> None:
    slow = Slow("add")
    slow.gate.release(1000)

    def go_on() -> None:
        with ThreadedRecorder(slow) as recorder:
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                recorder.add(scene(0), 0.0)
                assert slow.at_work.wait(30)

    with pytest.raises(OutputError, match="disk full"):
        go_on()
    assert slow.closed


def test_in_the_background_the_first_error_wins() -> None:
    with pytest.raises(ZeroDivisionError, match="oops"):
        record_in_background(Slow("add"), 1, then=ZeroDivisionError("oops"))


def test_in_the_background_the_thread_ends_and_the_film_plays(tmp_path: Path) -> None:
    before = threading.active_count()
    path = tmp_path / "x.gif"
    with pytest.raises(ZeroDivisionError, match="oops"):
        record_in_background(open_recorder(path), 2, then=ZeroDivisionError("oops"))
    assert threading.active_count() == before
    assert len(film_of(path)[0]) == 2
