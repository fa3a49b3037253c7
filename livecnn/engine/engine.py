"""A network on its device: from what it is given to its scores and what the panels want of its layers, on the host.

On a CUDA device the whole of it is recorded once as a CUDA graph (upload, the rest of the input pipeline, forward pass, reducers,
copies to the host) and then played again, with one wait a pass: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs

It knows no frames: benchmarks/gpu.py runs it where there is nothing but torch and NumPy.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn

from livecnn.engine.reducers import Reducer
from livecnn.networks.inspection.ablation import Ablation
from livecnn.networks.inspection.probe import LayerHooks
from livecnn.selection import MutedUnits
from livecnn.types import Precision

# Multiplications in a pass, some 5 ms on one thread. Threads that share a shorter one mostly wait for each other: LeNet, which
# has 2.3 million, takes 0.2 ms on one thread and, on two threads of a busy machine, 60 ms.
WORTH_THREADS = 60_000_000
WORTH_TURNING = 1_000_000  # parameters: below that a CPU does not gain from channels-last order
WARM_UP = 3  # passes; in the first ones libraries choose their kernels and allocate

Rest = Callable[[torch.Tensor], torch.Tensor]  # of the input pipeline, on the device
Work = Callable[[torch.Tensor], Sequence[torch.Tensor]]
GraphedForward = Work  # a pass recorded for inputs of one shape; its results, on the host, are valid until the next call


class Engine:
    """A network on its device; use it in a `with`, from one thread. Any may call `watch` and change `muted` between two passes.

    Args:
        precision: on CUDA; "tf32" and "bfloat16" calculate faster, scores then differ by less than 0.01 for usual networks.
            On other devices everything is float32.
        record: what records passes, by default on CUDA a CUDA graph, elsewhere nothing.
        muted: units that give 0; the pass raises what Ablation raises of them.
        output: name of the scores among several outputs.
    """

    def __init__(
        self,
        module: nn.Module,
        device: torch.device,
        shape: Sequence[int],
        precision: Precision = "float32",
        record: Callable[[Work, torch.Tensor, torch.device], GraphedForward] | None = None,
        muted: MutedUnits | None = None,
        output: str = "",
    ) -> None:
        self.device, self._output = device, output
        self.precision: Precision = precision if device.type == "cuda" else "float32"
        self.module = on_device(module, device, self.precision).eval()
        self._dtype = torch.bfloat16 if self.precision == "bfloat16" else torch.float32
        self._shape = shape
        self._record = record or (_Graph if device.type == "cuda" else None)
        self._key: Hashable = None  # of the last pass
        self._played: tuple[Hashable, GraphedForward] | None = None
        self._wanted: Mapping[str, Reducer] = {}
        self._reducers: Mapping[str, Reducer] = {}
        self._settings: dict[str, Any] = {}
        self._before: list[tuple[torch.Tensor, torch.Tensor]] = []  # weights as they were before they were turned
        self._found: dict[str, tuple[torch.Tensor, ...]] = {}
        self._tap = LayerHooks(self.module, (), self._reduce, output)
        self.muted = MutedUnits() if muted is None else muted
        self._ablation = Ablation(self.module)
        self._ablated = 0  # version of the muted units that the ablation has

    def watch(self, reducers: Mapping[str, Reducer]) -> None:
        """Set the reducers, by name, from the next pass on."""
        self._wanted = dict(reducers)

    def __enter__(self) -> Engine:
        with ExitStack() as undo:
            undo.push(self)
            self._threads = torch.get_num_threads()
            self._fast = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
            if self.device.type == "cuda":
                torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.precision != "float32"
                torch.backends.cudnn.benchmark = True
            self._ablation.__enter__()
            self._tap.__enter__()
            self._turn()
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._tap.__exit__(None, None, None)
        self._ablation.__exit__(None, None, None)
        self._played = None
        self._turn_back()
        torch.set_num_threads(self._threads)
        if self.device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = self._fast

    def __call__(self, given: torch.Tensor, rest: Rest | None = None) -> tuple[torch.Tensor, dict[str, Any]]:
        """Take a tensor on the host through the network; `rest` is what is still to be done to it on the device.

        Returns:
            float32 (1, K) as the network gives it, on the host, and by name what the reducers made of their layers.
        """
        if self._wanted is not self._reducers:
            self._rehook()
        if self.muted.version != self._ablated:
            self._ablate()
        if torch.get_num_threads() != self._worth:  # another network has had its turn
            torch.set_num_threads(self._worth)
        self._settings = {name: reducer.settings for name, reducer in self._reducers.items()}
        scores, *found = self._pass(given, rest)
        arrays = iter(tensor.numpy() for tensor in found)
        views = {
            name: reducer.view([next(arrays) for _ in range(self._counts[name])], self._settings[name])
            for name, reducer in self._reducers.items()
        }
        return scores, views

    def _pass(self, given: torch.Tensor, rest: Rest | None) -> Sequence[torch.Tensor]:
        if self._record is not None:
            key = (tuple(given.shape), given.dtype, rest, tuple(self._settings.items()))
            # Recording takes many passes' time: not while a window is being resized, nor for a box of ever other size.
            if key == self._key and (self._played is None or self._played[0] != key):
                self._played = key, self._record(lambda x: self._work(x, rest), given, self.device)
            self._key = key
            if self._played is not None and self._played[0] == key:
                return [tensor.clone() for tensor in self._played[1](given)]
        return [tensor.cpu() for tensor in self._work(given.to(self.device), rest)]

    def _work(self, x: torch.Tensor, rest: Rest | None) -> list[torch.Tensor]:
        with torch.inference_mode():
            x = self._ordered((x if rest is None else rest(x)).to(self._dtype))
        self._found = {}
        output = self._tap(x)
        self._counts = {name: len(tensors) for name, tensors in self._found.items()}
        return [output.float(), *(tensor for name in self._reducers for tensor in self._found[name])]

    def _rehook(self) -> None:
        self._tap.__exit__(None, None, None)
        self._played = None
        self._reducers = self._wanted
        layers = (reducer.layer for reducer in self._reducers.values())
        self._tap = LayerHooks(self.module, layers, self._reduce, self._output).__enter__()

    def _ablate(self) -> None:
        version, units = self.muted.read()
        self._played = self._key = None  # not recorded at once: more may follow
        self._ablation.set(units)
        self._ablated = version

    def _reduce(self, layer: str, output: torch.Tensor) -> None:
        """Reduce an output at once: so it need not be copied although the next layer may write over it."""
        with torch.inference_mode():
            for name, reducer in self._reducers.items():
                if reducer.layer == layer:
                    self._found[name] = reducer.reduce(output, self._settings[name])

    def _turn(self) -> None:
        """Put convolutions into channels-last order, which is faster, unless the network relies on its tensors' order."""
        if self.device.type == "cuda" or sum(tensor.numel() for tensor in self.module.parameters()) > WORTH_TURNING:
            convolutions = [inner for inner in self.module.modules() if isinstance(inner, (nn.Conv2d, nn.ConvTranspose2d))]
            self._before = [(inner.weight, inner.weight.data) for inner in convolutions]
            for weight, data in self._before:
                weight.data = data.contiguous(memory_format=torch.channels_last)
        try:
            self._choose_threads()
        except RuntimeError:
            if not self._before:
                raise
            self._turn_back()
            self._choose_threads()

    def _turn_back(self) -> None:
        for weight, data in self._before:
            weight.data = data
        self._before = []

    def _ordered(self, x: torch.Tensor) -> torch.Tensor:
        return x.contiguous(memory_format=torch.channels_last) if self._before and x.ndim == 4 else x

    def _choose_threads(self) -> None:
        """Choose by the work of a pass, not by its time: a busy machine would choose otherwise and get other last digits."""
        self._worth = 1 if self._multiplications() <= WORTH_THREADS else self._threads
        torch.set_num_threads(self._worth)

    def _multiplications(self) -> int:
        """Count the multiplications of a pass by weights; the passes also warm the network up."""
        blank = self._ordered(torch.zeros(1, *self._shape, device=self.device, dtype=self._dtype))
        counted = 0

        def count(inner: nn.Module, _inputs: object, output: object) -> None:
            nonlocal counted
            if isinstance(output, torch.Tensor) and output.ndim > 1:
                weights = sum(tensor.numel() for tensor in inner.parameters(recurse=False))
                counted += weights * output[0, 0].numel()

        with ExitStack() as hooks:
            for inner in self.module.modules():
                if isinstance(inner, torch.jit.ScriptModule):  # which takes no hooks
                    continue
                hooks.callback(inner.register_forward_hook(count).remove)
            self._tap(blank)
        for _ in range(WARM_UP - 1):
            self._tap(blank)
        return counted


class _Graph:
    """Work recorded as a CUDA graph. The input and the results lie in pinned memory, which the device reads and writes itself."""

    def __init__(self, work: Work, given: torch.Tensor, device: torch.device) -> None:
        self._given = torch.empty_like(given, pin_memory=True).copy_(given)
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                results = work(self._given.to(device, non_blocking=True))
            self._hosts = [torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True) for tensor in results]
            del results
        stream.synchronize()
        self._graph, self._done = torch.cuda.CUDAGraph(), torch.cuda.Event()
        with torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
            for host, result in zip(self._hosts, work(self._given.to(device, non_blocking=True)), strict=True):
                host.copy_(result, non_blocking=True)

    def __call__(self, given: torch.Tensor) -> Sequence[torch.Tensor]:
        self._given.copy_(given)
        self._graph.replay()
        self._done.record()
        self._done.synchronize()
        return self._hosts


def on_device(module: nn.Module, device: torch.device, precision: Precision = "float32") -> nn.Module:
    """Return the network where it may stay as it is, else a copy: the original stays on the host, in case the device fails."""
    here = next((tensor.device for tensor in module.parameters()), device)
    if here == device and precision != "bfloat16":
        return module
    copied = copy.deepcopy(module).to(device)
    return copied.bfloat16() if precision == "bfloat16" else copied
