"""Picture files that strangers wrote: decoded safely, and always to the same form."""

import io
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from livecnn._cv2 import MAX_PIXELS, cv2
from livecnn.errors import ImageError
from livecnn.io.files import stand_in
from livecnn.types import Image

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
NOTEBOOK = 2600  # pixels of a side, at most, of a picture that a notebook shows by itself
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
THUMBNAIL = 96  # pixels of a kept shot's longer side


def read_image(path: str | os.PathLike[str]) -> Image:
    """Decode one picture file (PNG, JPEG, BMP, TIFF or WebP; of several pages the first) to uint8 (H, W, 3) RGB.

    The EXIF orientation is applied, transparency is laid on white, 16-bit samples are scaled to 8 bits, CMYK and
    palettes are converted. Raises ImageError, naming the file and the reason; more than 50 megapixels are refused from
    the header, before anything is decoded.
    """
    path = Path(path)
    if not path.is_file():
        raise ImageError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    if path.stat().st_size == 0:
        raise ImageError(f"{path}: the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata, and its own, laxer limit of pixels
            return _decode(path)
    except ImageError:
        raise
    except Pillow.DecompressionBombError as error:  # Pillow's own limit, twice of which it refuses before ours is asked
        raise ImageError(f"{path}: too many pixels; allowed: {MAX_PIXELS // 1_000_000} megapixels") from error
    except UnidentifiedImageError as error:
        found = stand_in(path) or f"not a picture that can be read; allowed: {', '.join(FORMATS)}"
        raise ImageError(f"{path}: {found}") from error
    except Exception as error:  # a broken file makes Pillow's decoders raise nearly anything
        raise ImageError(f"{path}: cannot be decoded: {_reason(error)}") from error


def notebook_png(picture: Image) -> bytes:
    """Return the PNG that a notebook shows: a large picture made smaller."""
    smaller, buffer = Pillow.fromarray(picture), io.BytesIO()
    smaller.thumbnail((NOTEBOOK, NOTEBOOK))
    smaller.save(buffer, "PNG")
    return buffer.getvalue()


def _decode(path: Path) -> Image:
    # An open file instead of a name keeps Pillow from mapping it into memory, which garbles turned, uncompressed TIFFs
    # (the map has the turned size) and would kill the process when the file shrinks meanwhile.
    with path.open("rb") as file, Pillow.open(file, formats=FORMATS) as picture:
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise ImageError(f"{path}: {width}x{height} pixels; allowed: {MAX_PIXELS // 1_000_000} megapixels")
        picture.load()
        return np.array(_rgb(_upright(picture)), dtype=np.uint8)


def _upright(picture: Pillow.Image) -> Pillow.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # broken metadata are no reason to lose a good picture
        return picture


def _rgb(picture: Pillow.Image) -> Pillow.Image:
    if picture.mode[0] in "IF":
        return _from_deep_gray(picture).convert("RGB")
    if picture.mode.endswith(("A", "a")) or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        return Pillow.alpha_composite(Pillow.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return picture.convert("RGB")


def _from_deep_gray(picture: Pillow.Image) -> Pillow.Image:
    """Bring 16-bit gray to 8 bits; Pillow's own conversion would clip at 255. Deeper samples have no agreed white: refused."""
    samples = np.asarray(picture)
    if samples.dtype.kind == "f" or samples.min() < 0 or samples.max() > 0xFFFF:
        raise ValueError(f"samples of type {samples.dtype}; allowed: 8 or 16 bits")
    return Pillow.fromarray((samples.astype(np.uint32) // 257).astype(np.uint8))


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__


def thumbnail(shot: Image, longest: int = THUMBNAIL) -> Image:
    """Return a copy, uint8 (h, w, 3), no side longer than `longest` pixels."""
    ratio = longest / max(shot.shape)
    if ratio >= 1:
        return shot.copy()
    width, height = (max(1, round(side * ratio)) for side in (shot.shape[1], shot.shape[0]))
    return np.asarray(cv2.resize(shot, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
