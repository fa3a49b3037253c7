"""Imports of ONNX graphs, against onnxruntime and the cases of ONNX' own test suite."""

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases

from livecnn.errors import ModelError
from livecnn.explain.methods.guided_backprop import GuidedBackprop
from livecnn.networks import bundle as bundles
from livecnn.networks.architectures.onnx import OPERATORS, Onnx
from livecnn.networks.import_model import ModelDescription, import_model
from livecnn.networks.importers.onnx import OnnxImporter

# In the suite's cases, what no network for pictures in PyTorch's own exports needs; each is refused by name.
REFUSED = (
    r"found a kernel of [13] axes|found dilations|found output_shape|nothing gives|select_last_index|SpaceToDepth: found mode"
    r"|Resize: found|numbers of type 'uint|is computed; allowed: a constant"
)


def array(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).normal(0, 0.5, shape).astype(np.float32)


def written(
    path: Path,
    nodes: Sequence[Any],
    constants: dict[str, Any],
    shape: Sequence[Any] = ("N", 3, 16, 20),
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
) -> Path:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    ends = [onnx.ValueInfoProto(name=name) for name in outputs]
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(list(nodes), "net", inputs, ends, held)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path


def node(op: str, inputs: str, outputs: str, name: str = "", **attributes: Any) -> Any:
    return helper.make_node(op, inputs.split(","), outputs.split(","), name=name, **attributes)


def residual(path: Path, shape: Sequence[Any] = ("N", 3, 16, 20)) -> Path:
    """A small network with what exports of classifiers have."""
    nodes = [
        node("Conv", "x,w1,b1", "c1", "/conv1/Conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("BatchNormalization", "c1,scale,shift,mean,var", "n1", "/bn1/BatchNormalization"),
        node("Relu", "n1", "r1", "/relu/Relu"),
        node("Conv", "r1,w2", "c2", "/layer1/layer1.0/Conv", kernel_shape=[3, 3], pads=[0, 0, 2, 2], group=4),
        node("MaxPool", "r1", "p1", "/pool/MaxPool", kernel_shape=[2, 2], pads=[0, 0, 1, 1]),
        node("Concat", "c2,p1", "m", "/Concat", axis=1),
        node("Clip", "m,zero,six", "r6", "/relu6/Clip"),
        node("Conv", "r6,w3", "c3", "", kernel_shape=[1, 1], strides=[2, 2]),
        node("Sigmoid", "c3", "s", "/Sigmoid"),
        node("Mul", "c3,s", "silu", "/Mul"),
        node("GlobalAveragePool", "silu", "g", "/GlobalAveragePool"),
        node("Shape", "g", "size", "/Shape"),
        node("Gather", "size,first", "batch", "/Gather"),
        node("Concat", "batch,rest", "wanted", "/Concat_1", axis=0),
        node("Reshape", "g,wanted", "f", "/Reshape"),
        node("Gemm", "f,w4,b4", "l", "/fc/Gemm", transB=1),
        node("Softmax", "l", "y", "/prob/Softmax", axis=1),
    ]
    constants = {
        "w1": array(1, 8, 3, 3, 3), "b1": array(2, 8), "scale": array(3, 8), "shift": array(4, 8), "mean": array(5, 8),
        "var": np.abs(array(6, 8)) + 1, "w2": array(7, 4, 2, 3, 3), "w3": array(8, 6, 12, 1, 1), "w4": array(9, 5, 6),
        "b4": array(10, 5), "zero": np.float32(0), "six": np.float32(6), "first": np.int64([0]), "rest": np.int64([6]),
    }  # fmt: skip
    return written(path, nodes, constants, shape)


def reference(path: Path, x: Any) -> dict[str, Any]:
    """What onnxruntime makes of every node, by the name of the value."""
    model = onnx.load(path)
    inner = [name for each in model.graph.node for name in each.output if name not in {end.name for end in model.graph.output}]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip((end.name for end in session.get_outputs()), session.run(None, {"x": x}), strict=True))


@pytest.mark.parametrize("batch", [1, 3])
def test_every_layer_gives_what_onnxruntime_gives(tmp_path: Path, batch: int) -> None:
    path = residual(tmp_path / "net.onnx")
    imported = OnnxImporter()([path])
    found: dict[str, Any] = {}
    for step in imported.options["plan"]["steps"]:  # type: ignore[index, call-overload, union-attr]
        layer, key = imported.module.get_submodule(step["name"]), step["outputs"][0]  # type: ignore[index, call-overload]
        layer.register_forward_hook(lambda _module, _inputs, output, key=key: found.update({key: output}))
    x = array(0, batch, 3, 16, 20)
    imported.module(torch.from_numpy(x))
    for name, wanted in reference(path, x).items():
        assert found[name].shape == wanted.shape
        assert np.abs(found[name].detach().numpy() - wanted).max() <= 1e-5 * np.abs(wanted).max(), name


def test_layers_have_their_names_in_the_file_and_torchs_kinds(tmp_path: Path) -> None:
    module = OnnxImporter()([residual(tmp_path / "net.onnx")]).module
    kinds = {name: type(inner).__name__ for name, inner in module.named_children() if name != "constants"}
    assert kinds == {
        "conv1_Conv": "Conv2d", "bn1_BatchNormalization": "BatchNormalization", "relu_Relu": "ReLU",
        "layer1_layer1_0_Conv_pad": "Operation", "layer1_layer1_0_Conv": "Conv2d", "pool_MaxPool_pad": "Operation",
        "pool_MaxPool": "MaxPool2d", "Concat": "Operation", "relu6_Clip": "ReLU6", "Conv_7": "Conv2d", "Sigmoid": "Sigmoid",
        "Mul": "Operation", "GlobalAveragePool": "AdaptiveAvgPool2d", "Shape": "Operation", "Gather": "Operation",
        "Concat_1": "Operation", "Reshape": "Operation", "fc_Gemm": "Linear", "prob_Softmax": "Softmax",
    }  # fmt: skip


def test_a_bundle_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVECNN_MODELS", str(tmp_path / "models"))
    notes: list[str] = []
    about = ModelDescription(input={"mean": [0.5], "std": [0.25]}, classes=list("abcde"))
    path = residual(tmp_path / "net.onnx", (1, 3, 16, 20))
    bundle = bundles.load(import_model([path], "mine", about, tell=notes.append))
    assert (bundle.pipeline.shape, bundle.classes, bundle.output.kind) == ((3, 16, 20), tuple("abcde"), "softmax")
    assert notes[0].startswith("its file does not tell the range of its pictures: 0 to 1 is assumed")
    x = bundle.prepare(np.random.default_rng(0).integers(0, 256, (16, 20, 3), np.uint8))
    assert np.allclose(bundle.module(x).numpy(), reference(path, x.numpy())["y"], atol=1e-6)
    window = next(each.window for each in bundle.architecture.nodes if each.name == "pool_MaxPool")
    assert window is not None
    assert window.kernel == (2, 2)


def test_gradients_reach_the_input(tmp_path: Path) -> None:
    path = written(
        tmp_path / "net.onnx",
        [node("Conv", "x,w", "c", "conv", kernel_shape=[3, 3]), node("Relu", "c", "r", "relu"), node("Conv", "r,v", "y", "top")],
        {"w": array(1, 4, 3, 3, 3), "v": array(2, 2, 4, 1, 1)},
        ("N", 3, 8, 8),
    )
    same = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.ReLU(), torch.nn.Conv2d(4, 2, 1, bias=False))
    same.load_state_dict({"0.weight": torch.from_numpy(array(1, 4, 3, 3, 3)), "2.weight": torch.from_numpy(array(2, 2, 4, 1, 1))})
    x = torch.from_numpy(array(0, 1, 3, 8, 8))
    found = GuidedBackprop(OnnxImporter()([path]).module, "top").explain(x, [0, 1])
    torch.testing.assert_close(found, GuidedBackprop(same, "2").explain(x, [0, 1]))


def test_channels_that_come_last(tmp_path: Path) -> None:
    """As exports from TensorFlow have them."""
    nodes = [node("Transpose", "x", "t", "t", perm=[0, 3, 1, 2]), node("Conv", "t,w", "y", "conv", kernel_shape=[3, 3])]
    path = written(tmp_path / "net.onnx", nodes, {"w": array(1, 4, 3, 3, 3)}, (1, 12, 10, 3))
    imported = OnnxImporter()([path])
    assert imported.input == {"kind": "plain", "size": [12, 10], "channels": 3}
    x = array(0, 1, 12, 10, 3)
    found = imported.module(torch.from_numpy(x).permute(0, 3, 1, 2)).detach().numpy()
    assert np.allclose(found, reference(path, x)["y"], atol=1e-5)


def cases() -> Iterator[tuple[str, Any, Sequence[Any], Sequence[Any]]]:
    """Those of ONNX' test suite with one operator that is served, on numbers of float32."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what its cases make NumPy say
        found = collect_testcases(None)
    for case in found:
        nodes = [] if case.model is None else case.model.graph.node
        if len(nodes) == 1 and nodes[0].op_type in (*OPERATORS, "Upsample") and case.model.opset_import[0].version <= 23:
            inputs, outputs = case.data_sets[0]
            arrays = all(isinstance(value, np.ndarray) for value in inputs) and len(inputs) == len(case.model.graph.input)
            if arrays and inputs[0].dtype == np.float32 and inputs[0].size:
                yield case.name, case.model, inputs, outputs


def test_operators_give_what_the_standard_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All inputs but the first are constants here; the first need be no picture."""
    monkeypatch.setattr("livecnn.networks.importers.onnx._Reader._picture", lambda _self, _value: (False, None))
    wrong, right = [], 0
    for name, model, inputs, outputs in cases():
        constants = map(numpy_helper.from_array, inputs[1:], [each.name for each in model.graph.input][1:])
        model.graph.initializer.extend(list(constants))
        del model.graph.input[1:]
        onnx.save(model, tmp_path / "net.onnx")
        try:
            module = OnnxImporter()([tmp_path / "net.onnx"]).module
        except ModelError as error:
            if re.search(REFUSED, str(error)) is None:
                wrong.append(f"{name}: {error}")
            continue
        given = module(torch.from_numpy(inputs[0].copy()))
        values = [value.detach().numpy() for value in (given.values() if isinstance(given, dict) else [given])]
        same = [value.shape == np.shape(wanted) and close(value, wanted) for value, wanted in zip(values, outputs, strict=True)]
        right += all(same)
        wrong += [] if all(same) else [f"{name}: other numbers"]
    assert wrong == []
    assert right > 250


def close(value: Any, wanted: Any) -> bool:
    return np.allclose(value.astype(np.float64), np.asarray(wanted, np.float64), rtol=1e-3, atol=1e-5, equal_nan=True)


def external(path: Path, location: str) -> Path:
    """With the weights of its convolution in another file."""
    written(path, [node("Conv", "x,w", "y", "conv", kernel_shape=[3, 3])], {"w": array(1, 4, 3, 3, 3)}, ("N", 3, 8, 8))
    model = onnx.load(path)
    (tensor,) = model.graph.initializer
    (path.parent / "beside.bin").write_bytes(b"head" + tensor.raw_data)
    onnx.external_data_helper.set_external_data(tensor, location, offset=4, length=len(tensor.raw_data))
    tensor.ClearField("raw_data")
    path.write_bytes(model.SerializeToString())
    return path


def test_weights_in_a_file_beside_it(tmp_path: Path) -> None:
    weight = OnnxImporter()([external(tmp_path / "net.onnx", "beside.bin")]).module.get_parameter("conv.weight")
    assert np.array_equal(weight.detach().numpy(), array(1, 4, 3, 3, 3))


@pytest.mark.parametrize("location", ["../outside.bin", "/etc/hostname", "link.bin", "absent.bin", "."])
def test_weights_elsewhere_are_refused(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    (tmp_path / "outside.bin").write_bytes(bytes(1000))
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    with pytest.raises(ModelError, match=r"net\.onnx: the data of 'w' are in '.*'; allowed: a file beside net\.onnx"):
        OnnxImporter()([external(folder / "net.onnx", location)])


CONV = [node("Conv", "x,w", "y", "conv", kernel_shape=[3, 3])]
WEIGHTS = {"w": array(1, 4, 3, 3, 3)}


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: written(path, CONV, WEIGHTS, opset=6), r"found opset 6; allowed: 7 to 23"),
        (lambda path: written(path, CONV, WEIGHTS, ("N", 99, 8, 8)), r"input 'x': found 99 channels; allowed: 1 to 64"),
        (lambda path: written(path, CONV, WEIGHTS, ("N", 3, 8)), r"input 'x': found 3 axes; allowed: 4, \(N, C, H, W\)"),
        (lambda path: written(path, CONV, {}), r"node 'conv': Conv: input 1 is computed; allowed: a constant"),
        (lambda path: written(path, [node("LSTM", "x,w", "y", "lstm")], WEIGHTS), r"node 'lstm': operator LSTM is refused"),
        (lambda path: written(path, [node("Conv", "x", "y", "c", domain="mine")], {}), r"operator mine\.Conv; allowed: those of"),
        (lambda path: written(path, [node("Relu", "z", "y", "relu")], {}), r"layer 'relu': nothing gives 'z' before it"),
        (lambda path: written(path, CONV, WEIGHTS, outputs=["y", "q"]), r"outputs: nothing gives 'q'"),
        (lambda path: written(path, [node("Relu", "x", "y", "r", slope=1)], {}), r"Relu: found slope; allowed: none"),
        (lambda path: path.write_bytes(b"no graph at all") and path, r"net\.onnx: not a sound ONNX graph: "),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, write: Callable[[Path], Path], message: str) -> None:
    with pytest.raises(ModelError, match=message) as found:
        OnnxImporter()([write(tmp_path / "net.onnx")])
    assert "\n" not in str(found.value)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_clear_errors(tmp_path: Path, data: st.DataObject) -> None:
    path = residual(tmp_path / "net.onnx")
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    path.write_bytes(content)
    told = ""
    try:
        OnnxImporter()([path])
    except ModelError as error:  # many a change leaves a sound file
        told = str(error)
    assert not told or (told.startswith(str(path)) and "\n" not in told)


def test_a_plan_that_makes_no_sense() -> None:
    step = {"name": "c", "op": "Conv", "inputs": ["x"], "outputs": ["y"], "config": {"in_channels": -1}}
    with pytest.raises(ModelError, match="layer 'c': Conv: "):
        Onnx({"input": "x", "steps": [step], "outputs": ["y"]})
    with pytest.raises(ModelError, match=r"constant 'c': found the shape .*; allowed: 268435456 values"):
        Onnx({"input": "x", "steps": [], "outputs": ["x"], "constants": {"c": {"shape": [1 << 20, 1 << 20], "dtype": "float32"}}})
