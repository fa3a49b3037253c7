"""Render explanations as pictures.

Red speaks for the value, blue against it, each picture by its own scale. What is as coarse as a region lies over what the network
sees. Guided backpropagation and deconvolution of a network for colour pictures are pictures in colour around a middle gray, as in
Zeiler and Fergus 2013 and Springenberg et al. 2014 (docs/explain.md).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from livecnn._cv2 import cv2
from livecnn.drawing.artists import as_rgb, resize_exactly
from livecnn.drawing.colormaps import cells, enlarge, table
from livecnn.drawing.contact_sheet import EDGE, GAP, LARGEST, SMALLEST, THEME, WIDTH, ContactSheet, SheetTile
from livecnn.drawing.theme import Theme
from livecnn.engine.reducers import to_levels
from livecnn.errors import UsageError
from livecnn.explain.methods import method_class
from livecnn.explain.results import Explanation, Request
from livecnn.types import Floats, Image

DIVERGING = "RdBu_r"
FOR, AGAINST = (255, 62, 48), (64, 140, 255)  # over a picture
COVER = 0.8  # of the picture, where an overlay is strongest
WORDY, MANY = 112, 400  # width of a tile that has room for a method's name, unless there are many
MOST_PIXELS = 100_000_000
LEAST = 620  # for the title

Group = list[Request]  # of the same units or classes, which lie side by side


def names(kind: str) -> tuple[str, ...]:
    """Return what a method is called, from the longest wording to the shortest."""
    return method_class(kind).names or (kind.replace("_", " "),)


def squares(values: Floats, low: float, high: float, size: tuple[int, int], colors: npt.NDArray[np.uint32]) -> Image:
    """Color values (h, w) from low to high as squares: uint8 (height, width, 4); size is (width, height)."""
    values = _shrunk(values, size)
    codes = to_levels(torch.from_numpy(values), torch.tensor(low), torch.tensor(high)).numpy()
    return enlarge(codes, colors, cells(1, codes.shape[0], size[1], 0), cells(1, codes.shape[1], size[0], 0))


def picture(kind: str, values: Floats, seen: Image, size: tuple[int, int], theme: Theme, channels: str = "RGB") -> Image:
    """Draw what a method found in an input as its `shown_as` says, uint8 (height, width, 3 or 4).

    Args:
        kind: The method.
        values: float32 (C, H, W).
        seen: What the network sees, uint8 (H, W, 3).
        size: Width and height in pixels.
        theme: Its colors.
        channels: The order of the network's channels, RGB or BGR.
    """
    way = method_class(kind).shown_as
    if way == "color" and len(values) == 3:
        rgb = values if channels == "RGB" else values[::-1]
        levels = (127.5 + 127.5 * _share(rgb)).astype(np.uint8)
        return resize_exactly(np.ascontiguousarray(levels.transpose(1, 2, 0)), *size, sharp=True)
    total = np.ascontiguousarray(values.sum(axis=0))
    if way == "overlay":
        return overlay(total, seen, size)
    if way == "gray":
        finite = total[np.isfinite(total)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        return squares(total, low, high, size, table("gray", theme))
    most = largest_magnitude(total)
    return squares(np.asarray(total / most, np.float32), -1.0, 1.0, size, table(DIVERGING, theme))


def overlay(values: Floats, seen: Image, size: tuple[int, int]) -> Image:
    """Lay values (H, W) over a picture, uint8 (H, W, 3): red is positive, blue is negative, stronger is denser."""
    values = _shrunk(values, size)
    h, w = values.shape
    ground = resize_exactly(seen, w, h, sharp=True).astype(np.float32)
    share = _share(values)[:, :, None]
    color = np.where(share > 0, np.array(FOR, np.float32), np.array(AGAINST, np.float32))
    mixed = ground + (color - ground) * (COVER * np.abs(share))
    return resize_exactly(mixed.astype(np.uint8), *size, sharp=True)


def largest_magnitude(values: Floats) -> float:
    """Return the largest finite absolute value; 1 if there is none above 0."""
    most = float(np.abs(values[np.isfinite(values)]).max(initial=0))
    return most or 1.0


def _share(values: Floats) -> Floats:
    """Scale values to -1 to 1; 0 for what is no number."""
    return np.asarray(np.nan_to_num(values / largest_magnitude(values), posinf=1, neginf=-1), np.float32)


def _shrunk(values: Floats, size: tuple[int, int]) -> Floats:
    """Average values down to the pixels available; neighbors of opposite sign stay faint, as seen from afar."""
    h, w = values.shape
    if w <= size[0] and h <= size[1]:
        return np.ascontiguousarray(values)
    return np.asarray(cv2.resize(values, (min(w, size[0]), min(h, size[1])), interpolation=cv2.INTER_AREA), np.float32)


def draw_explanations(
    seen: Image,
    scores: Floats,
    classes: Sequence[str],
    questions: Sequence[Request],
    parts: Iterable[Explanation],
    settings: Mapping[str, Any],
) -> Image:
    """Draw explanations side by side, uint8 (H, W, 3): the input, and for each unit or class a tile by each method.

    `parts` are the answers in the order of the questions; each is drawn and let go before the next is asked for. All else is as
    in Explanations. Raises UsageError before any answer is asked for if the picture would be too large.
    """
    groups = list(_groups(questions).values())
    together = 1 if all(len(group[0].units) == 1 for group in groups) else max(map(len, groups))
    counts = [len(group) * len(group[0].units) for group in groups]
    columns = _columns(sum(counts), max(counts), together)
    least = WORDY if max(map(len, groups)) > 1 and sum(counts) <= MANY else SMALLEST
    wide = min(LARGEST, max(least, (WIDTH - 2 * EDGE) // (1 + columns) - GAP))
    size = wide, max(1, round(wide * seen.shape[0] / seen.shape[1]))
    sheet = ContactSheet(size, counts, columns, leading=1, least=LEAST)
    height, width = sheet.shape
    if height * width > MOST_PIXELS:
        found = f"a picture of all that is asked for would have {width} x {height} pixels"
        raise UsageError(f"{found}; ask for fewer units or methods, or for a folder (--out DIR/)")
    sheet.begin(_title(questions, classes), _subtitle(questions, settings), [_heading(group[0], classes) for group in groups])
    ground, top = as_rgb(seen), int(scores.argmax())
    sheet.lead(SheetTile(resize_exactly(ground, *size, sharp=True), "input", f"{classes[top]}: {scores[top]:.2f}"))
    for part in parts:
        section = next(i for i, group in enumerate(groups) if part.question in group)
        group = groups[section]
        first = group.index(part.question)
        for i, values in enumerate(part.maps):
            image = picture(part.question.method, values, ground, size, THEME, settings["channels"])[..., :3]
            sheet.put(section, first + i * len(group), SheetTile(image, *_words(part, i, group)))
    return sheet.pixels


def _groups(questions: Sequence[Request]) -> dict[str | None, Group]:
    """Group questions by layer; None holds those of classes."""
    groups: dict[str | None, Group] = {}
    for question in questions:
        groups.setdefault(None if question.of_classes else question.layer, []).append(question)
    return groups


def _heading(question: Request, classes: Sequence[str]) -> str:
    count = len(question.units)
    if question.of_classes:
        return f"class {classes[question.units[0]]}" if count == 1 else f"{count} classes"
    return f"{question.layer}: {count} unit{'s'[: count > 1]}"


def _columns(count: int, longest: int, together: int) -> int:
    """Choose the tiles per row: a multiple of those that belong together, no more than the longest section has."""
    wanted = min(longest, max(6, math.ceil(math.sqrt(1.7 * count))))
    return max(1, round(wanted / together)) * together


def _words(part: Explanation, i: int, group: Group) -> tuple[str, str]:
    """Caption a tile: the unit or class, and the method or, if there is only one, the value."""
    if len(group) == 1:
        return part.names[i], f"{part.values[i]:.3g}"
    question = part.question
    by_layers = [other.method for other in group if not method_class(other.method).of_units]
    way = str(question.layer) if len(by_layers) > 1 and question.method in by_layers else names(question.method)[-1]
    return (way, "") if question.of_classes and len(part.names) == 1 else (part.names[i], way)


def _title(questions: Sequence[Request], classes: Sequence[str]) -> str:
    layers = list(dict.fromkeys(question.layer for question in questions if not question.of_classes))
    if layers:
        return f"What units of {layers[0]} answer to" if len(layers) == 1 else "What units answer to"
    target, *others = questions[0].units
    return "What speaks for a class" if others else f"What speaks for {classes[target]}"


def _subtitle(questions: Sequence[Request], settings: Mapping[str, Any]) -> str:
    methods = list(dict.fromkeys(question.method for question in questions))
    called = ", ".join(names(method)[0] for method in methods)
    meaning = f": {method_class(methods[0]).meaning}" if len(methods) == 1 and method_class(methods[0]).meaning else ""
    about = filter(None, (settings["model"], settings["image"], f"{called}{meaning}", _at(settings["options"])))
    return " · ".join(about)


def _at(options: Mapping[str, Mapping[str, Any]]) -> str:
    """Describe which value of the maps is explained, unless it is the strongest."""
    at = next((own["at"] for own in options.values() if "at" in own), "max")
    if at == "max":
        return ""
    return "the sum of each map" if at == "sum" else f"row {at[0]}, column {at[1]} of each map"
