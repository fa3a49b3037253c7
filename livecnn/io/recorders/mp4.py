"""H.264 in MP4."""

import shutil
import subprocess

from livecnn.errors import OutputError
from livecnn.io.recorders.base import Recorder
from livecnn.types import Image


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
