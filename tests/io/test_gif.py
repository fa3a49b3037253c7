import io
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage
from PIL import ImageSequence

from livecnn._cv2 import cv2
from livecnn.io import gif
from livecnn.io.gif import Palette
from livecnn.sources import open_source
from livecnn.types import Image

RNG = np.random.default_rng(11)
PALETTE_RNG = np.random.default_rng(5)


def photograph() -> Image:
    with open_source("demo") as demo:
        return demo.read().image


def shown(blocks: Iterable[bytes], width: int, height: int) -> list[Image]:
    content = gif.screen_head(width, height) + b"".join(blocks) + gif.TRAILER
    with PillowImage.open(io.BytesIO(content)) as film:
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(film)]


def encoded(pictures: list[Image]) -> list[bytes]:
    height, width, _ = pictures[0].shape
    encoder = gif.GifEncoder(width, height)
    return [encoder.block(picture, 10) for picture in pictures]


def grays(*levels: int, side: int = 8) -> Image:
    """Flat squares beside each other."""
    return np.repeat(np.repeat(np.array(levels, np.uint8)[None, :, None], 3, axis=2), side, axis=1).repeat(side, axis=0)


def test_few_colours_are_exact() -> None:
    picture = RNG.integers(0, 256, (5, 50, 3), np.uint8)
    np.testing.assert_array_equal(shown(encoded([picture]), 50, 5)[0], picture)


def test_flat_colours_are_exact_beside_a_photograph() -> None:
    picture = photograph()
    picture[:40] = (13, 17, 23)
    picture[40:60] = (16, 20, 26)  # a card on the ground
    film = shown(encoded([picture]), picture.shape[1], picture.shape[0])[0]
    np.testing.assert_array_equal(film[:60], picture[:60])
    assert cv2.PSNR(film, picture) > 38


def test_a_ramp_has_no_bands() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(20, axis=0)
    film = shown(encoded([ramp]), 256, 20)[0]
    assert np.abs(film.astype(int) - ramp).max() <= 1


def test_what_nobody_sees_is_not_written() -> None:
    blocks = encoded([grays(10, 100, 200), grays(10 + gif.UNSEEN, 100, 200), grays(10, 100, 200)])
    assert blocks[1:] == [b"", b""]


def test_errors_never_add_up() -> None:
    pictures = [grays(level, 200) for level in range(60)]
    film = shown(encoded(pictures), 16, 8)
    last = int(film[-1][0, 0, 0])
    assert abs(last - 59) <= gif.UNSEEN + 1
    assert 5 < len(film) < 30  # it follows in steps


def test_what_stands_gets_better_when_there_are_colours_to_spare() -> None:
    noise = RNG.integers(0, 256, (60, 80, 3), np.uint8)
    calm = noise.copy()
    calm[:, 20:] = 0
    first, second = (film[:, :20] for film in shown(encoded([noise, calm]), 80, 60))
    assert cv2.PSNR(second.copy(), noise[:, :20].copy()) > cv2.PSNR(first.copy(), noise[:, :20].copy()) + 1


def test_only_the_rectangle_that_changes_is_written() -> None:
    still = np.repeat(RNG.integers(0, 200, (200, 300, 1), np.uint8), 3, axis=2)
    moved = still.copy()
    moved[50:60, 80:100] = (255, 0, 0)
    blocks = encoded([still, moved])
    at = blocks[1].index(b"\x2c")  # the image descriptor: left, top, width, height
    left, top, width, height = np.frombuffer(blocks[1][at + 1 : at + 9], "<u2")
    assert (left, top, width, height) == (80, 50, 20, 10)
    film = shown(blocks, 300, 200)
    np.testing.assert_array_equal(film[1][50:60, 80:100], moved[50:60, 80:100])
    changed = np.flatnonzero((film[1] != film[0]).any(axis=2))
    assert len(changed) <= 10 * 20


def test_a_pause_changes_nothing() -> None:
    film = shown([*encoded([grays(10, 100, 200)]), gif.empty_frame(500)], 24, 8)
    np.testing.assert_array_equal(film[0], grays(10, 100, 200))
    np.testing.assert_array_equal(film[-1], film[0])


def test_a_scene_that_changes_altogether_gets_its_own_colours() -> None:
    first = photograph()
    pictures = [first, 255 - first, first[::-1, ::-1, [1, 2, 0]].copy()]
    for film, picture in zip(shown(encoded(pictures), first.shape[1], first.shape[0]), pictures, strict=True):
        assert cv2.PSNR(film, picture) > 37


@given(st.lists(st.integers(0, 255), min_size=1, max_size=20), st.integers(1, 9))
def test_any_flat_squares(levels: list[int], side: int) -> None:
    picture = grays(*levels, side=side)
    np.testing.assert_array_equal(shown(encoded([picture]), picture.shape[1], side)[0], picture)


def packed(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    red, green, blue = pixels.reshape(-1, 3).T.astype(np.uint32)
    return red | green << 8 | blue << 16


def loss(palette: Palette, pixels: npt.NDArray[np.uint8]) -> float:
    """Mean squared error of the pixels after one fit."""
    colors, which, counts = np.unique(packed(pixels), return_inverse=True, return_counts=True)
    codes = palette.fit(colors, counts)[which]
    return float(np.square(palette.colors[codes] - pixels.reshape(-1, 3)).mean())


@pytest.mark.parametrize("count", [1, 2, 16])
def test_colours_that_have_room_are_exact(count: int) -> None:
    palette = Palette(16)
    assert loss(palette, PALETTE_RNG.integers(0, 256, (count, 3), np.uint8)) == 0
    assert len(palette.colors) == count


def test_it_serves_better_than_median_cut() -> None:
    picture = photograph()
    cut = np.asarray(PillowImage.fromarray(picture).quantize(64, PillowImage.Quantize.MEDIANCUT).convert("RGB"))
    assert loss(Palette(64), picture) < 0.8 * np.square(cut.astype(float) - picture).mean()


def test_noise_of_all_colours() -> None:
    noise = PALETTE_RNG.integers(0, 256, (300, 300, 3), np.uint8)  # more colours than are told apart
    assert loss(Palette(255), noise) < 350


def test_it_follows_what_comes() -> None:
    palette, picture = Palette(64), photograph()
    alone = loss(Palette(64), picture)
    loss(palette, 255 - picture)
    first = loss(palette, picture)
    for _ in range(5):
        again = loss(palette, picture)
    assert again <= 1.1 * alone
    assert again <= first


def test_it_grows_from_few_colours_to_many() -> None:
    palette, picture = Palette(64), photograph()
    loss(palette, np.array([[1, 2, 3]], np.uint8))
    assert loss(palette, picture) < 1.3 * loss(Palette(64), picture)


def test_the_frequent_come_first() -> None:
    frequent = np.tile(np.array([[[20, 30, 40]]], np.uint8), (1000, 1, 1))
    rare = np.random.default_rng(0).integers(0, 256, (200, 1, 3), np.uint8)
    palette = Palette(8)
    loss(palette, np.concatenate((frequent, rare)))
    assert [20, 30, 40] in palette.colors.astype(int).tolist()


def test_values_are_whole_and_the_same_every_time() -> None:
    one, other = Palette(32), Palette(32)
    for picture in (photograph(), photograph()[::-1, :, ::-1].copy()):
        assert loss(one, picture) == loss(other, picture)
    np.testing.assert_array_equal(one.colors, other.colors)
    np.testing.assert_array_equal(one.colors, np.rint(one.colors))
    assert one.colors.min() >= 0
    assert one.colors.max() <= 255
