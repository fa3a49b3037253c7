"""Whole Keras models, from HDF5 (`.h5`, `.hdf5`, as Keras 2 writes them) or Keras 3's own archives (`.keras`)."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from pydantic import JsonValue

from livecnn.errors import ModelError, first_line
from livecnn.networks import weights
from livecnn.networks.architectures import keras as nets
from livecnn.networks.architectures.keras import library
from livecnn.networks.importers import Imported, Importer, single
from livecnn.networks.importers.keras_format.config import ConfigSanitizer
from livecnn.networks.importers.keras_format.files import description
from livecnn.networks.importers.keras_format.plan import ImportPlan


class KerasImporter(Importer):
    """Sequential and functional models of the layers in architectures/keras.py; none of the file's code is run.

    Values of pictures are taken to be 0..1, or 0..255 where the model begins with Rescaling or Normalization: files do not tell.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".h5", ".hdf5", ".keras")

    def __call__(
        self,
        files: Sequence[Path],
        *,
        architecture: str | None = None,
        options: Mapping[str, JsonValue] = MappingProxyType({}),
        allow_code: bool = False,  # noqa: ARG002
    ) -> Imported:
        path = single(files)
        if architecture is not None or options:
            raise ModelError(f"{path}: found an architecture beside it; allowed: none, for the file holds its own")
        library()
        try:
            return _imported(path)
        except ModelError as error:
            raise ModelError(str(error) if str(error).startswith(str(path)) else f"{path}: {error}") from error
        except Exception as error:  # whatever Keras does with what makes no sense
            raise ModelError(f"{path}: Keras cannot make a model of it: {first_line(error)}") from error


def _imported(path: Path) -> Imported:
    keras = library()
    found = description(path)
    cleaner = ConfigSanitizer()
    cleaned = cleaner.model(found.configuration)
    _check_numbers(cleaned, found.numbers)
    with keras.device("cpu"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it says of versions of NumPy
        warnings.simplefilter("error", UserWarning)  # all that it says of weights that it did not find
        model = _built(cleaned)
        model.load_weights(path)
        planned = ImportPlan(model)
    options: dict[str, Any] = {"shape": _shape(model), "plan": planned.plan, "channels_first": _channels_first(planned.plan)}
    module = nets.Keras(**options)
    weights.load_into(module, planned.tensors, path)
    return Imported(module.eval(), "keras", options, _input(options), notes=tuple(_notes(cleaner, found.version)))


def _built(cleaned: Mapping[str, Any]) -> Any:
    return library().saving.deserialize_keras_object(copy.deepcopy(cleaned), safe_mode=True)  # which uses it up


def _check_numbers(cleaned: Mapping[str, Any], numbers: int) -> None:
    """Before memory is taken for it: a model holds no more weights than its file."""
    with library().device("meta"):
        needed = sum(math.prod(weight.shape) for weight in _built(cleaned).weights)
    if needed > numbers:
        raise ModelError(f"its layers need {needed} numbers as weights, the file holds {numbers}")


def _shape(model: Any) -> list[int | None]:
    shape = list(model.inputs[0].shape[1:])
    channels = {2: 1, 3: shape[-1]}.get(len(shape))
    if channels is None:
        raise ModelError(f"the model's input is {tuple(shape)}; allowed: a picture, (H, W) or (H, W, channels)")
    return shape


def _channels_first(plan: Mapping[str, Any]) -> bool:
    found = set(_formats(plan))
    if len(found) > 1:
        raise ModelError("found layers of channels_first and of channels_last; allowed: one of them throughout")
    return found == {"channels_first"}


def _formats(plan: Mapping[str, Any]) -> list[str]:
    configs = [step.get("config", {}) for step in plan["steps"]]
    inner = [name for config in configs if "steps" in config for name in _formats(config)]
    return [*inner, *(config["data_format"] for config in configs if "data_format" in config)]


def _input(options: Mapping[str, Any]) -> dict[str, Any]:
    shape = options["shape"]
    if len(shape) == 2:
        shape = [*shape, 1]
    channels, *size = [shape[0], *shape[1:]] if options["channels_first"] else [shape[2], *shape[:2]]
    if channels not in (1, 3):
        raise ModelError(f"the model's input has {channels} channels; allowed: 1 or 3, gray or RGB")
    scaled = options["plan"]["steps"][0].get("kind") in ("Rescaling", "Normalization")
    sized = {"size": size} if None not in size else {}
    return {"kind": "plain", **sized, "channels": channels, "scale": 255 if scaled else 1}


def _notes(cleaner: ConfigSanitizer, version: str) -> list[str]:
    notes = []
    other = sorted(cleaner.policies - {"float32"})
    if other:
        notes.append(f"its numbers are {', '.join(other)}; here it computes in float32")
    if "hard_sigmoid" in cleaner.activations and version[:1] in ("1", "2"):
        notes.append(f"hard_sigmoid is that of Keras 3, relu6(x + 3) / 6, not max(0, min(1, 0.2 x + 0.5)) as in Keras {version}")
    return notes
