"""Find layouts, bundles, annotations and results: what ships with livecnn, and the user's own folders."""

import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path

import platformdirs

PACKAGE = Path(__file__).resolve().parent


def shipped(room: str) -> Path:
    """Return the folder of "configs" or "models": inside an installed package, beside it in a checkout."""
    inside = PACKAGE / "_shipped" / room
    return inside if inside.is_dir() else PACKAGE.parent / room


def user_models() -> Path:
    """Return the folder of the user's own bundles, $LIVECNN_MODELS or `models` in the user data folder; it may not exist."""
    return _users("LIVECNN_MODELS", "models")


def user_annotations() -> Path:
    """Return the folder of annotations in layouts that ship, $LIVECNN_ANNOTATIONS or `annotations`; it may not exist."""
    return _users("LIVECNN_ANNOTATIONS", "annotations")


def user_top(model: str) -> Path:
    """Return the folder of results of `livecnn top` with that network, in $LIVECNN_TOPS or `top`; it may not exist."""
    return _users("LIVECNN_TOPS", "top") / file_name(model)


def file_name(text: str) -> str:
    """Return a file name for a model or a layout, whose own name may be a path or package.module:factory."""
    return re.sub(r"[^\w.-]+", "-", text).strip(".-") or "unnamed"


def file_names(texts: Iterable[str], taken: Collection[str] = ()) -> dict[str, str]:
    """Return a file name for each text, no two alike on any system, and none that is `taken`."""
    names: dict[str, str] = {}
    for number, text in enumerate(texts):
        name = file_name(text)
        others = {other.casefold() for other in (*taken, *names.values())}
        names[text] = f"{name}-{number}" if name.casefold() in others else name
    return names


def user_history() -> Path:
    """Return the file of lines typed in `livecnn shell`, $LIVECNN_HISTORY or `history` in the user state folder."""
    chosen = os.environ.get("LIVECNN_HISTORY")
    return Path(chosen).expanduser() if chosen else platformdirs.user_state_path("livecnn", appauthor=False) / "history"


def _users(variable: str, room: str) -> Path:
    chosen = os.environ.get(variable)
    return Path(chosen).expanduser() if chosen else platformdirs.user_data_path("livecnn", appauthor=False) / room


def layouts() -> dict[str, Path]:
    """Return the shipped layouts, name -> file, sorted."""
    return dict(sorted((path.stem, path) for path in shipped("configs").glob("*.yaml")))


def bundles() -> dict[str, Path]:
    """Return the bundles at hand, name -> folder, sorted; the user's own hide shipped ones of the same name."""
    cards = [card for folder in (shipped("models"), user_models()) for card in folder.glob("*/model.yaml")]
    return dict(sorted({card.parent.name: card.parent for card in cards}.items()))
