import os
from pathlib import Path
from typing import Any

import pytest
import torch

from livecnn import paths
from livecnn.errors import ModelError, OutputError, UsageError
from livecnn.networks import bundle as bundles
from livecnn.networks.import_model import ModelDescription, import_model, new_bundle_folder, read_labels
from tests.helpers import fake_importers


@pytest.fixture(autouse=True)
def _models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_importers.use(monkeypatch)
    monkeypatch.setenv("LIVECNN_MODELS", str(tmp_path / "models"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "net.fake"
    path.write_text("told")
    return path


def test_what_the_files_tell(file: Path) -> None:
    folder = import_model([file], "mine")
    assert folder == paths.user_models() / "mine"
    bundle = bundles.load("mine")
    assert bundle.card is not None
    assert bundle.classes == tuple("abcdefghij")
    assert bundle.card.input == {"kind": "plain", "size": [28, 28], "channels": 1}
    assert (bundle.card.licence, bundle.card.source, bundle.card.architecture) == ("unknown", "net.fake", "lenet")
    assert bundle.card.check is not None
    assert bundles.describe_difference(bundle) == ""
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]


def test_what_the_user_says_comes_first(file: Path) -> None:
    about = ModelDescription({"mean": [0.5], "std": [0.25]}, list("0123456789"), "MIT", "https://here", {"mine": 0.5})
    bundle = bundles.load(import_model([file], "mine", about))
    assert bundle.card is not None
    assert bundle.card.input == {"kind": "plain", "size": [28, 28], "channels": 1, "mean": [0.5], "std": [0.25]}
    assert bundle.classes == tuple("0123456789")
    assert (bundle.card.licence, bundle.card.source, bundle.card.accuracy) == ("MIT", "https://here", {"mine": 0.5})


def test_what_nobody_tells_is_as_usual(file: Path) -> None:
    file.write_text("untold")
    bundle = bundles.load(import_model([file], "mine", ModelDescription({"mean": [0.1]})))
    assert bundle.card is not None
    assert bundle.card.input == {"kind": "plain", "size": [28, 28], "channels": 1, "mean": [0.1], "std": [1.0]}
    assert bundle.classes == tuple("0123456789")


def test_another_pipeline_takes_over_no_fields(file: Path) -> None:
    bundle = bundles.load(import_model([file], "mine", ModelDescription({"kind": "ink"})))
    assert bundle.card is not None
    assert bundle.card.input == {"kind": "ink"}


@pytest.mark.parametrize(
    ("told", "hint"),
    [
        ({}, "--input kind=ink --input mean=0 --input std=1"),
        ({"mean": [0.1307], "std": [0.3081]}, "--input kind=ink --input mean=0.1307 --input std=0.3081"),
        ({"mean": [33.3], "std": [78.6], "scale": 255}, "--input kind=ink --input mean=0.13059 --input std=0.30824"),
    ],
)
def test_pen_on_paper_is_offered_to_what_may_read_digits(file: Path, told: dict[str, Any], hint: str) -> None:
    notes: list[str] = []
    plain = bundles.load(import_model([file], "mine", ModelDescription(told), tell=notes.append))
    assert any(note.endswith(hint) for note in notes)
    words = dict(word.split("=") for word in hint.split() if "=" in word)
    numbers = {key: [float(words[key])] for key in ("mean", "std")}
    ink = bundles.load(import_model([file], "pen", ModelDescription({"kind": "ink", **numbers}), tell=notes.append))
    for level in (0.0, 1.0):  # of a pixel, 0..1, the same number goes in
        wanted = (level * plain.pipeline.scale - plain.pipeline.mean[0]) / plain.pipeline.std[0]  # type: ignore[attr-defined]
        assert float(ink.pipeline.limits[int(level)]) == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a Git LFS pointer, not the file itself; `git lfs pull`"),
        (b"\n<!DOCTYPE html><html>", "a web page, not the file itself; download that"),
    ],
)
@pytest.mark.parametrize("name", ["net.h5", "net.pth", "net.prototxt", "net.fake"])
def test_what_downloads_leave_in_a_files_place(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=f"{name}: {message}"):
        import_model([tmp_path / name], "mine")


def test_architecture_and_options(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    file.touch()
    folder = import_model(
        [file], "small", ModelDescription({"size": [64, 64]}), architecture="squeezenet", options={"classes": 4}
    )
    bundle = bundles.load(folder)
    assert bundle.card is not None
    assert (bundle.card.architecture, bundle.card.options) == ("squeezenet", {"classes": 4})
    assert bundle.pipeline.shape == (3, 64, 64)
    with pytest.raises(ModelError, match=r"weights\.pth: architecture None, allow_code False"):
        import_model([file], "other")
    with pytest.raises(ModelError, match=r"allow_code True"):
        import_model([file], "other", architecture="lenet", allow_code=True)


@pytest.mark.parametrize("chosen", [{"architecture": "lenet"}, {"options": {"depth": 3}}])
def test_what_an_importer_does_not_take(file: Path, chosen: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"net\.fake: found --(architecture|option); what such files hold tells it$"):
        import_model([file], "mine", **chosen)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\\b", "a.b", "-x", "x" * 65, "a b", "ä", "a\n", "C:", "~"])
def test_names_lead_nowhere_else(file: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"^found the name .*; allowed: up to 64 letters, digits, - and _"):
        import_model([file], name)
    assert not paths.user_models().exists()


def test_a_name_that_is_taken(file: Path) -> None:
    first = import_model([file], "mine", ModelDescription(licence="A"))
    for taken in ("mine", "lenet-mnist"):
        message = rf"^{taken}: there is a model of that name already, in .*; allowed: another name, or"
        with pytest.raises(UsageError, match=message):
            import_model([file], taken)
    import_model([file], "mine", ModelDescription(licence="B"), force=True)
    assert bundles.read_card(first).licence == "B"
    assert new_bundle_folder("lenet-mnist", force=True) == paths.user_models() / "lenet-mnist"
    assert [path.name for path in first.parent.iterdir()] == ["mine"]


@pytest.mark.parametrize("other", ["a file", "a folder"])
def test_force_replaces_models_only(file: Path, other: str) -> None:
    precious = paths.user_models() / "mine" if other == "a file" else paths.user_models() / "mine" / "photo.png"
    precious.parent.mkdir(parents=True)
    precious.write_text("precious")
    with pytest.raises(UsageError, match=r"mine: there is something else than a model; allowed: another name"):
        import_model([file], "mine", force=True)
    assert precious.read_text() == "precious"


@pytest.mark.parametrize(
    ("said", "about", "message"),
    [
        ("damaged", ModelDescription(), r"net\.fake: damaged"),
        ("told", ModelDescription({"sise": 3}), r"^mine: input\.sise: unknown key; did you mean 'size'\?"),
        ("told", ModelDescription({"size": [64, 64]}), r"^mine: a picture of 1x64x64 does not go through"),
        ("told", ModelDescription(classes=["a"]), r"scores of shape \(1, 10\); \(1, 1\) is needed for 1 classes"),
        ("lying", ModelDescription({"size": [64, 64]}), r"the tensors are not those of Squeezenet"),
        ("changing", ModelDescription(), r"^mine: read back from its bundle the network is another one: the score of "),
    ],
)
def test_what_fails_leaves_the_older_one(file: Path, said: str, about: ModelDescription, message: str) -> None:
    folder = import_model([file], "mine")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    file.write_text(said)
    with pytest.raises(ModelError, match=message):
        import_model([file], "mine", about, force=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]


def test_a_swap_that_fails_leaves_the_older_one(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = import_model([file], "mine", ModelDescription(licence="A"))
    replace = os.replace

    def busy(source: Path, target: Path) -> None:
        if ".new." in Path(source).name:
            raise PermissionError(13, "in use")
        replace(source, target)

    monkeypatch.setattr("livecnn.networks.import_model.os.replace", busy)
    with pytest.raises(OutputError, match=r"mine: cannot be written: in use"):
        import_model([file], "mine", ModelDescription(licence="B"), force=True)
    assert bundles.read_card(folder).licence == "A"
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]


def test_files_that_no_importer_reads_together(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "x.weights"
    other.touch()
    message = r"found files that end in \.fake, \.weights; allowed together: \.weights, \.json \(face_api\); "
    with pytest.raises(UsageError, match=message):
        import_model([file, other], "mine")
    with pytest.raises(UsageError, match=r"nix\.fake: no such file"):
        import_model([tmp_path / "nix.fake"], "mine")


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("net.tflite", "python -m tf2onnx.convert --tflite"),
        ("frozen.PB", "tf2onnx.convert --graphdef"),
        ("saved", "tf2onnx.convert --saved-model"),
        ("net.mlmodel", "onnxmltools.convert_coreml"),
        ("net.mlpackage", "export to ONNX"),
    ],
)
def test_formats_that_have_a_way_to_onnx(tmp_path: Path, name: str, way: str) -> None:
    if name == "saved":
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
    else:
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match=f"{name}: convert it to ONNX first, which can be imported: .*{way}"):
        import_model([tmp_path / name], "mine")


def test_labels(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("\ufefftench\n\n 1, goldfish \nn01484850 great white shark, Carcharias\n3: hen\n4\n5x\n", encoding="utf-8")
    assert read_labels(file) == ["tench", "goldfish", "great white shark, Carcharias", "hen", "4", "5x"]
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"labels\.txt: not UTF-8 text"):
        read_labels(file)
    file.write_bytes(b"x" * (1 << 20) + b"y")
    with pytest.raises(UsageError, match=r"labels\.txt: found more than 1048576 bytes"):
        read_labels(file)
    with pytest.raises(UsageError, match=r"nix: cannot be read: No such file"):
        read_labels(tmp_path / "nix")


@pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        ("labels.txt", "0 dog\n1 big cat\n", ["dog", "big cat"]),  # as Teachable Machine writes them
        ("x.txt", "1. dog\n2. cat\n", ["dog", "cat"]),
        ("x.txt", "0\tdog\n1\tcat\n", ["dog", "cat"]),
        ("x.txt", "1 euro\n2 euro\n5 euro\n", ["1 euro", "2 euro", "5 euro"]),
        ("x.txt", "0\n1\n2\n", ["0", "1", "2"]),
        ("x.JSON", '["dog", "cat"]', ["dog", "cat"]),
        ("x.json", '{"cat": 1, "dog": 0}', ["dog", "cat"]),
        ("x.json", '{"1": ["n02121808", "cat"], "0": ["n02084071", "dog"]}', ["dog", "cat"]),
        ("x.json", '{"0": "dog", "1": "cat"}', ["dog", "cat"]),
    ],
)
def test_labels_as_other_programs_write_them(tmp_path: Path, name: str, text: str, names: list[str]) -> None:
    (tmp_path / name).write_text(text)
    assert read_labels(tmp_path / name) == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting property name"),
        ("3", "it holds something else than names"),
        ("[1, 2]", "it holds something else than names"),
        ('{"dog": 0, "cat": 2}', "its numbers do not count from 0"),
        ('{"dog": "a"}', "invalid literal for int"),
        ("[" * 100_000, "."),
    ],
)
def test_json_that_holds_no_labels(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UsageError, match=rf'x\.json: .*{message}.*; allowed: \["dog", "cat"\], '):
        read_labels(tmp_path / "x.json")


def test_labels_beside_the_file_are_taken(file: Path, tmp_path: Path) -> None:
    file.write_text("untold")
    (tmp_path / "labels.txt").write_text("".join(f"{i} {name}\n" for i, name in enumerate("klmnopqrst")))
    told: list[str] = []
    assert bundles.load(import_model([file], "mine", tell=told.append)).classes == tuple("klmnopqrst")
    assert told[:1] == [f"its classes are those in {tmp_path / 'labels.txt'}; others: --classes"]
    assert bundles.load(import_model([file], "yours", ModelDescription(classes=[*"abcdefghij"]))).classes == tuple("abcdefghij")
    file.write_text("told")
    assert bundles.load(import_model([file], "theirs")).classes == tuple("abcdefghij")


def test_channels_that_the_network_does_not_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Wide(fake_importers.Fake):
        def __call__(self, files: Any) -> Any:
            found = super().__call__(files)
            found.module.conv1 = torch.nn.Conv2d(4, 20, 5)
            return found

    monkeypatch.setattr(fake_importers, "Fake", Wide)
    fake_importers.use(monkeypatch)
    (tmp_path / "net.fake").write_text("untold")
    with pytest.raises(ModelError, match=r"^mine: a picture of 3x28x28 does not go through"):
        import_model([tmp_path / "net.fake"], "mine", ModelDescription({"size": [28, 28], "channels": 3}))
