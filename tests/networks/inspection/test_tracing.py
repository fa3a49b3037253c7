"""A trace beside networks that run."""

import threading
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from livecnn.networks.device import copy_sharing_weights
from livecnn.networks.inspection.tracing import FunctionTrace
from tests.helpers.relu_networks import picture


class Waiting(nn.Module):
    """Something else happens in the middle of its forward pass."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3)
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.meanwhile = meanwhile

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        self.meanwhile()
        return F.relu(x * self.scale).mean((2, 3))


def in_another_thread(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()


def test_a_network_runs_in_one_thread_while_it_is_traced_in_another() -> None:
    net, x = Waiting(), picture(2, 6, 6)
    other, found = copy_sharing_weights(net), []  # over the same weights
    with torch.no_grad():
        wanted = net(x)
        net.meanwhile = lambda: in_another_thread(lambda: found.append(other(x)))
        trace = FunctionTrace(net)
    assert [type(one) for one in found] == [torch.Tensor]
    assert torch.equal(found[0], wanted)
    assert list(trace.functions) == ["mul", "relu", "mean"]
    net.meanwhile = lambda: None
    assert torch.equal(trace.run(x, {}), wanted)


def test_one_trace_waits_for_another() -> None:
    call, inside, done, traces = nn.Module.__call__, threading.Event(), threading.Event(), []

    def in_the_second() -> None:
        inside.set()
        done.wait(30)

    second = threading.Thread(target=lambda: traces.append(FunctionTrace(Waiting(in_the_second))))

    def in_the_first() -> None:
        second.start()
        assert not inside.wait(0.2)

    FunctionTrace(Waiting(in_the_first))
    done.set()
    second.join(30)
    assert inside.is_set()
    assert list(traces[0].functions) == ["mul", "relu", "mean"]
    assert nn.Module.__call__ is call
