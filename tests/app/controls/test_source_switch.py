import threading
import time

import pytest

from livecnn.app.controls.source_switch import SourceOpener
from livecnn.errors import SourceError
from livecnn.sources import Source, SourceOptions
from livecnn.types import Frame


class Door(Source):
    """Opens when the gate does, or fails."""

    def __init__(self, error: Exception | None = None, gate: threading.Event | None = None) -> None:
        super().__init__("", SourceOptions())
        self.name, self.error, self.gate = "door", error, gate
        self.state = "shut"

    def open(self) -> None:
        if self.gate is not None:
            assert self.gate.wait(10)
        if self.error is not None:
            raise self.error
        self.state = "open"

    def read(self) -> Frame | None:
        return None

    def close(self) -> None:
        self.state = "closed"


def answer_of(opener: SourceOpener) -> Source | Exception:
    deadline = time.monotonic() + 10
    while (answer := opener.poll()) is None:
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.001)
    return answer


def test_the_first_that_answers_is_opened() -> None:
    opener, first, second, third = SourceOpener(), Door(SourceError("held")), Door(), Door()
    assert opener.open([first, second, third])
    assert answer_of(opener) is second
    assert (second.state, third.state) == ("open", "shut")
    assert opener.poll() is None


def test_one_request_at_a_time() -> None:
    opener, gate, other = SourceOpener(), threading.Event(), Door()
    assert opener.open([Door(gate=gate)])
    assert not opener.open([other])
    gate.set()
    answer_of(opener)
    assert opener.open([other])
    assert answer_of(opener) is other


@pytest.mark.parametrize(
    ("error", "message"),
    [(SourceError("held by another"), "held by another"), (ZeroDivisionError("oops"), "door: ZeroDivisionError: oops")],
)
def test_why_none_opens(error: Exception, message: str) -> None:
    opener = SourceOpener()
    opener.open([Door(error)])
    assert str(answer_of(opener)) == message


def test_nothing_to_open() -> None:
    opener = SourceOpener()
    opener.open([])
    assert isinstance(answer_of(opener), SourceError)


def test_what_nobody_fetched_is_closed_again() -> None:
    early, late, gate = Door(), Door(gate=threading.Event()), threading.Event()
    opener = SourceOpener()
    opener.open([early])
    while early.state == "shut":
        time.sleep(0.001)
    opener.close()
    opener._thread.join(10)  # type: ignore[union-attr]
    assert early.state == "closed"

    late.gate = gate
    opener = SourceOpener()
    opener.open([late])
    opener.close()
    gate.set()
    opener._thread.join(10)  # type: ignore[union-attr]
    assert late.state == "closed"
