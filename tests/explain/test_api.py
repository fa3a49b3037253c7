"""`livecnn.explanations`, and how they look."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from torch import nn
from torch.testing import assert_close

import livecnn
from livecnn.drawing import contact_sheet
from livecnn.drawing.contact_sheet import SheetTile
from livecnn.drawing.theme import THEMES
from livecnn.errors import ImageError, ModelError, UsageError
from livecnn.explain import rendering
from livecnn.explain.api import ImageExplainer
from livecnn.explain.methods import kinds
from livecnn.explain.methods.grad_cam import GradCam
from livecnn.explain.methods.gradient import Gradient
from livecnn.explain.methods.guided_backprop import GuidedBackprop
from livecnn.explain.methods.integrated_gradients import IntegratedGradients
from livecnn.explain.methods.occlusion import Occlusion
from livecnn.explain.results import Request
from livecnn.io import images
from livecnn.types import Image
from tests.helpers.relu_networks import Tiny, seeded

METHODS = kinds()


@pytest.fixture
def tiny() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        return seeded(Tiny)


@pytest.fixture
def image() -> Image:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


@pytest.fixture
def x(tiny: Tiny, image: Image) -> torch.Tensor:
    """What the network gets of the image: the largest box of 12 to 9 in it."""
    return ImageExplainer(tiny, "2").bundle.prepare(image[:, 1:28])


@pytest.fixture
def placed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, SheetTile]]:
    """The tiles of the pictures that are drawn, each with its corner."""
    tiles: list[tuple[int, int, SheetTile]] = []
    place = contact_sheet._place
    monkeypatch.setattr(contact_sheet, "_place", lambda sheet, *tile: tiles.append(tile) or place(sheet, *tile))
    return tiles


def test_units_of_a_layer(tiny: Tiny, image: Image, x: torch.Tensor) -> None:
    found = livecnn.explanations(tiny, image, "2", "0,3-4")
    (part,) = found.parts
    assert part.question == Request("guided_backprop", "2", (0, 3, 4))
    assert (part.maps.shape, part.maps.dtype, part.names) == ((3, 3, 9, 12), np.float32, ("0", "3", "4"))
    assert_close(torch.from_numpy(part.maps), GuidedBackprop(tiny, "2").explain(x, [0, 3, 4]))
    maps = tiny[2](tiny[1](tiny[0](x)))[0, [0, 3, 4]].detach().numpy()
    assert np.allclose(part.values, maps.max((1, 2)))
    assert [float(one[place]) for one, place in zip(maps, part.places, strict=True)] == part.values.tolist()
    assert found.seen.shape == (9, 12, 3)
    assert np.allclose(found.scores, tiny(x)[0].detach().numpy())
    assert found.classes == ("cat", "dog")
    assert found.settings == {
        "image": None, "model": "Tiny", "weights": None, "channels": "RGB", "methods": ["guided_backprop"], "layers": ["2"],
        "units": [0, 3, 4], "classes": None, "options": {"guided_backprop": {"at": "max"}},
    }  # fmt: skip


@pytest.mark.parametrize("method", [kind for kind in METHODS if kind != "grad_cam"])
def test_every_method_of_units(tiny: Tiny, image: Image, method: str) -> None:
    (part,) = livecnn.explanations(tiny, image, "0", method=method).parts
    assert len(part.maps) == 4
    levels, low, high = part.levels()
    assert levels.shape == part.maps.shape
    if method == "activation":
        assert part.maps.shape == (4, 1, 7, 10)
        assert part.normalisation == "min-max"
        assert np.allclose(part.maps.max((1, 2, 3)), part.values)
        assert np.allclose(low, part.maps.min((1, 2, 3)))
    else:
        assert part.maps.shape[2:] == (9, 12)
        assert part.normalisation == "signed"
        assert (low == -high).all()


@pytest.mark.parametrize("method", [kind for kind in METHODS if kind != "activation"])
def test_every_method_of_classes(tiny: Tiny, image: Image, x: torch.Tensor, method: str) -> None:
    layer = "2" if method == "grad_cam" else None
    (part,) = livecnn.explanations(tiny, image, layer, classes=["dog", "cat"], method=method).parts
    assert part.question == Request(method, layer, (1, 0), of_classes=True)
    assert (part.names, part.places) == (("dog", "cat"), (None, None))
    assert len(part.maps) == 2
    assert np.allclose(part.values, nn.Sequential(*list(tiny)[:5])(x)[0, [1, 0]].detach().numpy(), atol=1e-5)


def test_grad_cam_takes_the_strongest_class(tiny: Tiny, image: Image, x: torch.Tensor) -> None:
    found = livecnn.explanations(tiny, image, ["0", "2"], method=["grad_cam", "gradient"])
    best = int(found.scores.argmax())
    questions = [part.question for part in found.parts]
    assert questions[:2] == [Request("grad_cam", layer, (best,), of_classes=True) for layer in ("0", "2")]
    assert questions[2:] == [Request("gradient", "0", (0, 1, 2, 3)), Request("gradient", "2", (0, 1, 2, 3, 4))]
    assert np.allclose(found.parts[1].maps, GradCam(tiny, "2").explain(x, target=best).numpy())
    assert found.parts[0].normalisation == "min-max"


def test_all_convolutions_and_neurons(image: Image) -> None:
    found = livecnn.explanations("lenet-mnist", image, "all", "0-2")
    assert [part.question.layer for part in found.parts] == ["conv1", "conv2"]
    (neurons,) = livecnn.explanations("lenet-mnist", image, "ip1", "7,499").parts
    assert (neurons.places, neurons.maps.shape) == ((None, None), (2, 1, 28, 28))


def test_the_value_that_is_explained(tiny: Tiny, image: Image, x: torch.Tensor) -> None:
    maps = tiny[2](tiny[1](tiny[0](x)))[0].detach()
    for at, values, place in (("sum", maps.sum((1, 2)), None), ((5, 0), maps[:, 5, 0], (5, 0))):
        found = livecnn.explanations(tiny, image, "2", at=at, method=["gradient", "occlusion"])  # type: ignore[arg-type]
        for part, kind in zip(found.parts, (Gradient, Occlusion), strict=True):
            assert np.allclose(part.values, values, atol=1e-5)
            assert part.places == (place,) * 5
            assert_close(torch.from_numpy(part.maps), kind(tiny, "2", at=at).explain(x, range(5)))  # type: ignore[arg-type]
    beside = livecnn.explanations(tiny, image, "2", at="sum", method=["activation", "gradient"]).parts[0]
    assert np.allclose(beside.values, maps.amax((1, 2)))


def test_options_of_methods(tiny: Tiny, image: Image, x: torch.Tensor) -> None:
    found = livecnn.explanations(
        tiny, image, "2", 1, method=["occlusion", "integrated_gradients"], patch=4, stride=None, fill=0.5, baseline=-1, steps=7
    )
    assert found.settings["options"] == {
        "occlusion": {"at": "max", "patch": 4, "stride": None, "fill": 0.5},
        "integrated_gradients": {"at": "max", "baseline": -1, "steps": 7},
    }
    wanted = Occlusion(tiny, "2", patch=4, fill=0.5), IntegratedGradients(tiny, "2", baseline=-1, steps=7)
    for part, method in zip(found.parts, wanted, strict=True):
        assert_close(torch.from_numpy(part.maps), method.explain(x, [1]))
    of_class = livecnn.explanations(tiny, image, classes=0, method="occlusion", patch=2).settings["options"]
    assert of_class == {"occlusion": {"patch": 2, "stride": None, "fill": 0.0}}


def test_the_picture_tells_which_value(tiny: Tiny, image: Image) -> None:
    told = [
        rendering._subtitle([part.question for part in found.parts], found.settings).rpartition(" · ")[2]
        for found in (livecnn.explanations(tiny, image, "2", 0, method="gradient", at=at) for at in ("max", "sum", (2, 3)))  # type: ignore[arg-type]
    ]
    assert told[0].startswith("gradient: which pixels")
    assert told[1:] == ["the sum of each map", "row 2, column 3 of each map"]


def test_one_explainer_of_many_images(tiny: Tiny, image: Image) -> None:
    explainer = ImageExplainer(tiny, "2", 1)
    sights = [explainer(image), explainer(255 - image)]
    parts = [sight.explain(sight.questions[0]) for sight in sights]
    assert [part.maps.tolist() for part in parts] == [
        livecnn.explanations(tiny, one, "2", 1).parts[0].maps.tolist() for one in (image, 255 - image)
    ]
    assert not np.array_equal(parts[0].maps, parts[1].maps)


def test_a_file(tiny: Tiny, image: Image, tmp_path: Path) -> None:
    PillowImage.fromarray(image).save(tmp_path / "x.png")
    found = livecnn.explanations(tiny, tmp_path / "x.png", "2", 0)
    assert found.settings["image"] == "x.png"
    assert np.array_equal(found.parts[0].maps, livecnn.explanations(tiny, image, "2", 0).parts[0].maps)
    with pytest.raises(ImageError, match="no such file"):
        livecnn.explanations(tiny, tmp_path / "y.png", "2", 0)


@pytest.mark.parametrize(
    ("given", "options", "error", "match"),
    [
        (("2", 5), {}, UsageError, "unit 5: 2 has 5 \\(0-4\\)"),
        (("9", 0), {}, ModelError, "unknown layer '9'"),
        ((), {}, UsageError, "a layer and units of it, or classes, are needed, and not both"),
        ((None, 3), {"classes": 0}, UsageError, "a layer and units of it, or classes"),
        (("2", 3), {"classes": 0}, UsageError, "a layer and units of it, or classes"),
        (("2",), {"method": "guided"}, UsageError, "unknown kind 'guided' in methods; allowed: activation, deconvnet"),
        (("2", 0), {"method": "grad_cam"}, UsageError, "grad_cam shows where a layer's maps speak for a class"),
        ((), {"method": "grad_cam", "classes": 0}, UsageError, "grad_cam shows where"),
        ((), {"method": "activation", "classes": 0}, UsageError, "activation shows units of a layer"),
        (("2", 0), {"patch": 3}, UsageError, "patch is an option of occlusion; found guided_backprop"),
        (
            ("2", 0),
            {"at": "sum", "method": "activation"},
            UsageError,
            "at is an option of deconvnet, deconvnet_unpooled, gradient, guided_backprop, integrated_gradients, occlusion; found",
        ),
        ((), {"classes": 0, "at": "sum"}, UsageError, "at tells which value of a unit's map counts; found classes"),
        (("2", 0), {"at": (6, 0)}, UsageError, "at: found \\(6, 0\\); maps of '2' have rows 0-5 and columns 0-8"),
        (("4", 0), {"at": (0, 0)}, UsageError, "layer '4' gives no maps"),
        (("2", 0), {"method": "occlusion", "fill": math.nan}, UsageError, "fill: found nan; a finite number is needed"),
        (("2", 0), {"method": "integrated_gradients", "baseline": math.inf}, UsageError, "baseline: found inf; a finite"),
        (("2", 0), {"method": "occlusion", "patch": "a"}, UsageError, "patch: found 'a'; a number is needed"),
        (("2", 0), {"colour": 3}, UsageError, "unknown option 'colour'; allowed: at, patch, stride, fill, baseline, steps"),
    ],
)
def test_mistakes(
    tiny: Tiny, image: Image, given: tuple[Any, ...], options: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        livecnn.explanations(tiny, image, *given, **options)


@pytest.mark.parametrize("image", [np.zeros((3, 3), np.uint8), np.zeros((3, 3, 3)), np.zeros((0, 3, 3), np.uint8), 7, None])
def test_what_is_no_image(tiny: Tiny, image: Any) -> None:
    with pytest.raises(UsageError, match=r"image: found .*; a file or a NumPy array of uint8 \(H, W, 3\) is needed"):
        livecnn.explanations(tiny, image, "2", 0)


def test_networks_without_what_is_asked_for(image: Image) -> None:
    class Flat(nn.Sequential):
        input = {"kind": "plain", "size": [4, 4], "channels": 1}  # noqa: RUF012

        def __init__(self) -> None:
            super().__init__(nn.Flatten(), nn.Linear(16, 3), nn.Flatten(0), nn.Unflatten(0, (1, 3)))

    with pytest.raises(UsageError, match="layer all: Flat has no convolution"):
        livecnn.explanations(Flat(), image, "all")
    with pytest.raises(UsageError, match=r"layer '2' gives the shape \(3,\)"):
        livecnn.explanations(Flat(), image, "2", 0)


def test_the_picture_holds_every_tile(tiny: Tiny, image: Image, placed: list[tuple[int, int, SheetTile]]) -> None:
    found = livecnn.explanations(tiny, image, ["0", "2"], method=["gradient", "activation"])
    sheet = found.picture()
    placed.sort(key=lambda at: (at[1], at[0]))
    names = [tile.name for *_, tile in placed]
    assert names == ["input", *"00112233", *"0011223344"]
    assert [tile.note for *_, tile in placed[1:3]] == ["gradient", "activation"]
    corners = [(x, y) for x, y, _ in placed]
    assert len(set(corners)) == len(corners)
    assert sum(x == placed[0][0] for x, _ in corners) == 1  # the input has a column of its own
    for x, y, tile in placed:
        high, wide = tile.image.shape[:2]
        assert high == round(wide * 9 / 12)
        assert (sheet[y : y + high, x : x + wide] == tile.image).all()
        below = sheet[y + high + 4 : y + high + 24, x : x + wide]
        assert (below != THEMES["dark"].background).any()
    assert (sheet[:, :19] == THEMES["dark"].background).all()
    assert (sheet[:, -19:] == THEMES["dark"].background).all()
    with PillowImage.open(io.BytesIO(found._repr_png_())) as shown:
        assert (np.asarray(shown) == sheet).all()


def captions(found: livecnn.Explanations, placed: list[tuple[int, int, SheetTile]]) -> list[tuple[str, str]]:
    """In the order in which they are read, after the input's."""
    placed.clear()
    found.picture()
    return [(tile.name, tile.note) for _, _, tile in sorted(placed, key=lambda at: (at[1], at[0]))][1:]


def test_the_layers_of_grad_cam_are_told(tiny: Tiny, image: Image, placed: list[tuple[int, int, SheetTile]]) -> None:
    one = livecnn.explanations(tiny, image, ["0", "2"], classes="dog", method="grad_cam")
    assert captions(one, placed) == [("0", ""), ("2", "")]
    assert rendering._title([part.question for part in one.parts], one.classes) == "What speaks for dog"
    both = livecnn.explanations(tiny, image, ["0", "2"], classes="all", method=["grad_cam", "gradient"])
    ways = ("0", "2", "gradient")
    assert captions(both, placed) == [(name, way) for name in ("cat", "dog") for way in ways]


def test_no_column_is_empty(tiny: Tiny, image: Image) -> None:
    sheet = livecnn.explanations(tiny, image, ["0", "2"], "0-1", method=["gradient", "occlusion", "activation"]).picture()
    ink = (sheet != THEMES["dark"].background).any((0, 2)).nonzero()[0]
    assert ink[-1] >= sheet.shape[1] - contact_sheet.EDGE - 2
    assert rendering._columns(120, 10, 2) == 10  # many short sections
    alone = livecnn.explanations(tiny, image, "2", 0, method=["gradient", "occlusion", "activation"]).picture()
    assert (alone[contact_sheet.HEADER + 5] != THEMES["dark"].background).any(1).mean() > 0.8


def test_captions_are_whole_or_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(contact_sheet, "write", lambda _sheet, text, *_: said.append(text))
    for wide in (60, 160):
        contact_sheet._place(
            np.zeros((90, 200, 3), np.uint8), 1, 1, SheetTile(np.zeros((9, wide, 3), np.uint8), "12", "gradient")
        )
    assert [text for text in said if text] == ["12", "12", "gradient"]


def test_a_picture_that_is_too_large(tiny: Tiny, image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    found = livecnn.explanations(tiny, image, "2")
    monkeypatch.setattr(rendering, "MOST_PIXELS", 10_000)
    with pytest.raises(UsageError, match=r"would have \d+ x \d+ pixels; ask for fewer units or methods, or for a folder"):
        found.picture()


def test_units_and_classes_as_numpy_gives_them(tiny: Tiny, image: Image) -> None:
    for units in (range(1, 3), np.arange(1, 3), "1-2"):
        found = livecnn.explanations(tiny, image, "2", units)
        assert (found.parts[0].names, found.settings["units"]) == (("1", "2"), [1, 2])
    best = found.scores.argmax()
    assert livecnn.explanations(tiny, image, classes=best).parts[0].names == (found.classes[best],)


def test_what_a_notebook_shows_has_a_sensible_size(tiny: Tiny, image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "NOTEBOOK", 300)
    found = livecnn.explanations(tiny, image, "2")
    with PillowImage.open(io.BytesIO(found._repr_png_())) as shown:
        assert max(shown.size) == 300
    assert repr(found) == "<5 explanations of an image for Tiny: guided_backprop>"


def test_pictures_of_values_that_are_no_numbers(tiny: Tiny, image: Image) -> None:
    with torch.no_grad():
        tiny[0].weight.fill_(float("nan"))
    for method in ("activation", "gradient"):
        assert livecnn.explanations(tiny, image, "0", 0, method=method).picture().any()


def test_the_picture_of_classes(tiny: Tiny, image: Image, placed: list[tuple[int, int, SheetTile]]) -> None:
    found = livecnn.explanations(tiny, image, classes="all", method="gradient")
    wanted = [(name, f"{value:.3g}") for name, value in zip(("cat", "dog"), found.parts[0].values, strict=True)]
    assert captions(found, placed) == wanted
    assert [tile.name for *_, tile in placed] == ["input", "cat", "dog"]


def test_networks_that_take_bgr(image: Image) -> None:
    class Blue(Tiny):
        input = {**Tiny.input, "order": "BGR"}  # noqa: RUF012

    found = livecnn.explanations(seeded(Blue), image, "0", 0)
    assert found.settings["channels"] == "BGR"
    assert found.picture().any()


class OneSigmoid(nn.Module):
    input = {"kind": "plain", "size": [8, 8], "channels": 3}  # noqa: RUF012
    classes = ("cat", "dog")

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4 * 36, 1)

    def logit(self, x: torch.Tensor) -> torch.Tensor:
        score: torch.Tensor = self.head(self.conv(x).relu().flatten(1))
        return score

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logit(x).sigmoid()


def test_either_side_of_a_single_sigmoid_can_be_explained(image: Image) -> None:
    net = seeded(OneSigmoid)
    explainer = ImageExplainer(net, "conv", classes=["cat", "dog"], method=["gradient", "grad_cam"])
    sight = explainer(image)
    x = sight._x.clone().requires_grad_()
    score, logit = net(x).item(), net.logit(x).item()
    assert sight.scores.tolist() == pytest.approx([1 - score, score])
    gradients, cams = map(sight.explain, sight.questions)
    (slope,) = torch.autograd.grad(net.logit(x)[0, 0], x)
    assert_close(torch.from_numpy(gradients.maps), torch.cat([-slope, slope]))
    assert gradients.values.tolist() == pytest.approx([-logit, logit])
    for sign, cam in zip((-1, 1), cams.maps, strict=True):
        maps = net.conv(x).detach().requires_grad_()
        (slopes,) = torch.autograd.grad(sign * net.head(maps.relu().flatten(1))[0, 0], maps)
        wanted = (slopes.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True).relu().detach()
        assert_close(torch.from_numpy(cam), nn.functional.interpolate(wanted, (8, 8), mode="bilinear")[0])
