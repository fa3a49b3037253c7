"""From pictures to a GIF or MP4 file or a folder of PNGs, one picture at a time: nothing but the newest one is held.

A file appears under its name when it is complete. Until then it is NAME.part.SUFFIX beside it, which can be played at any
moment (MP4: once ffmpeg has seen that nobody feeds it any more): what was recorded survives the end of the process by any signal.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import shutil
import struct
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from livecnn._cv2 import cv2
from livecnn.errors import OutputError
from livecnn.geometry import Rect
from livecnn.io.files import check_writable, is_folder, partial_path, write_png
from livecnn.io.gif import DELAY_AT, TRAILER, GifEncoder, empty_frame, screen_head
from livecnn.types import Image

SUFFIXES = (".gif", ".mp4")
NUMBERED = re.compile(r"\d{4,}\.png", re.ASCII)

LEAST_DELAY = 2  # of a picture in a GIF, hundredths of a second; viewers slow anything faster down to 10
MOST_DELAY = 60_000  # the format ends at 65,535


def open_recorder(path: Path | str, *, fps: float = 10.0, hold: float = 0.0, loop: int = 0) -> Recorder:
    """Return the recorder for a file's suffix, or for a folder: a path that ends with / or is a folder already.

    Args:
        path: .gif, .mp4 or a folder.
        fps: pictures a second, above 0; the last picture lasts 1 / fps seconds.
        hold: seconds that it lasts longer.
        loop: how often a GIF is played, at most 65,536 times; 0: for ever.

    Raises:
        OutputError: another suffix, or a place that cannot be written to.
    """
    name, path = str(path), Path(path)
    suffix = path.suffix.lower()
    if is_folder(name) and not name.lower().endswith(SUFFIXES):
        check_writable(path / "0000.png")
        check_unnumbered(path)
        return FolderRecorder(path)
    if suffix not in SUFFIXES:
        allowed = f"{', '.join(SUFFIXES)}, or a folder: {name}/"
        raise OutputError(f"{path}: unknown suffix {path.suffix!r}; allowed: {allowed}")
    if suffix == ".mp4":
        find_ffmpeg()
    check_writable(path)
    return GifRecorder(path, fps, hold, loop) if suffix == ".gif" else Mp4Recorder(path, fps, hold)


class Recorder(ABC):
    """A film from pictures with their times; leaving its `with`, for whatever reason, finishes the file.

    Pictures are uint8 (H, W, 3) RGB, all brought to the size of the first; times are seconds on any clock and never go back.
    A picture is written at once and lasts until the next one's time, so the film keeps real time.
    """

    def __init__(self, path: Path, fps: float = 10.0, hold: float = 0.0) -> None:
        """Make the last picture last 1 / fps seconds if nobody says when the film ends, and `hold` seconds more in any case."""
        self.path = path
        self._lasts, self._hold = 1 / fps, hold
        self.pictures = 0
        self._part = partial_path(path)
        self._open = False
        self._start = self._last = 0.0
        self._size = 0, 0

    def add(self, picture: Image, when: float) -> None:
        """Add a picture. Raises OutputError; what was written until then is finished and kept."""
        with self._keeping():
            if not self._open:
                self._start = when
                self._size = picture.shape[1], picture.shape[0]
                self._begin(*self._size)
                self._open = True
            elif not self._extend(when - self._start):
                return
            self._write(letterbox(picture, *self._size))
            self.pictures += 1
            self._last = when

    def close(self, until: float | None = None) -> None:
        """Finish the file and give it its name. Idempotent. Raises OutputError, also if there was no picture, and so no file.

        until: when the film ends, on the clock of the pictures; the last one is held after that.
        """
        if not self._open:
            if not self.pictures:
                raise OutputError(f"{self.path}: nothing to record")
            return
        with self._keeping():
            self._extend((self._last + self._lasts if until is None else until) + self._hold - self._start)
            self._finish()

    def _finish(self) -> None:
        self._open = False
        self._end()
        if self.pictures:
            self._publish()

    def _publish(self) -> None:
        """Give what is finished its name. Raises OSError."""
        os.replace(self._part, self.path)

    def _discard(self) -> None:
        """Remove what could not be finished. Raises OSError."""
        self._part.unlink()

    @contextlib.contextmanager
    def _keeping(self) -> Iterator[None]:
        """When writing fails, finish what is whole; what cannot be finished is removed."""
        try:
            yield
        except OSError as error:
            with contextlib.suppress(OSError):
                if self._open:
                    self._finish()
            with contextlib.suppress(OSError):
                self._discard()
            raise OutputError(f"{self.path}: {error.strerror or error} after {self.pictures} pictures") from error

    @abstractmethod
    def _begin(self, width: int, height: int) -> None:
        """Make the unfinished file, or raise OSError with nothing left open."""

    @abstractmethod
    def _extend(self, until: float) -> bool:
        """Show the newest picture until then, seconds from the first; False if that is too short. Raises OSError."""

    @abstractmethod
    def _write(self, picture: Image) -> None:
        """Put a picture at the end, for the shortest time that there is. Raises OSError."""

    @abstractmethod
    def _end(self) -> None:
        """Make what was written whole a film and close it, also after a picture failed. Raises OSError."""

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self._open or kind is None:
            self.close()


def letterbox(picture: Image, width: int, height: int) -> Image:
    """Return the whole picture at the film's size, on black: a window may be resized while it is recorded."""
    if picture.shape[:2] == (height, width):
        return picture
    place = Rect(0, 0, width, height).fit(picture.shape[1] / picture.shape[0])
    film = np.zeros((height, width, 3), np.uint8)
    scaled = cv2.resize(picture, (place.w, place.h), interpolation=cv2.INTER_AREA)
    film[place.y : place.y + place.h, place.x : place.x + place.w] = scaled
    return film


class GifRecorder(Recorder):
    """Animated GIF (GIF89a), complete after every picture. A picture that looks like the last one makes that last longer."""

    def __init__(self, path: Path, fps: float = 10.0, hold: float = 0.0, loop: int = 0) -> None:
        """Make it play `loop` times, 0: for ever."""
        super().__init__(path, fps, hold)
        self._loop = loop

    def _begin(self, width: int, height: int) -> None:
        # Unbuffered, so that what could not be written is not tried again when the file is closed.
        self._file = self._part.open("wb", buffering=0)
        self._whole = 0  # bytes, without the trailer
        self._delay_at = 0  # where the file says how long the newest block lasts,
        self._since = self._until = 0  # and from when until when, in 1/100 s
        self._encoder = GifEncoder(width, height)
        self._head = screen_head(width, height, self._loop)

    def _extend(self, until: float) -> bool:
        # Rounding the ends, not the differences, keeps the sum true.
        end = round(100 * until)
        if end - self._until < LEAST_DELAY:
            return False
        self._until = end
        while end - self._since > MOST_DELAY + LEAST_DELAY:
            self._set_delay(MOST_DELAY)
            self._since += MOST_DELAY
            self._append(empty_frame(LEAST_DELAY))
        self._set_delay(end - self._since)
        return True

    def _set_delay(self, delay: int) -> None:
        self._file.seek(self._delay_at)
        self._file.write(struct.pack("<H", delay))

    def _write(self, picture: Image) -> None:
        block = self._encoder.block(picture, LEAST_DELAY)
        if block:
            self._since = self._until
            self._append(block)

    def _append(self, block: bytes) -> None:
        delay_at = self._whole + len(self._head) + DELAY_AT
        self._put(self._head + block)
        self._head, self._delay_at = b"", delay_at

    def _put(self, data: bytes) -> None:
        """Append to the film. Its first byte takes the trailer's place last, so that the file is complete all the time."""
        rest = memoryview(data + TRAILER)[1:]
        self._file.seek(self._whole + 1)
        while rest:  # a disk that is nearly full takes a part of it
            rest = rest[self._file.write(rest) :]
        self._file.seek(self._whole)
        self._file.write(data[:1])
        self._whole += len(data)

    def _end(self) -> None:
        with self._file:
            self._file.truncate(self._whole + len(TRAILER))


class Mp4Recorder(Recorder):
    """H.264 in MP4 through ffmpeg, yuv420p and an even size so that it plays everywhere; 30 pictures a second."""

    RATE = 30

    def _begin(self, width: int, height: int) -> None:
        self._frames, self._shown = 0, b""
        taken = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(self.RATE), "-i", "-"]
        coded = ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-c:v", "libx264", "-profile:v", "high", "-pix_fmt", "yuv420p"]
        # One thread: how pictures are shared among threads shows in the bytes.
        exact = ["-preset", "veryfast", "-crf", "18", "-threads", "1", "-fflags", "+bitexact", "-flags:v", "+bitexact"]
        filed = ["-movflags", "+faststart", "-f", "mp4", str(self._part)]
        command = [find_ffmpeg(), "-loglevel", "error", "-y", *taken, *coded, *exact, *filed]
        # A session of its own: Ctrl-C then reaches us alone, and we end the film. If we are killed, ffmpeg ends it by itself.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

    def _extend(self, until: float) -> bool:
        missing = round(until * self.RATE) - self._frames
        for _ in range(missing):
            self._put(self._shown)
        return missing >= 0

    def _write(self, picture: Image) -> None:
        self._shown = picture.tobytes()
        self._put(self._shown)

    def _put(self, frame: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(frame)
        except BrokenPipeError:
            self._end()  # raises what ffmpeg says of it
            raise
        self._frames += 1

    def _end(self) -> None:
        _, complaint = self._process.communicate()
        if self._process.returncode:
            cause, *_ = complaint.decode(errors="replace").strip().splitlines() or ["failed"]
            raise OSError(None, f"ffmpeg: {cause.rpartition('] ')[2]}")  # without the address of the part of ffmpeg


def find_ffmpeg() -> str:
    """Return ffmpeg on PATH, else the one of the package imageio-ffmpeg. Raises OutputError that names the extra."""
    found = shutil.which("ffmpeg")
    if found:
        return found
    try:
        import imageio_ffmpeg
    except ImportError:
        raise OutputError(
            "MP4 needs ffmpeg: install it, or `pip install imageio-ffmpeg` (the extra livecnn[video]); GIF works without"
        ) from None
    return str(imageio_ffmpeg.get_ffmpeg_exe())


class FolderRecorder(Recorder):
    """Numbered PNG files, 0000.png and on, each there as soon as it is whole. How long a picture lasts is not told."""

    def _begin(self, width: int, height: int) -> None:
        """Nothing to open."""

    def _extend(self, until: float) -> bool:  # noqa: ARG002
        return True

    def _write(self, picture: Image) -> None:
        write_png(self.path / f"{self.pictures:04}.png", picture)

    def _end(self) -> None:
        """Nothing to close."""

    def _publish(self) -> None:
        """Every picture has its name already."""

    def _discard(self) -> None:
        """Keep what was written: it is whole."""


def check_unnumbered(folder: Path) -> None:
    """Raise OutputError if there are numbered pictures already: those of two films must not mix."""
    names = sorted(path.name for path in folder.glob("*.png") if NUMBERED.fullmatch(path.name))
    if names:
        raise OutputError(f"{folder}: holds {names[0]} already; name an empty folder or a new one")


class ThreadedRecorder:
    """Feeds a recorder from its own thread, so that encoding never holds up a live picture, and Ctrl-C never cuts one in two.

    When encoding is slower than the picture, pictures are left out, and the film keeps real time all the same; with `every` `add`
    waits instead. Use it in a `with`; leaving it finishes the file. Raises what the recorder raised, at the next `add` or on
    leaving.
    """

    WAITING = 4  # pictures, so that a slow moment of the disk costs none

    def __init__(self, recorder: Recorder, *, every: bool = False, clock: Callable[[], float] | None = None) -> None:
        """Take a recorder; with a clock, that of the pictures' times, the last picture lasts until the film is ended."""
        self._recorder, self._every, self._clock = recorder, every, clock
        # One place more, so that the end finds room at once.
        self._queue: queue.Queue[tuple[Image, float] | None] = queue.Queue(self.WAITING + 1)
        self._until: float | None = None
        self._finishing = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def add(self, picture: Image, when: float) -> None:
        """Hand a picture to the thread that writes."""
        if self._error is not None:
            raise self._error
        if self._every or self._queue.qsize() < self.WAITING:
            self._queue.put((picture, when))

    def finish(self) -> None:
        """End the film now; its file is finished in the background. Idempotent; nothing may be added any more."""
        if not self._finishing:
            self._finishing = True
            self._until = None if self._clock is None else self._clock()
            self._queue.put(None)

    @property
    def done(self) -> bool:
        """The file is finished, or has failed."""
        return not self._thread.is_alive()

    def _run(self) -> None:
        item: tuple[Image, float] | None = None
        try:
            with self._recorder:
                while (item := self._queue.get()) is not None:
                    self._recorder.add(*item)
                self._recorder.close(self._until)
        except BaseException as error:
            self._error = error
            while item is not None:  # the other side must never wait on a full queue
                item = self._queue.get()

    def __enter__(self) -> ThreadedRecorder:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.finish()
        self._thread.join()
        if self._error is not None and value is None:
            raise self._error
