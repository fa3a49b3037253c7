from typing import Any

import numpy as np
import pytest
import torch

from livecnn.app.screen.figure import FigureView
from livecnn.drawing.theme import THEMES
from tests.helpers.panel_screen import body, draw, it, panel, place_of
from tests.helpers.scenes import context, inside

DARK = THEMES["dark"]


def shown(layers: dict[str, torch.Tensor], size: tuple[int, int] = (640, 480), **fields: Any) -> FigureView:
    about = context(shapes={layer: tuple(values.shape) for layer, values in layers.items()})
    return draw(panel("feature_maps", size, about=about, layer="conv", **fields), layers)


def test_every_map_is_seen_in_order_with_its_own_levels() -> None:
    maps = torch.arange(4.0).reshape(1, 4, 1, 1).expand(1, 4, 6, 6)
    picture = body(shown({"conv": maps}, scale=[0, 3], channels=[3, 0, 2, 1]))
    h, w = picture.shape[:2]
    quarters = [picture[y, x].tolist() for y in (h // 4, 3 * h // 4) for x in (w // 4, 3 * w // 4)]
    for gray, wanted in zip(quarters, (255, 0, 170, 85), strict=True):
        assert gray == pytest.approx([wanted] * 3, abs=1)


def test_cells_are_whole_pixels_of_the_same_size() -> None:
    picture = body(shown({"conv": torch.zeros(1, 20, 24, 24)}, scale=[-1, 1]))
    on = (picture == 127).all(axis=2) | (picture == 128).all(axis=2)
    columns = np.flatnonzero(np.diff(on.any(axis=0).astype(int)))
    widths = np.diff(columns)[::2]
    assert len(set(widths)) == 1
    assert len(widths) == 5


def test_a_map_that_is_not_finite_is_shown_and_told() -> None:
    maps = torch.randn(1, 6, 5, 5)
    maps[0, 2] = torch.nan
    maps[0, 4, 0, 0] = torch.inf
    screen = shown({"conv": maps})
    assert (body(screen) == DARK.not_finite).all(axis=2).sum() > 100
    assert it(screen).live[1].text == "2 of 6 maps hold NaN or infinite values"


def test_the_warning_can_be_read_over_broken_maps() -> None:
    screen = shown({"conv": torch.full((1, 4, 5, 5), torch.nan)})
    place = place_of(it(screen).live[1], (640, 480))
    assert inside(place, it(screen).body)
    colors = screen.pixels()[place.y : place.y + place.h, place.x : place.x + place.w].reshape(-1, 3)
    assert not (colors == DARK.not_finite).all(axis=1).any()
    assert (colors == DARK.card).all(axis=1).mean() > 0.3


def test_captions_say_what_is_seen() -> None:
    maps = {"conv": torch.zeros(1, 12, 9, 7)}
    wide, narrow = shown(maps, (1280, 720)), shown(maps, (320, 240))
    assert it(wide).caption.text == "12 feature maps, 9×7 · white is strong"
    assert it(narrow).caption.text in "12 feature maps, 9×7 · white is strong"
    part = shown(maps, (1280, 720), channels="0-2", colormap="viridis")
    assert it(part).caption.text == "3 of 12 feature maps, 9×7 · yellow is strong"


def test_maps_larger_than_their_cells_are_averaged_on_the_way() -> None:
    maps = torch.zeros(1, 16, 400, 400)
    maps[:, :, ::2] = 1  # fine stripes: averaged they are even, sampled they are not
    screen = draw(shown({"conv": maps}, (320, 240), scale=[0, 1]), {"conv": maps})
    view = screen.scene.tick.views["it"]  # type: ignore[union-attr]
    height, width = view.cell
    assert max(view.cell) < 100
    assert ((view.codes[:height, :width] > 100) & (view.codes[:height, :width] < 156)).all()
