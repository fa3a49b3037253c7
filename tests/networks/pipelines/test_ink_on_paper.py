"""The shipped LeNet behind the ink pipeline, on photographs, on MNIST, and where there is nothing to read."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from benchmarks import stress
from livecnn._cv2 import cv2
from livecnn.io.images import read_image
from livecnn.networks.bundle import Bundle
from livecnn.networks.pipelines.ink import InkPipeline
from livecnn.networks.training import mnist

Picture = npt.NDArray[np.uint8]


def answer(lenet: Bundle, shot: Picture) -> str:
    """The top class, "" where the box is empty."""
    prepared = lenet.pipeline(shot)
    with torch.inference_mode():
        return "" if prepared.empty else lenet.classes[int(lenet.module(prepared.tensor).argmax())]


# Digits


def test_every_photograph_is_read(lenet: Bundle, shared: Path) -> None:
    photos = sorted((shared / "digits").glob("*_label?.png"))
    assert len(photos) == 8
    assert [answer(lenet, read_image(photo)) for photo in photos] == [photo.stem[-1] for photo in photos]


def test_photographs_under_stress(lenet: Bundle, shared: Path) -> None:
    right = [answer(lenet, sample.shot) == str(sample.label) for sample in stress.samples(shared / "digits", each=5)]
    assert len(right) == 40
    assert np.mean(right) >= 0.96


def test_the_stress_set_is_reproducible(shared: Path) -> None:
    first, again, other = (next(stress.samples(shared / "digits", each=1, seed=seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.shot, again.shot)
    assert first.shot.shape == (264, 264, 3)
    assert 0.5 <= first.scale <= 1.0
    assert abs(first.angle) <= 15
    assert not np.array_equal(first.shot, other.shot)


def test_mnist_through_the_pipeline(lenet: Bundle, shared: Path) -> None:
    images, labels = mnist.load(shared / "mnist", "test", mirrors=())
    shots = np.repeat(images[:1000, ..., None], 3, axis=3)
    prepared = [lenet.pipeline(shot) for shot in shots]
    with torch.inference_mode():
        answers = lenet.module(torch.cat([p.tensor for p in prepared])).argmax(1).numpy()
    assert sum(p.empty for p in prepared) <= 2
    assert np.mean(answers == labels[:1000]) >= 0.99


def test_the_card_records_the_accuracy(lenet: Bundle) -> None:
    assert lenet.card is not None
    assert lenet.card.accuracy["mnist_test"] >= 0.994


# Nothing to read


def paper(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    return stress.paper(rng)


def wall(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Plaster: faint blotches of several sizes."""
    return _blotches(rng, rng.uniform(2, 10))


def texture(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Carpet, bark: strong blotches."""
    return _blotches(rng, rng.uniform(10, 25))


def bricks(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    y, x = np.mgrid[: stress.HEIGHT, : stress.WIDTH]
    period = rng.uniform(12, 60)
    joints = (y % period < 2) | ((x + (y // period % 2) * period / 2) % (2 * period) < 2)
    return stress.paper(rng) * np.where(joints, rng.uniform(0.4, 0.85), 1)[..., None].astype(np.float32)


def ruled(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    rows = np.arange(stress.HEIGHT) % rng.uniform(12, 60) < 2
    return stress.paper(rng) * np.where(rows, rng.uniform(0.6, 0.9), 1)[:, None, None].astype(np.float32)


def hand(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """A hand with spread fingers that comes in from below."""
    shape = np.zeros((stress.HEIGHT, stress.WIDTH), np.uint8)
    palm = (int(rng.uniform(260, 380)), int(rng.uniform(260, 380)))
    cv2.ellipse(shape, palm, (55, 65), 0, 0, 360, 255, -1)
    cv2.line(shape, palm, (palm[0] + int(rng.uniform(-60, 60)), stress.HEIGHT), 255, 75)
    for finger in range(5):
        angle, length = np.deg2rad(35 * finger - 160), rng.uniform(80, 140)
        tip = (int(palm[0] + length * np.cos(angle)), int(palm[1] + length * np.sin(angle)))
        cv2.line(shape, palm, tip, 255, int(rng.uniform(18, 30)))
    share = cv2.GaussianBlur(shape, (0, 0), 1.5)[..., None] / np.float32(255)
    skin = np.array([200, 150, 120], np.float32) * np.float32(rng.uniform(0.5, 1.1)) * (_blotches(rng, 15) / 128)
    return np.asarray(stress.paper(rng) * (1 - share) + skin * share, np.float32)


def two_sheets(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """The edge between a bright and a dark sheet crosses the box."""
    scene = stress.paper(rng)
    scene[:, int(rng.uniform(250, 390)) :] *= rng.uniform(0.3, 0.7)
    return scene


def _blotches(rng: np.random.Generator, strength: float) -> npt.NDArray[np.float32]:
    size = (stress.WIDTH, stress.HEIGHT)
    layers = [
        cv2.resize(rng.normal(128, strength, (size[1] // grain, size[0] // grain)).astype(np.float32), size)
        for grain in (2, 8, 24)
    ]
    return np.repeat(np.clip(np.mean(layers, axis=0), 0, 255)[..., None], 3, axis=2)


@pytest.mark.parametrize("scene", [paper, wall, texture, bricks, ruled, hand, two_sheets])
def test_a_scene_without_writing_is_empty(scene: Callable[[np.random.Generator], npt.NDArray[np.float32]]) -> None:
    found = 0
    for seed in range(12):
        rng = np.random.default_rng([seed, 17])
        found += not InkPipeline()(stress.centre_box(stress.camera(scene(rng), rng))).empty
    assert found <= 1


@pytest.mark.parametrize("value", [0, 255])
def test_a_black_or_saturated_frame_is_empty_also_with_noise(value: int) -> None:
    noise = np.random.default_rng(0).normal(0, 6, (264, 264, 3))
    assert InkPipeline()(np.clip(value + noise, 0, 255).astype(np.uint8)).empty


def centres(shared: Path) -> Iterator[Picture]:
    """Centre boxes of three sizes of each photograph: faces, a cat, a cup."""
    for path in sorted((shared / "photos").iterdir()):
        photo = read_image(path)
        for share in (0.55, 0.75, 1.0):
            side = int(share * min(photo.shape[:2]))
            top, left = (photo.shape[0] - side) // 2, (photo.shape[1] - side) // 2
            yield photo[top : top + side, left : left + side]


def test_faces_and_things_are_empty(shared: Path) -> None:
    empty = [InkPipeline()(shot).empty for shot in centres(shared)]
    assert len(empty) == 18
    assert sum(empty) >= 17


def test_a_person_before_a_webcam_is_empty(shared: Path) -> None:
    video = cv2.VideoCapture(str(shared / "videos" / "webcam_person_640x480_30fps.mkv"))
    frames = [np.asarray(picture, np.uint8) for good, picture in (video.read() for _ in range(60)) if good]
    video.release()
    empty = [InkPipeline()(stress.centre_box(frame[..., ::-1])).empty for frame in frames]
    assert len(empty) > 30
    assert np.mean(empty) > 0.95
