import hashlib
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from livecnn import paths
from livecnn.errors import LivecnnError, ModelError, OutputError, UsageError
from livecnn.networks import bundle as bundles
from livecnn.networks.architectures.lenet import Lenet
from livecnn.networks.bundle import Bundle, Check, ModelCard, call_factory
from tests.helpers.files import Payload

DIGITS = tuple("0123456789")
PLAIN = {"kind": "plain", "size": [28, 28], "channels": 1}
CARD: dict[str, Any] = {
    "name": "mine",
    "architecture": "lenet",
    "input": PLAIN,
    "classes": list(DIGITS),
    "licence": "MIT",
    "source": "random numbers",
    "accuracy": {"nothing": 0.1},
    "training": {"epochs": 0, "note": "on"},
}
MEANS = {"kind": "plain", "size": [8, 10], "channels": 3}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle of random weights, in what is the user's data folder here."""
    monkeypatch.setenv("LIVECNN_MODELS", str(tmp_path))
    torch.manual_seed(0)
    return bundles.save(tmp_path / "mine", Lenet(), CARD)


def card_of(folder: Path) -> dict[str, Any]:
    card: dict[str, Any] = yaml.safe_load((folder / "model.yaml").read_text())
    return card


def rewrite(folder: Path, **changes: Any) -> None:
    (folder / "model.yaml").write_text(yaml.safe_dump({**card_of(folder), **changes}, sort_keys=False))


def put_weights(folder: Path, name: str, content: Any) -> None:
    """Another weights file, in PyTorch's format, with the digest that it has."""
    torch.save(content, folder / name)
    rewrite(folder, weights={"file": name, "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest()})


def test_saved_and_loaded(folder: Path) -> None:
    torch.manual_seed(0)
    original = Lenet().eval()
    for spec in ("mine", str(folder), folder):
        bundle = bundles.load(spec)
        x = torch.rand(2, 1, 28, 28)
        assert torch.equal(bundle.module(x), original(x))
    assert (bundle.name, bundle.classes, bundle.pipeline.shape) == ("mine", DIGITS, (1, 28, 28))
    assert bundle.card is not None
    assert (bundle.card.training, bundle.card.accuracy) == ({"epochs": 0, "note": "on"}, {"nothing": 0.1})
    assert not bundle.module.training
    assert not any(parameter.requires_grad for parameter in bundle.module.parameters())
    tensor = bundle.prepare(np.full((40, 40, 3), 255, np.uint8))
    assert (tensor.shape, tensor.dtype) == ((1, 1, 28, 28), torch.float32)
    assert tensor.min() == tensor.max() == 1


@pytest.mark.parametrize(
    ("rgb", "found"),
    [
        (np.zeros((4, 4), np.uint8), r"uint8 \(4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), r"uint8 \(4, 4, 4\)"),
        (np.zeros((4, 4, 3), np.float32), r"float32 \(4, 4, 3\)"),
        (np.zeros((0, 4, 3), np.uint8), r"uint8 \(0, 4, 3\)"),
        ([[1]], "list"),
    ],
)
def test_prepare_wants_a_picture(folder: Path, rgb: Any, found: str) -> None:
    with pytest.raises(UsageError, match=rf"^prepare: found {found}; a NumPy array of uint8 \(H, W, 3\) is needed$"):
        bundles.load(folder).prepare(rgb)


def test_shapes_of_lenet_are_those_of_the_caffe_example(folder: Path) -> None:
    bundle = bundles.load(folder)
    assert bundle.shapes() == {
        "conv1": (1, 20, 24, 24), "pool1": (1, 20, 12, 12), "conv2": (1, 50, 8, 8), "pool2": (1, 50, 4, 4), "ip1": (1, 500),
        "relu1": (1, 500), "ip2": (1, 10), "prob": (1, 10),
    }  # fmt: skip
    assert not any(module._forward_hooks for module in bundle.module.modules())
    assert "flatten" not in bundle.shapes(["conv1", "relu1"])  # functions only where one is wanted
    assert bundle.shapes(["flatten"]) == {**bundle.shapes(), "flatten": (1, 800)}


def test_a_dry_run_that_fails_leaves_no_hooks_either(folder: Path) -> None:
    rewrite(folder, input={**PLAIN, "size": [64, 64]})
    seen: list[nn.Module] = []

    class Watched(Lenet):
        def __init__(self) -> None:
            super().__init__()
            seen.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("livecnn.networks.architectures.lenet.Lenet", Watched)
        with pytest.raises(ModelError, match=r"^mine: a picture of 1x64x64 does not go through: RuntimeError: "):
            bundles.load(folder)
    assert not any(module._forward_hooks for module in seen[0].modules())


def test_classes_may_be_written_as_numbers(folder: Path) -> None:
    rewrite(folder, classes=list(range(10)))
    assert bundles.load(folder).classes == DIGITS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, r"model\.yaml:1: name: found ''; allowed: at least 1 character"),
        ({"architecture": "lenett"},
         r"model\.yaml:2: architecture: unknown kind 'lenett' in architectures; did you mean 'lenet'\?"),
        ({"architecture": "../evil"}, r"model\.yaml:2: architecture: unknown kind '\.\./evil' in architectures"),
        ({"architecture": None}, r"architecture: found None; allowed: a valid string"),
        ({"licens": "MIT"}, r"licens: unknown key; did you mean 'licence'\?"),
        ({"classes": []}, r"^mine: the network gives scores of shape \(1, 10\); \(1, 0\) is needed for 0 classes"),
        ({"classes": [1.5]}, r"classes\.0: found 1\.5; allowed: a valid string"),
        ({"classes": ["a", "b"]}, r"^mine: the network gives scores of shape \(1, 10\); \(1, 2\) is needed for 2 classes"),
        ({"accuracy": {"mnist": 99.4}}, r"accuracy\.mnist: found 99\.4; allowed: less than or equal to 1"),
        ({"accuracy": {"mnist": "good"}}, r"accuracy\.mnist: found 'good'; allowed: a valid number"),
        ({"input": {"kind": "inc"}}, r"input\.kind: unknown kind 'inc' in pipelines; did you mean 'ink'\?"),
        ({"input": {**PLAIN, "sise": 3}}, r"input\.sise: unknown key; did you mean 'size'\?"),
        ({"input": {**PLAIN, "size": [0, 28]}}, r"input\.size\.0: found 0; allowed: greater than or equal to 1"),
        ({"input": "plain"}, r"input: found 'plain'; allowed: a mapping"),
        ({"architecture": "vgg", "options": {"classes": -3}}, r"options: .*negative dimension"),
        ({"input": {**PLAIN, "channels": 70}}, r"input\.channels: found 70; allowed: less than or equal to 64$"),
        ({"input": {**PLAIN, "mean": [1, 2]}}, r"input: mean has 2 numbers; allowed: 1$"),
        ({"weights": "w.pt"}, r"weights: found 'w\.pt'; allowed: a mapping"),
        ({"weights": {"file": "w.pt"}}, r"weights\.sha256: nothing found; it is needed"),
        ({"weights": {"file": "w.pt", "sha256": "0"}}, r"weights\.sha256: found '0'; "),
        ({"weights": {"file": "nix.pt", "sha256": "0" * 64}}, r"nix\.pt: cannot be read: No such file"),
        ({"weights": {"file": "w.pkl", "sha256": "0" * 64}},
         r"weights\.file: found 'w\.pkl'; allowed: a file that ends in \.safetensors, \.pt, \.pth"),
    ],
)  # fmt: skip
def test_a_card_that_is_wrong(folder: Path, changes: dict[str, Any], message: str) -> None:
    rewrite(folder, **changes)
    with pytest.raises(ModelError, match=message):
        bundles.load(folder)


@pytest.mark.parametrize(
    "file",
    ["../other/w.pt", "a/../../w.pt", "/etc/w.pt", "C:\\w.pt", "C:w.pt", "..\\w.pt", "\\\\host\\share\\w.pt", "\\w.pt", "\0.pt"],
)
def test_weights_stay_inside_the_bundle(folder: Path, file: str) -> None:
    rewrite(folder, weights={"file": file, "sha256": "0" * 64})
    with pytest.raises(ModelError, match=r"weights\.file: found .*; allowed: a file inside the bundle's folder"):
        bundles.load(folder)


def test_a_link_that_leads_out_of_the_bundle_is_refused(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.safetensors"
    (folder / "weights.safetensors").rename(outside)
    (folder / "weights.safetensors").symlink_to(outside)
    with pytest.raises(ModelError, match=r"weights\.safetensors: a link that leads out of the bundle's folder"):
        bundles.load(folder)


def test_one_flipped_bit_is_noticed(folder: Path) -> None:
    content = bytearray((folder / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(content)
    message = r"weights\.safetensors: damaged or changed: its sha256 is [0-9a-f]{64}, model\.yaml says [0-9a-f]{64}"
    with pytest.raises(ModelError, match=message):
        bundles.load(folder)


def test_a_pytorch_state_dict(folder: Path) -> None:
    network = Lenet().eval()
    put_weights(folder, "w.pt", network.state_dict())
    x = torch.rand(1, 1, 28, 28)
    assert torch.equal(bundles.load(folder).module(x), network(x))


def test_a_pickle_is_not_even_opened_before_its_digest_is_right(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_weights(folder, "w.pt", Lenet().state_dict())
    rewrite(folder, weights={"file": "w.pt", "sha256": "0" * 64})
    monkeypatch.setattr(torch, "load", lambda *_args, **_options: pytest.fail("loaded"))
    with pytest.raises(ModelError, match=r"w\.pt: damaged or changed"):
        bundles.load(folder)


def test_a_bundle_that_would_run_code_is_refused_with_nothing_run(folder: Path, tmp_path: Path) -> None:
    put_weights(folder, "w.pt", {**Lenet().state_dict(), "conv1.weight": Payload(tmp_path / "mark")})
    with pytest.raises(ModelError, match=r"w\.pt: refused, and nothing of it was run: it would run code"):
        bundles.load(folder)
    assert not (tmp_path / "mark").exists()


def test_tensors_of_another_network_are_named(folder: Path) -> None:
    state = Lenet().state_dict()
    state["conv1.weight"] = torch.zeros(20, 3, 5, 5)
    put_weights(folder, "w.pt", {name: tensor for name, tensor in state.items() if name != "ip2.bias"})
    message = r"w\.pt: the tensors are not those of Lenet: missing: ip2\.bias; wrong: conv1\.weight is"
    with pytest.raises(ModelError, match=message):
        bundles.load(folder)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mime", r"^mime: neither a model that is at hand nor a bundle's folder; did you mean 'mine'\? allowed: "),
        ("", r"neither a model"),
        ("x" * 5000, r"neither a model"),
        ("a\0b", r"neither a model"),
        ("~nobody/x", r"neither a model"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_models_that_are_not_there(spec: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        bundles.load(spec)


def test_a_folder_without_a_card(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.yaml: cannot be read: No such file"):
        bundles.load(tmp_path)


values = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=3)
cards = st.dictionaries(
    st.sampled_from([*bundles.ModelCard.model_fields, "x"]), values | st.dictionaries(st.text(max_size=4), values, max_size=3)
)


@given(cards)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_any_card_is_a_bundle_or_a_clear_error(tmp_path: Path, card: dict[str, Any]) -> None:
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(card))
    with pytest.raises(ModelError, match=r"^[^\n]*model\.yaml:1?\d: [^\n]*$"):  # none has a sound digest
        bundles.load(tmp_path)


def test_saving_replaces_only_when_all_is_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "notes.txt").write_text("kept")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write = Path.write_bytes

    def full_disk(path: Path, content: bytes) -> int:
        if "model.yaml" in path.name:
            raise OSError(28, "No space left on device")
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full_disk)
        with pytest.raises(OutputError, match=r"mine: cannot be written: No space left on device"):
            bundles.save(folder, Lenet(), CARD)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    bundles.save(folder, Lenet(), {**CARD, "name": "newer"})
    assert sorted(path.name for path in folder.iterdir()) == ["model.yaml", "notes.txt", "weights.safetensors"]
    assert bundles.load(folder).name == "newer"


def test_a_card_is_checked_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.yaml: classes: nothing found; it is needed"):
        bundles.save(tmp_path / "new", Lenet(), {name: value for name, value in CARD.items() if name != "classes"})
    assert not (tmp_path / "new").exists()


def test_saving_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/new: cannot be written: Not a directory"):
        bundles.save(tmp_path / "file" / "new", Lenet(), CARD)


CODE = """\
from collections import OrderedDict
from torch import nn

class Colours(nn.Sequential):
    classes = ["no", "yes"]
    input = {"kind": "plain", "size": [8, 8]}

def described(): return Colours(nn.Conv2d(3, 2, 8), nn.Flatten())
def gray(): return nn.Sequential(nn.Conv2d(1, 4, 28), nn.Flatten(), nn.Dropout())
def colour(): return nn.Sequential(nn.AdaptiveAvgPool2d(8), nn.Conv2d(3, 5, 8), nn.Flatten())
def a_layer_called_input(): return nn.Sequential(OrderedDict(input=nn.Conv2d(1, 4, 28), classes=nn.Flatten()))
def flat(): return nn.Flatten()

def odd_input():
    net = gray()
    net.input = 28
    return net

def wrong_input():
    net = gray()
    net.input = {"kind": "plain"}
    return net

def odd_classes():
    net = gray()
    net.classes = "abcd"
    return net

class Nothing(nn.Module):
    input = {"kind": "plain", "size": [8, 8]}
    def forward(self, x): return None

def nothing(): return Nothing()
"""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "usernets.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return "usernets"


@pytest.mark.parametrize(
    ("factory", "classes", "shape"),
    [
        ("described", ("no", "yes"), (3, 8, 8)),
        ("gray", ("0", "1", "2", "3"), (1, 28, 28)),
        ("a_layer_called_input", ("0", "1", "2", "3"), (1, 28, 28)),
        ("colour", ("0", "1", "2", "3", "4"), (3, 224, 224)),
    ],
)
def test_a_network_from_code(code: str, factory: str, classes: tuple[str, ...], shape: tuple[int, ...]) -> None:
    bundle = bundles.load(f"{code}:{factory}", allow_code=True)
    assert (bundle.name, bundle.classes, bundle.pipeline.shape, bundle.card) == (f"{code}:{factory}", classes, shape, None)
    assert not bundle.module.training
    x = bundle.prepare(np.zeros((50, 50, 3), np.uint8))
    assert bundle.module(x).shape == (1, len(classes))


def test_code_needs_leave(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModelError, match=rf"^{code}:gray: this would run Python code .*allowed with --allow-code"):
        bundles.load(f"{code}:gray")
    assert code not in sys.modules
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("flat", r"it has no convolution, so its input is unknown"),
        ("odd_input", r"its `input` is a int; a dict is needed"),
        ("wrong_input", r"usernets:wrong_input: input\.size: nothing found; it is needed"),
        ("odd_classes", r"its `classes` are a str; a list of names is needed"),
        ("nothing", r"^usernets:nothing: the network returns a NoneType without a tensor"),
    ],
)  # fmt: skip
def test_networks_that_cannot_be_shown(code: str, factory: str, message: str) -> None:
    with pytest.raises(LivecnnError, match=message):
        bundles.load(f"{code}:{factory}", allow_code=True)


def means(weight: float = 1.0, **check: Any) -> Bundle:
    """Its scores are the sums of each channel times `weight`."""
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3, bias=False))
    nn.init.eye_(network[2].weight)  # type: ignore[arg-type]
    network[2].weight.data *= weight
    found = bundles.bundle_from_module(network, "means", classes=["red", "green", "blue"], input=MEANS)
    card = ModelCard(
        name="means",
        architecture="none",
        weights=bundles.Weights(file="w.pt", sha256="0" * 64),
        input=MEANS,
        classes=("red", "green", "blue"),
        licence="MIT",
        source="here",
        check=Check(**check) if check else None,
    )
    return replace(found, card=card)


def test_the_sample_is_the_same_everywhere() -> None:
    picture = bundles.check_picture(112, 112)
    assert (picture.shape, picture.dtype) == ((112, 112, 3), np.uint8)
    assert picture[0, 0].tolist() == [200, 210, 240]
    assert picture[-1, -1].tolist() == [239, 210, 181]
    assert picture[56, 30].tolist() == picture[30, 56].tolist() == [40, 30, 60]
    assert picture[56, 56].tolist() == [220, 210, 210]
    assert int(picture.sum()) == 7_082_782


def test_recorded_and_found_again() -> None:
    check = bundles.record_check(means())
    assert check["sample"] == [104, 130]  # a whole multiple of the input's size
    assert check["scores"] == pytest.approx((bundles.check_picture(104, 130) / 255).mean((0, 1)), abs=2e-3)
    assert bundles.describe_difference(means(**check)) == ""
    assert bundles.record_check(means(2.0))["scores"] == pytest.approx([2 * score for score in check["scores"]])


@pytest.mark.parametrize(("factor", "differs"), [(1 + 1e-5, False), (1 - 1e-5, False), (1.001, True), (0.0, True)])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_small_differences_do_not_count(factor: float, differs: bool, scale: float) -> None:
    check = bundles.record_check(means(scale))
    assert bool(bundles.describe_difference(means(scale * factor, **check))) == differs


def test_what_differs_is_told() -> None:
    check = bundles.record_check(means())
    check["scores"][1] += 0.25
    assert bundles.describe_difference(means(**check)).startswith("the score of 'green' is 0.")
    assert bundles.describe_difference(means(**{**check, "scores": [0.1]})) == "3 scores, 1 expected"
    assert bundles.describe_difference(means(torch.nan, **check)).startswith("the score of 'red' is nan, expected")


def test_scores_that_are_no_numbers_are_not_recorded() -> None:
    with pytest.raises(ModelError, match=r"^means: the network gives \[nan, nan, nan\] for a picture; numbers are needed$"):
        bundles.record_check(means(torch.nan))


def test_a_card_without_a_check() -> None:
    with pytest.raises(ModelError, match=r"^means: its model\.yaml holds no `check` to compare with$"):
        bundles.describe_difference(means())
    with pytest.raises(ModelError, match=r"holds no `check`"):
        bundles.describe_difference(replace(means(), card=None))


@pytest.mark.parametrize("name", paths.bundles())
def test_shipped_networks_give_what_they_gave(name: str) -> None:
    assert bundles.describe_difference(bundles.load(name)) == ""


def test_a_dead_map_of_the_shipped_network_is_noticed() -> None:
    lenet = bundles.load("lenet-mnist")
    lenet.module.conv1.weight[0] = 0  # type: ignore[union-attr, index, operator]
    assert bundles.describe_difference(lenet).startswith("the score of ")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current here, from which code is imported; what was imported is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return tmp_path


def put(path: Path, code: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(textwrap.dedent(code))
    return path


def test_a_factory_in_the_current_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = put(here / "netmade.py", "from torch.nn import ReLU\nprint('code runs')\ndef make(): return ReLU()")
    assert isinstance(call_factory("netmade:make"), nn.ReLU)
    out, err = capsys.readouterr()
    assert err == f"livecnn: --allow-code: running {path}\n"
    assert out == "code runs\n"


def test_the_path_is_printed_before_any_code_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(here / "pkgmade" / "__init__.py", "raise RuntimeError('first line\\nsecond')")
    path = put(here / "pkgmade" / "inner.py", "")
    with pytest.raises(ModelError, match=r"^pkgmade\.inner:make: the code failed: RuntimeError: first line"):
        call_factory("pkgmade.inner:make")
    assert capsys.readouterr().err == f"livecnn: --allow-code: running {path}\n"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nowhere:make", r"^no module 'nowhere'; searched: "),
        ("netmade.deeper:make", r"^no module 'netmade\.deeper'; searched: "),
        ("__main__:make", r"^no module '__main__'|has no function 'make'"),
        ("netmade:mak", r"netmade has no function 'mak'; did you mean 'make'\? allowed: make, text, broken"),
        ("netmade:NUMBER", r"netmade has no function 'NUMBER'; allowed: make"),
        ("netmade:text", r"^netmade:text: returned a str; a torch\.nn\.Module is needed"),
        ("netmade:broken", r"^netmade:broken: the code failed: ZeroDivisionError: "),
        ("netmade", r"^netmade: allowed: package\.module:factory"),
        ("../netmade:make", r"allowed: package\.module:factory"),
        ("syntaxmade:make", r"^syntaxmade:make: the code failed: SyntaxError: "),
    ],
)
def test_what_goes_wrong(here: Path, spec: str, message: str) -> None:
    put(here / "netmade.py", "NUMBER = 5\ndef make(): ...\ndef text(): return 'a'\ndef broken(): return 1 / 0")
    put(here / "syntaxmade.py", "def (:")
    with pytest.raises(ModelError, match=message):
        call_factory(spec)


def test_an_error_of_livecnn_in_the_code_passes_unchanged(here: Path) -> None:
    put(here / "netmade.py", "from livecnn.errors import ModelError\ndef make(): raise ModelError('mine')")
    with pytest.raises(ModelError, match=r"^mine$"):
        call_factory("netmade:make")
