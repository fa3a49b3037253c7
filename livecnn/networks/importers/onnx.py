"""ONNX graphs (`.onnx`), with their weights in the file or in files beside it.

The file is data, and none of it is run: https://onnx.ai/onnx/repo-docs/IR.html. Its nodes become the plan by which
livecnn/networks/architectures/onnx.py runs them, with one notation for all versions of the operators, 7 to 23.
"""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from livecnn.errors import ModelError, first_line, nearest
from livecnn.networks.architectures.onnx import OPERATORS, Onnx
from livecnn.networks.importers import Imported, Importer, only_file
from livecnn.networks.pipelines.plain import MOST_CHANNELS
from livecnn.networks.weights import load_into

LARGEST = 2 << 30  # bytes of a file
OPSETS = range(7, 24)
RANGE_NOTE = "its file does not tell the range of its pictures: 0 to 1 is assumed; else --input scale=255, mean=[…], std=[…]"
# Operators that are computed beforehand where all that goes in is constant; none makes more of it than came in.
FOLDED = ("Add", "Cast", "Concat", "DequantizeLinear", "Div", "Gather", "Identity", "Mul", "Neg", "Reciprocal", "Reshape",
          "Shape", "Slice", "Sqrt", "Squeeze", "Sub", "Transpose", "Unsqueeze")  # fmt: skip


# Attributes of operators that are taken over as they are; of all others there is a method of _Node.
ATTRIBUTES = {
    **dict.fromkeys(("LeakyRelu", "Elu", "Celu", "ThresholdedRelu"), ("alpha",)),
    **dict.fromkeys(("Concat", "Gather", "Flatten"), ("axis",)),
    **dict.fromkeys(("Squeeze", "Unsqueeze"), ("axes",)),
    **{f"Reduce{name}": ("axes", "keepdims", "noop_with_empty_axes")
       for name in ("Mean", "Sum", "Max", "Min", "L1", "L2", "SumSquare", "LogSumExp")},
    "Gelu": ("approximate",), "HardSigmoid": ("alpha", "beta"), "Slice": ("starts", "ends", "axes"), "Transpose": ("perm",),
    "Pad": ("pads", "value", "mode"), "Reshape": ("shape", "allowzero"), "Shape": ("start", "end"),
    "ArgMax": ("axis", "keepdims"),
    "DepthToSpace": ("blocksize", "mode"), "SpaceToDepth": ("blocksize",), "LayerNormalization": ("axis", "epsilon"),
    "InstanceNormalization": ("epsilon",), "GroupNormalization": ("epsilon", "num_groups"), "LpNormalization": ("p", "axis"),
}  # fmt: skip


class OnnxImporter(Importer):
    """Reads graphs with one picture as their input; gradients pass, and every node is a layer by its name in the file."""

    suffixes: ClassVar[tuple[str, ...]] = (".onnx",)

    def __call__(self, files: Sequence[Path], **_: object) -> Imported:
        path = only_file(files)
        try:
            import onnx  # noqa: F401
        except ImportError as error:
            raise ModelError("an ONNX network needs onnx: pip install 'livecnn[onnx]'") from error
        try:
            return _imported(path)
        except ModelError as error:
            raise ModelError(str(error) if str(error).startswith(str(path)) else f"{path}: {error}") from error
        except Exception as error:  # whatever a graph that makes no sense leads to
            raise ModelError(f"{path}: not a sound ONNX graph: {type(error).__name__}: {first_line(error)}") from error


def _imported(path: Path) -> Imported:
    reader = _Reader(path)
    options: dict[str, Any] = {"plan": reader.plan, "channels_last": reader.channels_last}
    module = Onnx(**options)
    load_into(module, reader.tensors, path)
    return Imported(module.eval(), "onnx", options, reader.input, notes=(RANGE_NOTE,))


class _Reader:
    """Reads one file into a plan, and the arrays that belong to it."""

    def __init__(self, path: Path) -> None:
        import onnx

        self._path = path
        if path.stat().st_size > LARGEST:
            raise ModelError(f"{path.stat().st_size} bytes; allowed: at most {LARGEST}")
        model = onnx.load(path, load_external_data=False)
        self._opset = next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 0)
        if self._opset not in OPSETS:
            raise ModelError(f"found opset {self._opset}; allowed: {OPSETS.start} to {OPSETS.stop - 1}")
        graph = model.graph
        self._constants = {each.name: self._array(each) for each in graph.initializer}
        outside = [each for each in graph.input if each.name not in self._constants]
        if len(outside) != 1:
            raise ModelError(f"found {len(outside)} inputs ({', '.join(each.name for each in outside)}); allowed: 1, the picture")
        self._names: dict[str, str] = {}
        self._taken = {"", *dir(Onnx), "constants"}
        self.tensors: dict[str, torch.Tensor] = {}
        self._kept: dict[str, dict[str, Any]] = {}
        self._steps: list[dict[str, Any]] = []
        self.channels_last, self.input = self._picture(outside[0])
        start = self._value(outside[0].name)
        for number, node in enumerate(graph.node):
            self._add(node, number)
        self.plan = {
            "input": start,
            "steps": self._steps,
            "outputs": [self._used(each.name) for each in graph.output],
            "constants": self._kept,
        }

    def _picture(self, value: Any) -> tuple[bool, dict[str, Any] | None]:
        """Return whether channels come last in the input, and the input pipeline."""
        sizes = [each.dim_value or None for each in value.type.tensor_type.shape.dim]
        if len(sizes) != 4:
            raise ModelError(f"input {value.name!r}: found {len(sizes)} axes; allowed: 4, (N, C, H, W) or (N, H, W, C)")
        last = sizes[1] not in (1, 3) and sizes[3] in (1, 3)
        channels, height, width = (sizes[3], *sizes[1:3]) if last else sizes[1:]
        if channels is None or channels > MOST_CHANNELS:
            found = channels or "an unknown number of"
            raise ModelError(f"input {value.name!r}: found {found} channels; allowed: 1 to {MOST_CHANNELS}")
        size = {} if height is None or width is None else {"size": [height, width]}
        return last, {"kind": "plain", **size, "channels": channels}

    def _array(self, tensor: Any) -> np.ndarray[Any, np.dtype[Any]]:
        """Return an array of the file, or of one beside it. Raises ModelError for one that lies elsewhere."""
        from onnx import numpy_helper

        if tensor.data_location == tensor.EXTERNAL:
            told = {entry.key: entry.value for entry in tensor.external_data}
            place = self._path.parent / told.get("location", "")
            inside = place.resolve().is_relative_to(self._path.parent.resolve()) and place.is_file() and not place.is_symlink()
            if not inside:
                raise ModelError(
                    f"the data of {tensor.name!r} are in {told.get('location')!r}; allowed: a file beside {self._path.name}"
                )
            offset, length = int(told.get("offset", 0)), int(told.get("length", place.stat().st_size))
            with place.open("rb") as file:
                file.seek(offset)
                tensor.raw_data = file.read(length)
            tensor.data_location = tensor.DEFAULT
        array = np.array(numpy_helper.to_array(tensor))
        return array.astype(np.float32) if array.dtype.name == "bfloat16" else array

    def _add(self, node: Any, number: int) -> None:
        from onnx import helper

        if node.domain not in ("", "ai.onnx"):
            raise ModelError(f"node {node.name!r}: operator {node.domain}.{node.op_type}; allowed: those of ONNX itself")
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        attributes = {key: value.decode() if isinstance(value, bytes) else value for key, value in attributes.items()}
        inputs = list(node.input)
        if node.op_type == "Constant":
            self._constants[node.output[0]] = self._constant(node, attributes)
            return
        if inputs and node.op_type in FOLDED and all(not name or name in self._constants for name in inputs):
            self._constants.update(zip(node.output, self._folded(node), strict=False))
            return
        known = [self._constants.get(name) for name in inputs]
        named = node.name or f"{node.op_type}_{number}"
        try:
            _Node(self, named, node.op_type, attributes, inputs, known, list(node.output), self._opset).translate()
        except ModelError as error:
            raise ModelError(f"node {named!r}: {error}") from error

    def _folded(self, node: Any) -> list[Any]:
        """Compute a node of constants, as its result may be the weights of another."""
        from onnx.reference import ReferenceEvaluator

        given = {name: self._constants[name] for name in node.input if name}
        return [np.asarray(value) for value in ReferenceEvaluator(node, opsets={"": self._opset}).run(None, given)]

    def _constant(self, node: Any, attributes: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[Any]]:
        ((key, value),) = attributes.items()
        if key == "value":
            return self._array(value)
        if key in ("value_float", "value_floats"):
            return np.asarray(value, np.float32)
        if key in ("value_int", "value_ints"):
            return np.asarray(value, np.int64)
        raise ModelError(f"node {node.name!r}: found a constant as {key}; allowed: numbers")

    def name_layer(self, wanted: str) -> str:
        """Return a name that a module of torch can have, near to the one that is wanted."""
        name = re.sub(r"\W+", "_", wanted).strip("_") or "node"
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name

    def _value(self, name: str) -> str:
        """Return the name of a value in the plan."""
        return self._names.setdefault(name, name)

    def _used(self, name: str) -> str:
        """Return the same, once constants among them are kept with the weights."""
        if name in self._constants:
            return self.keep(name, self._constants[name])
        return self._value(name)

    def keep(self, name: str, array: np.ndarray[Any, np.dtype[Any]]) -> str:
        """Keep an array with the weights; returns its name in the plan."""
        key = f"c_{re.sub(r'[^0-9A-Za-z_]', '_', name)}"
        tensor = torch.from_numpy(np.ascontiguousarray(array)).reshape(array.shape)
        while key in self._kept and not torch.equal(self.tensors[f"constants.{key}"], tensor):
            key += "_"
        self.tensors[f"constants.{key}"] = tensor
        self._kept[key] = {"shape": list(array.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
        return key

    def step(
        self, name: str, op: str, config: Mapping[str, Any], inputs: Sequence[str], outputs: Sequence[str],
        tensors: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """Add a step with its weights; inputs and outputs are names of the file."""
        layer = self.name_layer(name)
        for key, array in (tensors or {}).items():
            self.tensors[f"{layer}.{key}"] = torch.from_numpy(np.ascontiguousarray(array, np.float32))
        self._steps.append(
            {
                "name": layer,
                "op": op,
                "inputs": [self._used(each) if each else "" for each in inputs],
                "outputs": [self._value(each) for each in (outputs if op == "Split" else outputs[:1])],
                **({"config": dict(config)} if config else {}),
            }
        )


class _Node:
    """One node on its way into the plan: attributes, names of inputs, and the arrays of those that are constant."""

    def __init__(
        self, reader: _Reader, name: str, op: str, attributes: dict[str, Any], inputs: list[str], known: list[Any],
        outputs: list[str], opset: int,
    ) -> None:  # fmt: skip
        self.reader, self.name, self.op, self.inputs, self.known = reader, name, op, inputs, known
        self.outputs, self.opset = outputs, opset
        self.attributes = attributes

    def translate(self) -> None:
        """Add what the node does to the plan."""
        own = getattr(self, f"_{self.op.lower()}", None)
        if own is not None:
            own()
        elif self.op in OPERATORS:
            unknown = sorted(self.attributes.keys() - {*ATTRIBUTES.get(self.op, ()), "stash_type"})
            if unknown:
                raise ModelError(
                    f"{self.op}: found {', '.join(unknown)}; allowed: {', '.join(ATTRIBUTES.get(self.op, ())) or 'none'}"
                )
            self.add(self.op, self.attributes)
        else:
            raise ModelError(f"operator {self.op} is refused; {nearest(self.op, OPERATORS, most=8)}")

    def add(self, op: str, config: Mapping[str, Any], inputs: Sequence[str] | None = None, **tensors: Any) -> None:
        """Add the step that the node ends with."""
        self.reader.step(self.name, op, config, self.inputs if inputs is None else inputs, self.outputs, tensors)

    def constant(self, place: int) -> Any:
        """Return the array of an input; None if it is absent. Raises ModelError if it is not constant."""
        if place >= len(self.inputs) or not self.inputs[place]:
            return None
        if self.known[place] is None:
            raise ModelError(f"{self.op}: input {place} is computed; allowed: a constant")
        return self.known[place]

    def _window(self, kernel: Sequence[int]) -> tuple[list[int], list[int], list[int], list[int]]:
        """Return kernel, stride, dilation and the pads [top, left, bottom, right]."""
        if len(kernel) != 2:
            raise ModelError(f"{self.op}: found a kernel of {len(kernel)} axes; allowed: 2")
        stride, dilation = list(self.attributes.get("strides", [1, 1])), list(self.attributes.get("dilations", [1, 1]))
        return list(kernel), stride, dilation, list(self.attributes.get("pads", [0, 0, 0, 0]))

    def _padded(self, kernel: Sequence[int], *, lowest: bool = False) -> tuple[list[int], str]:
        """Return the padding that both sides share, and the input, padded by a step of its own where they differ."""
        size, _, _, pads = self._window(kernel)
        x, auto = self.inputs[0], self.attributes.get("auto_pad", "NOTSET")
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            told = {**self._same(kernel, auto), "lowest": lowest}
            self.reader.step(f"{self.name}_pad", "SamePad", told, [x], [f"{self.outputs[0]}.padded"])
            return [0, 0], f"{self.outputs[0]}.padded"
        if auto == "VALID":
            return [0, 0], x
        top, left, bottom, right = pads
        half = not lowest or (2 * top <= size[0] and 2 * left <= size[1])  # more torch's pooling refuses
        if (top, left) == (bottom, right) and half:
            return [top, left], x
        told = {"pads": [0, 0, top, left, 0, 0, bottom, right], **({"value": _LOWEST} if lowest else {})}
        self.reader.step(f"{self.name}_pad", "Pad", told, [x], [f"{self.outputs[0]}.padded"])
        return [0, 0], f"{self.outputs[0]}.padded"

    def _conv(self) -> None:
        weight, bias = self.constant(1), self.constant(2)
        groups = self.attributes.get("group", 1)
        padding, x = self._padded(weight.shape[2:])
        kernel, stride, dilation, _ = self._window(weight.shape[2:])
        config = {
            "in_channels": weight.shape[1] * groups, "out_channels": weight.shape[0], "kernel_size": kernel, "stride": stride,
            "padding": padding, "dilation": dilation, "groups": groups, "bias": bias is not None,
        }  # fmt: skip
        self.add("Conv", config, [x], weight=weight, **({} if bias is None else {"bias": bias}))

    def _convtranspose(self) -> None:
        weight, bias = self.constant(1), self.constant(2)
        groups = self.attributes.get("group", 1)
        kernel, stride, dilation, pads = self._window(weight.shape[2:])
        extra = list(self.attributes.get("output_padding", [0, 0]))
        auto = self.attributes.get("auto_pad", "NOTSET")
        if auto in ("SAME_UPPER", "SAME_LOWER"):  # the output is stride times as large
            totals = [
                (size - 1) * step + 1 + more - by for size, step, more, by in zip(kernel, dilation, extra, stride, strict=True)
            ]
            halves = [(total // 2, total - total // 2) for total in totals]
            pads = [pair[auto == "SAME_LOWER"] for pair in halves] + [pair[auto != "SAME_LOWER"] for pair in halves]
        elif "output_shape" in self.attributes:
            raise ModelError("ConvTranspose: found output_shape; allowed: pads and output_padding")
        common = [min(pair) for pair in zip(pads[:2], pads[2:], strict=True)]
        config = {
            "transposed": True, "in_channels": weight.shape[0], "out_channels": weight.shape[1] * groups, "kernel_size": kernel,
            "stride": stride, "padding": common, "output_padding": extra, "dilation": dilation, "groups": groups,
            "bias": bias is not None,
        }  # fmt: skip
        tensors = {"weight": weight, **({} if bias is None else {"bias": bias})}
        cut = [common[axis] - pads[place] for place, axis in enumerate((0, 1, 0, 1))]
        if any(cut):  # more of one side than of the other
            whole = f"{self.outputs[0]}.whole"
            self.reader.step(f"{self.name}_whole", "ConvTranspose", config, self.inputs[:1], [whole], tensors)
            self.add("Pad", {"pads": [0, 0, *cut[:2], 0, 0, *cut[2:]]}, [whole])
            return
        self.add("ConvTranspose", config, self.inputs[:1], **tensors)

    def _maxpool(self) -> None:
        kernel, stride, dilation, _ = self._window(self.attributes["kernel_shape"])
        padding, x = self._padded(kernel, lowest=True)
        ceil = bool(self.attributes.get("ceil_mode", 0))
        config = {"kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil}
        self.add("MaxPool", config, [x])

    def _averagepool(self) -> None:
        kernel = list(self.attributes["kernel_shape"])
        axes = len(kernel)
        stride, dilation = (list(self.attributes.get(name, [1] * axes)) for name in ("strides", "dilations"))
        if max(dilation) > 1:
            raise ModelError(f"AveragePool: found dilations {dilation}; allowed: 1")
        counted, ceil = bool(self.attributes.get("count_include_pad", 0)), bool(self.attributes.get("ceil_mode", 0))
        config = {"kernel_size": kernel, "stride": stride, "ceil_mode": ceil, "count_include_pad": counted}
        auto = self.attributes.get("auto_pad", "NOTSET")
        pads = [0] * 2 * axes if auto == "VALID" else list(self.attributes.get("pads", [0] * 2 * axes))
        even = pads[:axes] == pads[axes:] and all(2 * pad <= size for pad, size in zip(pads, kernel, strict=False))
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            self.add("AveragePool", {**config, "same": self._same(kernel, auto)})
        else:
            self.add("AveragePool", {**config, **({"padding": pads[:2]} if even and axes == 2 else {"pads": pads})})

    def _same(self, kernel: Sequence[int], auto: str) -> dict[str, Any]:
        """Return what the padding of SAME_UPPER and SAME_LOWER depends on besides the size of the maps."""
        size, stride, dilation, _ = self._window(kernel)
        return {"kernel": size, "stride": stride, "dilation": dilation, "upper": auto == "SAME_UPPER"}

    def _batchnormalization(self) -> None:
        scale, bias, mean, variance = (self.constant(place) for place in (1, 2, 3, 4))
        config = {"num_features": len(mean), "eps": self.attributes.get("epsilon", 1e-5)}
        self.add("BatchNormalization", config, self.inputs[:1], weight=scale, bias=bias, running_mean=mean, running_var=variance)

    def _gemm(self) -> None:
        usual = not self.attributes.get("transA") and self.attributes.get("alpha", 1.0) == self.attributes.get("beta", 1.0) == 1.0
        weight, bias = (*self.known, None, None)[1:3]
        absent = len(self.inputs) < 3 or not self.inputs[2]
        if not usual or weight is None or not (absent or (bias is not None and bias.ndim == 1)):
            self.add("Gemm", self.attributes)
            return
        weight = weight if self.attributes.get("transB") else weight.T
        if not absent and len(bias) != len(weight):
            bias = np.broadcast_to(bias, (len(weight),))
        config = {"in_features": weight.shape[1], "out_features": weight.shape[0], "bias": not absent}
        self.add("Gemm", config, self.inputs[:1], weight=weight, **({} if absent else {"bias": bias}))

    def _matmul(self) -> None:
        weight = self.known[1]
        if weight is None or weight.ndim != 2 or self.known[0] is not None:
            self.add("MatMul", {})
            return
        config = {"in_features": weight.shape[0], "out_features": weight.shape[1], "bias": False}
        self.add("MatMul", config, self.inputs[:1], weight=weight.T)

    def _lrn(self) -> None:
        names = {"size": "size", "alpha": "alpha", "beta": "beta", "bias": "k"}
        defaults = {"alpha": 1e-4, "beta": 0.75, "bias": 1.0}
        self.add("LRN", {new: self.attributes.get(old, defaults.get(old)) for old, new in names.items()})

    def _prelu(self) -> None:
        slope = self.known[1]
        by_channel = slope is not None and slope.size in (1, slope.shape[0] if slope.ndim > 1 else 1)
        if not by_channel:
            self.add("PRelu", {})
        else:
            self.add("PRelu", {"num_parameters": slope.size}, self.inputs[:1], weight=slope.reshape(-1))

    def _selu(self) -> None:
        told = {"alpha": self.attributes.get("alpha", 1.67326319), "gamma": self.attributes.get("gamma", 1.05070102)}
        usual = abs(told["alpha"] - 1.67326319) < 1e-5 and abs(told["gamma"] - 1.05070102) < 1e-5
        self.add("Selu", {} if usual else told)

    def _clip(self) -> None:
        ends: dict[str, Any] = {key: self.attributes[key] for key in ("min", "max") if key in self.attributes}
        computed = False
        for place, key in ((1, "min"), (2, "max")):
            if place < len(self.inputs) and self.inputs[place]:
                computed = computed or self.known[place] is None
                ends[key] = None if self.known[place] is None else float(self.known[place])
        if computed:
            self.add("Clip", {})
            return
        # Before opset 11 the ends were float32's largest numbers by default.
        ends = {key: value for key, value in ends.items() if abs(value) < _LARGEST}
        self.add("Clip", ends, self.inputs[:1])

    def _softmax(self) -> None:
        axis = self.attributes.get("axis", -1 if self.opset >= 13 else 1)
        self.add(self.op, {"axis": axis} if self.opset >= 13 or axis == -1 else {"from": axis})

    _logsoftmax = _softmax

    def _dropout(self) -> None:
        self.add("Dropout", {}, self.inputs[:1])

    def _cast(self) -> None:
        from onnx import helper

        kind = helper.tensor_dtype_to_np_dtype(self.attributes["to"]).name
        self.add("Cast", {"to": kind})

    def _constantofshape(self) -> None:
        value = self.attributes.get("value")
        array = np.zeros(1, np.float32) if value is None else self.reader._array(value)
        self.add("ConstantOfShape", {"value": array.item(), "dtype": array.dtype.name})

    def _split(self) -> None:
        self.add("Split", {**self.attributes, "parts": len(self.outputs)})

    def _upsample(self) -> None:
        scales = self.attributes.get("scales")
        given = self.inputs[-1] if scales is None else self.reader.keep(f"{self.name}_scales", np.asarray(scales, np.float32))
        self._add_resize({"mode": self.attributes.get("mode", "nearest"), **_ASYMMETRIC}, given, "")

    def _resize(self) -> None:
        told = {key: value for key, value in self.attributes.items() if _is_plain(value)}
        places, policy = told.get("coordinate_transformation_mode"), told.pop("keep_aspect_ratio_policy", "stretch")
        refused = [key for key in ("antialias", "exclude_outside") if told.pop(key, 0)]
        refused += [str(each) for each in (places, policy) if each in _REFUSED_RESIZING]
        if refused:
            raise ModelError(f"Resize: found {', '.join(refused)}; allowed: plain interpolation")
        if self.opset == 10:
            self._add_resize({**told, **_ASYMMETRIC}, self.inputs[1], "")
        else:
            _, _, scales, sizes = (*self.inputs, "", "", "")[:4]
            self._add_resize(told, scales, sizes)

    def _add_resize(self, config: Mapping[str, Any], scales: str, sizes: str) -> None:
        if config.get("mode") == "bilinear":
            config = {**config, "mode": "linear"}
        self.reader.step(self.name, "Resize", config, [self.inputs[0], "", scales, sizes], self.outputs)

    def _meanvariancenormalization(self) -> None:
        self.add("MeanVarianceNormalization", {"axes": list(self.attributes.get("axes", [0, 2, 3]))})


_ASYMMETRIC = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}  # as before opset 11
_REFUSED_RESIZING = ("tf_crop_and_resize", "half_pixel_symmetric", "not_larger", "not_smaller")
_LARGEST = 3.4e38
_LOWEST = -3.4028234663852886e38


def _is_plain(value: Any) -> bool:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return all(map(_is_plain, value))
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
