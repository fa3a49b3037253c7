from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from livecnn import paths
from livecnn.cli import main
from livecnn.io import download as fetch
from livecnn.networks import bundle as bundles
from livecnn.networks import catalogue
from tests.cli.conftest import Refused
from tests.helpers import fake_importers
from tests.helpers.servers import FileServer, cut

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_importers.use(monkeypatch)
    monkeypatch.setenv("LIVECNN_MODELS", str(tmp_path / "models"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "net.fake"
    path.write_text("told")
    return path


def test_list(file: Path, capsys: Output) -> None:
    assert main(["models", "import", str(file), "--name", "mine"]) == 0
    (paths.user_models() / "mine" / "model.yaml").rename(file)
    damaged = paths.user_models() / "torn"
    damaged.mkdir()
    (damaged / "model.yaml").write_text("name: [")
    file.rename(paths.user_models() / "mine" / "model.yaml")
    capsys.readouterr()
    assert main(["models", "list"]) == 0
    out, err = capsys.readouterr()
    rows = {line.split()[0]: line for line in out.splitlines()}
    assert err == ""
    assert set(rows) == {"lenet-mnist", "mine", "torn", *catalogue.ENTRIES}
    assert rows["lenet-mnist"].split("  ")[-1] == "mnist_test 99.43%"
    assert "lenet, 10 classes" in rows["lenet-mnist"]
    assert "shipped" in rows["lenet-mnist"]
    assert "1.7 MB" in rows["mine"]
    assert str(paths.user_models() / "mine") in rows["mine"]
    assert "damaged: " in rows["torn"]
    assert "livecnn models get vgg16" in rows["vgg16"]
    assert "553.4 MB" in rows["vgg16"]


def test_a_fetched_model_is_listed_once(file: Path, capsys: Output) -> None:
    assert main(["models", "import", str(file), "--name", "age"]) == 0
    capsys.readouterr()
    assert main(["models", "list"]) == 0
    (row,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("age "))
    assert "lenet, 10 classes" in row
    assert main(["models", "show", "age"]) == 0
    assert "architecture  lenet" in capsys.readouterr().out


def test_show(capsys: Output) -> None:
    assert main(["models", "show", "lenet-mnist"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["input"] == "kind ink, size 28, box 20, mean 0.1307, std 0.3081"
    assert lines["classes"] == "10: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert (lines["licence"], lines["parameters"], lines["layers"]) == ("MIT", "431,080", "8")
    assert lines["check"] == "10 scores of a picture of 112x112"
    assert "options" not in lines


def test_show_as_data(capsys: Output) -> None:
    assert main(["models", "show", "lenet-mnist", "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    card = yaml.safe_load((paths.bundles()["lenet-mnist"] / "model.yaml").read_text())
    assert {key: about[key] for key in card} == card
    assert (about["parameters"], about["layers"]) == (431_080, 8)


@pytest.mark.parametrize("name", catalogue.ENTRIES)
def test_show_what_can_be_fetched(name: str, capsys: Output) -> None:
    assert main(["models", "show", name]) == 0
    text = capsys.readouterr().out
    assert all(word in text for word in (catalogue.ENTRIES[name].licence, f"livecnn models get {name}", "https://"))
    assert max(map(len, text.splitlines())) < 250
    assert main(["models", "show", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["licence"] == catalogue.ENTRIES[name].licence


def test_show_a_folder_and_code(file: Path, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["models", "import", str(file), "--name", "mine"]) == 0
    assert main(["models", "show", str(paths.user_models() / "mine")]) == 0
    assert "name          mine" in capsys.readouterr().out
    (tmp_path / "shownet.py").write_text(
        "from torch import nn\ndef make(): return nn.Sequential(nn.Conv2d(1, 3, 28), nn.Flatten())"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["models", "show", "shownet:make", "--allow-code"]) == 2
    assert "shownet:make: code, not a bundle" in capsys.readouterr().err


def test_import_says_what_to_do_next(file: Path, capsys: Output) -> None:
    words = ["--input", "mean=[0.5]", "--input", "std=[0.25]", "--classes", "a, b,c,d,e,f,g,h,i,j", "--licence", "MIT"]
    assert main(["models", "import", str(file), "--name", "mine", *words]) == 0
    folder = paths.user_models() / "mine"
    assert capsys.readouterr().out == f"mine: ready, in {folder}\n"
    card = bundles.read_card(folder)
    assert card.input == {"kind": "plain", "size": [28, 28], "channels": 1, "mean": [0.5], "std": [0.25]}
    assert card.classes == tuple("abcdefghij")
    assert (card.licence, card.source) == ("MIT", "net.fake")


def test_import_with_an_architecture_and_labels(tmp_path: Path) -> None:
    (tmp_path / "x.pth").touch()
    (tmp_path / "labels.txt").write_text("a\nb, or c\nd\n")
    words = ["--architecture", "squeezenet", "--option", "classes=3", "--input", "size=[64, 64]", "--source", "here"]
    words += ["--classes", str(tmp_path / "labels.txt")]
    assert main(["models", "import", str(tmp_path / "x.pth"), "--name", "small", *words]) == 0
    card = bundles.read_card(paths.user_models() / "small")
    assert (card.options, card.source, card.classes) == ({"classes": 3}, "here", ("a", "b, or c", "d"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--input", "size"], "--input size: found no KEY=VALUE"),
        (["--input", "=3"], "--input =3: found no KEY=VALUE"),
        (["--input", "size=[1"], "--input size=[1: not valid YAML"),
        (["--classes", "nix.txt"], "nix.txt: cannot be read: No such file"),
        (["--architecture", "lenet"], "found --architecture; what such files hold tells it"),
        (["--name", "../x"], "found the name '../x'"),
        (["--classes", ""], "--classes: found an empty name in"),
        (["--classes", "a,,c"], "--classes: found an empty name in"),
        (["--input", "kind=inc"], "mine: input.kind: unknown kind 'inc' in pipelines; did you mean 'ink'?"),
    ],
)
def test_import_with_wrong_words(file: Path, refused: Refused, words: list[str], message: str) -> None:
    assert message in refused(["models", "import", str(file), "--name", "mine", *words])


def test_import_wants_files_and_a_name(file: Path, capsys: Output) -> None:
    assert main(["models", "import", "--name", "x"]) == 2
    assert main(["models", "import", str(file)]) == 2
    assert "Missing option '--name'" in capsys.readouterr().err


def test_check(file: Path, capsys: Output) -> None:
    assert main(["models", "import", str(file), "--name", "mine"]) == 0
    capsys.readouterr()
    for name in ("mine", "lenet-mnist"):
        assert main(["models", "check", name]) == 0
        assert capsys.readouterr().out == f"{name}: ok\n"
    card_file = paths.user_models() / "mine" / "model.yaml"
    card = yaml.safe_load(card_file.read_text())
    card["check"]["scores"][3] += 0.01
    card_file.write_text(yaml.safe_dump(card))
    assert main(["models", "check", "mine"]) == 1
    assert capsys.readouterr().out.startswith("mine: the score of 'd' is 0.")
    del card["check"]
    card_file.write_text(yaml.safe_dump(card))
    assert main(["models", "check", "mine"]) == 2
    assert main(["models", "check", "nix"]) == 2
    assert "mine: its model.yaml holds no `check` to compare with\nlivecnn: nix: neither" in capsys.readouterr().err


def test_get(shared: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    """From a mirror whose line breaks, as a user would see it."""
    monkeypatch.setattr(fetch, "PAUSES", (0.0,))
    with FileServer() as server:
        monkeypatch.setenv("LIVECNN_MIRROR", server.address)
        content = (shared / "age" / "age_gender_model.weights").read_bytes()
        server.files["/justadudewhohacks/face-api.js-models/master/uncompressed/age_gender_model.weights"] = content
        server.faults = [cut(1000)]
        assert main(["models", "get", "age"]) == 0
    out, err = capsys.readouterr()
    first, second, third, last = out.splitlines()
    assert first == "age: TinyXception: age and gender of a face, 1.7 MB"
    assert second.startswith("source: https://github.com/justadudewhohacks/face-api.js-models")
    assert third.startswith("licence: none stated")
    assert last == f"age: ready, in {paths.user_models() / 'age'}"
    assert err == ""
    assert main(["models", "check", "age"]) == 0
    assert main(["models", "get", "age"]) == 2
    assert main(["models", "get", "age", "--from", str(shared / "age" / "age_gender_model.weights"), "--force"]) == 0


def test_get_first_tells_the_licence_and_when_nothing_vouches_for_the_bytes(
    monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    told: list[str] = []

    def interrupted(*_: object, **__: object) -> None:
        told.append(capsys.readouterr().out)
        raise KeyboardInterrupt

    monkeypatch.setattr("livecnn.networks.import_model.fetch", interrupted)
    assert [main(["models", "get", name]) for name in ("age-dex", "vgg16")] == [130, 130]
    dex, vgg = told
    assert "licence: its authors': for academic research only" in dex
    assert "540.0 MB (its maker names no checksum)\n" in dex
    assert "no checksum" not in vgg
