"""Explanations side by side: what the network sees, and for each unit or class a tile by each method."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from livecnn.drawing.artists import as_rgb, resize_exactly
from livecnn.drawing.contact_sheet import EDGE, GAP, LARGEST, SMALLEST, THEME, WIDTH, ContactSheet, SheetTile
from livecnn.errors import UsageError
from livecnn.explain import rendering as explained
from livecnn.explain.methods import method_class
from livecnn.explain.results import Explanation, Request
from livecnn.types import Floats, Image

WORDY, MANY = 112, 400  # width of a tile that has room for a method's name, unless there are many
MOST_PIXELS = 100_000_000
LEAST = 620  # for the title

Group = list[Request]  # of the same units or classes, which lie side by side


def draw_explanations(
    seen: Image,
    scores: Floats,
    classes: Sequence[str],
    questions: Sequence[Request],
    parts: Iterable[Explanation],
    settings: Mapping[str, Any],
) -> Image:
    """Draw explanations, uint8 (H, W, 3). For the arguments see `Explanations`.

    parts: the answers, in the order of the questions; each is drawn and let go before the next is asked for.
    Raises UsageError, before it asks for any, if the picture would be too large.
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
            image = explained.picture(part.question.method, values, ground, size, THEME, settings["channels"])[..., :3]
            sheet.put(section, first + i * len(group), SheetTile(image, *_words(part, i, group)))
    return sheet.pixels


def _groups(questions: Sequence[Request]) -> dict[str | None, Group]:
    """By layer; None: of classes."""
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
    """How many tiles side by side: a multiple of those that belong together, and no more than the longest section has."""
    wanted = min(longest, max(6, math.ceil(math.sqrt(1.7 * count))))
    return max(1, round(wanted / together)) * together


def _words(part: Explanation, i: int, group: Group) -> tuple[str, str]:
    """Below a tile: what it is of, and how it was found or, if there is only one way, the value."""
    if len(group) == 1:
        return part.names[i], f"{part.values[i]:.3g}"
    question = part.question
    by_layers = [other.method for other in group if not method_class(other.method).of_units]
    way = str(question.layer) if len(by_layers) > 1 and question.method in by_layers else explained.names(question.method)[-1]
    return (way, "") if question.of_classes and len(part.names) == 1 else (part.names[i], way)


def _title(questions: Sequence[Request], classes: Sequence[str]) -> str:
    layers = list(dict.fromkeys(question.layer for question in questions if not question.of_classes))
    if layers:
        return f"What units of {layers[0]} answer to" if len(layers) == 1 else "What units answer to"
    target, *others = questions[0].units
    return "What speaks for a class" if others else f"What speaks for {classes[target]}"


def _subtitle(questions: Sequence[Request], settings: Mapping[str, Any]) -> str:
    methods = list(dict.fromkeys(question.method for question in questions))
    names = ", ".join(explained.names(method)[0] for method in methods)
    meaning = f": {method_class(methods[0]).meaning}" if len(methods) == 1 and method_class(methods[0]).meaning else ""
    about = filter(None, (settings["model"], settings["image"], f"{names}{meaning}", _at(settings["options"])))
    return " · ".join(about)


def _at(options: Mapping[str, Mapping[str, Any]]) -> str:
    """Which value of the maps is explained, where it is not the strongest."""
    at = next((own["at"] for own in options.values() if "at" in own), "max")
    if at == "max":
        return ""
    return "the sum of each map" if at == "sum" else f"row {at[0]}, column {at[1]} of each map"
