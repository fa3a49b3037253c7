"""Make a layout for a network that has none: which layers are worth seeing, and where their panels stand."""

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from torch import nn

from livecnn.errors import ModelError
from livecnn.io.yaml_document import Document
from livecnn.layout.layout import EMPTY, Layout, layout_from_document
from livecnn.networks.bundle import Bundle
from livecnn.networks.inspection.probe import LayerHooks

Shapes = Mapping[str, tuple[int, ...]]
Span = tuple[int, int]  # from and to, in thousandths of the picture's width or height
Rectangle = tuple[Span, Span]  # across and down

MOST_MAPS_PANELS = 4
MOST_NEURON_PANELS = 3  # of a network without maps
MOST_MAPS = 128  # in a panel; more would be too small to see
WHOLE = 1000
LEFT = 335  # of the width, for camera and patch
LEFT_STRIP = (47, 31, 22)  # heights of camera, patch and scores, which for few short classes stand in a strip below everything;
LEFT_LIST = (40, 27, 33)  # otherwise they are a list
LEFT_OUTPUT = (33, 37, 30)  # the same where maps come out, which take the place of the patch
STRIP = 780
FLAT = 31 / 47  # height of a strip of neurons, where maps have 1
STILL = ("camera", "patch", "scores")


def make_layout(bundle: Bundle, layers: Sequence[str] | None = None, overrides: Sequence[str] = ()) -> Layout:
    """Make a layout of camera, patch, prediction and a panel for each of some layers.

    Args:
        bundle: The network.
        layers: Names as `Probe` takes them; None for those that `chosen_layers` picks.
        overrides: Changes as `load_layout` takes them.

    Raises:
        ModelError: A layer is unknown, or gives neither maps nor a vector of values.
    """
    if layers is None:
        layers = chosen_layers(bundle.module, bundle.shapes())
    LayerHooks(bundle.module, layers, lambda *_: None)  # raises for those that are unknown
    shapes = bundle.shapes(layers)
    panels: dict[str, dict[str, Any]] = {name: {"kind": name} for name in STILL}
    if bundle.output.pictured:
        panels["patch"] = {"kind": "output"}
    for layer in dict.fromkeys(layers):
        panels[_panel_name(layer, panels)] = _panel(layer, shapes) | _title(layer, bundle.module)
    counts = {name: min(MOST_MAPS, shapes[panel["layer"]][1]) for name, panel in panels.items() if "layer" in panel}
    rectangles = _arranged(panels, counts, short=_short(bundle.classes))
    document = Document(_grid(rectangles) | {"panels": panels}, Path(bundle.name), {})
    for assignment in overrides:
        document = document.with_override(assignment)
    return layout_from_document(document)


def chosen_layers(module: nn.Module, shapes: Shapes) -> list[str]:
    """Choose the layers worth seeing, from the shapes of the outputs (1, …) of all layers in the order of a pass.

    These are at most four convolutions from all depths whose outputs differ in shape, and the last hidden layer of single
    values; of a network without maps, fully connected layers from all depths.
    """
    kinds = dict(module.named_modules())
    convolutions = [name for name, shape in shapes.items() if name in kinds and _is_convolution(kinds[name]) and is_maps(shape)]
    vectors = [name for name, shape in shapes.items() if name in kinds and is_vector(shape)]
    last = next((name for name in reversed(vectors) if _is_linear(kinds[name])), None)
    hidden = vectors[: vectors.index(last)] if last else []
    linear = [name for name in hidden if _is_linear(kinds[name])] or hidden[-1:]
    if not convolutions:
        return evenly(linear, MOST_NEURON_PANELS)
    last_of_each = {shapes[name]: name for name in convolutions}
    distinct = list(last_of_each.values()) if len(last_of_each) > 1 else convolutions
    return [*evenly(distinct, MOST_MAPS_PANELS), *linear[-1:]]


def evenly(names: Sequence[str], most: int) -> list[str]:
    """Return at most so many, evenly from the first to the last."""
    if len(names) <= most:
        return list(names)
    return [names[round(i * (len(names) - 1) / (most - 1))] for i in range(most)]


def is_maps(shape: Sequence[int]) -> bool:
    """Return whether an output (1, C, H, W) holds maps of more than one value."""
    return len(shape) == 4 and shape[2] * shape[3] > 1


def is_vector(shape: Sequence[int]) -> bool:
    """Return whether an output (1, K, 1, …) is a vector of single values."""
    return all(extent == 1 for extent in shape[2:])


def _is_convolution(module: nn.Module) -> bool:
    return isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) or "Conv" in _imported_kind(module)


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or _imported_kind(module) == "Dense"


def _imported_kind(module: nn.Module) -> str:
    """Return the kind of an imported layer, as its program calls it; "" of PyTorch's own."""
    return str(getattr(module, "kind", ""))


def _panel_name(layer: str, taken: Mapping[str, Any]) -> str:
    """Return a name for a panel, which unlike a layer's has no dots or colons."""
    name = re.sub(r"[^\w-]", "-", layer)
    while name in taken:
        name += "_"
    return name


def _panel(layer: str, shapes: Shapes) -> dict[str, Any]:
    shape = shapes.get(layer, ())
    if is_maps(shape):
        most = {"channels": f"0-{MOST_MAPS - 1}"} if shape[1] > MOST_MAPS else {}
        return {"kind": "feature_maps", "layer": layer, **most}
    if len(shape) > 1 and is_vector(shape):
        return {"kind": "neurons", "layer": layer}
    found = " x ".join(map(str, shape)) or "no batch of values"
    raise ModelError(f"layer {layer!r} gives {found}; maps (1, C, H, W) or single values (1, K) can be shown")


def _title(layer: str, module: nn.Module) -> dict[str, str]:
    """Return a title with the kind of a layer that only has a number, as in nn.Sequential."""
    return {"title": f"{layer} · {type(module.get_submodule(layer)).__name__}"} if layer.isdecimal() else {}


def _short(classes: Sequence[str]) -> bool:
    """Return whether the bars of the classes are columns in a strip; otherwise they are a list."""
    return len(classes) <= 20 and max(map(len, classes)) <= 4


def _arranged(panels: Mapping[str, Mapping[str, Any]], counts: Mapping[str, int], *, short: bool) -> dict[str, Rectangle]:
    """Return the place of each panel; `counts` holds the number of maps or units that it shows."""
    maps = [name for name, panel in panels.items() if panel["kind"] == "feature_maps"]
    neurons = [name for name, panel in panels.items() if panel["kind"] == "neurons"]
    bottom = STRIP if short else WHOLE
    if not maps and not neurons:
        columns = _cut((0, WHOLE), [1, 1])
        return {"camera": (columns[0], (0, 600)), "patch": (columns[1], (0, 600)), "scores": ((0, WHOLE), (600, WHOLE))}
    heights = LEFT_STRIP if short else LEFT_OUTPUT if panels["patch"]["kind"] == "output" else LEFT_LIST
    camera, patch, scores = _cut((0, WHOLE), heights)
    left = (0, LEFT)
    rectangles = {"camera": (left, camera), "patch": (left, patch), "scores": ((0, WHOLE) if short else left, scores)}
    bands = _bands(maps, neurons)
    flats = [FLAT if maps and not set(band) & set(maps) else 1 for band in bands]
    for band, down in zip(bands, _cut((0, bottom), flats), strict=True):
        shares = [min(2.0, math.sqrt(counts[name] / counts[band[0]])) for name in band] if band == maps else [1] * len(band)
        rectangles |= {name: (across, down) for name, across in zip(band, _cut((LEFT, WHOLE), shares), strict=True)}
    return rectangles


def _bands(maps: Sequence[str], neurons: Sequence[str]) -> list[list[str]]:
    """Return the panels that stand side by side; a single panel of neurons fills a place that the maps leave free."""
    columns = 2 if len(maps) <= 4 else 3 if len(maps) <= 9 else 4
    bands = [list(maps[i : i + columns]) for i in range(0, len(maps), columns)]
    if len(bands) > 1 and len(bands[-1]) < columns and len(neurons) == 1:
        return [*bands[:-1], [*bands[-1], *neurons]]
    return bands + [[name] for name in neurons]


def _cut(span: Span, shares: Sequence[float]) -> list[Span]:
    """Cut a span into neighbouring ones of these relative lengths."""
    ends = [span[0] + round((span[1] - span[0]) * sum(shares[:i]) / sum(shares)) for i in range(len(shares) + 1)]
    return list(pairwise(ends))


def _grid(rectangles: Mapping[str, Rectangle]) -> dict[str, Any]:
    """Return the keys `figure` and `layout` of a layout, with a column or row of the grid wherever an edge is."""
    columns, rows = (list(pairwise(sorted({edge for spans in rectangles.values() for edge in spans[axis]}))) for axis in (0, 1))

    def at(column: Span, row: Span) -> str:
        inside = (name for name, (x, y) in rectangles.items() if x[0] <= column[0] < x[1] and y[0] <= row[0] < y[1])
        return next(inside, EMPTY)

    return {
        "figure": {"widths": [end - start for start, end in columns], "heights": [end - start for start, end in rows]},
        "layout": "\n".join(" ".join(at(column, row) for column in columns) for row in rows),
    }
