import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as PillowImage

from livecnn.io.recorders.palette import Palette
from livecnn.sources import open_source

RNG = np.random.default_rng(5)


def packed(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    red, green, blue = pixels.reshape(-1, 3).T.astype(np.uint32)
    return red | green << 8 | blue << 16


def loss(palette: Palette, pixels: npt.NDArray[np.uint8]) -> float:
    """Mean squared error of the pixels after one fit."""
    colors, which, counts = np.unique(packed(pixels), return_inverse=True, return_counts=True)
    codes = palette.fit(colors, counts)[which]
    return float(np.square(palette.colors[codes] - pixels.reshape(-1, 3)).mean())


def photograph() -> npt.NDArray[np.uint8]:
    with open_source("demo") as demo:
        return demo.read().image


@pytest.mark.parametrize("count", [1, 2, 16])
def test_colours_that_have_room_are_exact(count: int) -> None:
    palette = Palette(16)
    assert loss(palette, RNG.integers(0, 256, (count, 3), np.uint8)) == 0
    assert len(palette.colors) == count


def test_it_serves_better_than_median_cut() -> None:
    picture = photograph()
    cut = np.asarray(PillowImage.fromarray(picture).quantize(64, PillowImage.Quantize.MEDIANCUT).convert("RGB"))
    assert loss(Palette(64), picture) < 0.8 * np.square(cut.astype(float) - picture).mean()


def test_noise_of_all_colours() -> None:
    noise = RNG.integers(0, 256, (300, 300, 3), np.uint8)  # more colours than are told apart
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
