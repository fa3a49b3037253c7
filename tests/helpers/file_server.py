"""A server of files for tests, on this machine, that can do everything wrong that a server can."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

Fault = Callable[["Answer"], None]


class Answer(BaseHTTPRequestHandler):
    """One request; `server.owner` is the FileServer. Whatever is done to `body` or `status` is what goes out."""

    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        owner: FileServer = self.server.owner  # type: ignore[attr-defined]
        owner.asked.append((self.path, self.headers.get("Range", ""), self.headers.get("If-Range", "")))
        fault = owner.faults.pop(0) if owner.faults else None
        with contextlib.suppress(OSError):  # whoever asked hung up
            fault(self) if fault else self.serve()

    def serve(self, *, ranges: bool = True, cut: int | None = None, length: bool = True, shift: int = 0) -> None:
        """The file, or what is asked of it; cut: hang up after so many bytes; shift: of the range that is sent."""
        owner: FileServer = self.server.owner  # type: ignore[attr-defined]
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


class FileServer:
    """files: content by path.  etag: what every answer carries, "" for none.  faults: what is done instead, request by request.

    asked: path, Range and If-Range of every request.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.etag = '"1"'
        self.faults: list[Fault | None] = []
        self.asked: list[tuple[str, str, str]] = []
        self.over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self._server.owner = self  # type: ignore[attr-defined]
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> FileServer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def status(code: int) -> Fault:
    return lambda answer: answer.send_error(code)


def cut(count: int, *, length: bool = True) -> Fault:
    return lambda answer: answer.serve(cut=count, length=length)


def stall(answer: Answer) -> None:
    """Half of the file, then silence."""
    owner: FileServer = answer.server.owner  # type: ignore[attr-defined]
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
