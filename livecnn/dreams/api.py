"""`livecnn.dream`: what units of a layer, or classes, like best, as pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from livecnn.dreams.ascent import MOST_VALUES, STEPS, Dream, State
from livecnn.dreams.regularizers import Regularizers
from livecnn.dreams.transforms import RandomTransforms
from livecnn.errors import UsageError, nearest
from livecnn.io.images import notebook_png
from livecnn.networks.bundle import Bundle
from livecnn.networks.selectors import Wanted, as_bundle, check_positive_int, resolve_classes, resolve_units
from livecnn.types import Floats, Image

SHORT = 1 << 20  # values of the largest tensor of a pass
MOST = {"scaling": 0.9, "blur": 100}
OWN = ("over", "parameters", "ground", "rate")  # fields of a Dream
WORDS = ("over", "parameters")
OPTIONS = (*OWN, *(field.name for kind in (RandomTransforms, Regularizers) for field in fields(kind)))


@dataclass(frozen=True, eq=False, repr=False)
class DreamResult:
    """Images that units like best.

    images: uint8 (U, H, W), of colour (U, H, W, 3) RGB, for the eye.  values: float32 (U,), what each unit gives for its image.
    names: of the units, or classes.  step: how many were taken.  settings: all that decides on the images, ready for JSON.
    state: to go on from here.
    """

    images: Image
    values: Floats
    names: tuple[str, ...]
    step: int
    settings: dict[str, Any]
    state: State

    def picture(self) -> Image:
        """All side by side, uint8 (H, W, 3)."""
        from livecnn.drawing.contact_sheet import draw_sheet

        layer, over = self.settings["layer"], self.settings["over"]
        title = f"What units of {layer} like best" if layer is not None else "What classes look like to the network"
        value = {"centre": "in its middle", "max": "the largest", "mean": "the mean"}[over]
        number = "score before the softmax" if layer is None else f"activation; of a map, {value}"
        told = f"{self.settings['model']} · step {self.step} · {number}"
        return draw_sheet(title, told, self.names, self.images, self.values)

    def _repr_png_(self) -> bytes:
        return notebook_png(self.picture())

    def __repr__(self) -> str:
        return f"<{len(self.names)} dreams of {self.settings['model']}, {self.settings['layer'] or 'classes'}, step {self.step}>"


class DreamBatch:
    """Dreams of one network. For the arguments see `dream`; everything that can be wrong with them is found here."""

    def __init__(
        self,
        model: str | Path | Bundle | nn.Module,
        layer: str | None = None,
        units: Wanted | None = None,
        *,
        classes: Wanted | None = None,
        seed: int = 0,
        device: str | None = None,
        allow_code: bool = False,
        **options: Any,
    ) -> None:
        unknown = next((name for name in options if name not in OPTIONS), None)
        if unknown is not None:
            raise UsageError(f"unknown option {unknown!r}; {nearest(unknown, OPTIONS, most=len(OPTIONS))}")
        check_positive_int("seed", seed, 0)
        _check(options)
        self._bundle, self._seed = as_bundle(model, device, allow_code), seed
        if (layer is None) == (classes is None) or (layer is None) != (units is None):
            raise UsageError("a layer and units of it, or classes, are needed, and not both")
        self._dream = Dream.from_bundle(self._bundle, layer, **options)
        self.units = resolve_units(self._bundle, layer, units) if classes is None else resolve_classes(self._bundle, classes)
        self.names = tuple(str(unit) if classes is None else self._bundle.classes[unit] for unit in self.units)
        card = self._bundle.card
        weights = card.weights.sha256 if card is not None else None
        self.settings = {"model": self._bundle.name, "weights": weights, "seed": seed, **self._dream.settings}
        together, _ = self._dream.check(self.units)
        self._short = MOST_VALUES * len(self.units) < SHORT * together

    @contextmanager
    def threads(self) -> Iterator[None]:
        """Inside, a short pass goes on one thread: those that share it mostly wait for each other."""
        before = torch.get_num_threads()
        try:
            torch.set_num_threads(1 if self._short else before)
            yield
        finally:
            torch.set_num_threads(before)

    def unmoved(self, dreams: DreamResult) -> tuple[str, ...]:
        """Names of the units that no image leads to: their gradient is zero."""
        found = self._dream.unmoved(self.units, dreams.state)
        return tuple(name for unit, name in zip(self.units, self.names, strict=True) if unit in found)

    def __call__(self, steps: int = STEPS, state: State | None = None, every: int = 1) -> Iterator[DreamResult]:
        """After every so many steps, and at the end; see Dream.ascend."""
        show = self._bundle.pipeline.picture
        for ascent in self._dream.ascend(self.units, steps, self._seed, state=state, every=every):
            images = np.stack([show(image) for image in ascent.images])
            yield DreamResult(images, ascent.values.cpu().numpy(), self.names, ascent.step, self.settings, ascent.state)


def dream(
    model: str | Path | Bundle | nn.Module,
    layer: str | None = None,
    units: Wanted | None = None,
    *,
    classes: Wanted | None = None,
    steps: int = STEPS,
    seed: int = 0,
    **options: Any,
) -> DreamResult:
    """Find what units of a network's layer, or classes of it, like best, by gradient ascent.

    Args:
        model: A name or folder as `load` takes it, what that gives, or a module of your own, which is left as it is; its
            attribute `input` describes what it takes, as in model.yaml.
        layer: A name as `Probe` takes it.
        units: Counted from 0: `5`, `"0-19"`, `[0, 3, "10-19"]`, a range or an array of numbers, or "all".
        classes: Instead of a layer and units: the same, or names.
        steps: Of the ascent, 1 or more.
        seed: Of the random transforms, 0 or more; the same seed gives the same pictures.
        **options: `device`, `allow_code`, and the fields of `livecnn.dreams.RandomTransforms`, `Regularizers` and `Dream`:
            `over`, "centre", "max" or "mean"; `parameters`, "fourier" or "pixels"; `ground`, 0 (black) to 1 (white); `rate`,
            above 0.

    Returns:
        DreamResult: `.images`, uint8 (U, H, W) or (U, H, W, 3); `.values`, float32 (U,); `.picture()`, which a notebook shows.

    Raises:
        UsageError: An argument is wrong.
        ModelError: The network or the layer is unknown.

    Example:
        >>> import livecnn
        >>> found = livecnn.dream("lenet-mnist", "conv1", "0-3", steps=2)
        >>> len(found.images), found.values.shape
        (4, (4,))
    """
    check_positive_int("steps", steps, 1)
    dreamer = DreamBatch(model, layer, units, classes=classes, seed=seed, **options)
    with dreamer.threads():
        *_, last = dreamer(steps, every=steps)
    return last


def _check(options: dict[str, Any]) -> None:
    """Raise UsageError for a number that makes no sense."""
    for name, value in options.items():
        least, most = (0, 1) if name in ("ground", "decay", "norm", "contribution", "jitter") else (0, math.inf)
        if name == "blur_every":
            least = 1
        most = MOST.get(name, most)
        if name not in WORDS and value is not None and not isinstance(value, Real):
            raise UsageError(f"{name}: found {value!r}; a number is needed")
        if isinstance(value, (int, float)) and not (least <= value <= most and math.isfinite(value)):
            raise UsageError(f"{name}: found {value:g}; allowed: {least} {'or more' if most == math.inf else f'to {most:g}'}")
