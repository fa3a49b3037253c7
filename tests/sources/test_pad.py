import itertools
import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch

import livecnn
from livecnn.engine.crop import Cropper
from livecnn.sources import SourceOptions
from livecnn.sources.pad import PERIOD, THICKEST, THINNEST, USUAL, PadSource
from livecnn.types import Image

Line = Sequence[tuple[float, float]]

# In hundredths of the digit's height, from the top left.
DIGITS: dict[int, list[Line]] = {
    0: [[(35, 0), (12, 10), (2, 40), (5, 75), (22, 98), (45, 95), (60, 70), (60, 30), (50, 6), (35, 0)]],
    1: [[(10, 20), (30, 0), (30, 100)]],
    2: [[(2, 22), (12, 5), (32, 0), (52, 8), (56, 28), (40, 55), (2, 100), (62, 100)]],
    3: [[(4, 8), (28, 0), (50, 10), (50, 32), (24, 46), (52, 56), (58, 80), (36, 100), (2, 92)]],
    4: [[(40, 0), (2, 62), (66, 62)], [(48, 30), (46, 100)]],
    5: [[(56, 0), (10, 0), (6, 44), (32, 38), (56, 54), (58, 80), (36, 100), (2, 94)]],
    6: [[(44, 0), (16, 28), (4, 68), (14, 96), (40, 100), (56, 78), (44, 56), (20, 58), (6, 76)]],
    7: [[(0, 2), (58, 2), (36, 48), (22, 100)]],
    8: [[(52, 12), (28, 0), (8, 14), (14, 36), (46, 56), (56, 82), (30, 100), (6, 84), (14, 58), (48, 34), (52, 12)]],
    9: [[(52, 12), (26, 0), (4, 16), (8, 42), (34, 48), (52, 30), (54, 8), (50, 60), (40, 100)]],
}


@pytest.fixture
def pad() -> Iterator[PadSource]:
    with PadSource("", SourceOptions()) as pad:
        yield pad


def picture(pad: PadSource) -> Image:
    """What is read after something was drawn."""
    return pad.read().image


def draw(pad: PadSource, lines: Sequence[Line], *, erase: bool = False) -> None:
    for start, *others in lines:
        pad.press(*start, erase)
        for point in others:
            pad.move(*point)
        pad.release()


def read_as(pad: PadSource, number: int) -> int | None:
    """What LeNet takes a digit for that is written 300 pixels high in the middle of the sheet; None: for nothing."""
    pad.clear()
    draw(pad, [[(150 + 3 * x, 90 + 3 * y) for x, y in line] for line in DIGITS[number]])
    model = livecnn.load("lenet-mnist")
    prepared = Cropper(model.pipeline, 1.0)(pad.read()).prepared
    with torch.no_grad():
        return None if prepared.empty else int(model.module(prepared.tensor).argmax())


@pytest.mark.parametrize("thickness", [THINNEST, USUAL, THICKEST])
def test_lenet_reads_what_is_drawn(pad: PadSource, thickness: int) -> None:
    while pad.thicker(np.sign(thickness - pad.thicker(0))) != thickness:
        pass
    read = [read_as(pad, number) for number in DIGITS]
    assert sum(found == number for found, number in zip(read, DIGITS, strict=True)) >= 9, read


def test_an_empty_sheet_comes_first_and_at_once(pad: PadSource) -> None:
    image = picture(pad)
    assert (image.shape, image.dtype) == ((480, 480, 3), np.uint8)
    assert (image == 255).all()
    assert livecnn.load("lenet-mnist").pipeline(image).empty


def test_what_it_is(pad: PadSource) -> None:
    assert (pad.name, pad.interval, pad.camera_like, pad.mirrored, pad.supervised) == ("pad", None, False, False, False)
    assert pad.note == "draw with the mouse; right button erases, c clears"


def test_a_press_leaves_a_round_dot(pad: PadSource) -> None:
    pad.press(100.5, 200.25)
    image = picture(pad)
    rows, columns = np.nonzero(image[:, :, 0] < 128)
    assert (columns.mean(), rows.mean()) == pytest.approx((100.5, 200.25), abs=0.3)
    assert len(rows) == pytest.approx(np.pi * (USUAL / 2) ** 2, rel=0.15)


def test_a_line_is_as_thick_as_the_pen_and_smooth(pad: PadSource) -> None:
    draw(pad, [[(50, 100), (400, 100)]])
    dark = 1 - picture(pad)[:, 240].mean(axis=1) / 255
    assert dark.sum() / dark.max() == pytest.approx(USUAL, abs=2)
    draw(pad, [[(50, 200), (400, 300)]])
    assert len(np.unique(picture(pad)[200:300, :, 0])) > 20  # grays at its edges


def test_frames_are_numbered_dated_and_copies(pad: PadSource) -> None:
    first = pad.read()
    pad.press(10, 10)
    second = pad.read()
    assert (first.seq, second.seq) == (0, 1)
    assert first.time < second.time <= time.monotonic()
    assert (first.image == 255).all()


def test_moving_without_pressing_draws_nothing(pad: PadSource) -> None:
    pad.move(10, 10)
    draw(pad, [[(100, 100), (200, 100)]])
    pad.move(200, 400)
    image = picture(pad)
    assert (image[150:] == 255).all()
    assert (image[:50] == 255).all()


def test_the_eraser_is_wider_and_leaves_paper(pad: PadSource) -> None:
    draw(pad, [[(50, 100), (400, 100)], [(50, 300), (400, 300)]])
    draw(pad, [[(50, 100), (400, 100)]], erase=True)
    image = picture(pad)
    assert (image[:200] == 255).all()
    assert (image[300, 60:390] < 60).all()
    draw(pad, [[(200, 300)]], erase=True)
    assert np.count_nonzero(picture(pad)[300, :, 0] == 255) > 130 + 1.5 * USUAL
    pad.press(200, 300)
    assert (picture(pad)[300, 200] < 60).all()  # the pen again


def test_clearing(pad: PadSource) -> None:
    draw(pad, [[(50, 100), (400, 100)]])
    pad.clear()
    assert (picture(pad) == 255).all()


def test_the_thickness_has_limits(pad: PadSource) -> None:
    assert pad.thicker(1) > USUAL
    assert [pad.thicker(-100), pad.thicker(-1), pad.thicker(100), pad.thicker(0.4)] == [THINNEST, THINNEST, THICKEST, THICKEST]
    thin, thick = 0, 0
    for steps in (-100, 100):
        pad.thicker(steps)
        pad.clear()
        pad.press(240, 240)
        thin, thick = thick, np.count_nonzero(picture(pad)[:, :, 0] < 128)
    assert thick > 10 * thin


@pytest.mark.parametrize("place", [(-50.0, 240.0), (480.0, 480.0), (1e12, -1e12), (float("inf"), 0.0)])
def test_places_outside_the_sheet(pad: PadSource, place: tuple[float, float]) -> None:
    draw(pad, [[(240, 240), place], [place, (240, 240)]])
    assert (picture(pad)[240, 240] < 60).all()


def waiting(pad: PadSource, seconds: float = 0.0) -> tuple[threading.Thread, list[object]]:
    """A reader on a thread of its own, and what it gets."""
    got: list[object] = []
    reader = threading.Thread(target=lambda: got.append(pad.read()), daemon=True)
    reader.start()
    reader.join(seconds)
    return reader, got


def test_a_reader_waits_until_something_is_drawn(pad: PadSource) -> None:
    pad.read()
    reader, got = waiting(pad, 0.1)
    assert reader.is_alive()
    pad.press(100, 100)
    reader.join(10)
    assert not reader.is_alive()
    assert got != [None]


@pytest.mark.parametrize("change", ["release", "move", "thicker"])
def test_nothing_new_is_no_picture(pad: PadSource, change: str) -> None:
    pad.read()
    reader, got = waiting(pad)
    getattr(pad, change)(*{"release": (), "move": (10, 10), "thicker": (1,)}[change])
    reader.join(0.1)
    assert reader.is_alive()
    pad.close()
    reader.join(10)
    assert got == [None]


def test_closing_wakes_a_reader_and_opening_again_keeps_the_drawing(pad: PadSource) -> None:
    pad.press(50, 100)
    pad.move(400, 100)
    before = picture(pad)
    reader, got = waiting(pad)
    pad.close()
    pad.close()
    reader.join(10)
    assert got == [None]
    assert pad.read() is None
    pad.open()
    assert (picture(pad) == before).all()
    pad.move(10, 400)  # the pen was lifted
    pad.press(240, 400)
    assert (picture(pad)[130:, :200] == 255).all()


def test_at_most_sixty_pictures_a_second(pad: PadSource) -> None:
    times = []
    for i in range(8):
        pad.press(10.0 * i, 100)
        times.append(pad.read().time)
    assert min(b - a for a, b in itertools.pairwise(times)) > 0.9 * PERIOD


def test_drawing_while_another_thread_reads(pad: PadSource) -> None:
    pictures: list[Image] = []

    def read() -> None:
        while (frame := pad.read()) is not None:
            pictures.append(frame.image)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    for x in range(20, 460, 2):
        draw(pad, [[(x, 100), (x, 200)]])
    while not pictures or pictures[-1][150, 450].min() > 100:
        assert reader.is_alive()
        reader.join(0.01)
    pad.close()
    reader.join(10)
    assert not reader.is_alive()
    inked = [np.count_nonzero(image[:, :, 0] < 128) for image in pictures]
    assert inked == sorted(inked)
