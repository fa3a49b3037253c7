from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from livecnn.analysis.annotations.agreement import Agreement, report, responses, sizes
from livecnn.analysis.annotations.store import Annotations, Mark, Verdict
from livecnn.analysis.dataset import ImageDataset, as_spec
from livecnn.analysis.patterns.summary import Summary
from livecnn.app.plan import make_cropper
from livecnn.errors import OutputError, UsageError
from livecnn.layout.layout import load_layout
from livecnn.networks.bundle import Bundle
from livecnn.networks.inspection.probe import Probe
from tests.helpers.mnist_files import typeset


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for number, image in enumerate(typeset(6)[0]):
        PillowImage.fromarray(255 - image).resize((56, 56)).save(folder / f"{number}.png")
    return folder


def looked_at(bundle: Bundle, layers: list[str], images: Path, layout: str, tell: Callable[[str], None]) -> Summary:
    album = ImageDataset(as_spec(images))
    return responses(bundle, layers, album, make_cropper(bundle, load_layout(layout), album.source), tell)


def marked(path: Path, annotator: str, **layers: dict[int, Verdict]) -> Annotations:
    annotations = Annotations.open(path, "lenet-mnist", annotator)
    for layer, verdicts in layers.items():
        for unit, verdict in verdicts.items():
            annotations.mark(layer, unit, verdict)
    return annotations


# Worked by hand. First: of 50 units 20 are good to both, 15 bad to both, 5 good to the first only, 10 to the second only:
# p_o = 35/50 = 0.7; p_e = 25/50 * 30/50 + 25/50 * 20/50 = 0.5; kappa = (0.7 - 0.5) / (1 - 0.5) = 0.4.
@pytest.mark.parametrize(
    ("table", "share", "kappa"),
    [
        (Agreement(20, 15, 5, 10), 0.7, 0.4),
        (Agreement(20, 15, 10, 5), 0.7, 0.4),  # it does not depend on who is first, or on what good is called
        (Agreement(15, 20, 5, 10), 0.7, 0.4),
        (Agreement(45, 15, 15, 25), 0.6, 0.130435),  # p_e = 0.6*0.7 + 0.4*0.3 = 0.54; 0.06 / 0.46
        (Agreement(3, 4), 1.0, 1.0),
        (Agreement(0, 0, 2, 2), 0.0, -1.0),
        (Agreement(4, 0, 0, 3), 4 / 7, 0.0),  # the second calls everything good, the first does not: nothing but chance
        (Agreement(7), 1.0, None),
        (Agreement(0, 7), 1.0, None),
        (Agreement(), None, None),
    ],
)
def test_kappa(table: Agreement, share: float | None, kappa: float | None) -> None:
    assert table.share == pytest.approx(share)
    assert table.kappa == pytest.approx(kappa, abs=1e-6)
    assert table.data() == {"both": table.both, "agreed": table.share, "kappa": table.kappa}


def test_only_what_both_called_good_or_bad_counts() -> None:
    one = {0: Mark("good"), 1: Mark("good"), 2: Mark("bad"), 3: Mark(None, "?"), 4: Mark("bad"), 5: Mark("good")}
    other = {0: Mark("good"), 1: Mark("bad"), 2: Mark("good"), 3: Mark("bad"), 4: Mark("bad"), 6: Mark("good")}
    assert Agreement.between(one, other) == Agreement(good=1, bad=1, first=1, second=1)


def test_a_report_of_two(tmp_path: Path) -> None:
    one = marked(tmp_path / "a.json", "ana", conv1={0: "good", 1: "bad"}, conv2={0: "good"}, ip1={3: "bad"})
    other = marked(tmp_path / "b.json", "ben", conv2={0: "bad", 1: "good"}, conv1={0: "good", 1: "bad"})
    other.note("conv2", 9, "?")
    told = report([one, other], {"conv1": 20, "conv2": 50, "ip1": 500})
    assert (told["model"], told["images"]) == ("lenet-mnist", None)
    assert told["files"][1] == {
        "file": str(tmp_path / "b.json"),
        "annotator": "ben",
        "layers": {
            "conv2": {"good": 1, "bad": 1, "noted": 1, "unmarked": 48},
            "conv1": {"good": 1, "bad": 1, "noted": 0, "unmarked": 18},
        },
        "in all": {"good": 2, "bad": 2, "noted": 1, "unmarked": 66},
    }
    (agreed,) = told["agreement"]
    assert agreed["annotators"] == ["ana", "ben"]
    assert agreed["layers"] == {
        "conv1": {"both": 2, "agreed": 1.0, "kappa": 1.0},
        "conv2": {"both": 1, "agreed": 0.0, "kappa": 0.0},
    }
    assert agreed["in all"] == {"both": 3, "agreed": pytest.approx(2 / 3), "kappa": pytest.approx(0.4)}


def test_a_report_of_unknown_sizes_and_of_nothing(tmp_path: Path) -> None:
    one = marked(tmp_path / "a.json", "ana", conv1={0: "good"})
    assert report([one], {})["files"][0]["layers"] == {"conv1": {"good": 1, "bad": 0, "noted": 0}}
    empty = Annotations.open(tmp_path / "none.json", "lenet-mnist")
    told: dict[str, Any] = report([one, empty], {})
    assert told["files"][1]["in all"] == {"good": 0, "bad": 0, "noted": 0}
    assert told["agreement"][0]["layers"] == {}
    assert told["agreement"][0]["in all"] == {"both": 0, "agreed": None, "kappa": None}


def test_every_two_of_three(tmp_path: Path) -> None:
    files = [marked(tmp_path / f"{who}.json", who, conv1={0: "good"}) for who in "abc"]
    assert [about["annotators"] for about in report(files, {})["agreement"]] == [["a", "b"], ["a", "c"], ["b", "c"]]


def test_sizes(tmp_path: Path, lenet: Bundle) -> None:
    one = marked(tmp_path / "a.json", "ana", conv2={49: "good"}, ip1={0: "bad"})
    assert sizes(lenet, [one]) == {"conv2": 50, "ip1": 500}
    one.mark("conv2", 50, "bad")
    with pytest.raises(OutputError, match=r"a\.json: units\.conv2\.50: conv2 has 50 units; allowed: 0 to 49$"):
        sizes(lenet, [one])
    strange = marked(tmp_path / "b.json", "ben", konv1={0: "good"})
    with pytest.raises(OutputError, match=r"b\.json: units\.konv1: unknown layer of lenet-mnist; did you mean 'conv1'\?"):
        sizes(lenet, [strange])


def test_means_agree_with_a_direct_computation(tmp_path: Path, lenet: Bundle, images: Path) -> None:
    one = marked(tmp_path / "a.json", "ana", conv2={3: "good", 7: "good", 20: "bad"}, ip1={4: "bad", 5: "bad"})
    one.note("conv2", 9, "not in the means")
    told = report([one], {}, looked_at(lenet, ["conv2", "ip1"], images, "replay", pytest.fail))
    assert told["images"] == 6
    found = told["files"][0]["layers"]
    batch = torch.cat([lenet.prepare(np.asarray(PillowImage.open(file).convert("RGB"))) for file in sorted(images.iterdir())])
    with Probe(lenet.module, ["conv2", "ip1"]) as probe:
        activations = probe(batch)[1]
    expected = activations["conv2"].double().mean((0, 2, 3))
    assert found["conv2"]["mean of good"] == pytest.approx(float(expected[[3, 7]].mean()), rel=1e-5)
    assert found["conv2"]["mean of bad"] == pytest.approx(float(expected[20]), rel=1e-5)
    assert found["ip1"]["mean of good"] is None
    assert found["ip1"]["mean of bad"] == pytest.approx(float(activations["ip1"].double().mean(0)[[4, 5]].mean()), rel=1e-5)


def test_units_without_a_finite_value_have_no_mean(tmp_path: Path) -> None:
    patterns = Summary(["conv1"], ["a"])
    values = torch.tensor([[1.0, np.nan, 3.0], [2.0, np.inf, 5.0]])
    patterns.add({"conv1": values}, [None, None], np.array([0, 0]))
    one = marked(tmp_path / "a.json", "ana", conv1={0: "good", 1: "good"})
    one.mark("conv1", 1, "bad")
    about = report([one], {}, patterns)["files"][0]["layers"]["conv1"]
    assert (about["mean of good"], about["mean of bad"]) == (1.5, None)


def test_pictures_that_cannot_be_read(lenet: Bundle, images: Path) -> None:
    lines: list[str] = []
    (images / "3.png").write_bytes(b"no picture")
    assert looked_at(lenet, ["conv1"], images, "lenet", lines.append).images == 5
    assert len(lines) == 1
    assert lines[0].startswith("1 of 6 pictures cannot be read; first: ")
    assert "3.png" in lines[0]
    for file in images.iterdir():
        file.write_bytes(b"no picture")
    with pytest.raises(UsageError, match=r"images: none of 6 pictures can be read; first: .*0\.png"):
        looked_at(lenet, ["conv1"], images, "lenet", lines.append)
