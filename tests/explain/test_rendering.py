import numpy as np
import pytest

from livecnn import registry
from livecnn.drawing.colormaps import table
from livecnn.drawing.theme import THEMES
from livecnn.explain.methods import kinds, method_class
from livecnn.explain.methods.guided_backprop import GuidedBackprop
from livecnn.explain.rendering import largest_magnitude, names, overlay, picture, squares

DARK = THEMES["dark"]
SEEN = np.full((8, 8, 3), 100, np.uint8)


def test_every_method_has_a_name_and_a_meaning() -> None:
    assert sorted(kinds()) == sorted(registry.kinds("explain.methods"))
    assert all(method_class(kind).names and method_class(kind).meaning for kind in kinds())
    assert names("guided_backprop") == ("guided backprop", "guided")


def test_a_method_without_a_name_is_called_as_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GuidedBackprop, "names", ())
    assert names("guided_backprop") == ("guided backprop",)


def test_values_are_squares_in_their_colours() -> None:
    colors = table("gray", DARK)
    shown = squares(np.array([[0, 1], [1, 0]], np.float32), 0.0, 1.0, (40, 20), colors)
    assert shown.shape == (20, 40, 4)
    assert shown[2, 2, 0] == shown[18, 38, 0] == 0
    assert shown[2, 38, 0] == shown[18, 2, 0] == 255


@pytest.mark.parametrize("kind", ["gradient", "integrated_gradients", "guided_backprop"])
def test_red_speaks_for_and_blue_against(kind: str) -> None:
    values = np.zeros((1, 8, 8), np.float32)
    values[0, 1, 1], values[0, 6, 6] = 2, -2
    shown = picture(kind, values, SEEN, (80, 80), DARK).astype(int)
    assert shown[15, 15, 0] > shown[15, 15, 2] + 50
    assert shown[65, 65, 2] > shown[65, 65, 0] + 50
    assert np.ptp(shown[40, 40, :3]) < 5
    assert shown[40, 40, 0] > 230


def test_channels_are_summed_up_where_they_are_no_picture() -> None:
    values = np.stack([np.ones((4, 4)), -np.ones((4, 4)), np.zeros((4, 4))]).astype(np.float32)
    values[0, 0, 0] = 5
    shown = picture("gradient", values, SEEN, (4, 4), DARK)
    assert np.ptp(shown[3, 3, :3].astype(int)) < 5
    assert shown[0, 0, 0] > shown[0, 0, 2]


@pytest.mark.parametrize("kind", ["deconvnet", "deconvnet_unpooled", "guided_backprop"])
@pytest.mark.parametrize(("channels", "red"), [("RGB", 0), ("BGR", 2)])
def test_networks_for_colour_pictures_give_colour_pictures(kind: str, channels: str, red: int) -> None:
    values = np.zeros((3, 4, 4), np.float32)
    values[red, 0, 0] = 3.0
    shown = picture(kind, values, SEEN, (8, 8), DARK, channels)
    assert shown[0, 0].tolist() == [255, 127, 127]
    assert shown[7, 7].tolist() == [127, 127, 127]


@pytest.mark.parametrize("kind", ["grad_cam", "occlusion"])
def test_regions_lie_over_what_the_network_sees(kind: str) -> None:
    values = np.zeros((1, 8, 8), np.float32)
    values[0, 0, 0], values[0, 7, 7] = 1, -0.5
    shown = picture(kind, values, SEEN, (16, 16), DARK).astype(int)
    assert shown[8, 8].tolist() == [100, 100, 100]
    assert shown[0, 0, 0] > 200 > shown[0, 0, 2]
    assert shown[15, 15, 2] > shown[15, 15, 0]
    assert (SEEN == 100).all()


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
@pytest.mark.parametrize("kind", ["gradient", "guided_backprop", "occlusion"])
@pytest.mark.parametrize("channels", [1, 3])
def test_values_without_a_scale(kind: str, value: float, channels: int) -> None:
    shown = picture(kind, np.full((channels, 8, 8), value, np.float32), SEEN, (16, 12), DARK)
    assert shown.shape[:2] == (12, 16)


def test_the_scale_is_that_of_the_finite_values() -> None:
    assert largest_magnitude(np.array([[np.inf, -3.0], [np.nan, 2.0]], np.float32)) == 3.0
    assert largest_magnitude(np.zeros((2, 2), np.float32)) == 1.0


def test_more_values_than_pixels_are_averaged() -> None:
    stripes = np.zeros((400, 400), np.float32)
    stripes[::2] = 1
    shown = squares(stripes, 0.0, 1.0, (50, 40), table("gray", DARK))
    assert shown.shape == (40, 50, 4)
    assert ((shown[:, :, 0] > 110) & (shown[:, :, 0] < 145)).all()
    assert overlay(stripes, np.zeros((400, 400, 3), np.uint8), (50, 40)).shape == (40, 50, 3)
