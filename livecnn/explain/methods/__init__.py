"""Methods of attribution, a file each: `guided_backprop.py` holds the class `GuidedBackprop`. A new one is one more file."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from livecnn import registry
from livecnn.errors import UsageError

if TYPE_CHECKING:
    from livecnn.explain.base import Method

FIRST = (
    "activation",
    "gradient",
    "guided_backprop",
    "deconvnet",
    "deconvnet_unpooled",
    "grad_cam",
    "occlusion",
    "integrated_gradients",
)


@cache
def kinds() -> tuple[str, ...]:
    """Return the names of all methods, the well known first. It does not wait for torch."""
    known = registry.kinds("explain.methods")
    return (*(kind for kind in FIRST if kind in known), *(kind for kind in known if kind not in FIRST))


@cache
def method_class(kind: str) -> type[Method]:
    """Return the class of a method. Raises UsageError for an unknown kind, naming the nearest."""
    found: type[Method] = registry.find("explain.methods", kind, UsageError)
    return found
