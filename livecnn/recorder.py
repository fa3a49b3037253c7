"""From pictures to a GIF, MP4 or PNG file, one picture at a time: nothing but the newest one is held.

A file appears under its name when it is complete. Until then it is NAME.part beside it, and what was written so far of a
recording that breaks off is finished and kept.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import struct
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
from PIL import GifImagePlugin
from PIL import Image as PillowImage

from livecnn._cv2 import cv2
from livecnn.errors import OutputError
from livecnn.geometry import Rect
from livecnn.outputs import check_writable
from livecnn.types import Image

SUFFIXES = (".gif", ".mp4")
TRANSPARENT = 255  # palette index that leaves the pixel below as it is
EXACT = 192  # colours of a palette that may be kept exactly,
SPECK = 40  # if so many pixels in flat areas have them
SAMPLES = 200_000  # pixels of the other areas that the rest of a palette is made from
UNSEEN = 3  # levels of 255 that a pixel may differ from what is shown without being written again
LEAST_DELAY = 2  # hundredths of a second; viewers slow anything faster down to 10


class Recorder(ABC):
    """Takes pictures with their times; use it in a `with`. Leaving it, for whatever reason, finishes the file.

    Pictures are uint8 (H, W, 3) RGB, all of one size (that of the first); times are seconds on any clock and never go back.
    Each picture lasts until the next one's time, so the film keeps real time; the last one lasts `hold` seconds.
    """

    def __init__(self, path: Path, hold: float = 0.1) -> None:
        self.path = path
        self.hold = hold
        self.pictures = 0
        self._part = path.with_name(path.name + ".part")
        self._waiting: tuple[Image, float] | None = None
        self._start = 0.0
        self._size = 0, 0

    def add(self, picture: Image, when: float) -> None:
        """Raises OutputError; what was written until then is finished and kept."""
        with self._keeping():
            if self._waiting is None:
                self._start = when
                self._size = picture.shape[1], picture.shape[0]
                self._begin(*self._size)
            elif not self._flush(when):
                return
        self._waiting = fitted(picture, *self._size), when

    def close(self) -> None:
        """Finish the file and give it its name; without a picture there is none. Raises OutputError."""
        if self._waiting is None:
            return
        with self._keeping():
            self._flush(self._waiting[1] + self.hold)
            self._finish()

    def _finish(self) -> None:
        self._waiting = None
        self._end()
        if self.pictures:
            os.replace(self._part, self.path)

    @contextlib.contextmanager
    def _keeping(self) -> Iterator[None]:
        """When writing fails, finish what is whole; what cannot be finished is removed."""
        try:
            yield
        except OSError as error:
            with contextlib.suppress(OSError):
                if self._waiting is not None:
                    self._finish()
            with contextlib.suppress(OSError):
                self._part.unlink()
            raise OutputError(f"{self.path}: {error.strerror or error} after {self.pictures} pictures") from error

    def _flush(self, until: float) -> bool:
        """Write the waiting picture, which lasts until then; False if that is too short to be shown."""
        assert self._waiting is not None
        picture, since = self._waiting
        written = self._write(picture, since - self._start, until - self._start)
        self.pictures += written
        return written

    @abstractmethod
    def _begin(self, width: int, height: int) -> None:
        """Make the file NAME.part, or raise OSError with nothing left open."""

    @abstractmethod
    def _write(self, picture: Image, since: float, until: float) -> bool:
        """Write a picture that is on show between two times, from 0; False if that is too short. Raises OSError."""

    @abstractmethod
    def _end(self) -> None:
        """Make what was written whole a film and close it, also after a picture failed. Raises OSError."""

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def fitted(picture: Image, width: int, height: int) -> Image:
    """The whole picture at the film's size, on black: a window may be resized while it is recorded."""
    if picture.shape[:2] == (height, width):
        return picture
    place = Rect(0, 0, width, height).fit(picture.shape[1] / picture.shape[0])
    film = np.zeros((height, width, 3), np.uint8)
    scaled = cv2.resize(picture, (place.w, place.h), interpolation=cv2.INTER_AREA)
    film[place.y : place.y + place.h, place.x : place.x + place.w] = scaled
    return film


class GifRecorder(Recorder):
    """Animated GIF (GIF89a). Each picture has its own palette; only pixels that changed since the last one are written."""

    def _begin(self, width: int, height: int) -> None:
        # Unbuffered, so that what could not be written is not tried again when the file is closed.
        self._file = self._part.open("wb", buffering=0)
        self._whole = 0  # bytes, up to the end of the last complete picture
        self._shown: Image | None = None
        # Logical screen without a global palette, then the application extension that makes it loop for ever.
        self._head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x70, 0, 0)
        self._head += b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"

    def _write(self, picture: Image, since: float, until: float) -> bool:
        # Rounding the two ends, not their difference, keeps the sum true.
        delay = round(100 * until) - round(100 * since)
        if delay < LEAST_DELAY:
            return False
        changed = self._changed(picture)
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        top, bottom = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 1)
        left, right = (int(columns[0]), int(columns[-1]) + 1) if len(columns) else (0, 1)
        coded = quantized(picture, changed).crop((left, top, right, bottom))
        blocks = GifImagePlugin.getdata(
            coded, (left, top), duration=10 * delay, transparency=TRANSPARENT, disposal=1, include_color_table=True
        )
        self._put(self._head + b"".join(blocks))
        self._head = b""
        return True

    def _put(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:  # a disk that is nearly full takes a part of it
            rest = rest[self._file.write(rest) :]
        self._whole += len(data)

    def _changed(self, picture: Image) -> npt.NDArray[np.bool_]:
        """Where the picture differs visibly from what the film shows; what the film then shows is remembered."""
        if self._shown is None:
            self._shown = picture.copy()
            return np.ones(picture.shape[:2], bool)
        difference = cv2.absdiff(picture, self._shown)
        changed = np.asarray(difference.max(axis=2) > UNSEEN)
        self._shown[changed] = picture[changed]
        return changed

    def _end(self) -> None:
        with self._file:
            self._file.truncate(self._whole)
            self._file.seek(self._whole)
            self._file.write(b";")


def quantized(picture: Image, wanted: npt.NDArray[np.bool_]) -> PillowImage.Image:
    """A picture with a palette of 255 colours; pixels that are not wanted get code TRANSPARENT.

    Colours of flat areas (grounds, frames, the cells of maps) are kept exactly; the others, as in photographs, share the rest
    of the palette by median cut (Heckbert, 1982).
    """
    packed = _packed(picture)
    flat = (packed[:-1, :-1] == packed[:-1, 1:]) & (packed[:-1, :-1] == packed[1:, :-1])
    exact = _frequent(packed[:-1, :-1][flat])
    palette = _unpacked(exact)
    others = packed[:-1, :-1][~flat & wanted[:-1, :-1]]
    others = others[:: max(1, len(others) // SAMPLES)]
    if len(others):
        cut = PillowImage.fromarray(_unpacked(others)[None])
        few = cut.quantize(TRANSPARENT - len(exact), PillowImage.Quantize.MEDIANCUT).getpalette()
        palette = np.concatenate((palette, np.array(few, np.uint8).reshape(-1, 3)))[:TRANSPARENT]
    board = PillowImage.new("P", (1, 1))
    board.putpalette(np.resize(palette, (256, 3)).tobytes())
    nearest = np.asarray(PillowImage.fromarray(picture).quantize(palette=board, dither=PillowImage.Dither.NONE))
    # Pillow looks colours up four levels at a time, which is too coarse for flat grounds.
    known = np.full(1 << 24, TRANSPARENT, np.uint8)
    known[exact] = np.arange(len(exact))
    codes = known[packed]
    codes = np.where(wanted, np.where(codes == TRANSPARENT, nearest, codes), np.uint8(TRANSPARENT))
    coded = PillowImage.fromarray(codes, "P")
    coded.putpalette(board.getpalette() or [])
    return coded


def _packed(picture: Image) -> npt.NDArray[np.uint32]:
    """uint8 (H, W, 3) -> (H, W), a number per colour."""
    wide = picture.astype(np.uint32)
    return np.asarray(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2], np.uint32)


def _unpacked(colors: npt.NDArray[np.uint32]) -> Image:
    return np.stack((colors >> 16, colors >> 8 & 255, colors & 255), axis=1).astype(np.uint8)


def _frequent(pixels: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """The colours worth a place of their own; of those that nobody can tell apart, as in a ramp of grays, the most frequent."""
    colors, counts = np.unique(pixels, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    colors, counts = colors[order], counts[order]
    _, first, alike = np.unique(colors >> 2 & 0x3F3F3F, return_index=True, return_inverse=True)
    totals = np.bincount(alike, counts)
    often = np.argsort(-totals, kind="stable")[:EXACT]
    return np.asarray(colors[first[often[totals[often] >= SPECK]]], np.uint32)


class Mp4Recorder(Recorder):
    """H.264 in MP4 through ffmpeg, yuv420p and an even size so that it plays everywhere; 30 pictures a second."""

    RATE = 30

    def _begin(self, width: int, height: int) -> None:
        command = [find_ffmpeg(), "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
        command += ["-r", str(self.RATE), "-i", "-", "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-c:v", "libx264", "-crf", "18"]
        command += ["-preset", "veryfast", "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4", str(self._part)]
        # A session of its own: Ctrl-C in the terminal then reaches us alone, and we end the film properly.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

    def _write(self, picture: Image, since: float, until: float) -> bool:
        count = round(until * self.RATE) - round(since * self.RATE)
        assert self._process.stdin is not None
        try:
            for _ in range(count):
                self._process.stdin.write(picture.tobytes())
        except BrokenPipeError:
            self._end()  # raises what ffmpeg says of it
            raise
        return count > 0

    def _end(self) -> None:
        _, complaint = self._process.communicate()
        if self._process.returncode:
            cause, *_ = complaint.decode(errors="replace").strip().splitlines() or ["failed"]
            raise OSError(None, f"ffmpeg: {cause.rpartition('] ')[2]}")  # without the address of the part of ffmpeg


def find_ffmpeg() -> str:
    """ffmpeg on PATH, else the one of the package imageio-ffmpeg. Raises OutputError that names the extra."""
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


def open_recorder(path: Path, hold: float = 0.1) -> Recorder:
    """The recorder for a file's suffix. Raises OutputError for another suffix or a place that cannot be written to."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise OutputError(f"{path}: unknown suffix {path.suffix!r}; allowed: {', '.join(SUFFIXES)}")
    if suffix == ".mp4":
        find_ffmpeg()
    check_writable(path)
    return (GifRecorder if suffix == ".gif" else Mp4Recorder)(path, hold)


class InBackground:
    """Feeds a recorder from its own thread, so that encoding never holds up a live picture, and Ctrl-C never cuts one in two.

    When encoding is slower than the picture, pictures are left out, and the film keeps real time all the same; with `every` `add`
    waits instead. Use it in a `with`; leaving it finishes the file. Raises what the recorder raised, at the next `add` or on
    leaving.
    """

    WAITING = 4  # pictures, so that a slow moment of the disk costs none

    def __init__(self, recorder: Recorder, *, every: bool = False) -> None:
        self._recorder, self._every = recorder, every
        self._queue: queue.Queue[tuple[Image, float] | None] = queue.Queue(self.WAITING)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def add(self, picture: Image, when: float) -> None:
        if self._error is not None:
            raise self._error
        with contextlib.suppress(queue.Full):
            self._queue.put((picture, when), block=self._every)

    def _run(self) -> None:
        try:
            with self._recorder:
                while (item := self._queue.get()) is not None:
                    self._recorder.add(*item)
        except BaseException as error:
            self._error = error
            while self._queue.get() is not None:  # the other side must never wait on a full queue
                pass

    def __enter__(self) -> InBackground:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._queue.put(None)
        self._thread.join()
        if self._error is not None and value is None:
            raise self._error
