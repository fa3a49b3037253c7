"""Signals that ask the program to end become exceptions, so that files are finished and cameras given back."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

# Terminate, and the terminal was closed (which Windows does not have).
_ASKING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Terminated(BaseException):
    """The KeyboardInterrupt of the other signals; `code` is the exit code that the shell expects."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


def _raise(error: BaseException) -> None:
    raise error


@contextlib.contextmanager
def raise_on_signals(handle: Callable[[BaseException], None] = _raise) -> Iterator[None]:
    """Turn these signals and Ctrl-C into Terminated and KeyboardInterrupt inside a `with`; by default they are raised.

    On another than the main thread, which Python does not let handle signals, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, *_ASKING)}
    signal.signal(signal.SIGINT, lambda *_: handle(KeyboardInterrupt()))
    for number in _ASKING:
        signal.signal(number, lambda caught, _: handle(Terminated(caught)))
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
