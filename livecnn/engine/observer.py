"""frame -> patch -> network -> Tick: the one path that the live loop, the ordered run and every recording take.

On a CUDA device a pass is recorded once as a CUDA graph (upload, the rest of the input pipeline, forward pass, reducers, copies
to the host) and then played again, with one wait a pass: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import MappingProxyType, TracebackType
from typing import Any

import numpy as np
import torch
from torch import nn

from livecnn.engine.crop import Cropper
from livecnn.engine.reducers import Reducer
from livecnn.errors import ModelError
from livecnn.networks.inspection.ablation import Ablation, Units
from livecnn.networks.inspection.probe import LayerHooks
from livecnn.selection import MutedUnits
from livecnn.types import Floats, Frame, Patch, Precision, Tick

CPU = torch.device("cpu")
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
    """

    def __init__(
        self,
        module: nn.Module,
        device: torch.device,
        shape: Sequence[int],
        precision: Precision = "float32",
        record: Callable[[Work, torch.Tensor, torch.device], GraphedForward] | None = None,
        muted: MutedUnits | None = None,
    ) -> None:
        self.device = device
        self.precision: Precision = precision if device.type == "cuda" else "float32"
        self.module = on_device(module, device, self.precision).eval()
        self._shape = shape
        self._record = record or (_Graph if device.type == "cuda" else None)
        self._key: Hashable = None  # of the last pass
        self._played: tuple[Hashable, GraphedForward] | None = None
        self._wanted: Mapping[str, Reducer] = {}
        self._reducers: Mapping[str, Reducer] = {}
        self._settings: dict[str, Any] = {}
        self._before: list[tuple[torch.Tensor, torch.Tensor]] = []  # weights as they were before they were turned
        self._found: dict[str, tuple[torch.Tensor, ...]] = {}
        self._tap = LayerHooks(self.module, (), self._reduce)
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

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._tap.__exit__(kind, value, trace)
        self._ablation.__exit__(kind, value, trace)
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

    @property
    def _dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.precision == "bfloat16" else torch.float32

    def _rehook(self) -> None:
        self._tap.__exit__(None, None, None)
        self._played = None
        self._reducers = self._wanted
        layers = (reducer.layer for reducer in self._reducers.values())
        self._tap = LayerHooks(self.module, layers, self._reduce).__enter__()

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


class Observer:
    """Looks at frames through a network; use it in a `with`, from one thread.

    Args:
        on_device_error: gets a line that says why the device failed (out of memory, a CUDA error, an operator that it lacks);
            the CPU then takes over, and `note` holds that line. None: such a failure ends the run with a ModelError.
        other_observers: observers of further networks, by name, which look at the same shots.
    """

    def __init__(
        self,
        module: nn.Module,
        cropper: Cropper,
        device: torch.device,
        precision: Precision = "float32",
        on_device_error: Callable[[str], None] | None = None,
        other_observers: Mapping[str, Observer] = MappingProxyType({}),
        muted: MutedUnits | None = None,
    ) -> None:
        self.cropper = cropper
        self.muted = MutedUnits() if muted is None else muted
        self._note = ""
        self._other_observers = other_observers
        self._module, self._precision, self._on_device_error = module, precision, on_device_error
        self._pipeline = cropper.pipeline
        self._reducers: Mapping[str, Reducer] = {}
        self._engine: Engine | None = None
        self.device = device

    @property
    def note(self) -> str:
        """Return what the user should know of the networks, an empty text for nothing."""
        return next(filter(None, (self._note, *(other.note for other in self._other_observers.values()))), "")

    def watch(self, reducers: Mapping[str, Reducer]) -> None:
        """Set the reducers, by panel name, from the next frame on; from any thread."""
        self._reducers = {name: reducer for name, reducer in reducers.items() if reducer.model not in self._other_observers}
        engine = self._engine  # which may go meanwhile
        if engine is not None:
            engine.watch(self._reducers)
        for model, other in self._other_observers.items():
            other.watch({name: reducer for name, reducer in reducers.items() if reducer.model == model})

    def mute(self, units: Units) -> None:
        """Mute these units of this network, not of the others, and no more; from any thread, as `watch`.

        Raises:
            ModelError: The network has no such layer, or it is a function; nothing changes.
        """
        Ablation(self._module).set(units)
        self.muted.set(units)

    def __enter__(self) -> Observer:
        with ExitStack() as undo:
            threads = torch.get_num_threads()
            for other in self._other_observers.values():
                undo.enter_context(other)
                torch.set_num_threads(threads)  # each chooses among all
            try:
                self._start()
            except RuntimeError as error:
                self._go_on(error)
            undo.push(self._stop)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._undo.__exit__(kind, value, trace)

    def __call__(self, frame: Frame) -> Tick:
        tick = self._forward(frame)
        if not self._other_observers:
            return tick
        return replace(
            tick,
            others=MappingProxyType({name: other._forward(frame, tick.patch) for name, other in self._other_observers.items()}),
        )

    def _forward(self, frame: Frame, like: Patch | None = None) -> Tick:
        try:
            return self._tick(frame, like)
        except RuntimeError as error:
            self._go_on(error)
            return self._tick(frame, like)

    def _start(self) -> None:
        self.cropper.pipeline = self._pipeline.on(self.device)
        engine = Engine(self._module, self.device, self._pipeline.shape, self._precision, muted=self.muted)
        self._engine = engine.__enter__()
        engine.watch(self._reducers)  # only now: so nothing is missed that another thread asks for meanwhile

    def _stop(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.__exit__(kind, value, trace)

    def _go_on(self, error: RuntimeError) -> None:
        """Start again on the CPU, where the network's own errors come again; or raise ModelError if nobody is to be told."""
        if self.device.type == "cpu":
            raise error
        told = f"{self.device}: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
        if self._on_device_error is None:
            raise ModelError(f"{told}; allowed: --device cpu, or auto, which goes on on the CPU") from error
        self._stop(None, None, None)
        self.device = CPU
        self._note = f"{told}; going on on the CPU"
        self._on_device_error(self._note)
        self._start()

    def _tick(self, frame: Frame, like: Patch | None) -> Tick:
        """Make a tick; `like` is the patch of another network, whose shot is taken as it is."""
        assert self._engine is not None
        start = time.perf_counter()
        patch = self.cropper(frame) if like is None else replace(like, prepared=self.cropper.pipeline(like.shot))
        prepared = patch.prepared
        cropped = time.perf_counter()
        output, views = self._engine(prepared.tensor, prepared.device_transform)
        scores = np.zeros(output.shape[1], np.float32) if prepared.empty else probabilities(output)
        timings = {"patch": cropped - start, "model": time.perf_counter() - cropped}
        return Tick(frame, patch, scores, MappingProxyType(views), MappingProxyType(timings))


def probabilities(output: torch.Tensor) -> Floats:
    """Return a network's output (1, K) as probabilities (K,); what is no distribution is taken for logits: softmax."""
    values = output[0].float()
    distribution = bool((values >= 0).all()) and abs(float(values.sum()) - 1) < 1e-3
    scores: Floats = (values if distribution else values.softmax(0)).cpu().numpy()
    return scores
