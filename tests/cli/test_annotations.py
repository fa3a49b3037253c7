import csv
import json
from pathlib import Path

import pytest
from PIL import Image as PillowImage

from livecnn import paths
from livecnn.analysis.annotations.store import Annotations, annotations_path
from livecnn.cli import main
from tests.cli.conftest import Refused
from tests.helpers.mnist_files import typeset, write_mnist
from tests.helpers.paths import ROOT

Output = pytest.CaptureFixture[str]
TIME = "2026-01-31T14:23:55Z"

STATS = """\
$ livecnn annotations stats ana.json ben.json --images data
ana.json: lenet-mnist, by ana
layer   good  bad  noted  unmarked  mean of good  mean of bad
conv1      2    1      1        17       -0.0646       -0.135
ip1        1    0      0       499         0.139            –
in all     3    1      1       516
ben.json: lenet-mnist, by ben
layer   good  bad  noted  unmarked  mean of good  mean of bad
ip1        1    0      0       499         0.139            –
conv1      1    2      0        17        -0.119      -0.0725
in all     2    2      0       516
means over 20 images
ana (ana.json) and ben (ben.json)
layer   both  agreed  kappa
conv1      3   66.7%    0.4
ip1        1  100.0%      –
in all     4   75.0%    0.5
"""


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs in the folder in which its annotations lie."""
    monkeypatch.setenv("LIVECNN_ANNOTATIONS", ".")
    monkeypatch.setenv("LIVECNN_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr("time.strftime", lambda *_: TIME)


@pytest.fixture
def marked() -> Path:
    """Ana's, where those of the default layout lie."""
    path = annotations_path(paths.layouts()["explorer"], True, "lenet-mnist")
    annotations = Annotations.open(path, "lenet-mnist", "ana")
    for unit, verdict in {4: "good", 11: "bad", 2: "good"}.items():
        annotations.mark("conv1", unit, verdict)  # type: ignore[arg-type]
    annotations.note("conv1", 11, "noise, “only”\n七")
    annotations.mark("ip1", 100, "good")
    return path


def bens() -> None:
    annotations = Annotations.open(Path("ben.json"), "lenet-mnist", "ben")
    annotations.mark("ip1", 100, "good")
    annotations.mark("conv1", 2, "bad")
    annotations.mark("conv1", 4, "good")
    annotations.mark("conv1", 11, "bad")


def test_list(marked: Path, capsys: Output) -> None:
    Path("torn.annotations.json").write_text("{")
    Path("other.json").write_text("{")
    assert main(["annotations", "list"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out == (
        "explorer.lenet-mnist.annotations.json  lenet-mnist  ana  3 good, 1 bad, 1 noted\n"
        "torn.annotations.json                                    damaged: torn.annotations.json:1: not valid JSON: "
        "Expecting property name enclosed in double quotes\n"
        "2 files in .\n"
    )


def test_list_of_none(capsys: Output) -> None:
    assert main(["annotations", "list"]) == 0
    assert capsys.readouterr().out == "0 files in .\n"


def test_export_as_a_table(marked: Path, capsys: Output) -> None:
    assert main(["annotations", "export", "new/out.csv"]) == 0
    assert capsys.readouterr().out == "new/out.csv: 4 units of lenet-mnist\n"
    with Path("new/out.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["model", "layer", "unit", "verdict", "note", "annotator", "time"],
            ["lenet-mnist", "conv1", "2", "good", "", "ana", TIME],
            ["lenet-mnist", "conv1", "4", "good", "", "ana", TIME],
            ["lenet-mnist", "conv1", "11", "bad", "noise, “only”\n七", "ana", TIME],
            ["lenet-mnist", "ip1", "100", "good", "", "ana", TIME],
        ]


def test_export_as_data_can_be_read_again(marked: Path) -> None:
    assert main(["annotations", "export", "out.json", "--layout", "explorer", "--model", "lenet-mnist"]) == 0
    assert Path("out.json").read_bytes() == marked.read_bytes()
    bens()
    assert main(["annotations", "export", "out.json", "--from", "ben.json", "--force"]) == 0
    assert Annotations.read(Path("out.json")).units == Annotations.read(Path("ben.json")).units


def test_a_layout_and_a_model_of_ones_own(capsys: Output) -> None:
    Path("mine.yaml").write_text("model: gone\nlayout: a\npanels: {a: {kind: camera}}\n")
    for model in ("gone", "lenet-mnist"):
        Annotations.open(Path(f"mine.{model}.annotations.json"), model, "ana").mark("conv1", 99, "good")
    assert main(["annotations", "export", "out.csv", "--layout", "mine.yaml"]) == 0
    assert capsys.readouterr().out == "out.csv: 1 unit of gone\n"
    assert main(["annotations", "stats", "--layout", "mine"]) == 0
    assert capsys.readouterr().out.splitlines()[1:3] == ["layer   good  bad  noted", "conv1      1    0      0"]
    assert main(["annotations", "stats", "--layout", "mine", "--model", "lenet-mnist"]) == 2
    assert "mine.lenet-mnist.annotations.json: units.conv1.99: conv1 has 20 units" in capsys.readouterr().err


def test_a_model_by_its_folder(marked: Path, capsys: Output) -> None:
    folder = str(paths.bundles()["lenet-mnist"])
    assert main(["annotations", "stats", "--model", folder]) == 0
    assert capsys.readouterr().out.startswith(f"{marked}: lenet-mnist, by ana\n")


def test_the_tables(marked: Path, capsys: Output) -> None:
    Path("data").mkdir()
    write_mnist(Path("data"), *typeset(20), "test")
    bens()
    Path("ana.json").write_bytes(marked.read_bytes())
    words = "annotations stats ana.json ben.json --images data"
    assert main(words.split()) == 0
    assert f"$ livecnn {words}\n{capsys.readouterr().out}" == STATS
    assert STATS in (ROOT / "docs" / "annotations.md").read_text(encoding="utf-8")


def test_as_data(marked: Path, capsys: Output) -> None:
    bens()
    words = ["annotations", "stats", str(marked), "ben.json", "--json"]
    assert main([*words, "-"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["agreement"][0]["in all"] == {"both": 4, "agreed": 0.75, "kappa": 0.5}
    assert data["agreement"][0]["layers"]["ip1"]["kappa"] is None
    assert data["files"][0]["layers"]["conv1"] == {"good": 2, "bad": 1, "noted": 1, "unmarked": 17}
    assert main([*words, "new/stats.json"]) == 0
    assert capsys.readouterr().out.startswith("explorer.lenet-mnist.annotations.json: lenet-mnist, by ana\nlayer ")
    assert json.loads(Path("new/stats.json").read_text(encoding="utf-8")) == data


def test_nothing_marked_yet(marked: Path, capsys: Output) -> None:
    marked.write_text(json.dumps({"version": 1, "model": "lenet-mnist", "annotator": "ana", "units": {}}))
    Path("data").mkdir()
    write_mnist(Path("data"), *typeset(3), "test")
    assert main(["annotations", "stats", "--images", "data"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "layer   good  bad  noted",
        "in all     0    0      0",
        "means over 3 images",
    ]


def test_pictures_that_are_left_out_are_told(marked: Path, capsys: Output) -> None:
    Path("data").mkdir()
    PillowImage.fromarray(typeset(1)[0][0]).save("data/0.png")
    Path("data/a.png").write_bytes(b"no picture")
    assert main(["annotations", "stats", "--images", "data"]) == 0
    out, err = capsys.readouterr()
    assert out.endswith("means over 1 image\n")
    assert err.startswith("livecnn: 1 of 2 pictures cannot be read; first: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("export out.txt", "out.txt: unknown suffix '.txt'; allowed: .csv, .json"),
        ("export out.csv --from nix.json", "nix.json: no such file; allowed: a file of annotations"),
        ("export out.csv --layout lenet-sorted", "lenet-sorted.lenet-mnist.annotations.json: no such file"),
        ("export out.csv --layout nix", "nix: neither a file nor a layout that ships"),
        ("export there.csv", "there.csv: is there already; allowed: another name, or --force to replace it"),
        ("export link.json --force", "link.json: holds the annotations that are read; allowed: another name"),
        ("export explorer.lenet-mnist.annotations.json --force", "explorer.lenet-mnist.annotations.json: holds the annotations"),
        ("stats --json link.json", "link.json: holds the annotations that are read; allowed: another name"),
        ("stats --json .", ".: cannot be written: it is a folder"),
        ("stats damaged.json", "damaged.json: version: found 2; allowed: 1"),
        (
            "stats explorer.lenet-mnist.annotations.json vgg.json",
            "vgg.json: model: found 'vgg'; allowed: 'lenet-mnist', as in explorer.",
        ),
        ("stats vgg.json --images data", "vgg: neither a model that is at hand nor a bundle's folder"),
        ("stats vgg.json --model lenet-mnist", "--model lenet-mnist: found 'lenet-mnist'; the annotations are of 'vgg'"),
        ("stats --images nowhere", "nowhere: no such folder or video"),
        ("stats --model net:make vgg.json", "net:make: this would run Python code"),
    ],
)
def test_mistakes(marked: Path, refused: Refused, words: str, message: str) -> None:
    before = marked.read_bytes()
    Path("there.csv").write_text("old")
    Path("link.json").symlink_to(marked)
    Annotations.open(Path("vgg.json"), "vgg").mark("conv1", 0, "good")
    Path("damaged.json").write_text('{"version": 2, "model": "m", "annotator": "a", "units": {}}')
    assert refused(["annotations", *words.split()]).startswith(message)
    assert marked.read_bytes() == before
    assert Path("there.csv").read_text() == "old"
