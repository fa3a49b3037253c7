import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from livecnn.errors import ConfigError
from livecnn.io import yaml_document as yamlfile
from livecnn.layout.focus_options import FocusOptions
from livecnn.layout.layout import Layout, make_drawers
from livecnn.networks.inspection.architecture import Architecture
from livecnn.panels.base.spec import FieldError
from livecnn.selection import INPUT, OUTPUT, Selection

DIGITS = tuple("0123456789")


@pytest.fixture(scope="module")
def architecture() -> Architecture:
    net = nn.Sequential()
    net.add_module("conv", nn.Conv2d(1, 4, 3))
    net.add_module("relu", nn.ReLU())
    net.add_module("flat", nn.Flatten())
    net.add_module("fc", nn.Linear(144, 10))
    return Architecture.of(net, torch.zeros(1, 1, 8, 8))


def layout(focus: str) -> Layout:
    text = f"layout: a\npanels: {{a: {{kind: patch}}}}\nfocus: {focus}\n"
    return make_drawers(yamlfile.parse(text, Path("test.yaml")))


def test_it_starts_at_the_last_convolution(architecture: Architecture) -> None:
    assert FocusOptions().focus(architecture, DIGITS) == Selection(layer="conv")


def test_without_convolutions_at_the_last_layer_with_weights() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.Linear(5, 2), nn.Softmax(1))
    assert FocusOptions().focus(Architecture.of(net, torch.zeros(1, 1, 8, 8)), ("a", "b")).layer == "2"


def test_without_weights_at_the_output() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Softmax(1))
    assert FocusOptions().focus(Architecture.of(net, torch.zeros(1, 1, 2, 2)), ("a", "b", "c", "d")).layer == OUTPUT


def test_everything_can_be_said(architecture: Architecture) -> None:
    said = layout("{layer: fc, unit: 3, target: '7', methods: [gradient, occlusion], grid: gradient, order: weight}").focus
    assert said.focus(architecture, DIGITS) == Selection(
        "fc", 3, target=7, methods=("gradient", "occlusion"), grid="gradient", order="weight"
    )


@pytest.mark.parametrize(("name", "layer"), [("(input)", INPUT), ("(output)", OUTPUT)])
def test_the_ends_have_names(architecture: Architecture, name: str, layer: str) -> None:
    assert FocusOptions(layer=name).focus(architecture, DIGITS).layer == layer


@pytest.mark.parametrize(
    ("said", "key", "message"),
    [
        ({"layer": "conw"}, "layer", "unknown layer 'conw'; did you mean 'conv'"),
        ({"layer": "conv", "unit": 4}, "unit", "unit 4: conv has 4 (0-3)"),
        ({"target": 10}, "target", "no class 10; allowed: 0-9, or "),
        ({"target": "ten"}, "target", "no class 'ten'; allowed: 0-9, or "),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_network_does_not_have(architecture: Architecture, said: dict[str, Any], key: str, message: str) -> None:
    with pytest.raises(FieldError, match=re.escape(message)) as caught:
        FocusOptions(**said).focus(architecture, DIGITS)
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("{methods: [gradent]}", r"test.yaml:3: focus.methods.0: .*unknown kind 'gradent' in methods; did you mean 'gradient'"),
        ("{methods: [gradient, gradient]}", r"test.yaml:3: focus.methods: found 'gradient' twice; allowed: each once"),
        ("{methods: []}", r"test.yaml:3: focus.methods: "),
        ("{methods: [gradient, gradient, occlusion, activation]}", r"test.yaml:3: focus.methods: "),
        ("{order: size}", r"test.yaml:3: focus.order: .*number.*weight"),
        ("{unit: -1}", r"test.yaml:3: focus.unit: "),
        ("{layr: conv}", r"test.yaml:3: focus.layr: "),
    ],
    ids=str,
)
def test_what_is_wrong_in_a_layout(said: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        layout(said)
