import os
import signal
import threading

import pytest

from livecnn.signals import Terminated, raise_on_signals

SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


@pytest.mark.parametrize("number", SIGNALS)
def test_signals_are_raised_with_the_exit_code_that_a_shell_expects(number: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Terminated, match="SIG") as raised, raise_on_signals():
        os.kill(os.getpid(), number)
    assert raised.value.code == 128 + number
    assert signal.getsignal(number) is before


def test_signals_are_handed_over_where_a_toolkit_would_swallow_them() -> None:
    told: list[BaseException] = []
    before = signal.getsignal(signal.SIGINT)
    with raise_on_signals(told.append):
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
    assert [type(error) for error in told] == [KeyboardInterrupt, Terminated]
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_cannot_handle_signals() -> None:
    ran: list[int] = []

    def work() -> None:
        with raise_on_signals():
            ran.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ran == [1]
