"""`livecnn.dream`, the pictures for the eye, and what pipelines tell of their range."""

import io
import re
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from torch import nn

import livecnn
from livecnn.drawing.contact_sheet import draw_sheet
from livecnn.dreams.api import OPTIONS, DreamBatch
from livecnn.errors import ModelError, UsageError
from livecnn.networks.pipelines import FunctionPipeline
from livecnn.networks.pipelines.ink import InkPipeline
from livecnn.networks.pipelines.plain import PlainPipeline
from tests.helpers.paths import ROOT
from tests.helpers.relu_networks import Tiny, seeded


@pytest.fixture
def tiny() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        return seeded(lambda: Tiny("cat", "dog", "7"))


def test_units_of_a_shipped_network() -> None:
    threads = torch.get_num_threads()
    found = livecnn.dream("lenet-mnist", "conv2", "0-2,9", steps=8)
    assert torch.get_num_threads() == threads
    assert (found.images.shape, found.images.dtype) == ((4, 28, 28), np.uint8)
    assert (found.values.shape, found.values.dtype) == ((4,), np.float32)
    assert (found.names, found.step) == (("0", "1", "2", "9"), 8)
    told = found.settings
    assert [told[name] for name in ("model", "layer", "over", "seed", "jitter")] == ["lenet-mnist", "conv2", "centre", 0, 0.08]
    again = livecnn.dream(livecnn.load("lenet-mnist"), "conv2", [0, "1-2", 9], steps=8)
    assert (again.images == found.images).all()
    assert again.settings == told


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("dog", ("dog",)),
        (["7", "cat"], ("7", "cat")),
        (1, ("dog",)),
        ("0-1", ("cat", "dog")),
        ("all", ("cat", "dog", "7")),
    ],
)
def test_classes_by_name_and_number(tiny: Tiny, wanted: Any, names: tuple[str, ...]) -> None:
    found = livecnn.dream(tiny, classes=wanted, steps=2)
    assert found.names == names
    assert found.images.shape == (len(names), 9, 12, 3)


def test_a_network_of_ones_own_is_left_as_it_is(tiny: Tiny) -> None:
    tiny.train()[4].weight.requires_grad_(False)  # type: ignore[union-attr]
    before = {name: tensor.clone() for name, tensor in tiny.state_dict().items()}
    found = livecnn.dream(tiny, "1", "all", steps=5, parameters="pixels", decay=0.1, ground=0)
    assert found.names == ("0", "1", "2", "3")
    assert found.settings["weights"] is None
    assert tiny.training
    assert all(inner.training for inner in tiny)
    assert all(torch.equal(tensor, before[name]) for name, tensor in tiny.state_dict().items())
    assert [parameter.requires_grad for parameter in tiny.parameters()] == [True, True, True, True, False, True]
    assert not any(inner._forward_hooks for inner in tiny)


def test_it_works_on_the_same_weights(tiny: Tiny) -> None:
    before = livecnn.dream(tiny, classes=0, steps=2, device="cpu").values
    with torch.no_grad():
        tiny[4].bias += 10
    assert livecnn.dream(tiny, classes=0, steps=2).values - before == pytest.approx(10, abs=1e-4)


def test_as_a_picture(tiny: Tiny) -> None:
    found = livecnn.dream(tiny, "0", "0-2", steps=3)
    picture = found.picture()
    with PillowImage.open(io.BytesIO(found._repr_png_())) as shown:
        assert (np.asarray(shown) == picture).all()
    assert repr(found) == "<3 dreams of Tiny, 0, step 3>"
    classes = livecnn.dream(tiny, classes="all", steps=3).picture()
    assert picture.shape == classes.shape
    assert (picture[:60] != classes[:60]).any()  # the title


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 3), (112, 80, 3), (300, 40), (40, 300, 3)])
@pytest.mark.parametrize("count", [1, 5, 40])
def test_every_image_is_shown_whole(shape: tuple[int, ...], count: int) -> None:
    dark = np.zeros((count, *shape), np.uint8)
    names, values = [f"unit {i}" for i in range(count)], np.ones(count, np.float32)
    before = draw_sheet("t", "s", names, dark, values)
    for i in {0, count - 1}:
        images = dark.copy()
        images[i] = 255
        changed = (draw_sheet("t", "s", names, images, values) != before).any(2)
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        high, wide = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
        assert changed.sum() == high * wide
        assert high / wide == pytest.approx(shape[0] / shape[1], rel=0.03)
        assert rows[-1] < changed.shape[0] - 20
        assert columns[-1] < changed.shape[1] - 12


@pytest.mark.parametrize(
    ("given", "options", "error", "match"),
    [
        (("lenet-mnist",), {}, UsageError, "a layer and units of it, or classes, are needed, and not both"),
        (("lenet-mnist", "conv2"), {}, UsageError, "a layer and units"),
        (("lenet-mnist", "conv2", 0), {"classes": 1}, UsageError, "a layer and units"),
        (("lenet-mnist", "conv2", "50"), {}, UsageError, "unit 50: conv2 has 50 \\(0-49\\)"),
        (("lenet-mnist", "conv3", "all"), {}, ModelError, "unknown layer 'conv3'"),
        (("lenet-mnist",), {"classes": "ten"}, UsageError, "unknown class 'ten'; allowed: 0, 1"),
        (("os:getcwd",), {"classes": 1}, ModelError, "allow-code"),
        (("lenet-mnist",), {"classes": 1, "step": 3}, UsageError, "unknown option 'step'"),
        (("lenet-mnist",), {"classes": 1, "steps": 0}, UsageError, "steps: found 0; allowed: 1 or more"),
        (("lenet-mnist",), {"classes": 1, "steps": 2.5}, UsageError, "steps: found 2.5; allowed: whole numbers, 1 or more"),
        (("lenet-mnist",), {"classes": 1, "jitter": "a"}, UsageError, "jitter: found 'a'; a number is needed"),
        ((3,), {"classes": 1}, UsageError, "model: found int; allowed: a name or folder, what livecnn.load gives"),
        (("lenet-mnist",), {"classes": 1, "seed": -1}, UsageError, "seed: found -1; allowed: 0 or more"),
        (("lenet-mnist",), {"classes": 1, "decay": 1.5}, UsageError, "decay: found 1.5; allowed: 0 to 1"),
        (("lenet-mnist",), {"classes": 1, "scaling": 1}, UsageError, "scaling: found 1; allowed: 0 to 0.9"),
        (("lenet-mnist",), {"classes": 1, "blur_every": 0}, UsageError, "blur_every: found 0; allowed: 1 or more"),
        (("lenet-mnist",), {"classes": 1, "rotation": -3}, UsageError, "rotation: found -3; allowed: 0 or more"),
    ],
)
def test_mistakes(given: Any, options: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        livecnn.dream(*given, **options)


def test_mistakes_are_found_before_the_first_step() -> None:
    with pytest.raises(UsageError, match="unit 99"):
        DreamBatch("lenet-mnist", "conv2", 99)


@pytest.mark.parametrize(
    "pipeline",
    [
        InkPipeline(),
        PlainPipeline(size=(5, 4)),
        PlainPipeline(size=(5, 4), channels=1, mean=(0.2,), std=(3.0,)),
        PlainPipeline(size=(5, 4), order="BGR", mean=(104, 117, 123), std=(1, 2, 3), scale=255),
        PlainPipeline(size=(5, 4), mean=(0.4, 0.5, 0.6), std=(0.2,)),
    ],
)
def test_pipelines_tell_their_range_and_show_their_tensors(pipeline: InkPipeline | PlainPipeline) -> None:
    shot = np.zeros((20, 16, 3), np.uint8)
    shot[3:17, 6:8] = 255  # a one
    if isinstance(pipeline, PlainPipeline):
        shot[:, 8:] = 255
    prepared = pipeline(shot)
    low, high = pipeline.limits
    assert low.shape == high.shape == (pipeline.shape[0], 1, 1)
    for limit, found in ((low, prepared.tensor[0].amin((1, 2))), (high, prepared.tensor[0].amax((1, 2)))):
        torch.testing.assert_close(limit.flatten(), found)
    assert (pipeline.picture(prepared.tensor[0]) == prepared.seen).all()
    red = np.zeros((5, 4, 3), np.uint8)
    red[..., 0] = 200
    if isinstance(pipeline, PlainPipeline):
        assert (pipeline.picture(pipeline(red).tensor[0]) == pipeline(red).seen).all()


def test_of_a_function_the_range_is_what_black_and_white_give() -> None:
    def function(rgb: Any) -> torch.Tensor:
        return 1 - torch.from_numpy(rgb[:4, :6]).permute(2, 0, 1)[None] / 128

    pipeline = FunctionPipeline.of(function)
    low, high = pipeline.limits
    assert low.flatten().tolist() == [1 - 255 / 128] * 3
    assert high.flatten().tolist() == [1, 1, 1]
    assert pipeline.picture(torch.stack([low[0], high[0], low[0]]).expand(3, 4, 6)).tolist() == [[[0, 255, 0]] * 6] * 4
    constant = FunctionPipeline.of(lambda rgb: torch.ones(1, 2, 3, 3))
    assert constant.picture(torch.ones(2, 3, 3)).tolist() == [[0] * 3] * 3


def test_the_examples_of_the_page_run(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "dream.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for example in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(example, names)
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "(3, 28, 28) (3,)"
    assert told[-1] == "8 (2, 1, 28, 28) torch.Size([2])"
    assert all(f"`--{option.replace('_', '-')}" in page for option in OPTIONS)
