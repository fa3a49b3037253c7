"""Kinds by file name: `livecnn/panels/feature_maps.py` holds the class `FeatureMapsPanel`, and that is its registration.

Nothing has to be imported beforehand for a kind to be known, and only the kinds in use are imported.
"""

import importlib
import pkgutil
from typing import Any

from livecnn.errors import LivecnnError, nearest

# Room -> how the names of its classes end.
SUFFIXES = {
    "panels": "Panel",
    "sources": "Source",
    "networks.importers": "Importer",
    "networks.pipelines": "Pipeline",
}


def kinds(room: str) -> tuple[str, ...]:
    """Return the names of the kinds in a room, e.g. `kinds("explain.methods")`, sorted: its modules, not its packages."""
    package = importlib.import_module(f"livecnn.{room}")
    return tuple(sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not (m.ispkg or m.name.startswith("_"))))


def find(room: str, kind: str, error: type[LivecnnError]) -> Any:
    """Return the class of a kind; raises `error` with the nearest names if there is none."""
    known = kinds(room)
    if kind not in known:
        raise error(f"unknown kind {kind!r} in {room.rsplit('.', maxsplit=1)[-1]}; {nearest(kind, known)}")
    module = importlib.import_module(f"livecnn.{room}.{kind}")
    return getattr(module, "".join(part.capitalize() for part in kind.split("_")) + SUFFIXES.get(room, ""))
