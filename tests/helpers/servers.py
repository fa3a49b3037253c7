"""Servers for tests, on this machine, that can do everything wrong that a server can: of files, and a network camera."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from livecnn._cv2 import cv2

Fault = Callable[["Answer"], object]
Server = TypeVar("Server", bound="LocalServer")
FPS = 50  # of the network camera


class Answer(BaseHTTPRequestHandler):
    """One request; `owner` is the server."""

    @property
    def owner(self) -> Any:
        return self.server.owner  # type: ignore[attr-defined]

    def do_GET(self) -> None:
        with contextlib.suppress(OSError):  # whoever asked hung up
            self.owner.give(self)

    def serve(self, *, ranges: bool = True, cut: int | None = None, length: bool = True, shift: int = 0) -> None:
        """The file, or what is asked of it; cut: hang up after so many bytes; shift: of the range that is sent."""
        owner = self.owner
        content = owner.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start, asked, condition = 0, self.headers.get("Range"), self.headers.get("If-Range")
        if ranges and asked and condition in (None, owner.etag):
            start = int(asked.removeprefix("bytes=").rstrip("-")) + shift
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if length:
            self.send_header("Content-Length", str(len(content) - start))
        if owner.etag:
            self.send_header("ETag", owner.etag)
        self.end_headers()
        self.wfile.write(content[start : None if cut is None else start + cut])

    def log_message(self, *_: object) -> None:
        pass


class LocalServer:
    """Lets `give` answer every request, each on a thread of its own. Use it in a `with`.

    over: set at the end, for answers that wait.
    """

    def __init__(self, give: Fault) -> None:
        self.give = give
        self.over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self._server.owner = self  # type: ignore[attr-defined]
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self: Server) -> Server:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class FileServer(LocalServer):
    """files: content by path.  etag: what every answer carries, "" for none.  faults: what is done instead, request by request.

    asked: path, Range and If-Range of every request.
    """

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.files: dict[str, bytes] = {}
        self.etag = '"1"'
        self.faults: list[Fault | None] = []
        self.asked: list[tuple[str, str, str]] = []

    def _answer(self, answer: Answer) -> None:
        self.asked.append((answer.path, answer.headers.get("Range", ""), answer.headers.get("If-Range", "")))
        fault = self.faults.pop(0) if self.faults else None
        fault(answer) if fault else answer.serve()


def status(code: int) -> Fault:
    return lambda answer: answer.send_error(code)


def cut(count: int, *, length: bool = True) -> Fault:
    return lambda answer: answer.serve(cut=count, length=length)


def stall(answer: Answer) -> None:
    """Half of the file, then silence."""
    owner = answer.owner
    answer.serve(cut=len(owner.files[answer.path]) // 2)
    answer.wfile.flush()
    owner.over.wait()


def hang_up(answer: Answer) -> None:
    answer.close_connection = True


def no_ranges(answer: Answer) -> None:
    answer.serve(ranges=False)


def redirect(path: str) -> Fault:
    def fault(answer: Answer) -> None:
        answer.send_response(302)
        answer.send_header("Location", path)
        answer.end_headers()

    return fault


class MjpegServer(LocalServer):
    """Serves multipart/x-mixed-replace at `address`; picture i is noise around a level, each one different.

    From any thread: `cut` (hangs up, answers nobody), `stall` (keeps the line, sends nothing), `freeze` (the same picture over
    and over), `truncate` (half of each picture), `resize`; `restore` makes all good again, at the size asked for last.
    """

    def __init__(self, size: tuple[int, int] = (64, 48)) -> None:
        super().__init__(self._send)
        self.address += "/"
        self.size = size
        self.connections = 0  # how many were answered with pictures
        self._mode = "good"
        self._count = itertools.count()

    def cut(self) -> None:
        self._mode = "cut"

    def stall(self) -> None:
        self._mode = "stalled"

    def freeze(self) -> None:
        self._mode = "frozen"

    def truncate(self) -> None:
        self._mode = "truncated"

    def resize(self, width: int, height: int) -> None:
        self.size = width, height

    def restore(self) -> None:
        self._mode = "good"

    def _send(self, answer: Answer) -> None:
        if self._mode == "cut":
            return
        self.connections += self._mode != "stalled"
        answer.send_response(200)
        answer.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        answer.end_headers()
        picture = self._picture()
        while self._mode != "cut" and not self.over.wait(1 / FPS):
            if self._mode == "stalled":
                continue
            picture = picture if self._mode == "frozen" else self._picture()
            sent = picture[: len(picture) // 2] if self._mode == "truncated" else picture
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(sent)}\r\n\r\n"
            answer.wfile.write(head.encode() + sent + b"\r\n")

    def _picture(self) -> bytes:
        width, height = self.size
        i = next(self._count)
        noise = np.random.default_rng(i).integers(0, 60, (height, width, 3), np.uint8) + np.uint8(i % 100)
        return cv2.imencode(".jpg", noise)[1].tobytes()
