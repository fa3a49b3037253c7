import pytest
import torch
from torch import nn
from torch.nn import functional as F

from livecnn.app.plan import check_fit, make_context
from livecnn.app.screen.figure import grid
from livecnn.errors import ModelError
from livecnn.geometry import Rect
from livecnn.layout.auto_layout import chosen_layers, evenly, make_layout
from livecnn.layout.layout import Layout
from livecnn.networks.bundle import Bundle, bundle_from_module, load
from livecnn.networks.inspection.probe import layers_of

COLOUR = {"kind": "plain", "size": [32, 32], "channels": 3}


def convolutions(*channels: int, classes: int = 10, hidden: int = 0) -> nn.Sequential:
    """A convolution and a pooling for each number of channels, of 32x32 pixels, and a head."""
    layers: list[nn.Module] = []
    for before, after in zip((3, *channels), channels, strict=False):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    layers += [nn.Linear(channels[-1], hidden), nn.ReLU()] if hidden else []
    return nn.Sequential(*layers, nn.Linear(hidden or channels[-1], classes))


class Perceptron(nn.Module):
    """Single values only; with functions between the layers."""

    input = {"kind": "plain", "size": [4, 4], "channels": 1}  # noqa: RUF012

    def __init__(self, *units: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip((16, *units), units, strict=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(1)
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        scores: torch.Tensor = self.layers[-1](x)
        return scores


class Tokens(nn.Module):
    """Over time, not over a picture: a Conv1d and attention, which give neither maps nor single values, then a hidden layer."""

    input = {"kind": "plain", "size": [8, 8], "channels": 1}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv1d(8, 16, 1)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.hidden, self.head = nn.Linear(8, 12), nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.mix(x[:, 0])
        seen, _ = self.attention(tokens, tokens, tokens)
        scores: torch.Tensor = self.head(self.hidden(seen.mean(1)))
        return scores


def chosen_of(bundle: Bundle) -> list[str]:
    return chosen_layers(bundle.module, bundle.shapes())


@pytest.mark.parametrize(
    ("network", "layers"),
    [
        (convolutions(8, hidden=20), ["0", "5"]),
        (convolutions(8, 16, 20, 24, hidden=20), ["0", "3", "6", "9", "14"]),
        (convolutions(8, 16, 20, 24, 28, hidden=20), ["0", "3", "9", "12", "17"]),  # five depths: the middle one goes
        (convolutions(8, 16), ["0", "3", "7"]),  # no hidden layer: what the last one is made of
        (
            nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1) for _ in range(5)), nn.Flatten(), nn.Linear(3072, 4)),
            ["0", "1", "3", "4", "5"],
        ),
        (Perceptron(20, 12, 5), ["layers.0", "layers.1"]),
        (Perceptron(20, 18, 16, 14, 12, 5), ["layers.0", "layers.2", "layers.4"]),
        (Perceptron(5), []),
        (Tokens(), ["hidden"]),
    ],
)
def test_what_is_worth_seeing(network: nn.Module, layers: list[str]) -> None:
    bundle = bundle_from_module(network, input=getattr(network, "input", COLOUR))
    assert chosen_of(bundle) == layers


def test_lenet_is_shown_as_its_own_layout_shows_it() -> None:
    assert chosen_of(load("lenet-mnist")) == ["conv1", "conv2", "ip1"]


@pytest.mark.parametrize(
    ("count", "wanted"), [(0, []), (3, [0, 1, 2]), (4, [0, 1, 2, 3]), (5, [0, 1, 3, 4]), (13, [0, 4, 8, 12])]
)
def test_spread_takes_the_first_the_last_and_what_lies_evenly_between(count: int, wanted: list[int]) -> None:
    assert evenly([str(i) for i in range(count)], 4) == [str(i) for i in wanted]


def cards(layout: Layout) -> dict[str, Rect]:
    return grid(layout, Rect(12, 42, 1256, 666), 12)


NETWORKS = {
    "few classes": bundle_from_module(convolutions(8, 16, hidden=20), input=COLOUR),
    "many classes": bundle_from_module(convolutions(8, 16, 300, hidden=20, classes=1000), input=COLOUR),
    "four depths": bundle_from_module(convolutions(8, 16, 20, 24, hidden=20), input=COLOUR, classes=["a long name"] * 10),
    "no maps": bundle_from_module(Perceptron(20, 12, 5)),
    "nothing but scores": bundle_from_module(Perceptron(5)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_automatic_layout_fits_its_network_and_fills_the_picture(name: str) -> None:
    bundle = NETWORKS[name]
    layout = make_layout(bundle)
    check_fit(layout, make_context(bundle))
    places = cards(layout)
    assert {"camera", "patch", "scores"} < places.keys() or name == "nothing but scores"
    assert "." not in str(layout.layout)
    for place in places.values():
        assert place.w >= 250
        assert place.h >= 120
    assert sum((place.w + 12) * (place.h + 12) for place in places.values()) == pytest.approx(1268 * 678, rel=0.01)


def test_many_layers_stand_in_a_grid() -> None:
    bundle = bundle_from_module(convolutions(4, 4, 4, 4, 4, hidden=20), input=COLOUR)
    layers = ["0", "3", "6", "9", "12", "1", "4", "17", "18"]
    places = cards(make_layout(bundle, layers))
    assert list(places) == ["camera", "patch", "scores", *layers]
    assert len({places[layer].y for layer in layers}) == 5  # three rows of maps, two of neurons


def test_only_so_many_maps_as_can_be_seen() -> None:
    panels = make_layout(NETWORKS["many classes"]).panels
    assert [panels[name].channels for name in ("0", "3", "6")] == ["all", "all", tuple(range(128))]  # type: ignore[attr-defined]


def test_layers_by_name() -> None:
    bundle = bundle_from_module(Perceptron(20, 12, 5))
    layout = make_layout(bundle, ["relu_1", "layers.0", "relu", "layers.0"])
    assert list(layout.panels) == ["camera", "patch", "scores", "relu_1", "layers-0", "relu"]
    assert layout.panels["layers-0"].layers() == ("layers.0",)
    assert make_layout(NETWORKS["few classes"], ["0"]).panels["0"].title == "0 · Conv2d"


def test_a_layer_called_like_a_panel() -> None:
    class Camera(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.camera = nn.Conv2d(1, 4, 28)
            self.input = COLOUR | {"size": [28, 28], "channels": 1}

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.camera(x).flatten(1)  # type: ignore[no-any-return]

    assert list(make_layout(bundle_from_module(Camera()), ["camera"]).panels) == ["camera", "patch", "scores", "camera_"]


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("mixx", r"^unknown layer 'mixx'; did you mean 'mix'\? allowed: mix, attention"),
        ("mix", r"^layer 'mix' gives 1 x 16 x 8; maps \(1, C, H, W\) or single values \(1, K\) can be shown$"),
        ("attention.out_proj", r"^layer 'attention\.out_proj' gives no batch of values"),
    ],
)
def test_layers_that_cannot_be_shown(layer: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make_layout(bundle_from_module(Tokens()), [layer])


def test_the_tokens_have_names() -> None:
    assert layers_of(Tokens().eval(), torch.zeros(1, 1, 8, 8))["attention.1"] == (1, 16, 16)
