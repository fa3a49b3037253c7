from dataclasses import replace

import pytest

from livecnn.networks.inspection.architecture import WindowSpec
from livecnn.panels.strip.layer_labels import facts, short_type, size
from tests.helpers.architectures import node, real


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("Conv2d", "conv"),
        ("Convolution", "conv"),
        ("DepthwiseConv2D", "depthwise"),
        ("MaxPool2d", "max"),
        ("avg_pool2d", "avg"),
        ("Pooling", "pool"),
        ("GlobalAveragePooling2D", "avg pool"),
        ("InnerProduct", "dense"),
        ("BatchNormalization", "batch norm"),
        ("relu", "ReLU"),
        ("ReLU", "ReLU"),
        ("LeakyReLU", "LeakyReLU"),
        ("Softmax", "softmax"),
        ("Add", "add"),
        ("cat", "concat"),
        ("Dropout2d", "dropout"),
        ("MyOwnLayer", "MyOwnLayer"),
    ],
)
def test_words(kind: str, words: str) -> None:
    plain = replace(node("n", kind=kind), window=None)
    assert short_type(plain) == words
    assert short_type(replace(plain, window=WindowSpec((3, 5), (1, 1)))) == f"{words} 3×5"


def test_a_filter_for_each_map() -> None:
    each = replace(node("n"), window=WindowSpec((3, 3), (1, 1), groups=4))
    assert short_type(each) == "depthwise 3×3"
    assert short_type(replace(each, window=WindowSpec((3, 3), (1, 1), groups=2))) == "conv 3×3"


def test_the_region_of_a_normalisation_is_not_told() -> None:
    assert short_type(replace(node("n", kind="LRN"), window=WindowSpec((5, 5), (1, 1)))) == "local norm"


def test_sizes() -> None:
    assert [size(shape) for shape in ((20, 24, 12), (500,), ())] == ["24×12×20", "500", ""]


def test_what_there_is_to_tell_of_a_layer() -> None:
    nodes = {each.name: each for each in real("lenet").nodes}
    assert facts(nodes["conv2"]) == [
        "conv2",
        "conv 5×5 (Conv2d)",
        "output 8×8×50",
        "25,050 parameters",
        "kernel 5×5, stride 1, padding 0",
        "sees 14×14 pixels",
    ]
    assert facts(nodes["relu1"]) == ["relu1", "ReLU", "output 500", "sees 28×28 pixels"]
    odd = replace(node("n"), window=WindowSpec((3, 3), (1, 2), dilation=(2, 2), groups=2))
    assert facts(odd)[2:] == [
        "output 8×8×4", "kernel 3×3, stride 1×2, padding 0", "dilation 2, 2 groups", "how much it sees cannot be told",
    ]  # fmt: skip
