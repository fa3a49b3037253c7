"""What a user asks for of a network: the network itself, units of its layers, classes; each in the ways it may be said."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from livecnn import bundles, ranges
from livecnn.bundles import Bundle
from livecnn.device import pick
from livecnn.errors import UsageError, nearest

Wanted = str | int | Sequence[str | int]  # units as `livecnn.ranges` takes them


def bundle_of(model: str | Path | Bundle | nn.Module, device: str | None, allow_code: bool) -> Bundle:
    """With a network of its own, in evaluation mode: over the same weights, if they are on the device that is given."""
    place = None if device is None else pick(device)
    if isinstance(model, (str, Path)):
        bundle = bundles.load(model, allow_code=allow_code)
    else:
        module = model.module if isinstance(model, Bundle) else model
        shared = [tensor for tensor in (*module.parameters(), *module.buffers()) if place in (None, tensor.device)]
        apart = copy.deepcopy(module, {id(tensor): tensor for tensor in shared}).eval()
        if isinstance(model, Bundle):
            bundle = Bundle(model.name, apart, model.classes, model.pipeline, model.card)
        else:
            bundle = bundles.of_module(apart, type(model).__name__)
    if place is not None:
        bundle.module.to(place)
    return bundle


def units_of(bundle: Bundle, layer: str | None, units: Wanted | None) -> tuple[int, ...]:
    try:
        parsed = ranges.parse(units)
    except ValueError as error:
        raise UsageError(f"units: {error}") from error
    if parsed != "all":
        return parsed
    shape = bundle.shapes([str(layer)]).get(str(layer), (1, 1))  # of an unknown layer the network itself will tell
    return tuple(range(shape[1]))


def classes_of(bundle: Bundle, classes: Wanted) -> tuple[int, ...]:
    """Names, else numbers."""
    items = classes.split(",") if isinstance(classes, str) else [classes] if isinstance(classes, int) else list(classes)
    if all(isinstance(item, str) and item.strip() in bundle.classes for item in items):
        items = [bundle.classes.index(str(item).strip()) for item in items]
    try:
        parsed = ranges.parse("all" if items == ["all"] else items)
    except ValueError:
        raise UsageError(f"unknown class {str(classes)!r}; {nearest(str(classes), bundle.classes)}") from None
    try:
        return ranges.resolve(parsed, len(bundle.classes), "class", bundle.name)
    except ValueError as error:
        raise UsageError(str(error)) from error
