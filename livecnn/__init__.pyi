from .analysis.embedding.api import embed
from .analysis.top.api import top
from .app.replay import replay
from .app.watch import watch
from .dreams.api import dream
from .errors import (
    ConfigError,
    ImageError,
    LivecnnError,
    ModelError,
    OutputError,
    SourceError,
    SystemLibraryError,
    UsageError,
)
from .explain.api import explanations
from .networks.bundle import load
from .networks.inspection.architecture import Architecture
from .networks.inspection.probe import Probe, layers_of

__version__: str

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
