import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import reduce
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livecnn.app.run import RunOptions, run
from livecnn.errors import ModelError
from livecnn.networks import bundle
from livecnn.networks.architectures.keras import ACTIVATIONS, MERGING, Keras, library
from livecnn.networks.importers.keras import KNOWN, KerasImporter
from livecnn.networks.inspection.probe import Probe, layers_of
from tests.helpers.keras_models import assert_same, digits, edited, h5, layer_at, picture, put, saved, set_argument, turned

keras = library()
layers = keras.layers
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own, of NumPy

REAL = [  # and a layer with maps, one with units
    ("fer2013_mini_XCEPTION.102-0.66.hdf5", "add_3", "predictions"),
    ("tensorspace_tf_keras_model.h5", "conv_1", "dense_2"),
]

KINDS: dict[str, dict[str, Any]] = {
    "Conv2D": {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same", "activation": "relu"},
    "Conv2DTranspose": {"filters": 4, "kernel_size": 3, "strides": 2, "activation": "elu"},
    "DepthwiseConv2D": {"kernel_size": 3, "dilation_rate": 2, "depth_multiplier": 2},
    "SeparableConv2D": {"filters": 4, "kernel_size": 3, "activation": "softmax"},
    "Dense": {"units": 5, "activation": "gelu"},
    "MaxPooling2D": {"pool_size": 3, "strides": 2, "padding": "same"},
    "AveragePooling2D": {"pool_size": 3, "strides": 2, "padding": "same"},
    "GlobalMaxPooling2D": {"keepdims": True},
    "GlobalAveragePooling2D": {},
    "BatchNormalization": {"scale": False},
    "LayerNormalization": {},
    "GroupNormalization": {"groups": 3},
    "UnitNormalization": {},
    "Flatten": {},
    "Reshape": {"target_shape": (9, 16, 3)},
    "Permute": {"dims": (2, 1, 3)},
    "RepeatVector": {"n": 3},
    "ZeroPadding2D": {"padding": ((1, 0), (2, 1))},
    "Cropping2D": {"cropping": 2},
    "UpSampling2D": {"size": 2, "interpolation": "bilinear"},
    "ReLU": {"max_value": 0.5, "threshold": 0.1},
    "LeakyReLU": {"negative_slope": 0.1},
    "PReLU": {"shared_axes": [1, 2]},
    "ELU": {"alpha": 0.5},
    "Softmax": {},
    "Rescaling": {"scale": 2.0, "offset": -1.0},
    "Normalization": {},
    "Resizing": {"height": 7, "width": 9},
    "CenterCrop": {"height": 7, "width": 5},
    "Add": {},
    "Subtract": {},
    "Multiply": {},
    "Average": {},
    "Maximum": {},
    "Minimum": {},
    "Concatenate": {},
    "Dot": {"axes": 3},
    "Dropout": {"rate": 0.5},
    "SpatialDropout2D": {"rate": 0.5},
    "GaussianDropout": {"rate": 0.5},
    "GaussianNoise": {"stddev": 0.5},
    "AlphaDropout": {"rate": 0.5},
    "ActivityRegularization": {"l2": 0.1},
    "Identity": {},
    "RandomFlip": {"seed": 3},
    "RandomRotation": {"factor": 0.5},
    "RandomZoom": {"height_factor": 0.5},
    "RandomTranslation": {"height_factor": 0.5, "width_factor": 0.5},
    "RandomContrast": {"factor": 0.5},
    "RandomBrightness": {"factor": 0.5},
    "Activation": {"activation": "tanh"},
}

LAMBDA = {
    "module": "keras.layers",
    "class_name": "Lambda",
    "config": {"name": "conv", "function": {"class_name": "__lambda__", "config": {"code": "4wEAAAA="}}},
    "registered_name": None,
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A model of digits, by suffix."""
    folder = tmp_path_factory.mktemp("sound")
    return {suffix: saved(digits(), folder / f"m{suffix}").read_bytes() for suffix in (".h5", ".keras")}


@pytest.fixture
def file(sound: dict[str, bytes], tmp_path: Path) -> Path:
    """The same, to be spoilt."""
    path = tmp_path / "m.keras"
    path.write_bytes(sound[".keras"])
    return path


def test_every_layer_is_in_the_table() -> None:
    assert sorted(KINDS) == sorted({*KNOWN} - {"InputLayer"})


@pytest.mark.parametrize("kind", KINDS)
def test_every_layer_gives_what_keras_gives(tmp_path: Path, kind: str) -> None:
    inputs = keras.Input((12, 12, 3))
    layer = getattr(layers, kind)(**KINDS[kind], name="it")
    if kind == "RepeatVector":
        y = layer(layers.Flatten()(inputs))
    elif kind in MERGING:
        y = layer([inputs, layers.AveragePooling2D(2, 1, padding="same")(inputs)])
    else:
        y = layer(inputs)
    model = keras.Model(inputs, y)
    assert_same(model, saved(model, tmp_path / "m.keras"))


@pytest.mark.parametrize("activation", sorted({*ACTIVATIONS} - {"linear", "hard_swish"}))
def test_every_activation_gives_what_keras_gives(tmp_path: Path, activation: str) -> None:
    model = keras.Sequential([keras.Input((5, 5, 3)), layers.Conv2D(4, 2, activation=activation), layers.Activation(activation)])
    assert_same(model, saved(model, tmp_path / "m.keras"))


def branching() -> Any:
    """A model inside the model, a layer that is used twice, a name that torch has taken."""
    inner = keras.Sequential(
        [
            keras.Input((10, 10, 4)),
            layers.Conv2D(4, 3, padding="same", activation="relu", name="conv"),
            layers.BatchNormalization(),
        ],
        name="inner",
    )
    twice = layers.Conv2D(4, 1, activation="tanh", name="twice")
    x = keras.Input((12, 12, 3), name="picture")
    y = layers.Conv2D(4, 3, name="block")(x)
    y = layers.Add(name="type")([inner(y), twice(y)])
    y = twice(y)
    y = layers.GlobalAveragePooling2D(name="mean")(y)
    return keras.Model(x, [layers.Dense(5, activation="softmax", name="scores")(y), layers.Dense(2, name="other")(y)])


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".hdf5"])
def test_graphs_of_graphs(tmp_path: Path, suffix: str) -> None:
    model = branching()
    module = KerasImporter()([saved(model, tmp_path / f"m{suffix}")]).module
    x = picture(model)
    scores, other = module(turned(x))
    expected = model.predict(x, verbose=0)
    torch.testing.assert_close(scores, torch.from_numpy(expected[0]), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(other, torch.from_numpy(expected[1]), rtol=1e-5, atol=1e-5)
    shapes = layers_of(module, turned(x))
    assert shapes["inner.conv.linear"] == shapes["twice:2"] == (2, 4, 10, 10)
    assert {"block", "inner", "inner.conv", "inner.conv.relu", "type_", "mean", "scores"} <= set(shapes)
    with Probe(module, ["twice", "twice:2", "inner"]) as probe:
        found = probe(turned(x))[1]
    twice = model.get_layer("twice")
    for node, key in zip(twice._inbound_nodes, ("twice", "twice:2"), strict=True):
        value = keras.Model(model.inputs, node.output_tensors[0]).predict(x, verbose=0)
        torch.testing.assert_close(found[key], turned(value), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_sequential_model(tmp_path: Path, suffix: str) -> None:
    model = digits()
    assert_same(model, saved(model, tmp_path / f"m{suffix}"))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_functional_model_inside_a_sequential_that_goes_on(tmp_path: Path, suffix: str, depth: int) -> None:
    """As tutorials of transfer learning write it, and Teachable Machine exports it."""
    x = keras.Input((8, 8, 3))
    base = keras.Model(x, layers.Conv2D(4, 3, activation="relu", name="conv")(x), name="base")
    model = keras.Sequential([base, layers.GlobalAveragePooling2D(name="mean")], name="s1")
    if depth > 1:
        model = keras.Sequential([model, keras.Sequential([layers.Dense(3, activation="relu", name="d1")], name="s2")], name="s3")
    if depth > 2:
        y = keras.Input((8, 8, 3))
        model = keras.Model(y, layers.Dense(2, activation="softmax", name="d2")(model(y)))
    module = KerasImporter()([saved(model, tmp_path / f"m{suffix}")]).module
    shapes = layers_of(module, turned(picture(model)))
    assert {1: "base.conv.relu", 2: "s1.base.conv.relu", 3: "s3.s1.base.conv.relu"}[depth] in shapes
    torch.testing.assert_close(
        module(turned(picture(model))), turned(model.predict(picture(model), verbose=0)), rtol=1e-5, atol=1e-5
    )


def test_channels_first(tmp_path: Path) -> None:
    first = {"data_format": "channels_first"}
    model = keras.Sequential(
        [
            keras.Input((1, 12, 12)),
            layers.Conv2D(4, 3, activation="relu", name="conv", **first),
            layers.BatchNormalization(axis=1),
            layers.MaxPooling2D(2, name="pool", **first),
            layers.Flatten(**first),
            layers.Dense(3),
        ]
    )
    imported = KerasImporter()([saved(model, tmp_path / "m.keras")])
    assert imported.input == {"kind": "plain", "size": [12, 12], "channels": 1, "scale": 1}
    x = picture(model)
    torch.testing.assert_close(imported.module(torch.from_numpy(x)), torch.from_numpy(model.predict(x, verbose=0)))


def test_the_value_before_an_activation_and_the_module_that_computes_it(tmp_path: Path) -> None:
    module = KerasImporter()([saved(digits(), tmp_path / "m.keras")]).module
    assert isinstance(module.get_submodule("conv.relu"), torch.nn.ReLU)
    assert isinstance(module.get_submodule("scores.softmax"), torch.nn.Softmax)
    with Probe(module, ["conv", "conv.linear"]) as probe:
        found = probe(-torch.rand(1, 1, 12, 12))[1]
    assert found["conv.linear"].min() < 0
    assert torch.equal(found["conv"], found["conv.linear"].clamp(min=0))


def test_gradients_reach_the_input(tmp_path: Path) -> None:
    module = KerasImporter()([saved(digits(), tmp_path / "m.keras")]).module
    x = torch.rand(1, 1, 12, 12, requires_grad=True)
    module(x)[0, 1].backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


def tensorspace(path: Path) -> Any:
    """The network in that file, which Keras 3 itself does not build."""
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Reshape((28, 28, 1), name="reshape"),
            layers.Conv2D(6, 5, name="conv_1"),
            layers.MaxPooling2D(2, name="maxpool_1"),
            layers.Conv2D(16, 5, name="conv_2"),
            layers.MaxPooling2D(2, name="maxpool_2"),
            layers.Flatten(name="flatten"),
            layers.Dense(120, activation="relu", name="dense_1"),
            layers.Dense(84, activation="relu", name="dense_2"),
            layers.Dense(10, activation="softmax", name="softmax"),
        ]
    )
    model.load_weights(path)
    return model


@pytest.mark.parametrize(("name", "conv", "last"), REAL)
def test_real_files_of_keras_2(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, conv: str, last: str
) -> None:
    path = shared / "keras" / name
    imported = KerasImporter()([path])
    assert_same(keras.saving.load_model(path, compile=False) if "XCEPTION" in name else tensorspace(path), path)
    size = imported.input["size"] if imported.input else []
    card = {"name": "it", "architecture": imported.architecture, "options": imported.options, "input": imported.input}
    classes = [str(index) for index in range(imported.module(torch.zeros(1, 1, *size)).shape[1])]
    bundle.save(tmp_path / "it", imported.module, {**card, "classes": classes, "licence": "MIT", "source": "its authors"})
    x = torch.rand(3, 1, *size)
    with torch.no_grad():
        assert torch.equal(bundle.load(tmp_path / "it").module(x), imported.module(x))

    panels = {"camera": "camera", "scores": "scores", "maps": "feature_maps", "units": "neurons"}
    layout: dict[str, Any] = {"layout": "camera maps\nscores units\n", "panels": {n: {"kind": k} for n, k in panels.items()}}
    layout["panels"]["maps"]["layer"], layout["panels"]["units"]["layer"] = conv, last
    (tmp_path / "layout.yaml").write_text(yaml.safe_dump(layout))
    monkeypatch.chdir(tmp_path)
    run(RunOptions(config="layout.yaml", model="it", source="demo", headless=True, frames=3, scores=Path("scores.csv")))
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 4


def as_keras_2_wrote_it(file: Any) -> None:
    """A Sequential as a list, without an input layer, with arguments that Keras 3 does not know or names otherwise."""
    described = json.loads(file.attrs["model_config"])
    first, *others = described["config"]["layers"]
    shape = first["config"].pop("batch_shape")
    for layer in others:
        layer.pop("module", None)
        config = layer["config"]
        config["dtype"] = "float32"
        if layer["class_name"] == "BatchNormalization":
            config["axis"] = [3]
        if layer["class_name"] == "DepthwiseConv2D":
            config |= {"groups": 1, "activation": None}
        if layer["class_name"] == "LeakyReLU":
            config["alpha"] = config.pop("negative_slope")
    others[0]["config"]["batch_input_shape"] = shape
    file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": others})
    file.attrs["keras_version"] = np.bytes_("2.2.2")


def test_what_keras_2_wrote_otherwise(tmp_path: Path) -> None:
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.DepthwiseConv2D(3, depth_multiplier=2),
            layers.BatchNormalization(),
            layers.LeakyReLU(negative_slope=0.3),
            layers.ReLU(max_value=6),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    with h5py.File(saved(model, tmp_path / "m.h5"), "r+") as file:
        as_keras_2_wrote_it(file)
    assert_same(model, tmp_path / "m.h5")
    kinds = [type(module).__name__ for module in KerasImporter()([tmp_path / "m.h5"]).module.modules()]
    assert {"ReLU6", "ReLU"} <= set(kinds)


ops = keras.ops
OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "between layers": lambda x: layers.Conv2D(3, 3, padding="same")(x) * x - x * 3 + 0.5,
    "of numbers": lambda x: 2 - (3 - x / 4) * 0.5 - 1,
    "of numbers by channel": lambda x: (x - np.float32([0.1, 0.2, 0.3])) / np.float32([0.4, 0.5, 0.6]),
    "a number over a tensor": lambda x: 1 / (x + 1),
    "of two tensors": lambda x: x / (x + 1.0) - ops.maximum(x, x * 2),
    "clip": lambda x: ops.clip(x, 0.2, 0.7),
    "power": lambda x: x**2 + 2.0**x,
    "elementwise": lambda x: ops.sqrt(ops.abs(-x)) + ops.exp(ops.minimum(x, 0.3)),
    "mean": lambda x: x - ops.mean(x, axis=(1, 2), keepdims=True),
    "channels": lambda x: ops.stack([x[..., 2], x[..., 1], x[..., 0]], axis=-1),
    "parts": lambda x: ops.concatenate([x[:, 2:, 1:-1], x[:, 2:, 1:-1, :1]], axis=-1),
    "activations": lambda x: ops.elu(ops.silu(keras.activations.relu(x - 0.5)) - 0.1, alpha=0.3),
    "of vgg16": keras.applications.vgg16.preprocess_input,
    "of mobilenet_v2": keras.applications.mobilenet_v2.preprocess_input,
    "of densenet": keras.applications.densenet.preprocess_input,
}


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_give_what_keras_gives(tmp_path: Path, name: str, suffix: str) -> None:
    x = keras.Input((8, 8, 3))
    model = keras.Model(x, layers.Flatten()(OPERATIONS[name](x)))
    assert_same(model, saved(model, tmp_path / f"m{suffix}"))


BACKWARD = {"start": None, "stop": None, "step": -1}
MEAN = [103.9, 116.8, 123.7]


def test_channels_in_reverse() -> None:
    """As TensorFlow writes it; with torch Keras itself cannot run it."""
    plan = [
        {
            "name": "bgr",
            "kind": "GetItem",
            "config": {"arguments": ["$output", ["...", {"start": None, "stop": None, "step": -1}]]},
        }
    ]
    x = torch.rand(1, 3, 4, 5)
    torch.testing.assert_close(Keras((4, 5, 3), {"input": "x", "steps": plan, "outputs": ["bgr"]})(x), x.flip(1))


@pytest.mark.parametrize(
    ("steps", "wanted"),
    [
        ([("math.truediv", {"y": 127.5}), ("math.subtract", {"y": 1.0})], lambda x: x / 127.5 - 1),
        ([("__operators__.getitem", {"slice_spec": ["...", BACKWARD]}), ("math.subtract", {"y": MEAN})],
         lambda x: x.flip(1) - torch.tensor(MEAN).view(3, 1, 1)),
        ([("clip_by_value", {"clip_value_min": 0.2, "clip_value_max": 9.0}), ("nn.relu", {})], lambda x: x.clamp(0.2, 9)),
        ([("math.subtract", ("_CONSTANT_VALUE", 255.0))], lambda x: 255 - x),
    ],
    ids=["to -1..1", "as Caffe wants it", "clip", "constant first"],
)  # fmt: skip
def test_operations_of_keras_2(tmp_path: Path, steps: list[Any], wanted: Callable[[torch.Tensor], torch.Tensor]) -> None:
    x = keras.Input((8, 8, 3), name="x")
    path = saved(keras.Model(x, layers.Identity(name="end")(x)), tmp_path / "m.h5")
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        before, found = "x", config["config"]["layers"]
        for number, (function, keywords) in enumerate(steps):
            kind = "SlicingOpLambda" if "getitem" in function else "TFOpLambda"
            node = [before, 0, 0, {**keywords, "name": None}] if isinstance(keywords, dict) else None
            node = node or [keywords[0], -1, keywords[1], {"y": [before, 0, 0]}]
            before = f"tf.{number}"
            found.insert(-1, {
                "class_name": kind, "name": before, "inbound_nodes": [[node]],
                "config": {"name": before, "trainable": True, "dtype": "float32", "function": function},
            })  # fmt: skip
        found[-1]["inbound_nodes"] = [[[before, 0, 0, {}]]]
        file.attrs["model_config"] = json.dumps(config)
    value = 255 * torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(KerasImporter()([path]).module(value), wanted(value), rtol=1e-4, atol=1e-4)


def test_names_that_torch_cannot_have(file: Path) -> None:
    expected = KerasImporter()([file]).module
    x = torch.rand(1, 1, 12, 12)
    for name, new in (("block.conv", "block_conv"), ("block/conv", "block_conv"), ("train", "train_")):
        module = KerasImporter()([edited(file, lambda config, name=name: set_argument(config, 1, name=name))]).module
        assert torch.equal(module(x), expected(x))
        assert new in dict(module.named_children())


def test_the_device_is_that_of_the_input(file: Path) -> None:
    module = KerasImporter()([file]).module
    x = torch.rand(1, 1, 12, 12)
    expected = module(x)
    with keras.device("meta"):  # as "cuda" is by default where there is one
        assert torch.equal(module(x), expected)
        assert torch.equal(KerasImporter()([file]).module(x), expected)


def test_groups_that_hold_each_other_do_not_matter(tmp_path: Path) -> None:
    path = h5(tmp_path / "m.h5", lambda file: file["model_weights"].__setitem__("again", file["model_weights"]))
    assert_same(keras.saving.load_model(saved(digits(), tmp_path / "n.h5"), compile=False), path)


def mobile(**numbers: Any) -> Any:
    return keras.Sequential(
        [
            keras.Input((None, None, 3)), layers.Rescaling(1 / 127.5, -1), layers.Conv2D(4, 3, **numbers),
            layers.GlobalMaxPooling2D(),
        ]
    )  # fmt: skip


RANGE_NOTE = "it does not tell the range of its pictures: 0 to 1 is assumed; for 0 to 255: --input scale=255"


@pytest.mark.parametrize(
    ("numbers", "notes"),
    [({}, ()), ({"dtype": "mixed_float16"}, ("its numbers are mixed_float16; here it computes in float32",))],
)
def test_what_the_file_tells_of_input_and_numbers(tmp_path: Path, numbers: dict[str, str], notes: tuple[str, ...]) -> None:
    imported = KerasImporter()([saved(mobile(**numbers), tmp_path / "m.keras")])
    assert imported.input == {"kind": "plain", "channels": 3, "scale": 255}
    assert imported.notes == notes
    scores = imported.module(torch.rand(1, 3, 20, 30))
    assert (scores.shape, scores.dtype) == ((1, 4), torch.float32)


RANGES: dict[str, tuple[list[Any] | Callable[[Any], Any], int | None]] = {
    "rescaled": ([layers.Rescaling(1 / 255)], 255),
    "behind augmentation": ([layers.RandomFlip(), layers.GaussianNoise(0.1), layers.Rescaling(1 / 255)], 255),
    "behind a model of augmentation": (
        [keras.Sequential([layers.RandomFlip(), layers.RandomZoom(0.1)]), layers.Rescaling(1 / 255)],
        255,
    ),
    "behind resizing": ([layers.Resizing(10, 10), layers.CenterCrop(8, 8), layers.Rescaling(1 / 127.5, -1)], 255),
    "inside a model": ([keras.Sequential([layers.ZeroPadding2D(1), layers.Rescaling(1 / 255), layers.Conv2D(3, 1)])], 255),
    "from 0..1 to -1..1": ([layers.Rescaling(2.0, -1)], 1),
    "normalized": ([layers.Normalization(mean=[123.0, 116, 103], variance=[3000.0, 3000, 3000])], 255),
    "normalized from 0..1": ([layers.Normalization(mean=[0.48, 0.45, 0.4], variance=[0.05, 0.05, 0.05])], 1),
    "divided": (lambda x: x / 255, 255),
    "divided by less": (lambda x: x / 0.5 - 1, 1),
    "without ImageNet's mean": (keras.applications.vgg16.preprocess_input, 255),
    "after a convolution": ([layers.Conv2D(3, 1), layers.Rescaling(1 / 255)], None),
    "nothing": ([], None),
}


@pytest.mark.parametrize("name", RANGES)
def test_the_range_of_pictures_is_that_of_the_first_layer_that_changes_values(tmp_path: Path, name: str) -> None:
    before, most = RANGES[name]
    x = keras.Input((12, 12, 3))
    changed = before(x) if callable(before) else reduce(lambda value, layer: layer(value), before, x)
    model = keras.Model(x, layers.GlobalMaxPooling2D()(layers.Conv2D(4, 3)(changed)))
    imported = KerasImporter()([saved(model, tmp_path / "m.keras")])
    assert imported.input == {"kind": "plain", "size": [12, 12], "channels": 3, "scale": most or 1}
    assert imported.notes == ((RANGE_NOTE,) if most is None else ())


def test_the_hard_sigmoid_of_keras_2_is_told(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(2, 3, activation="hard_sigmoid")])
    path = saved(model, tmp_path / "m.h5")
    assert "hard_sigmoid" not in str(KerasImporter()([path]).notes)
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = "2.3.1"
    assert KerasImporter()([path]).notes[0].startswith("hard_sigmoid is that of Keras 3, ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: put(c, 1, **LAMBDA), r"layer 'conv': Lambda is refused, and nothing of it was run; allowed: Conv2D, "),
        (lambda c: put(c, 1, class_name="Mine"), r"layer 'conv': Mine is refused, and nothing of it was run; "),
        (lambda c: put(c, 1, module="os", class_name="system"), r"layer 'conv': os\.system is refused, and nothing"),
        (lambda c: put(c, 1, module="os"), r"layer 'conv': os\.Conv2D is refused"),
        (lambda c: put(c, 1, registered_name="me>Mine"), r"layer 'conv': Conv2D is refused"),
        (lambda c: put(c, 1, class_name="TFSMLayer"), r"layer 'conv': TFSMLayer is refused"),
        (lambda c: put(c, 1, class_name="Conv2d"), r"layer .*did you mean 'Conv2D'\?"),
        (lambda c: set_argument(c, 1, padding={"class_name": "function", "config": "exec"}),
         r"layer 'conv': Conv2D: padding is {"),
        (lambda c: set_argument(c, 1, filters=float("nan")), r"layer 'conv': Conv2D: filters is nan; allowed: numbers"),
        (lambda c: set_argument(c, 1, activation="exec"),
         r"layer 'conv': Conv2D: unknown activation 'exec'; .*allowed: linear, relu"),
        (lambda c: set_argument(c, 1, activation={"class_name": "Mine", "config": {}}),
         r"layer 'conv': Conv2D: activation is {"),
        (lambda c: set_argument(c, 1, kernel_size=[9, 90]), r"Keras cannot make a model of it: "),
        (lambda c: set_argument(c, 1, strange=3),
         r"layer 'conv': Conv2D: strange = 3 is unknown to this Keras; allowed: filters"),
        (lambda c: set_argument(c, 1, filters=3), r"Keras cannot make a model of it: "),
        (lambda c: set_argument(c, 1, filters=5), r"its layers need 428 numbers as weights, the file holds 343$"),
        (lambda c: set_argument(c, 0, batch_shape=[None, -1, 12, 1]), r"layer 'input_layer\w*': found the shape \[None, -1"),
        (lambda c: (c["config"]["layers"].pop(0), c["config"].pop("build_input_shape")),
         r"the shape of the model's input is not "),
        (lambda c: set_argument(c, 4, units=10**9), r"its layers need \d+ numbers as weights, the file holds 3\d\d"),
        (lambda c: put(c, 2, name="conv"), r"layer 'conv': found the name twice"),
        (lambda c: c["config"]["layers"].clear(), r"the model has no layers"),
        (lambda c: c["config"].update(layers=None), r"layers: found None; allowed: a list"),
        (lambda c: c.update(class_name="Mine"), r"the model is a Mine; allowed: Sequential, Functional"),
        (lambda c: c.clear(), r"found {}; allowed: class_name and config"),
    ],
)  # fmt: skip
def test_what_is_refused(file: Path, change: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ModelError, match=rf"^\S*m\.keras: {message}"):
        KerasImporter()([edited(file, change)])


def test_no_lambda_is_run_from_either_format(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    path = str(mark)
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Lambda(lambda x: (__import__("os").mkdir(path), x)[1], name="evil")])
    assert mark.is_dir()  # it ran when it was made
    mark.rmdir()
    for suffix in (".keras", ".h5"):
        with pytest.raises(ModelError, match=r"layer 'evil': Lambda is refused, and nothing of it was run"):
            KerasImporter()([saved(model, tmp_path / f"m{suffix}")])
    assert not mark.exists()


def _virtual(file: Any) -> None:
    source = h5py.VirtualSource("/etc/other.h5", "data", shape=(4,))
    map_ = h5py.VirtualLayout(shape=(4,), dtype="f4")
    map_[:] = source
    file.create_virtual_dataset("far", map_)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.attrs.pop("model_config"), r"holds weights alone, no model_config; allowed: a whole model, as model\.save"),
        (lambda f: f.attrs.update(model_config="{"), r"not a sound Keras file: JSONDecodeError"),
        (lambda f: f.attrs.update(model_config="[" * 100_000), r"not a sound Keras file: RecursionError"),
        (lambda f: f.update({"there": h5py.ExternalLink("other.h5", "/")}),
         r"//there is a link; allowed: data that lies in the file"),
        (lambda f: f.update({"there": h5py.SoftLink("/model_weights")}),
         r"//there is a link; allowed: data that lies in the file"),
        (lambda f: f.create_dataset("far", (4,), "f4", external=[("/etc/passwd", 0, 16)]),
         r"/far lies in another file; allowed: "),
        (_virtual, r"/far lies in another file; allowed: data that lies in the file itself"),
        (lambda f: f.create_dataset("x", (2,), h5py.string_dtype()), r"/x holds object; allowed: numbers"),
        (lambda f: f.create_dataset("bomb", (1 << 40,), "f4", chunks=(1 << 20,), compression="gzip"),
         r"the weights would grow from \d+ bytes to 4398046\d+; allowed: 100 times as many"),
        (lambda f: f["model_weights"].pop("conv"), r"its layers need 343 numbers as weights, the file holds 303"),
    ],
)  # fmt: skip
def test_hdf5_that_lies(tmp_path: Path, change: Callable[[Any], None], message: str) -> None:
    with pytest.raises(ModelError, match=rf"^\S*m\.h5: {message}"):
        KerasImporter()([h5(tmp_path / "m.h5", change)])


def test_an_archive_that_grows(file: Path) -> None:
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("assets/zeros", bytes(1 << 25))
    message = r"m\.keras: assets/zeros would grow from 3\d+ bytes to 33554432; allowed: 100 times as many"
    with pytest.raises(ModelError, match=message):
        KerasImporter()([file])


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".keras"])
@pytest.mark.parametrize("content", [b"", b"abc", b"\x89HDF\r\n\x1a\n", b"PK\x05\x06" + bytes(18)])
def test_nonsense(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"m{suffix}"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=rf"^\S*m\{suffix}: (not a sound Keras file: OSError|holds no config\.json)"):
        KerasImporter()([path])


def test_files_and_arguments(file: Path) -> None:
    with pytest.raises(ModelError, match=r"found 2 files \(\S+, \S+\); allowed: 1"):
        KerasImporter()([file, file])
    with pytest.raises(ModelError, match=r"found an architecture beside it; allowed: none"):
        KerasImporter()([file], architecture="lenet")
    with pytest.raises(ModelError, match=r"nix\.h5: cannot be read: No such file or directory"):
        KerasImporter()([file.with_name("nix.h5")])


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([".h5", ".keras"]),
    st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6),
)
def test_mutated_files_are_clear_errors(
    sound: dict[str, bytes], tmp_path: Path, suffix: str, changes: list[tuple[float, bytes]]
) -> None:
    content = bytearray(sound[suffix])
    for place, piece in changes:
        at = int(place * (len(content) - len(piece)))
        content[at : at + len(piece)] = piece
    path = tmp_path / f"m{suffix}"
    path.write_bytes(content)
    with suppress(ModelError):
        KerasImporter()([path])


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["Lambda", "keras.layers", "os"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["class_name", "config", "module", "a"]), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_mutated_configurations_are_clear_errors(sound: dict[str, bytes], tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "m.keras"
    path.write_bytes(sound[".keras"])

    def change(config: Any) -> None:
        at = config
        while isinstance(at, dict | list) and at:
            key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
            if not isinstance(at[key], dict | list) or data.draw(st.integers(0, 3)) == 0:
                at[key] = data.draw(JSON)
                return
            at = at[key]

    with suppress(ModelError):
        KerasImporter()([edited(path, change)])


def two_inputs() -> Any:
    first, second = keras.Input((4, 4, 1)), keras.Input((4, 4, 1))
    return keras.Model([first, second], layers.Flatten()(layers.Add()([first, second])))


def mixed_formats() -> Any:
    pools = [layers.MaxPooling2D(2, data_format=layout) for layout in ("channels_first", "channels_last")]
    return keras.Sequential([keras.Input((8, 8, 1)), pools[1], layers.Reshape((1, 4, 4)), pools[0]])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: keras.Sequential([keras.Input((9,)), layers.Dense(2)]), r"the model's input is \(9,\); allowed: a picture"),
        (lambda: keras.Sequential([keras.Input((9, 9, 99)), layers.Conv2D(2, 3)]),
         r"the model's input has 99 channels; allowed: 1 to 64"),
        (two_inputs, r"model has 2 inputs; allowed: 1, the picture"),
        (mixed_formats, r"found layers of channels_first and of channels_last; allowed: one of them throughout"),
        (lambda: keras.Sequential([keras.Input((4, 4, 1)), layers.TimeDistributed(layers.Dense(2))]),
         r"TimeDistributed is refused"),
    ],
)  # fmt: skip
def test_models_that_are_no_networks_of_a_picture(tmp_path: Path, model: Callable[[], Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        KerasImporter()([saved(model(), tmp_path / "m.keras")])


def test_calls_that_are_more_than_their_inputs(tmp_path: Path) -> None:
    x = keras.Input((8, 8, 1), name="x")
    model = keras.Model(x, layers.Flatten(name="flat")(layers.Conv2D(2, 3, name="conv")(x)))
    path = saved(model, tmp_path / "m.keras")
    sound = path.read_bytes()

    def refused(message: str, change: Callable[[Any], Any]) -> None:
        path.write_bytes(sound)
        with pytest.raises(ModelError, match=message):
            KerasImporter()([edited(path, lambda config: change(layer_at(config, 1)["inbound_nodes"][0]))])

    refused(r"layer 'conv' is called with {'mask': 3}; allowed: its inputs alone", lambda node: node["kwargs"].update(mask=3))
    refused(
        r"found {'class_name': '__lambda__'.* as an argument of a layer's call; allowed: outputs of layers",
        lambda node: node["args"][0].update(class_name="__lambda__"),
    )
    refused(
        r"found \['y', 0, 0\] as a reference to an output; allowed: \[layer, call, place\]",
        lambda node: node["args"][0]["config"].update(keras_history=["y", 0, 0]),
    )
