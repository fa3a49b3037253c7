"""See a convolutional network think: a live view of its activations while the input changes.

    livecnn.watch(model)  # any torch.nn.Module at work: camera, feature maps, neurons, prediction, in a window

    with livecnn.Probe(model, ["conv1", "fc1"]) as probe:  # hooks live exactly as long as the with
        scores, activations = probe(x)

    model = livecnn.load("lenet-mnist")  # .module, .classes, .prepare(rgb) -> the network's input

    livecnn.replay("digits", out="digits.gif")  # a folder, a video or MNIST's files as a film

    livecnn.dream("lenet-mnist", "conv2", "0-8")  # what these units like best, as pictures

    livecnn.explanations("lenet-mnist", "digit.png", "conv2")  # what in the image these units answer to
    livecnn.embed("digits", "lenet-mnist", "ip1")  # a map of pictures: those that a layer finds alike lie together
    livecnn.top("digits", layers="conv2", out="top")  # the images to which each unit answers most, and statistics

Importing the package is cheap: what needs torch is imported when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from livecnn.errors import (
    ConfigError,
    ImageError,
    LivecnnError,
    ModelError,
    OutputError,
    SourceError,
    SystemLibraryError,
    UsageError,
)

if TYPE_CHECKING:
    from livecnn.analysis.embedding.api import embed
    from livecnn.analysis.top.api import top
    from livecnn.app.replay import replay
    from livecnn.app.watch import watch
    from livecnn.dreams.api import dream
    from livecnn.explain.api import explanations
    from livecnn.networks.bundle import load
    from livecnn.networks.inspection.architecture import Architecture
    from livecnn.networks.inspection.probe import Probe, layers_of

__version__ = "0.1.0"

__all__ = [
    "Architecture",
    "ConfigError",
    "ImageError",
    "LivecnnError",
    "ModelError",
    "OutputError",
    "Probe",
    "SourceError",
    "SystemLibraryError",
    "UsageError",
    "__version__",
    "dream",
    "embed",
    "explanations",
    "layers_of",
    "load",
    "replay",
    "top",
    "watch",
]

_HOMES = {
    "Architecture": "livecnn.networks.inspection.architecture",
    "Probe": "livecnn.networks.inspection.probe",
    "dream": "livecnn.dreams.api",
    "explanations": "livecnn.explain.api",
    "embed": "livecnn.analysis.embedding.api",
    "layers_of": "livecnn.networks.inspection.probe",
    "load": "livecnn.networks.bundle",
    "replay": "livecnn.app.replay",
    "top": "livecnn.analysis.top.api",
    "watch": "livecnn.app.watch",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'livecnn' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
