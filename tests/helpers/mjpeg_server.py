"""A network camera for tests: MJPEG over HTTP on this machine, with everything that can go wrong at the push of a button."""

from __future__ import annotations

import itertools
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

import numpy as np

from livecnn._cv2 import cv2

FPS = 50


class MjpegServer:
    """Serves multipart/x-mixed-replace at `address`; picture i is noise around a level, each one different.

    From any thread: `cut` (hangs up, answers nobody), `stall` (keeps the line, sends nothing), `freeze` (the same picture over
    and over), `truncate` (half of each picture), `resize`; `restore` makes all good again, at the size asked for last.
    """

    def __init__(self, size: tuple[int, int] = (64, 48)) -> None:
        self.size = size
        self.connections = 0  # how many were answered with pictures
        self._mode = "good"
        self._count = itertools.count()
        self._over = threading.Event()
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                try:
                    camera._answer(self)
                except OSError:  # the reader hung up
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

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

    def stop(self) -> None:
        """Idempotent."""
        self._over.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> MjpegServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        if self._mode == "cut":
            return
        self.connections += self._mode != "stalled"
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        picture = self._picture()
        while self._mode != "cut" and not self._over.wait(1 / FPS):
            if self._mode == "stalled":
                continue
            picture = picture if self._mode == "frozen" else self._picture()
            sent = picture[: len(picture) // 2] if self._mode == "truncated" else picture
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(sent)}\r\n\r\n"
            handler.wfile.write(head.encode() + sent + b"\r\n")

    def _picture(self) -> bytes:
        width, height = self.size
        i = next(self._count)
        noise = np.random.default_rng(i).integers(0, 60, (height, width, 3), np.uint8) + np.uint8(i % 100)
        return cv2.imencode(".jpg", noise)[1].tobytes()
