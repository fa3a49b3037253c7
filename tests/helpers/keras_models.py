"""Small Keras models in files, those files spoilt, and what Keras itself says of a model."""

import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from livecnn.networks.architectures.keras import library
from livecnn.networks.importers.keras import KerasImporter
from livecnn.networks.inspection.probe import Probe, find_scores

keras = library()
layers = keras.layers


def saved(model: Any, path: Path) -> Path:
    """The model in a file, once its weights are random."""
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.1, 1, weight.shape).astype(weight.dtype) for weight in model.get_weights()])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice about HDF5
        model.save(path)
    return path


def picture(model: Any, batch: int = 2) -> Any:
    shape = (batch, *model.inputs[0].shape[1:])
    return np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)


def turned(values: Any) -> torch.Tensor:
    """(N, H, W, C) -> (N, C, H, W); anything else as it is. Of (N, H, W), the one channel is an axis."""
    tensor = torch.from_numpy(np.array(values))
    return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor


def outputs_of(model: Any, x: Any, names: list[str]) -> dict[str, torch.Tensor]:
    """What Keras itself says."""
    watched = keras.Model(model.inputs, [model.get_layer(name).output for name in names])
    found = watched.predict(x, verbose=0)
    return {name: turned(value) for name, value in zip(names, found if len(names) > 1 else [found], strict=True)}


def assert_same(model: Any, path: Path) -> None:
    """Scores and every layer, within 1e-5 of Keras' own."""
    module = KerasImporter()([path]).module
    x = picture(model)
    tensor = turned(x) if x.ndim == 4 else torch.from_numpy(x)[:, None]
    names = [layer.name for layer in model.layers if layer.name in dict(module.named_modules())]
    assert len(names) == len([layer for layer in model.layers if not isinstance(layer, layers.InputLayer)])
    with Probe(module, names) as probe:
        scores, found = probe(tensor)
    for name, expected in outputs_of(model, x, names).items():
        torch.testing.assert_close(found[name], expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(scores, find_scores(turned(model.predict(x, verbose=0))), rtol=1e-5, atol=1e-5)


def digits(**changes: Any) -> Any:
    return keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Flatten(name="flat"),
            layers.Dense(3, activation="softmax", name="scores"),
        ],
        **changes,
    )


def edited(path: Path, change: Callable[[Any], Any]) -> Path:
    """The same archive, its configuration changed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def layer_at(config: Any, index: int) -> Any:
    return config["config"]["layers"][index]


def put(config: Any, index: int, /, **changes: Any) -> None:
    layer_at(config, index).update(changes)


def set_argument(config: Any, index: int, **changes: Any) -> None:
    layer_at(config, index)["config"].update(changes)


def h5(path: Path, change: Callable[[Any], None]) -> Path:
    """The digits' network in HDF5, changed."""
    with h5py.File(saved(digits(), path), "r+") as opened:
        change(opened)
    return path
