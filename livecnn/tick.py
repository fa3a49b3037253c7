"""frame -> patch -> probe -> Tick: the one path that the live loop, the ordered run and every recording take."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from types import MappingProxyType, TracebackType
from typing import Any

import numpy as np
import torch
from torch import nn

from livecnn.patch import Cropper
from livecnn.probe import Tap
from livecnn.reduce import Reducer
from livecnn.types import Floats, Frame, Tick

# Seconds. Threads that share a shorter pass mostly wait for each other: LeNet takes 0.2 ms on one thread and, on two threads
# of a busy machine, 60 ms.
WORTH_THREADS = 0.005


class Observer:
    """Looks at frames through a network; use it in a `with`, from one thread.

    reducers: panel name -> what the panel wants of its layer. `watch` may be called from any thread; the new set is taken up
    between two frames.
    """

    def __init__(self, module: nn.Module, cropper: Cropper, device: torch.device) -> None:
        self.module = module.to(device).eval()
        self.cropper = cropper
        self.device = device
        self._wanted: Mapping[str, Reducer] = {}
        self._reducers: Mapping[str, Reducer] = {}
        self._tap = Tap(module, (), self._reduce)
        self._views: dict[str, Any] = {}

    def watch(self, reducers: Mapping[str, Reducer]) -> None:
        self._wanted = dict(reducers)

    def __enter__(self) -> Observer:
        self._tap.__enter__()
        self._threads = torch.get_num_threads()
        with ExitStack() as undo:
            undo.push(self)
            torch.set_num_threads(1)
            if self._pass_seconds() > WORTH_THREADS:
                torch.set_num_threads(self._threads)
            undo.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._tap.__exit__(kind, value, trace)
        torch.set_num_threads(self._threads)

    def _pass_seconds(self) -> float:
        """The shortest of three passes on one thread; they warm the network up as well."""
        blank = torch.zeros(1, *self.cropper.pipeline.shape, device=self.device)
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            self._tap(blank)
            seconds.append(time.perf_counter() - start)
        return min(seconds)

    def __call__(self, frame: Frame) -> Tick:
        if self._wanted is not self._reducers:
            self._rehook()
        start = time.perf_counter()
        patch = self.cropper(frame)
        cropped = time.perf_counter()
        self._views = {}
        output = self._tap(patch.prepared.tensor.to(self.device))
        scores = np.zeros(output.shape[1], np.float32) if patch.prepared.empty else probabilities(output)
        timings = {"patch": cropped - start, "model": time.perf_counter() - cropped}
        return Tick(frame, patch, scores, MappingProxyType(self._views), MappingProxyType(timings))

    def _rehook(self) -> None:
        self._tap.__exit__(None, None, None)
        self._reducers = self._wanted
        self._tap = Tap(self.module, (reducer.layer for reducer in self._reducers.values()), self._reduce).__enter__()

    def _reduce(self, layer: str, output: torch.Tensor) -> None:
        """Reduced at once, an output need not be copied although the next layer may write over it."""
        with torch.inference_mode():
            for name, reducer in self._reducers.items():
                if reducer.layer == layer:
                    self._views[name] = reducer(output)


def probabilities(output: torch.Tensor) -> Floats:
    """A network's output (1, K) as probabilities (K,). What is not already a distribution is taken for logits: softmax."""
    values = output[0].float()
    distribution = bool((values >= 0).all()) and abs(float(values.sum()) - 1) < 1e-3
    scores: Floats = (values if distribution else values.softmax(0)).cpu().numpy()
    return scores
