"""`livecnn.dream` and `livecnn dream`: what units of a layer, or classes, like best.

It is shown as pictures, a film of the ascent, or in a folder that a run can go on from.
"""

import json
import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
from torch import nn
from tqdm import tqdm

from livecnn.dreams.ascent import MOST_VALUES, STEPS, Dream, State
from livecnn.dreams.images import RandomTransforms, Regularizers
from livecnn.errors import OutputError, UsageError, nearest
from livecnn.io.files import check_same_run, check_writable, is_folder, write_atomically, write_png
from livecnn.io.images import notebook_png
from livecnn.io.recorders import open_recorder
from livecnn.networks.bundle import Bundle
from livecnn.networks.device import torch_threads
from livecnn.networks.selectors import Wanted, as_bundle, check_positive_int, resolve_classes, resolve_units
from livecnn.types import Floats, Image

SHORT = 1 << 20  # values of the largest tensor of a pass
MOST = {"scaling": 0.9, "blur": 100}
OWN = ("over", "parameters", "ground", "rate")  # fields of a Dream
WORDS = ("over", "parameters")
OPTIONS = (*OWN, *(field.name for kind in (RandomTransforms, Regularizers) for field in fields(kind)))
FRAMES, FPS, HOLD = 64, 12.0, 2.0  # of a film: pictures, a second, and seconds for the last
OFTEN = 2.0  # seconds between two states
MANIFEST, STATE = "manifest.json", "state.safetensors"
SUFFIXES = (".png", ".gif", ".mp4")


@dataclass(frozen=True, eq=False, repr=False)
class DreamResult:
    """Images that units respond to most.

    Attributes:
        images: uint8 (U, H, W), or (U, H, W, 3) RGB.
        values: float32 (U,), the value of each unit for its image.
        names: Names of the units or classes.
        step: How many steps were taken.
        settings: All that decides on the images, ready for JSON.
        state: What an ascent goes on from.
    """

    images: Image
    values: Floats
    names: tuple[str, ...]
    step: int
    settings: dict[str, Any]
    state: State

    def picture(self) -> Image:
        """Draw all side by side, uint8 (H, W, 3)."""
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

    def threads(self) -> AbstractContextManager[None]:
        """Run short passes on one thread inside the `with`."""
        return torch_threads(short=self._short)

    def unmoved(self, dreams: DreamResult) -> tuple[str, ...]:
        """Return the names of the units that no image leads to: their gradient is zero."""
        found = self._dream.unmoved(self.units, dreams.state)
        return tuple(name for unit, name in zip(self.units, self.names, strict=True) if unit in found)

    def __call__(self, steps: int = STEPS, state: State | None = None, every: int = 1) -> Iterator[DreamResult]:
        """Yield images after every so many steps, and at the end; see Dream.ascend."""
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
    """Find inputs that units of a network's layer, or its classes, respond to most, by gradient ascent.

    Args:
        model: A name or folder as `livecnn.load` takes it, what that returns, or a module with an attribute `input`, which is
            left as it is.
        layer: A name as a Probe takes it.
        units: `5`, `"0-19"`, `[0, 3, "10-19"]`, a range or an array of numbers, or `"all"`.
        classes: The same, or names, instead of a layer and units.
        steps: Of the ascent, 1 or more.
        seed: 0 or more; on a CPU the same seed gives the same images.
        **options: `device`, `allow_code`, the fields of `livecnn.dreams.RandomTransforms` and `Regularizers` and, of `Dream`,
            `over` ("centre", "max" or "mean"), `parameters` ("fourier" or "pixels"), `ground` (0 black to 1 white) and `rate`
            (above 0).

    Returns:
        `.images`, uint8 (U, H, W) or (U, H, W, 3); `.values`, float32 (U,); `.picture()`, which a notebook shows.

    Raises:
        UsageError: An argument makes no sense; the text says what is allowed.
        ModelError: The network cannot be loaded, or has no gradient to climb.

    Example:
        >>> import livecnn
        >>> livecnn.dream("lenet-mnist", "conv2", "0-2", steps=2).images.shape
        (3, 28, 28)
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


def check_out(out: str, resume: bool) -> None:
    """Raise OutputError or UsageError before the work begins."""
    path = Path(out)
    if resume and not is_folder(out):
        raise UsageError(f"--resume: {out} is no folder; allowed with --out FOLDER/")
    if not is_folder(out) and path.suffix.lower() not in SUFFIXES:
        raise OutputError(f"{out}: unknown suffix {path.suffix!r}; allowed: {', '.join(SUFFIXES)}, or a folder: {out}/")
    if resume and not (path / STATE).exists():
        raise UsageError(f"--resume: {path} holds no run to go on with")
    check_writable(path / MANIFEST if is_folder(out) else path)


def write(dreamer: DreamBatch, steps: int, out: str) -> DreamResult:
    """Dream, and write it there. Raises OutputError, UsageError; whatever ends a run into a folder, its state is kept."""
    with dreamer.threads():
        return _into_folder(dreamer, steps, Path(out)) if is_folder(out) else _into_file(dreamer, steps, Path(out))


def _into_file(dreamer: DreamBatch, steps: int, path: Path) -> DreamResult:
    if path.suffix.lower() == ".png":
        *_, last = _shown(dreamer, steps)
        write_png(path, last.picture())
        return last
    with open_recorder(path, fps=FPS, hold=HOLD) as recorder:
        for i, last in enumerate(_shown(dreamer, steps)):
            recorder.add(last.picture(), i / FPS)
    return last


def _shown(dreamer: DreamBatch, steps: int, state: State | None = None) -> Iterator[DreamResult]:
    """Yield some of the steps, with a progress bar on terminals."""
    done = 0 if state is None else state.step
    with tqdm(total=steps, initial=done, desc="dreaming", unit="step", disable=None, leave=False) as bar:
        for dreams in dreamer(steps, state, every=-(-steps // FRAMES)):
            bar.update(dreams.step - done)
            done = dreams.step
            yield dreams


def _into_folder(dreamer: DreamBatch, steps: int, folder: Path) -> DreamResult:
    """Write a picture a unit, a manifest, and the state."""
    settings = {**dreamer.settings, "units": list(dreamer.units)}
    state = _left(folder, settings, steps)
    last, kept = None, time.monotonic()
    try:
        for last in _shown(dreamer, steps, state):
            if time.monotonic() - kept > OFTEN:
                _keep(folder, settings, last.state)
                kept = time.monotonic()
    finally:
        if last is not None:
            _keep(folder, settings, last.state)
    assert last is not None
    kind = "class" if settings["layer"] is None else "unit"
    rows = []
    for unit, name, image, value in zip(dreamer.units, last.names, last.images, last.values, strict=True):
        file = f"{kind}-{unit}.png"
        write_png(folder / file, image)
        rows.append({kind: unit, "name": name, "value": float(value) if np.isfinite(value) else None, "file": file})
    text = json.dumps({**settings, "steps": last.step, "images": rows}, indent=2, ensure_ascii=False)
    write_atomically(folder / MANIFEST, f"{text}\n".encode())
    return last


def _keep(folder: Path, settings: dict[str, object], state: State) -> None:
    tensors = {"values": state.values, "slope": state.slope, "square": state.square}
    about = {"run": json.dumps({"step": state.step, "settings": settings})}  # safetensors has no order of several
    data = safetensors.torch.save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, about)
    write_atomically(folder / STATE, data)


def _left(folder: Path, settings: dict[str, object], steps: int) -> State | None:
    """Read what an earlier run of these settings left there. Raises OutputError if it was another run."""
    path = folder / STATE
    if not path.exists():
        return None
    try:
        with safetensors.safe_open(path, "pt") as file:
            run = json.loads((file.metadata() or {})["run"])
            found, step = dict(run["settings"]), int(run["step"])
            state = State(step, *(file.get_tensor(name) for name in ("values", "slope", "square")))
    except (OSError, KeyError, TypeError, ValueError, safetensors.SafetensorError) as error:
        raise OutputError(f"{path}: not the state of a run: {error}; name another folder") from error
    check_same_run(folder, found, settings)
    if state.step > steps:
        raise OutputError(f"{folder}: holds a run of {state.step} steps already; ask for as many or more, or name another folder")
    return state
