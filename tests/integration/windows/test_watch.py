"""`livecnn.watch` opens real windows from a script and from IPython, and leaves nothing behind."""

import textwrap
from pathlib import Path

import pytest

from tests.helpers.virtual_display import NO_QT, Display, Program, until

PROLOGUE = """
import os, signal, threading
import matplotlib, torch, livecnn
from torch import nn

net = nn.Sequential(nn.Conv2d(1, 4, 5), nn.ReLU(inplace=True), nn.Flatten(), nn.Dropout(), nn.Linear(2304, 10)).train()
net[1].eval()
net[0].bias.requires_grad_(False)

def state():
    hooks = sum(len(module._forward_hooks) for module in net.modules())
    modes = [module.training for module in net.modules()]
    grads = [parameter.requires_grad for parameter in net.parameters()]
    world = [signal.getsignal(signal.SIGINT), threading.active_count(), torch.get_num_threads(), torch.is_grad_enabled()]
    return hooks, modes, grads, torch.get_rng_state().tolist(), world, matplotlib.rcParams["keymap.quit"]

before = state()
"""
CLOSED = """
livecnn.watch(net, source="demo")
print("closed", state() == before, flush=True)
"""
ENDED = """
livecnn.watch(net, source="demo", frames=3, layers=["0", "4"])
print("ended", state() == before)
"""
INTERRUPTED = """
try:
    livecnn.watch(net, source="demo")
except KeyboardInterrupt:
    print("interrupted", state() == before)
"""
IPYTHON = """
import os, sys
os.environ["IPYTHONDIR"] = os.getcwd()
from IPython import start_ipython
start_ipython(argv=["--no-banner", "--colors=NoColor", "--HistoryManager.enabled=False", "-c", {cell!r}])
"""


@pytest.mark.parametrize("toolkit", ["Qt", "Tk"])
def test_a_script_opens_windows_one_after_the_other(display: Display, tmp_path: Path, toolkit: str) -> None:
    if toolkit == "Tk":
        pytest.importorskip("tkinter", reason="this Python has no Tk")
    code = PROLOGUE + CLOSED + INTERRUPTED + ENDED
    with Program(display, tmp_path, code=code if toolkit == "Qt" else NO_QT + code) as program:
        program.wait_for_window()
        program.key("q")
        until(lambda: program.id not in display.xdotool("search", "--onlyvisible", "--name", "^livecnn$"), "it is closed")
        program.wait_for_window()
        program.interrupt()
        assert program.end() == (0, "closed True\ninterrupted True\nended True\n", "")


@pytest.mark.parametrize("magic", ["%matplotlib qt", "%matplotlib tk"])
def test_in_ipython(display: Display, tmp_path: Path, magic: str) -> None:
    pytest.importorskip("IPython", reason="IPython is absent")
    if magic.endswith("tk"):
        pytest.importorskip("tkinter", reason="this Python has no Tk")
    cell = "\n".join([magic, textwrap.dedent(PROLOGUE), CLOSED, ENDED])
    with Program(display, tmp_path, code=IPYTHON.format(cell=cell)) as program:
        program.wait_for_window()
        program.key("q")
        code, out, err = program.end()
    assert code == 0
    assert [line for line in out.splitlines() if line.split()[0] in ("closed", "ended")] == ["closed True", "ended True"]
    assert "Traceback" not in out + err
