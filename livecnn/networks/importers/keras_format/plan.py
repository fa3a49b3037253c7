"""From a model that Keras built to the plan by which livecnn/networks/architectures/keras.py runs it."""

from __future__ import annotations

import inspect
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch

from livecnn.errors import ModelError
from livecnn.networks.architectures.keras import GRAPH, library
from livecnn.networks.importers.keras_format.config import matters
from livecnn.networks.inspection.tracing import TensorPath, key_of


class ImportPlan:
    """plan: the fields of nets.keras.Plan.  tensors: the weights, named as there."""

    def __init__(self, model: Any) -> None:
        self.tensors: dict[str, torch.Tensor] = {}
        self.plan = self._plan(model, "")

    def _plan(self, model: Any, path: str) -> dict[str, Any]:
        if len(model.inputs) != 1:
            raise ModelError(f"{model.name} has {len(model.inputs)} inputs; allowed: 1, the picture")
        steps: list[dict[str, Any]] = []
        start = model.inputs[0]
        keys = {id(start): start._keras_history[0].name}
        calls: Counter[str] = Counter()
        waiting = list(reversed(model.outputs))
        while waiting:  # depth first, from the outputs; not recursive, for networks are deep
            tensor = waiting[-1]
            operation, call, _ = tensor._keras_history
            inputs = operation._inbound_nodes[call].input_tensors
            missing = [before for before in inputs if id(before) not in keys]
            if id(tensor) in keys:
                waiting.pop()
            elif missing:
                waiting += reversed(missing)
            else:
                given = [keys[id(before)] for before in inputs]
                previous = key_of(TensorPath(steps[-1]["name"], calls[steps[-1]["name"]])) if steps else keys[id(start)]
                first = {} if calls[operation.name] else self._described(operation, path)
                steps.append({"name": operation.name, **first, **({} if given == [previous] else {"inputs": given})})
                calls[operation.name] += 1
                keys[id(tensor)] = key_of(TensorPath(operation.name, calls[operation.name]))
        return {"input": keys[id(start)], "steps": steps, "outputs": [keys[id(output)] for output in model.outputs]}

    def _described(self, layer: Any, path: str) -> dict[str, Any]:
        name = f"{path}{layer.name}"
        if hasattr(layer, "layers"):
            return {"kind": GRAPH, "config": self._plan(layer, f"{name}.")}
        kind, config = _kind(type(layer).__name__, layer)
        fused = f"{name}.linear" if "activation" in config else name
        if kind != "Normalization":  # whose weights are in its configuration
            self.tensors |= {f"{fused}.{variable.name}": variable.value for variable in layer.weights}
        return {"kind": kind, **({"config": config} if config else {})}


def _kind(kind: str, layer: Any) -> tuple[str, dict[str, Any]]:
    config = _config(kind, layer)
    if kind == "ReLU" and not config.get("negative_slope") and not config.get("threshold"):
        activation = {None: "relu", 6.0: "relu6"}.get(config.get("max_value"))
        return ("Activation", {"activation": activation}) if activation else (kind, config)
    if kind == "Softmax" and config["axis"] == -1:
        return "Activation", {"activation": "softmax"}
    if kind == "Normalization" and layer.input_mean is None:
        values = {"mean": layer.adapt_mean, "variance": layer.adapt_variance}
        config |= {key: value.value.detach().tolist() for key, value in values.items()}
    return kind, config


def _config(kind: str, layer: Any) -> dict[str, Any]:
    """The arguments of a layer that its passes depend on, as JSON knows them."""
    allowed = inspect.signature(getattr(library().layers, kind)).parameters
    found: Mapping[str, Any] = json.loads(json.dumps(layer.get_config()))
    return {
        key: value
        for key, value in found.items()
        if key in allowed and matters(key) and value is not None and (key, value) != ("activation", "linear")
    }
