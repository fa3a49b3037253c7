import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livecnn.errors import ModelError
from livecnn.networks.architectures.keras import library
from livecnn.networks.importers.keras import KerasImporter
from tests.helpers.keras_models import digits, edited, h5, layer_at, put, saved, set_argument

keras = library()
layers = keras.layers
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own, of NumPy

LAMBDA = {
    "module": "keras.layers",
    "class_name": "Lambda",
    "config": {"name": "conv", "function": {"class_name": "__lambda__", "config": {"code": "4wEAAAA="}}},
    "registered_name": None,
}


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
        (
            lambda c: set_argument(c, 1, padding={"class_name": "function", "config": "exec"}),
            r"layer 'conv': Conv2D: padding is {",
        ),
        (lambda c: set_argument(c, 1, filters=float("nan")), r"layer 'conv': Conv2D: filters is nan; allowed: numbers"),
        (
            lambda c: set_argument(c, 1, activation="exec"),
            r"layer 'conv': Conv2D: unknown activation 'exec'; .*allowed: linear, relu",
        ),
        (lambda c: set_argument(c, 1, activation={"class_name": "Mine", "config": {}}), r"layer 'conv': Conv2D: activation is {"),
        (lambda c: set_argument(c, 1, kernel_size=[9, 90]), r"Keras cannot make a model of it: "),
        (
            lambda c: set_argument(c, 1, strange=3),
            r"layer 'conv': Conv2D: strange = 3 is unknown to this Keras; allowed: filters",
        ),
        (lambda c: set_argument(c, 1, filters=3), r"Keras cannot make a model of it: "),
        (lambda c: set_argument(c, 1, filters=5), r"its layers need 428 numbers as weights, the file holds 343$"),
        (lambda c: set_argument(c, 0, batch_shape=[None, -1, 12, 1]), r"layer 'input_layer\w*': found the shape \[None, -1"),
        (
            lambda c: (c["config"]["layers"].pop(0), c["config"].pop("build_input_shape")),
            r"the shape of the model's input is not ",
        ),
        (lambda c: set_argument(c, 4, units=10**9), r"its layers need \d+ numbers as weights, the file holds 3\d\d"),
        (lambda c: put(c, 2, name="conv"), r"layer 'conv': found the name twice"),
        (lambda c: c["config"]["layers"].clear(), r"the model has no layers"),
        (lambda c: c["config"].update(layers=None), r"layers: found None; allowed: a list"),
        (lambda c: c.update(class_name="Mine"), r"the model is a Mine; allowed: Sequential, Functional"),
        (lambda c: c.clear(), r"found {}; allowed: class_name and config"),
    ],
)
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
        (
            lambda f: f.update({"there": h5py.ExternalLink("other.h5", "/")}),
            r"//there is a link; allowed: data that lies in the file",
        ),
        (
            lambda f: f.update({"there": h5py.SoftLink("/model_weights")}),
            r"//there is a link; allowed: data that lies in the file",
        ),
        (
            lambda f: f.create_dataset("far", (4,), "f4", external=[("/etc/passwd", 0, 16)]),
            r"/far lies in another file; allowed: ",
        ),
        (_virtual, r"/far lies in another file; allowed: data that lies in the file itself"),
        (lambda f: f.create_dataset("x", (2,), h5py.string_dtype()), r"/x holds object; allowed: numbers"),
        (
            lambda f: f.create_dataset("bomb", (1 << 40,), "f4", chunks=(1 << 20,), compression="gzip"),
            r"the weights would grow from \d+ bytes to 4398046\d+; allowed: 100 times as many",
        ),
        (lambda f: f["model_weights"].pop("conv"), r"its layers need 343 numbers as weights, the file holds 303"),
    ],
)
def test_hdf5_that_lies(tmp_path: Path, change: Callable[[Any], None], message: str) -> None:
    with pytest.raises(ModelError, match=rf"^\S*m\.h5: {message}"):
        KerasImporter()([h5(tmp_path / "m.h5", change)])


def test_an_archive_that_grows(file: Path) -> None:
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("assets/zeros", bytes(1 << 25))
    with pytest.raises(
        ModelError, match=r"m\.keras: assets/zeros would grow from 3\d+ bytes to 33554432; allowed: 100 times as many"
    ):
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


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("sound")
    return {suffix: saved(digits(), folder / f"m{suffix}").read_bytes() for suffix in (".h5", ".keras")}


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
        (
            lambda: keras.Sequential([keras.Input((9, 9, 4)), layers.Conv2D(2, 3)]),
            r"the model's input has 4 channels; allowed: 1 or 3",
        ),
        (two_inputs, r"model has 2 inputs; allowed: 1, the picture"),
        (mixed_formats, r"found layers of channels_first and of channels_last; allowed: one of them throughout"),
        (
            lambda: keras.Sequential([keras.Input((4, 4, 1)), layers.TimeDistributed(layers.Dense(2))]),
            r"TimeDistributed is refused",
        ),
    ],
)
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
