"""frame -> patch -> network -> Tick: the one path that the live loop, the ordered run and every recording take."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import torch
from torch import nn

from livecnn.engine.crop import Cropper
from livecnn.engine.engine import Engine
from livecnn.engine.reducers import Reducer
from livecnn.errors import ModelError
from livecnn.networks.inspection.ablation import Ablation, Units
from livecnn.networks.outputs import Output
from livecnn.selection import MutedUnits
from livecnn.types import Floats, Frame, Patch, Precision, Tick

CPU = torch.device("cpu")


class Observer:
    """Looks at frames through a network; use it in a `with`, from one thread.

    Args:
        on_device_error: gets a line that says why the device failed (out of memory, a CUDA error, an operator that it lacks);
            the CPU then takes over, and `note` holds that line. None: such a failure ends the run with a ModelError.
        other_observers: observers of further networks, by name, which look at the same shots.
        output: what the network's scores are; None: shown as the network gives them.
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
        output: Output | None = None,
    ) -> None:
        self.cropper = cropper
        self._output = output
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
            undo.callback(self._stop)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

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
        name = "" if self._output is None else self._output.name
        engine = Engine(self._module, self.device, self._pipeline.shape, self._precision, muted=self.muted, output=name)
        self._engine = engine.__enter__()
        engine.watch(self._reducers)  # only now: so nothing is missed that another thread asks for meanwhile

    def _stop(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.__exit__()

    def _go_on(self, error: RuntimeError) -> None:
        """Start again on the CPU, where the network's own errors come again; or raise ModelError if nobody is to be told."""
        if self.device.type == "cpu":
            raise error
        told = f"{self.device}: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
        if self._on_device_error is None:
            raise ModelError(f"{told}; allowed: --device cpu, or auto, which goes on on the CPU") from error
        self._stop()
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
        given, views = self._engine(prepared.tensor, prepared.device_transform)
        scores: Floats = (given if self._output is None else self._output.scores(given))[0].numpy()
        if prepared.empty:
            scores = np.zeros_like(scores)
        shown = None if self._output is None else self._output.picture(given)
        timings = {"patch": cropped - start, "model": time.perf_counter() - cropped}
        picture = None if shown is None else shown.numpy()
        return Tick(frame, patch, scores, MappingProxyType(views), MappingProxyType(timings), output=picture)
