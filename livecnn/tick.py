"""frame -> patch -> probe -> Tick: the one path that the live loop, the ordered run and every recording take."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType, TracebackType

import numpy as np
import torch
from torch import nn

from livecnn.engine import Engine
from livecnn.errors import ModelError
from livecnn.patch import Cropper
from livecnn.reduce import Reducer
from livecnn.types import Floats, Frame, Precision, Tick

CPU = torch.device("cpu")


class Observer:
    """Looks at frames through a network; use it in a `with`, from one thread.

    fall_back: told in a line why the device failed (out of memory, a CUDA error, an operator that it lacks); the CPU then takes
    over, and `note` holds that line. None: such a failure ends the run with a ModelError.
    """

    def __init__(
        self,
        module: nn.Module,
        cropper: Cropper,
        device: torch.device,
        precision: Precision = "float32",
        fall_back: Callable[[str], None] | None = None,
    ) -> None:
        self.cropper = cropper
        self.note = ""
        self._module, self._precision, self._fall_back = module, precision, fall_back
        self._pipeline = cropper.pipeline
        self._reducers: Mapping[str, Reducer] = {}
        self._engine: Engine | None = None
        self.device = device

    def watch(self, reducers: Mapping[str, Reducer]) -> None:
        """reducers: panel name -> what the panel wants of its layer. From any thread; taken up between two frames."""
        self._reducers = dict(reducers)
        if self._engine is not None:
            self._engine.watch(self._reducers)

    def __enter__(self) -> Observer:
        try:
            self._start()
        except RuntimeError as error:
            self._go_on(error)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.__exit__(kind, value, trace)

    def __call__(self, frame: Frame) -> Tick:
        try:
            return self._tick(frame)
        except RuntimeError as error:
            self._go_on(error)
            return self._tick(frame)

    def _start(self) -> None:
        self.cropper.pipeline = self._pipeline.on(self.device)
        engine = Engine(self._module, self.device, self._pipeline.shape, self._precision)
        engine.watch(self._reducers)
        self._engine = engine.__enter__()

    def _go_on(self, error: RuntimeError) -> None:
        """On the CPU, after the device failed. What is the network's own fault comes again there. Raises it, or ModelError."""
        if self.device.type == "cpu":
            raise error
        told = f"{self.device}: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
        if self._fall_back is None:
            raise ModelError(f"{told}; allowed: --device cpu, or auto, which goes on on the CPU") from error
        self.__exit__(None, None, None)
        self.device = CPU
        self.note = f"{told}; going on on the CPU"
        self._fall_back(self.note)
        self._start()

    def _tick(self, frame: Frame) -> Tick:
        assert self._engine is not None
        start = time.perf_counter()
        patch = self.cropper(frame)
        prepared = patch.prepared
        cropped = time.perf_counter()
        output, views = self._engine(prepared.tensor, prepared.rest)
        scores = np.zeros(output.shape[1], np.float32) if prepared.empty else probabilities(output)
        timings = {"patch": cropped - start, "model": time.perf_counter() - cropped}
        return Tick(frame, patch, scores, MappingProxyType(views), MappingProxyType(timings))


def probabilities(output: torch.Tensor) -> Floats:
    """A network's output (1, K) as probabilities (K,). What is not already a distribution is taken for logits: softmax."""
    values = output[0].float()
    distribution = bool((values >= 0).all()) and abs(float(values.sum()) - 1) < 1e-3
    scores: Floats = (values if distribution else values.softmax(0)).cpu().numpy()
    return scores
