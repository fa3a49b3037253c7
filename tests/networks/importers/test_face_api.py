import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from livecnn.errors import ModelError
from livecnn.networks import bundle as bundles
from livecnn.networks.importers.face_api import FaceApiImporter
from livecnn.networks.inspection.probe import Probe

FLOATS = 421_731

# Crop (left, top, right, bottom), years, and whom the network sees.
FACES = [
    ("face_age51.jpg", (330, 60, 650, 380), 47.6, "male"),
    ("astronaut.png", (165, 50, 285, 185), 36.3, "female"),
    ("face_child.jpg", (440, 120, 700, 390), 2.5, "male"),
    ("face_old_man.jpg", (265, 40, 490, 300), 67.3, "male"),
]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "age_gender_model.weights"
    path.write_bytes(np.random.default_rng(0).normal(0, 0.05, FLOATS).astype("<f4").tobytes())
    return path


@pytest.fixture
def manifest(shared: Path, tmp_path: Path) -> Path:
    """Beside the weights."""
    path = tmp_path / "age_gender_model-weights_manifest.json"
    path.write_bytes((shared / "age" / path.name).read_bytes())
    return path


@pytest.fixture(scope="module")
def bundle(shared: Path) -> bundles.Bundle:
    found = FaceApiImporter()([shared / "age" / "age_gender_model.weights"])
    return bundles.bundle_from_module(found.module, "age", classes=found.classes, input=found.input)


@pytest.mark.parametrize(("file", "box", "years", "gender"), FACES)
def test_real_faces(shared: Path, bundle: bundles.Bundle, file: str, box: tuple[int, ...], years: float, gender: str) -> None:
    with Image.open(shared / "photos" / file) as image:
        crop = image.convert("RGB").crop(box)  # type: ignore[arg-type]
    with Probe(bundle.module, ["age"]) as probe:
        scores, found = probe(bundle.prepare(np.asarray(crop.resize((112, 112), Image.Resampling.BILINEAR))))
        assert found["age"].item() == pytest.approx(years, abs=0.1)
        assert bundle.classes[int(scores.argmax())] == gender
        _, found = probe(bundle.prepare(np.asarray(crop)))  # shrunk by livecnn
        assert found["age"].item() == pytest.approx(years, abs=0.1)


def test_tensors_stand_in_tensorflow_layouts(weights: Path) -> None:
    numbers = np.fromfile(weights, "<f4")
    state = FaceApiImporter()([weights]).module.state_dict()
    first = numbers[: 3 * 3 * 3 * 32].reshape(3, 3, 3, 32)
    assert state["entry_flow.conv_in.weight"][7, 2, 0, 1] == first[0, 1, 2, 7]
    at = 3 * 3 * 3 * 32 + 32
    depthwise = numbers[at : at + 3 * 3 * 32].reshape(3, 3, 32, 1)
    name = "entry_flow.reduction_block_0.separable_conv0.depthwise.weight"
    assert state[name][5, 0, 2, 1] == depthwise[2, 1, 5, 0]
    gender = numbers[-(512 * 2 + 2) : -2].reshape(512, 2)
    assert state["gender.weight"][1, 100] == gender[100, 1]
    assert state["age.bias"][0] == numbers[-(512 * 2 + 2) - 1]


def test_the_manifest_beside_or_given_is_heeded(weights: Path, manifest: Path) -> None:
    assert FaceApiImporter()([weights]).architecture == "tiny_xception"
    assert FaceApiImporter()([manifest, weights]).classes == ("male", "female")
    groups = json.loads(manifest.read_text())
    groups[0]["weights"][-2]["shape"] = [512, 3]
    manifest.write_text(json.dumps(groups))
    for files in ([weights], [weights, manifest]):
        message = r"manifest\.json: not that of the age .*found \('fc/gender/weights', \(512, 3\), 'float32'\)"
        with pytest.raises(ModelError, match=message):
            FaceApiImporter()(files)
    groups[0]["weights"].pop(-2)
    groups[0]["weights"].pop()
    manifest.write_text(json.dumps(groups))
    with pytest.raises(ModelError, match=r"found 49 tensors; 51 are needed"):
        FaceApiImporter()([weights])


anything = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["weights", "name", "shape", "dtype"]), inner),
    max_leaves=8,
)


@given(st.binary(max_size=60) | anything.map(lambda data: json.dumps(data).encode()))
@example(b"[" * 200_000)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_any_manifest_is_heeded_or_a_clear_error(weights: Path, content: bytes) -> None:
    manifest = weights.with_name("any.json")
    manifest.write_bytes(content)
    with pytest.raises(ModelError, match=r"any\.json: not "):
        FaceApiImporter()([weights, manifest])


@pytest.mark.parametrize(
    ("content", "found"),
    [(b"", "0 bytes"), (bytes(4 * FLOATS - 1), "1,686,923 bytes"), (bytes(4 * FLOATS + 9), "more than 1,686,924")],
)
def test_files_of_another_size(weights: Path, content: bytes, found: str) -> None:
    weights.write_bytes(content)
    with pytest.raises(ModelError, match=rf"\.weights: found {found}.*the age and gender network has 1,686,924"):
        FaceApiImporter()([weights])


def test_files_that_are_not_one_network(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"found 2 \.weights and 0 \.json files"):
        FaceApiImporter()([weights, weights])
    with pytest.raises(ModelError, match=r"found 0 \.weights and 1 \.json files"):
        FaceApiImporter()([tmp_path / "x.json"])
    with pytest.raises(ModelError, match=r"nix\.weights: cannot be read: No such file"):
        FaceApiImporter()([tmp_path / "nix.weights"])
    with pytest.raises(ModelError, match=r"nix\.json: cannot be read: No such file"):
        FaceApiImporter()([weights, tmp_path / "nix.json"])
