"""How well the shipped LeNet reads photographed digits under what a webcam does to them; prints JSON.

    python benchmarks/stress.py [--data FOLDER] [--each 100] [--seed 0] [--model lenet-mnist]

Each photograph (pen on paper, `NN_labelD.png`) is taken apart into the sheet and the share of light that its ink lets through.
The ink is turned by up to 15 degrees, scaled until its longest side is 0.5 to 1.0 of the box, put anywhere in it, and laid on a
new sheet in a 640x480 frame under uneven light; then blur, noise, and JPEG at quality 60. What is classified is the centre box of
0.55 of the frame's short side (264 pixels), as in the live view.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from livecnn._cv2 import cv2
from livecnn.io.images import read_image

Picture = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]

WIDTH, HEIGHT, BOX = 640, 480, 264
SHARED = Path(os.environ.get("LIVECNN_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data"


@dataclass(frozen=True)
class Sample:
    """A shot, uint8 (264, 264, 3) RGB, its digit, and how it was made: degrees, share of the box, photograph."""

    shot: Picture
    label: int
    angle: float
    scale: float
    photo: str


def samples(folder: Path, each: int = 100, seed: int = 0) -> Iterator[Sample]:
    """`each` samples of every photograph; the same for the same seed, whatever `each` is."""
    paths = sorted(folder.glob("*_label?.png"))
    if not paths:
        raise SystemExit(f"{folder}: no photographs named NN_labelD.png")
    for number, path in enumerate(paths):
        transmission, outline = _ink(read_image(path))
        for index in range(each):
            rng = np.random.default_rng([seed, number, index])
            angle, scale = float(rng.uniform(-15, 15)), float(rng.uniform(0.5, 1.0))
            sheet = _place(transmission, outline, angle, scale, rng) * paper(rng)
            yield Sample(centre_box(camera(sheet, rng)), int(path.stem[-1]), angle, scale, path.name)


def _ink(photo: Picture) -> tuple[Plane, Plane]:
    """The share of light that passes, (h, w, 3) about 1 on bare paper and 1 at the rim; the ink's points, (n, 2) as x, y."""
    side = photo.shape[0]
    bare = cv2.GaussianBlur(cv2.morphologyEx(cv2.medianBlur(photo, 5), cv2.MORPH_CLOSE, np.ones((51, 51), np.uint8)), (0, 0), 8)
    share = np.minimum(photo.astype(np.float32) / bare, 1.1)
    share /= np.median(share, axis=(0, 1))
    rim = np.minimum.outer(*[np.minimum(np.arange(side), np.arange(side)[::-1])] * 2)
    share = 1 + (share - 1) * np.clip(rim / 8, 0, 1)[..., None].astype(np.float32)
    strokes = cv2.GaussianBlur(share.mean(axis=2), (0, 0), 1.5) < 0.75
    rows, columns = np.nonzero(strokes)
    return share.astype(np.float32), np.stack([columns, rows], 1).astype(np.float32)


def _place(transmission: Plane, outline: Plane, angle: float, scale: float, rng: np.random.Generator) -> Plane:
    """The ink, turned, scaled to `scale` of the box and shifted within it, in a frame that else lets all light through."""
    turn = np.array([[math.cos(a := math.radians(angle)), -math.sin(a)], [math.sin(a), math.cos(a)]])
    turned = outline @ turn.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    zoom = scale * BOX / float((high - low).max())
    free = (BOX - zoom * (high - low)) / 2
    centre = np.array([WIDTH, HEIGHT]) / 2 + rng.uniform(-1, 1, 2) * free
    matrix = np.column_stack([zoom * turn, centre - zoom * (low + high) / 2])
    frame = cv2.warpAffine(transmission, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_AREA, borderValue=(1, 1, 1))
    return np.asarray(frame, np.float32)


def paper(rng: np.random.Generator) -> Plane:
    """A sheet (480, 640, 3), 0..255: its tint, a slope of the light, a vignette and, on half of them, a soft-edged shadow."""
    x, y = np.meshgrid(np.linspace(-1, 1, WIDTH, dtype=np.float32), np.linspace(-1, 1, HEIGHT, dtype=np.float32))
    direction = rng.uniform(0, 2 * math.pi)
    across = x * math.cos(direction) + y * math.sin(direction)
    light = (1 + rng.uniform(0, 0.35) * across) * (1 - rng.uniform(0, 0.25) * (x**2 + y**2) / 2)
    if rng.random() < 0.5:
        edge = (across - rng.uniform(-0.5, 0.5)) / rng.uniform(0.03, 0.3)
        light *= 1 - rng.uniform(0.1, 0.45) / (1 + np.exp(np.clip(edge, -50, 50)))
    tint = rng.uniform(110, 220) * rng.uniform(0.92, 1.08, 3)
    return light[..., None].astype(np.float32) * tint.astype(np.float32)


def camera(scene: Plane, rng: np.random.Generator) -> Picture:
    """A picture of a scene (480, 640, 3) in 0..255: blurred, noisy, and packed as JPEG."""
    soft = cv2.GaussianBlur(scene, (0, 0), rng.uniform(0.3, 2.0))
    noisy = soft + np.float32(rng.uniform(1, 10)) * rng.standard_normal(scene.shape, np.float32)
    frame = np.clip(noisy, 0, 255).astype(np.uint8)
    packed = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR_RGB), np.uint8)


def centre_box(frame: Picture) -> Picture:
    """The part of a frame that the live view classifies."""
    top, left = (HEIGHT - BOX) // 2, (WIDTH - BOX) // 2
    return np.ascontiguousarray(frame[top : top + BOX, left : left + BOX])


def main() -> None:
    """Classify every sample with the model and its own input pipeline; an empty box counts as wrong."""
    options = _options()
    from livecnn.networks.bundle import load

    bundle = load(options.model)
    right: dict[str, list[bool]] = {}
    for sample in samples(options.data, options.each, options.seed):
        prepared = bundle.pipeline(sample.shot)
        top = bundle.classes[int(bundle.module(prepared.tensor).argmax())]
        right.setdefault(sample.photo, []).append(not prepared.empty and top == str(sample.label))
    every = [answer for answers in right.values() for answer in answers]
    by = {photo: float(np.mean(answers)) for photo, answers in right.items()}
    print(json.dumps({"accuracy": float(np.mean(every)), "n": len(every), "by": by}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED / "digits", help="folder of the photographs")
    parser.add_argument("--each", type=int, default=100, help="samples of each photograph")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="lenet-mnist")
    return parser.parse_args()


if __name__ == "__main__":
    main()
