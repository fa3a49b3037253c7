from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from livecnn.analysis.patterns.picture import SpecificityOrder, average_columns, dead_units_text, draw_patterns, span
from livecnn.analysis.patterns.summary import Summary


def summary_of(classes: tuple[str, ...], layers: dict[str, tuple[int, ...]], *, labelled: bool = True) -> Summary:
    generator = torch.Generator().manual_seed(0)
    labels = [i % len(classes) for i in range(60)]
    activations = {layer: torch.randn(60, *shape, generator=generator).relu() for layer, shape in layers.items()}
    for values in activations.values():
        values[:, ::5] = 0
    summary = Summary(tuple(layers), classes, "toy")
    summary.add(activations, labels if labelled else [None] * 60, np.array(labels))
    return summary


def test_units_of_a_class_lie_together_and_dead_ones_last() -> None:
    specificity = np.array([[0.1, 2.0, 0.0, 0.5, -1.0, 0.0], [3.0, 0.1, 0.0, 0.6, 1.0, 0.0]])
    order = SpecificityOrder.of(specificity, dead=(2,))
    assert order.units == (1, 0, 4, 3, 5, 2)  # class 0, class 1 (strongest first), of no class, dead
    assert order.bounds == (0, 1, 4, 5, 6)


def test_dead_units_are_named_in_a_list_that_stays_short() -> None:
    assert dead_units_text((), "units") == "All units fire for some image."
    assert dead_units_text((3, 8), "units") == "2 never fire: 3, 8"
    assert dead_units_text(tuple(range(24)), "units") == "24 never fire: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 … and 12 more"


def test_the_colour_scale_has_two_ends_whatever_the_values() -> None:
    assert span(np.array([[-2.0, np.nan, 7.0]])) == (-2, 7)
    assert span(np.array([[3.0, 7.0]])) == (0, 7)
    assert span(np.zeros((2, 2))) == (0, 1)
    assert span(np.full((2, 2), np.nan)) == (0, 1)


def test_more_units_than_pixels_are_averaged() -> None:
    values = np.arange(14.0).reshape(2, 7)
    assert average_columns(values, 7) is values
    assert average_columns(values, 3).tolist() == [[0.5, 2.5, 5], [7.5, 9.5, 12]]


@pytest.mark.parametrize(
    ("classes", "layers"),
    [
        (("cat", r"$\oops$", "猫\n", "a name that is far too long to stand anywhere"), {"conv": (10, 3, 3), "fc": (30,)}),
        (tuple(f"class {i}" for i in range(100)), {"fc": (300,)}),
        (("only",), {"fc": (7,)}),
        (("a", "b"), {"conv": (10, 3, 3)}),
    ],
    ids=["odd names", "100 classes", "one class", "no fully connected layer"],
)
@pytest.mark.parametrize("labelled", [True, False])
def test_any_summary_has_a_picture(classes: tuple[str, ...], layers: dict[str, tuple[int, ...]], labelled: bool) -> None:
    image = draw_patterns(summary_of(classes, layers, labelled=labelled))
    assert (image.shape, image.dtype) == ((1000, 1600, 3), np.uint8)
    assert image[300:, :1000].std() > 10  # something is drawn


def test_many_layers_make_the_picture_higher() -> None:
    assert draw_patterns(summary_of(("a", "b"), {f"fc{i}": (4,) for i in range(8)})).shape[0] > 1000


def test_only_classes_that_occur_are_drawn() -> None:
    pictures = []
    for classes in (("a", "b"), ("a", *"xyz" * 300, "b")):
        summary = Summary(("fc",), classes)
        labels = [0, len(classes) - 1] * 3
        summary.add({"fc": torch.eye(6)}, labels, np.array(labels))
        pictures.append(draw_patterns(summary)[68:])
    assert (pictures[0] == pictures[1]).all()


def test_nothing_predicted_at_all_has_a_picture() -> None:
    summary = Summary(("fc",), ("a", "b"))
    summary.add({"fc": torch.eye(4)}, [None] * 4, np.full(4, -1))
    assert draw_patterns(summary).shape == (1000, 1600, 3)


def test_what_is_not_finite_is_told() -> None:
    summary = Summary(("fc",), ("a", "b", "c"))
    plain, broken = torch.rand(6, 4), torch.rand(6, 4)
    broken[:, 1] = torch.nan
    summary.add({"fc": plain}, [0, 1] * 3, np.zeros(6, int))
    before = draw_patterns(summary)
    summary.add({"fc": broken}, [0, 1] * 3, np.zeros(6, int))
    assert (draw_patterns(summary)[960:984, 500:1000] != before[960:984, 500:1000]).any()


def test_the_same_summary_gives_the_same_file(tmp_path: Path) -> None:
    for name in ("a.png", "b.PNG"):
        summary_of(("a", "b"), {"fc": (9,)}).write(tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.PNG").read_bytes()
    with PillowImage.open(tmp_path / "a.png") as image:
        assert image.size == (1600, 1000)
