"""The panel of maps that come out, on networks that give some."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from livecnn.app.screen.figure import FigureView
from livecnn.drawing.theme import CLASSES, THEMES
from livecnn.panels.base.targets import ClassTarget
from livecnn.panels.output import NO_MAPS, class_color, levels
from livecnn.types import Reading
from tests.helpers.panel_screen import it, panel, texts
from tests.helpers.scenes import SIZES, assert_texts_apart, context, place, scene

NAMES = ("background", "road", "a car with a very long name")
CLASS_OF = np.repeat(np.uint8([[0, 1, 2, 2]]), 3, axis=0)


def shown(output: Any, size: tuple[int, int] = (800, 600), reading: Reading = "distribution", **options: Any) -> FigureView:
    fields = {"alpha": options.pop("alpha")} if "alpha" in options else {}
    screen = panel("output", size, about=replace(context(NAMES), reading=reading, of_maps=True), **fields)
    given = scene(screen, scores=[0.25, 0.25, 0.5], **options)
    screen.show(replace(given, tick=replace(given.tick, output=output)))
    screen.draw()
    return screen


def test_each_pixel_has_the_color_of_its_class() -> None:
    picture = it(shown(CLASS_OF, alpha=1.0)).live[0].picture
    width = picture.shape[1]
    for column, index in ((0.1, 0), (0.4, 1), (0.6, 2), (0.9, 2)):
        assert tuple(picture[5, int(column * width), :3]) == CLASSES[index]


def test_the_largest_classes_are_in_the_legend_and_can_be_clicked() -> None:
    screen = shown(CLASS_OF)
    assert [text.split("  ")[0] for text in texts(screen)] == [NAMES[2], "background", "road"]
    assert "25 %" in texts(screen)[1]
    target = it(screen).target_at(*place(screen, ClassTarget(1)))
    assert target == ClassTarget(1)
    tip = it(screen).tip(target)
    assert tip is not None
    assert tip.lines == ("road: 25.0 % of the picture",)


@pytest.mark.parametrize("size", [*SIZES, (320, 240)])
def test_no_two_texts_overlap(size: tuple[int, int]) -> None:
    assert_texts_apart(shown(CLASS_OF, size), "it")


def test_one_or_three_maps_are_a_picture() -> None:
    values = np.zeros((2, 2, 1), np.float32)
    values[0, 0] = 1
    picture = it(shown(values, reading="numbers")).live[0].picture
    assert (picture[..., :3].min(), picture[..., :3].max()) == (0, 255)
    assert texts(shown(values, reading="numbers")) == []


def test_ranges_of_pictures_by_hand() -> None:
    assert levels(np.float32([[[0.5]], [[0.0]]])).ravel().tolist() == [128, 128, 128, 0, 0, 0]
    assert levels(np.float32([[[-1.0, 0.0, 1.0]]])).ravel().tolist() == [0, 128, 255]
    assert levels(np.float32([[[51.0]], [[255.0]]])).ravel()[::3].tolist() == [51, 255]
    assert levels(np.float32([[[-5.0]], [[5.0]], [[np.nan]]])).ravel()[::3].tolist() == [0, 255, 0]


def test_without_maps_or_with_nothing_in_the_box_it_says_so() -> None:
    assert texts(shown(None)) == [NO_MAPS]
    assert texts(shown(CLASS_OF, empty=True)) == ["nothing in the box"]


def test_classes_beyond_the_palette_have_colors_of_their_own() -> None:
    colors = [class_color(index) for index in range(40)]
    assert len(set(colors)) == 40
    assert THEMES["dark"].card not in colors
