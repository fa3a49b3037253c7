"""`livecnn explain` from its words."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image as PillowImage

import livecnn
from livecnn.cli import main
from livecnn.explain import api as explain_files
from livecnn.explain import rendering
from livecnn.explain.api import ExplainedImage, Options
from livecnn.explain.methods import kinds
from tests.cli.conftest import Refused
from tests.helpers.files import contents
from tests.helpers.paths import ROOT

Output = pytest.CaptureFixture[str]
UNITS = ["explain", "x.png", "--layer", "conv2", "--units", "3,7"]

NETS = """
import torch
from torch import nn
class Net(nn.Module):
    input = {'kind': 'plain', 'size': [9, 8], 'channels': 3, 'order': 'BGR'}
    classes = ('cat', 'dog')
    def __init__(self):
        super().__init__()
        self.one, self.two, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 3, 2), nn.Linear(90, 2)
    def forward(self, x):
        return self.head(self.two(self.rectified(self.one(x))).flatten(1))
    def rectified(self, x):
        return x.abs()
class Functional(Net):
    def rectified(self, x):
        return torch.ops.aten.relu(x)
"""


@pytest.fixture(autouse=True)
def _ring_and_networks(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    rows, columns = np.mgrid[:60, :80]
    ink = np.hypot(rows - 30, columns - 40)
    PillowImage.fromarray(np.where((ink > 12) & (ink < 18), 20, 235).astype(np.uint8)).save("x.png")
    (elsewhere / "explained_nets.py").write_text(NETS)
    monkeypatch.syspath_prepend(elsewhere)
    yield
    sys.modules.pop("explained_nets", None)


def manifest(folder: str = "d") -> Any:
    return json.loads((Path(folder) / "manifest.json").read_text())


def opened(path: str) -> Any:
    with PillowImage.open(path) as image:
        return np.asarray(image)


def test_a_picture(elsewhere: Path, capsys: Output) -> None:
    assert main([*UNITS, "--out", "new/y.png"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("new/y.png: 2 explanations; the network says ")
    assert err == ""
    assert list(contents(elsewhere / "new")) == ["y.png"]
    assert (opened("new/y.png") == livecnn.explanations("lenet-mnist", "x.png", "conv2", "3,7").picture()).all()


def test_an_image_without_anything_in_it(elsewhere: Path, capsys: Output) -> None:
    PillowImage.new("RGB", (60, 60), (230, 230, 230)).save("blank.png")
    assert main(["explain", "blank.png", "--layer", "conv1", "--units", "3", "--out", "y.png"]) == 0
    assert capsys.readouterr().out == "y.png: 1 explanation; nothing is in the image\n"


def test_a_folder(capsys: Output) -> None:
    assert main([*UNITS, "--out", "d/"]) == 0
    assert capsys.readouterr().out.startswith("d/: 2 explanations; ")
    found = livecnn.explanations("lenet-mnist", "x.png", "conv2", "3,7")
    assert sorted(contents(Path("d"))) == [
        "architecture.json", "conv2_003.png", "conv2_007.png", "input.png", "manifest.json", "scores.json",
    ]  # fmt: skip
    told = manifest()
    assert {name: told[name] for name in found.settings} == found.settings
    assert (told["schema"], told["image"], told["units"]) == (1, "x.png", [3, 7])
    (part,) = found.parts
    for row, values, unit, value, place in zip(told["pictures"], part.maps, (3, 7), part.values, part.places, strict=True):
        asked = (f"conv2_{unit:03}.png", "conv2", unit, "guided_backprop")
        assert (row["file"], row["layer"], row["unit"], row["method"]) == asked
        assert row["value"] == pytest.approx(float(value))
        assert (row["position"], row["size"], row["normalisation"]) == ([*(place or ())], [28, 28], "signed")
        assert row["low"] == -row["high"]
        back = (opened(f"d/{row['file']}").astype(float) - 128) / 127 * row["high"]
        assert np.abs(back - values[0]).max() <= 0.51 / 127 * row["high"]
    scores = json.loads(Path("d/scores.json").read_text())
    assert [row["score"] for row in scores["scores"]] == sorted(map(float, found.scores), reverse=True)
    assert {row["class"]: row["name"] for row in scores["scores"]} == dict(enumerate("0123456789"))
    assert json.loads(Path("d/architecture.json").read_text())["nodes"][0]["name"] == "conv1"
    assert (opened("d/input.png") == found.seen).all()


def test_a_whole_network_of_colour_by_several_methods() -> None:
    words = ["explain", "x.png", "explained_nets:Net", "--allow-code", "--layer", "all", "--compare", "activation, grad_cam"]
    PillowImage.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)).save("x.png")
    assert main([*words, "--method", "gradient", "--out", "d/"]) == 0
    rows = {row["file"]: row for row in manifest()["pictures"]}
    assert len(rows) == 7 + 7 + 2
    assert {f"one_{unit:03}_gradient.png" for unit in range(4)} < set(rows)
    cams = [row for row in rows.values() if row["method"] == "grad_cam"]
    best = json.loads(Path("d/scores.json").read_text())["scores"][0]
    assert [row["file"] for row in cams] == [f"class_{best['class']:03}_grad_cam_{layer}.png" for layer in ("one", "two")]
    assert {(row["class"], row["name"], row["normalisation"]) for row in cams} == {(best["class"], best["name"], "min-max")}
    import explained_nets  # type: ignore[import-not-found]

    assert opened("d/two_001_activation.png").shape == (6, 5)
    assert opened("d/one_000_gradient.png").shape == (9, 8, 3)
    assert manifest()["channels"] == "BGR"
    assert hasattr(explained_nets, "Net")


def test_colours_are_red_first(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    explain = ExplainedImage.explain

    def blue(self: ExplainedImage, question: Any) -> Any:
        found = explain(self, question)
        found.maps[:, :2] = 0
        found.maps[:, 2] = 1
        return found

    monkeypatch.setattr(ExplainedImage, "explain", blue)
    assert main(["explain", "x.png", "explained_nets:Net", "--allow-code", "--layer", "one", "--units", "0", "--out", "d/"]) == 0
    assert (opened("d/one_000.png") == [255, 128, 128]).all()


@pytest.mark.parametrize(("layer", "classes"), [("conv1", None), ("conv2", None), ("ip1", None), (None, "0-9")])
def test_other_programs_get_the_values_back(layer: str | None, classes: str | None) -> None:
    """By nothing but what docs/explain.md says of the files."""
    refused = ("grad_cam", "activation") if layer is None or layer == "ip1" else ("grad_cam",)
    methods = [kind for kind in kinds() if kind not in refused]
    words = ["--layer", layer, "--units", "0-5"] if layer else ["--classes", str(classes)]
    assert main(["explain", "x.png", *words, "--method", methods[0], "--compare", ",".join(methods[1:]), "--out", "d/"]) == 0
    found = livecnn.explanations("lenet-mnist", "x.png", layer, "0-5" if layer else None, classes=classes, method=methods)
    parts = {part.question.method: part for part in found.parts}
    rows = manifest()["pictures"]
    assert len(rows) == sum(len(part.names) for part in found.parts)
    for row in rows:
        part, number = parts[row["method"]], row["unit"] if layer else row["class"]
        i = part.names.index(row["name"])
        assert row["file"] == f"{layer or 'class'}_{number:03}_{row['method']}.png"
        assert row["value"] == pytest.approx(float(part.values[i]), rel=1e-5)
        pixels = opened(f"d/{row['file']}").astype(float)
        assert [*pixels.shape] == row["size"]
        low, high = row["low"], row["high"]
        minmax = row["normalisation"] == "min-max"
        values = low + pixels / 255 * (high - low) if minmax else (pixels - 128) / 127 * high
        assert_allclose(values, part.maps[i, 0], atol=0.501 * (high - low) / (255 if minmax else 254) + 1e-9)
        if row["position"] and row["method"] == "activation":
            assert values[tuple(row["position"])] == pytest.approx(row["value"], rel=1e-5)


def test_options_of_the_methods(elsewhere: Path, capsys: Output) -> None:
    words = [*UNITS, "--method", "occlusion", "--compare", "integrated_gradients", "--at", " 2,3 "]
    words += ["--patch", "4", "--stride", "3", "--fill", "0.5", "--baseline", "-0.1", "--steps", "9", "--out"]
    assert main([*words, "d/"]) == 0
    assert main([*words, "d/"]) == 0
    assert manifest()["options"] == {
        "occlusion": {"at": [2, 3], "patch": 4, "stride": 3, "fill": 0.5},
        "integrated_gradients": {"at": [2, 3], "baseline": -0.1, "steps": 9},
    }
    found = livecnn.explanations(
        "lenet-mnist", "x.png", "conv2", "3,7", method=["occlusion", "integrated_gradients"], at=(2, 3), patch=4, stride=3,
        fill=0.5, baseline=-0.1, steps=9,
    )  # fmt: skip
    rows = manifest()["pictures"]
    assert [row["position"] for row in rows] == [[2, 3]] * 4
    assert [row["value"] for row in rows] == [float(value) for part in found.parts for value in part.values]
    assert [row["high"] for row in rows] == pytest.approx([np.abs(map).max() for part in found.parts for map in part.maps])
    words[words.index("9")] = "8"
    capsys.readouterr()
    assert main([*words, "d/"]) == 2
    assert "d: holds another run (options " in capsys.readouterr().err


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_goes_on(elsewhere: Path, monkeypatch: pytest.MonkeyPatch, ending: signal.Signals) -> None:
    words = ["explain", "x.png", "--layer", "all", "--units", "0-5", "--out"]
    monkeypatch.setattr(explain_files, "MOST_VALUES", 4 * 28 * 28)
    assert main([*words, "whole/"]) == 0
    explain, calls = ExplainedImage.explain, []

    def counted(self: ExplainedImage, question: Any) -> Any:
        calls.append(question.units)
        if len(calls) == 3:
            os.kill(os.getpid(), ending)
        return explain(self, question)

    monkeypatch.setattr(ExplainedImage, "explain", counted)
    assert main([*words, "broken/"]) == 128 + ending
    assert [row["file"] for row in manifest("broken")["pictures"]] == [f"conv1_{unit:03}.png" for unit in range(6)]
    assert main([*words, "broken/"]) == 0
    assert calls == [(0, 1, 2, 3), (4, 5), (0, 1, 2, 3), (0, 1, 2, 3), (4, 5)]
    assert contents(elsewhere / "broken") == contents(elsewhere / "whole")


def test_a_picture_that_was_lost_is_made_again(elsewhere: Path) -> None:
    assert main([*UNITS, "--out", "d"]) == 2  # no folder yet
    assert main([*UNITS, "--out", "d/"]) == 0
    whole = contents(elsewhere / "d")
    (elsewhere / "d" / "conv2_007.png").unlink()
    assert main([*UNITS, "--out", "d"]) == 0
    assert {name: len(data) for name, data in contents(elsewhere / "d").items()} == {n: len(data) for n, data in whole.items()}


def test_what_was_found_before_a_refusal_is_kept(elsewhere: Path, capsys: Output) -> None:
    words = ["explain", "x.png", "explained_nets:Functional", "--allow-code", "--layer", "two", "--method", "gradient"]
    assert main([*words, "--compare", "guided_backprop", "--out", "d/"]) == 2
    told = "guided_backprop cannot change the way back through a ReLU: 'relu' in the forward pass"
    assert capsys.readouterr().err.splitlines()[1:] == [f"livecnn: {told}"]
    assert [row["method"] for row in manifest()["pictures"]] == ["gradient"] * 3


def test_a_picture_that_is_too_large_is_refused_before_the_work(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "MOST_PIXELS", 10_000)
    monkeypatch.setattr(ExplainedImage, "explain", None)
    assert main([*UNITS, "--out", "y.png"]) == 2
    assert capsys.readouterr().err.startswith("livecnn: a picture of all that is asked for would have ")
    assert not Path("y.png").exists()


def test_values_that_are_no_numbers_are_null(monkeypatch: pytest.MonkeyPatch) -> None:
    explain = ExplainedImage.explain

    def broken(self: ExplainedImage, question: Any) -> Any:
        found = explain(self, question)
        found.values[:] = np.nan
        return found

    monkeypatch.setattr(ExplainedImage, "explain", broken)
    assert main([*UNITS, "--out", "d/"]) == 0
    assert [row["value"] for row in manifest()["pictures"]] == [None, None]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x.png", "--layer", "conv9", "--out", "y.png"], "unknown layer 'conv9'; did you mean 'conv2'?"),
        (["x.png", "--classes", "10", "--out", "y.png"], "class 10: lenet-mnist has 10 (0-9)"),
        ([*UNITS[1:], "--at", "8,0", "--out", "y.png"], "at: found (8, 0); maps of 'conv2' have rows 0-7 and columns 0-7"),
        ([*UNITS[1:], "--patch", "0", "--out", "y.png"], "Invalid value for '--patch': 0 is not in the range x>=1."),
        (
            ["x.png", "--classes", "1", "--method", "lime", "--out", "y.png"],
            "unknown kind 'lime' in methods; allowed: activation",
        ),
        (
            ["x.png", "--classes", "1", "--compare", "gradien", "--out", "y.png"],
            "unknown kind 'gradien' in methods; did you mean",
        ),
        (["x.png", "--classes", "1", "--out", "y.gif"], "y.gif: unknown suffix '.gif'; allowed: .png, or a folder: y.gif/"),
        (
            ["x.png", "--classes", "1", "--out", "done/"],
            "done: holds another run (layers ['conv2'], now []); name another folder",
        ),
        ([*UNITS[1:-1], "3", "--out", "done/"], "done: holds another run (units [3, 7], now [3]); name another folder"),
        (["x.png", "--classes", "1", "--out", "broken/"], "broken/manifest.json: not the manifest of a run: "),
        (["x.png", "--classes", "1"], "Missing option '--out'"),
        (["--out", "y.png"], "Missing argument 'IMAGE'"),
    ],
)
def test_mistakes(elsewhere: Path, refused: Refused, words: list[str], message: str) -> None:
    if "done/" in words:
        assert main([*UNITS, "--out", "done/"]) == 0
    (elsewhere / "broken").mkdir()
    (elsewhere / "broken" / "manifest.json").write_bytes(b"nonsense")
    assert refused(["explain", *words]).startswith(message)
    assert not (elsewhere / "y.png").exists()


def test_the_schema_is_documented() -> None:
    page = (ROOT / "docs" / "explain.md").read_text(encoding="utf-8")
    assert main(["explain", "x.png", "--layer", "conv2", "--units", "7", "--out", "d/"]) == 0
    told = manifest()
    for name in (*told, *told["pictures"][0], *contents(Path("d"))):
        assert f"`{name}`" in page
    assert all(f"`--{option}" in page for option in Options.__annotations__)
