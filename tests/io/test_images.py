import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image as Pillow

from livecnn._cv2 import cv2
from livecnn.errors import ImageError
from livecnn.io.images import read_image
from livecnn.types import Image

RAMP16 = (np.arange(8 * 6).reshape(8, 6) * 1394).astype(np.uint16)
RAMP8 = (RAMP16 // 257).astype(np.uint8)
COLOUR = np.stack([RAMP8, RAMP8[::-1], RAMP8[:, ::-1]], axis=2)


def saved(folder: Path, array: Image | Pillow.Image, name: str = "picture.png", **options: object) -> Path:
    picture = array if isinstance(array, Pillow.Image) else Pillow.fromarray(array)
    picture.save(folder / name, **options)
    return folder / name


def test_every_format_of_the_allow_list(tmp_path: Path) -> None:
    for suffix, options in {"png": {}, "bmp": {}, "tiff": {}, "webp": {"lossless": True}}.items():
        image = read_image(saved(tmp_path, COLOUR, f"a.{suffix}", **options))
        np.testing.assert_array_equal(image, COLOUR)
        assert image.dtype == np.uint8
        assert image.flags.writeable
    flat = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    np.testing.assert_allclose(read_image(saved(tmp_path, flat, "a.jpg", quality=100)), flat, atol=2)


def test_a_suffix_that_lies_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "really.jpg").write_bytes(saved(tmp_path, COLOUR).read_bytes())
    np.testing.assert_array_equal(read_image(tmp_path / "really.jpg"), COLOUR)


def test_gray_becomes_three_equal_channels(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_image(saved(tmp_path, RAMP8)), np.dstack([RAMP8] * 3))


def test_one_bit(tmp_path: Path) -> None:
    bits = RAMP8 > 100
    np.testing.assert_array_equal(read_image(saved(tmp_path, Pillow.fromarray(bits)))[..., 1], 255 * bits)


def test_one_pixel(tmp_path: Path) -> None:
    assert read_image(saved(tmp_path, np.array([[[9, 8, 7]]], np.uint8))).tolist() == [[[9, 8, 7]]]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_white(tmp_path: Path, mode: str) -> None:
    black = Pillow.new(mode, (3, 1), 0)
    black.putalpha(Pillow.fromarray(np.array([[0, 128, 255]], np.uint8)))
    np.testing.assert_allclose(read_image(saved(tmp_path, black))[0, :, 0], [255, 127, 0], atol=1)


def test_transparent_colours_of_palette_and_gray(tmp_path: Path) -> None:
    palette = Pillow.new("P", (2, 1), 0)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putpixel((1, 0), 1)
    assert read_image(saved(tmp_path, palette)).tolist() == [[[255, 0, 0], [0, 0, 255]]]
    assert read_image(saved(tmp_path, palette, transparency=0)).tolist() == [[[255] * 3, [0, 0, 255]]]
    assert read_image(saved(tmp_path, palette, transparency=bytes([255, 0]))).tolist() == [[[255, 0, 0], [255] * 3]]
    gray = Pillow.fromarray(np.array([[40, 90]], np.uint8))
    assert read_image(saved(tmp_path, gray, transparency=40))[0, :, 0].tolist() == [255, 90]


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    path = str(tmp_path / f"deep.{suffix}")
    cv2.imwrite(path, RAMP16)
    np.testing.assert_allclose(read_image(path)[..., 0], RAMP16 / 257, atol=1)
    colour = np.dstack([RAMP16, RAMP16[::-1], RAMP16[:, ::-1]])
    cv2.imwrite(path, colour)
    np.testing.assert_allclose(read_image(path), colour[..., ::-1] / 257, atol=1)
    cv2.imwrite(path, np.dstack([colour, np.full_like(RAMP16, 0x8000)]))
    np.testing.assert_allclose(read_image(path), colour[..., ::-1] / 514 + 127.5, atol=1.5)


def test_cmyk_by_the_formula_and_as_opencv_reads_adobe_jpeg(tmp_path: Path) -> None:
    corners = np.random.default_rng(0).integers(0, 256, (5, 5, 4)).astype(np.uint8)
    inks = cv2.resize(corners, (40, 40), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    picture = Pillow.frombytes("CMYK", (40, 40), inks.tobytes())
    light = 1 - inks / 255
    np.testing.assert_allclose(read_image(saved(tmp_path, picture, "a.tiff")), 255 * light[..., :3] * light[..., 3:], atol=1)
    jpeg = saved(tmp_path, picture, "a.jpg", quality=98)
    np.testing.assert_allclose(read_image(jpeg), np.asarray(cv2.imread(str(jpeg)))[..., ::-1], atol=3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff", "webp"])
def test_exif_orientation(tmp_path: Path, suffix: str, orientation: int) -> None:
    upright = {
        1: RAMP8,
        2: RAMP8[:, ::-1],
        3: RAMP8[::-1, ::-1],
        4: RAMP8[::-1],
        5: RAMP8.T,
        6: np.rot90(RAMP8, -1),
        7: RAMP8[::-1, ::-1].T,
        8: np.rot90(RAMP8),
    }[orientation]
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    options = {"jpg": {"quality": 100}, "webp": {"lossless": True}}.get(suffix, {})
    image = read_image(saved(tmp_path, RAMP8, f"a.{suffix}", exif=exif, **options))
    np.testing.assert_allclose(image[..., 0], upright, atol=3)


def test_a_turned_picture_of_16_bits(tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    for suffix in ("png", "tiff"):
        image = read_image(saved(tmp_path, RAMP16, f"a.{suffix}", exif=exif))
        np.testing.assert_allclose(image[..., 0], np.rot90(RAMP16, -1) / 257, atol=1)


def test_broken_metadata_lose_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, COLOUR, "a.png", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01")
    np.testing.assert_array_equal(read_image(path), COLOUR)

    def refuse(_: object) -> None:
        raise SyntaxError("not a TIFF file")  # as some releases of Pillow do

    monkeypatch.setattr("PIL.ImageOps.exif_transpose", refuse)
    np.testing.assert_array_equal(read_image(path), COLOUR)


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares a size and has no pixels."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return header + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


@pytest.mark.parametrize(("width", "height"), [(10_000, 10_000), (50_000_001, 1), (20_000, 20_000)])
def test_too_many_pixels_are_refused_from_the_header(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(width, height))
    with pytest.raises(ImageError, match=r"bomb\.png: .*pixels; allowed: 50 megapixels"):
        read_image(path)


def test_what_cannot_be_read_is_told_with_file_and_reason(tmp_path: Path) -> None:
    good = saved(tmp_path, np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).read_bytes()
    cases = {
        "empty.png": (b"", "the file is empty"),
        "text.png": (b"hello, world", "not a picture that can be read; allowed: PNG, JPEG, BMP, TIFF, WEBP"),
        "cut.png": (good[: len(good) // 2], "cannot be decoded: .*truncated"),
        "broken.png": (good[:60] + bytes(200) + good[260:], "cannot be decoded: "),
    }
    for name, (content, reason) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageError, match=f"{name}: {reason}"):
            read_image(tmp_path / name)
    with pytest.raises(ImageError, match="no such file"):
        read_image(tmp_path / "missing.png")
    with pytest.raises(ImageError, match="not a file"):
        read_image(tmp_path)


def test_formats_and_samples_that_are_not_allowed(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="not a picture that can be read"):
        read_image(saved(tmp_path, RAMP8, "moving.gif"))
    with pytest.raises(ImageError, match="float32; allowed: 8 or 16 bits"):
        read_image(saved(tmp_path, Pillow.fromarray(RAMP8.astype(np.float32)), "f.tiff"))
    with pytest.raises(ImageError, match="int32; allowed: 8 or 16 bits"):
        read_image(saved(tmp_path, Pillow.fromarray(RAMP8.astype(np.int32) * 1000), "i.tiff"))


def test_a_file_that_may_not_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = saved(tmp_path, RAMP8)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ImageError, match=r"picture\.png: cannot be decoded: Permission denied"):
        read_image(path)


@settings(max_examples=25, deadline=None)
@given(array=hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_lossless_pictures_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, array: Image) -> None:
    path = saved(tmp_path_factory.getbasetemp(), array, "any.png")
    np.testing.assert_array_equal(read_image(path), array)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), kind=st.sampled_from(["PNG", "JPEG", "BMP", "TIFF", "WEBP"]))
def test_damaged_files_give_a_picture_or_an_image_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str
) -> None:
    buffer = io.BytesIO()
    Pillow.fromarray(COLOUR).save(buffer, kind)
    content = bytearray(buffer.getvalue())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / f"damaged.{kind.lower()}"
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    image, complaint = tried(path)
    if image is None:
        assert complaint.startswith(str(path))
        assert "\n" not in complaint
    else:
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[2] == 3


def tried(path: Path) -> tuple[Image | None, str]:
    try:
        return read_image(path), ""
    except ImageError as error:
        return None, str(error)
