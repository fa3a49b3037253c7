"""Define the data that flows: source -> Frame -> Patch -> Tick -> panels. All are frozen, so nobody downstream changes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from livecnn.selection import Selection, Unit

if TYPE_CHECKING:
    import torch

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Precision = Literal["float32", "tf32", "bfloat16"]  # of a network's calculations on CUDA devices
Reading = Literal["distribution", "labels", "numbers"]  # scores: one sums up to 1, each is 0..1 by itself, no probabilities


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture from a source."""

    image: Image  # uint8 (H, W, 3) RGB
    seq: int  # counts up by one per picture that the source delivered, from 0; a gap means pictures that nobody waited for
    time: float  # seconds. Live: `time.monotonic()` when it was taken. Read in order: when it would be shown at its own pace
    name: str = ""  # file name, or what the source calls it
    label: str = ""  # the true class where the source knows it, else ""


@dataclass(frozen=True, slots=True)
class Box:
    """A square or rectangle inside a frame, in its pixels: columns left .. left+width-1, rows top .. top+height-1."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """The input that a pipeline makes of a shot."""

    tensor: torch.Tensor  # float32 (1, C, H, W), what the network gets, or what `device_transform` makes that of
    seen: Image  # uint8 (H, W) or (H, W, 3), the same for the eye
    empty: bool = False  # the pipeline found nothing to classify
    device_transform: Callable[[torch.Tensor], torch.Tensor] | None = None  # the last step, done on the network's device


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """The cropped shot, uint8 (h, w, 3) RGB, its box in the frame, and what the network gets of it."""

    shot: Image
    box: Box
    prepared: Prepared
    note: str = ""  # a remark about the place of the box, "" for none
    lost: bool = False  # what the box should be around is not there, so it is elsewhere


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """The state of the source, for the status panel and the statistics."""

    # "live"; of a device also "stale" (no new picture for seconds), "frozen" (the same one again and again) or "lost" (it is
    # being connected again); "ended"; "failed" (never gave a picture)
    state: str = "live"
    name: str = ""  # such as "camera 0"
    note: str = ""  # one line for the user, "" when all is well
    reconnects: int = 0  # how often a lost device was connected again


@dataclass(frozen=True, slots=True, eq=False)
class Tick:
    """One pass through the network."""

    frame: Frame
    patch: Patch
    scores: Floats  # float32 (K,), probabilities, or numbers, see Output; all zero when the box is empty
    # by panel name, what the panel's reducer made of its layer (small arrays on the host)
    views: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    timings: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))  # seconds by step ("patch", "model")
    # of further networks on the same frame, by the names that panels use
    others: Mapping[str, Tick] = field(default_factory=lambda: MappingProxyType({}))
    # what maps show that are the network's output: the class of each pixel, uint8 (H, W), or a picture, float32 (H, W, 1 or 3)
    output: npt.NDArray[Any] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PreferredInput:
    """The input that a unit prefers, as far as gradient ascent has come."""

    unit: Unit
    picture: Image  # uint8 (H, W) or (H, W, 3)
    value: float  # what the unit gives for it
    step: int
    steps: int


@dataclass(frozen=True, slots=True, eq=False)
class ExplanationUpdate:
    """The explanations of one tick; they may be some ticks behind."""

    seq: int  # of the frame
    focus: Selection  # what was asked for
    target: int  # the class that is explained
    # by method, float32 (C, H, W) or (1, H, W) over the network's input, of the unit that `focus` shows or, for methods of
    # classes, of `target`
    maps: Mapping[str, Floats] = field(default_factory=lambda: MappingProxyType({}))
    refused: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # by method, why there is none
    progress: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))  # of methods that refine, 0..1
    units: tuple[int, ...] = ()  # those of which `grid` has a picture each
    grid: Floats | None = None  # float32 (U, C, H, W), by the method `focus.grid`
    # float32 (units of the layer,), what each adds to the score of `target` before the softmax, to first order: activation times
    # gradient
    contributions: Floats | None = None
    logit: float | None = None  # that score
    preferred: PreferredInput | None = None  # what the unit likes best, so far


@dataclass(frozen=True, slots=True)
class LoopStatus:
    """The rates and delays of the loop, for the header and the status panel.

    Rates are in pictures a second, times in milliseconds; None where nothing has been measured yet or nothing is paced.
    """

    source: SourceStatus = field(default_factory=SourceStatus)
    display_fps: float | None = None
    model_fps: float | None = None
    model_ms: float | None = None
    picture_age: float | None = None  # from the capture of the frame on screen until it was shown
    model_age: float | None = None  # the same for the frame that the network's panels show
    frozen: bool = False
    mirrored: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """The data that the figure shows: the newest frame, the newest pass through the network, which may be of an older frame.

    `findings` are the newest explanations, if a panel asks for any.
    """

    frame: Frame
    tick: Tick
    status: LoopStatus = field(default_factory=LoopStatus)
    findings: ExplanationUpdate | None = None

    def of(self, model: str) -> Scene:
        """Return it as a panel sees it that names this network; "" is the main one."""
        return replace(self, tick=self.tick.others[model]) if model in self.tick.others else self


# Level codes, of which pictures of activations consist; 2 .. 255 are values from the low to the high end of the scale.
EMPTY = 0  # no unit here: the card shows through
NOT_FINITE = 1  # NaN or infinite
LOWEST = 2
LEVELS = 255 - LOWEST

ScaleName = Literal["map", "layer", "running"]
ScaleValue = ScaleName | tuple[float, float]
SCALES: tuple[ScaleName, ...] = get_args(ScaleName)
