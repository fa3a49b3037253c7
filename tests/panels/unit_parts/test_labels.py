import math
from types import SimpleNamespace

import numpy as np
import pytest

from livecnn.engine.unit_reducers import UnitActivation
from livecnn.networks.inspection.receptive_field import ReceptiveField
from livecnn.panels.unit_parts.labels import annotation_text, captions, method_caption, method_text, number
from livecnn.selection import Selection
from livecnn.types import ExplanationUpdate

MAP = UnitActivation.of("conv2", 31, np.array([[-1.84, 6.02]], np.float32))
NEURON = UnitActivation.of("ip1", 4, np.array([[0.5]], np.float32))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0.0, "0"),
        (-1.844, "−1.84"),
        (0.0708, "0.0708"),
        (12.34, "12.3"),
        (-1234.5, "−1234"),
        (1e6, "1.0e+06"),
        (-2e-5, "−2.0e−05"),
        (math.nan, "not finite"),
        (-math.inf, "not finite"),
    ],
)
def test_numbers_in_about_three_digits(value: float, told: str) -> None:
    assert number(value) == told


def test_captions_from_the_longest_to_the_shortest() -> None:
    told = captions(MAP, ReceptiveField((14, 12), (2, 2), (6.5, 6.5)))
    assert told[0] == "min −1.84  max 6.02  mean 2.09 · receptive field 14×12"
    assert told[-1] == "−1.84 … 6.02"
    assert sorted(told, key=len, reverse=True) == list(told)
    assert captions(MAP, None)[0] == "min −1.84  max 6.02  mean 2.09"
    assert captions(NEURON, None) == ("value 0.50", "0.50")


def test_what_stands_under_a_picture() -> None:
    findings = ExplanationUpdate(0, Selection(), 1, progress={"occlusion": 0.404})
    assert method_caption("occlusion", findings, ("cat", "dog"))[0] == "occlusion 40 %"
    assert method_caption("occlusion", ExplanationUpdate(0, Selection(), 1, progress={"occlusion": 1.0}), ("cat", "dog")) == (
        "occlusion",
    )
    assert method_caption("grad_cam", findings, ("cat", "dog"))[0] == "Grad-CAM for dog"
    assert method_caption("grad_cam", None, ("cat", "dog")) == ("Grad-CAM",)


@pytest.mark.parametrize(
    ("verdict", "note", "told"),
    [("good", "loops", "✓ good · loops"), ("bad", "", "✗ bad"), (None, "loops", "loops"), (None, "", "")],
)
def test_what_was_noted(verdict: str | None, note: str, told: str) -> None:
    assert annotation_text(SimpleNamespace(verdict=verdict, note=note)) == told
    assert annotation_text(None) == ""


def test_what_a_method_means() -> None:
    assert method_text("gradient") == ("gradient", "which pixels would change the value, if changed a little")
    assert method_text("score_cam") == ("score cam",)
