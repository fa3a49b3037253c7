import csv
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from livecnn.analysis.moments import RunningStats, cosines, mean_and_max
from livecnn.analysis.patterns.summary import COLUMNS, Summary
from livecnn.errors import OutputError, UsageError
from livecnn.networks.architectures.lenet import Lenet
from livecnn.networks.inspection.probe import Probe

CLASSES = ("cat", "dog", "owl")
Batch = tuple[dict[str, torch.Tensor], list[int], np.ndarray]


def batch(count: int, seed: int = 0, offset: float = 0.0) -> Batch:
    """Activations of a layer of maps and of a fully connected one, in which unit 2 never fires; labels and predictions."""
    random = np.random.default_rng(seed)
    maps = torch.tensor(random.normal(offset, 1, (count, 4, 3, 5)), dtype=torch.float32)
    units = torch.tensor(np.maximum(random.normal(0.2, 1, (count, 6)), 0), dtype=torch.float32)
    units[:, 2] = 0
    return {"conv": maps, "fc": units}, random.integers(0, 3, count).tolist(), random.integers(0, 3, count)


def part(whole: Batch, rows: slice) -> Batch:
    activations, labels, predicted = whole
    return {layer: values[rows] for layer, values in activations.items()}, labels[rows], predicted[rows]


def summary_of(*batches: Batch) -> Summary:
    summary = Summary(("conv", "fc"), CLASSES, "toy")
    for activations, labels, predicted in batches:
        summary.add(activations, labels, predicted)
    return summary


def directly(values: np.ndarray, largest: np.ndarray) -> list[float]:
    return [values.mean(), values.std(), largest.max(), (largest > 0).mean()]


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("size", [1, 7, 500])
def test_numbers_agree_with_a_direct_computation(size: int, offset: float) -> None:
    whole = batch(500, offset=offset)
    summary = summary_of(*(part(whole, slice(i, i + size)) for i in range(0, 500, size)))
    activations, labels = whole[0], np.array(whole[1])
    rows = {row[:3]: row[3:] for row in summary.rows()}
    assert len(rows) == (4 + 6) * 4
    for (layer, unit, name), (count, *numbers) in rows.items():
        chosen = slice(None) if name == "all" else labels == CLASSES.index(name)
        values = activations[layer].numpy().astype(float).reshape(500, -1, 15 if layer == "conv" else 1)[chosen, unit]
        assert count == len(values)
        assert numbers == pytest.approx(directly(values.mean(1), values.max(1)), rel=1e-6, abs=1e-5)


def test_numbers_of_a_network_agree_with_a_direct_computation() -> None:
    torch.manual_seed(0)
    summary = Summary(("conv1", "ip1"), tuple("0123456789"))
    with Probe(Lenet().eval(), summary.layers) as probe:
        scores, activations = probe(torch.rand(12, 1, 28, 28))
    predicted = scores.argmax(1).numpy()
    summary.add(activations, [None] * 12, predicted)
    expected = activations["conv1"].double().mean((2, 3)).mean(0).numpy()
    assert summary.overall("conv1").mean[0] == pytest.approx(expected, abs=1e-5)
    moments, ip1 = summary.by_class("ip1"), activations["ip1"].double().numpy()
    for index in np.unique(predicted):
        assert moments.std[index] == pytest.approx(ip1[predicted == index].std(0), abs=1e-5)


def test_two_halves_merged_are_the_whole() -> None:
    whole = batch(301, offset=50.0)
    expected, first, second = (summary_of(b) for b in (whole, part(whole, slice(100)), part(whole, slice(100, None))))
    merged = Summary(("conv", "fc"), CLASSES)
    merged.merge(pickle.loads(pickle.dumps(first)))
    merged.merge(second)
    for mine, theirs in zip(merged.rows(), expected.rows(), strict=True):
        assert mine[:4] == theirs[:4]
        assert mine[4:] == pytest.approx(theirs[4:], rel=1e-9, abs=1e-9)
    assert (merged.images, merged.images_per_class) == (301, expected.images_per_class)
    assert merged.connected == "fc"


def test_memory_does_not_grow_with_the_images() -> None:
    assert len(pickle.dumps(summary_of(*[batch(50, seed) for seed in range(20)]))) == len(pickle.dumps(summary_of(batch(50))))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_counted_apart(bad: float) -> None:
    whole = batch(90)
    labels = np.array(whole[1])
    activations = whole[0]
    expected = activations["conv"][:, 1].double().mean((1, 2)).numpy().copy()
    activations["conv"][4, 1, 0, 0] = bad
    activations["fc"][labels == 0, 3] = bad
    summary = summary_of(whole)
    rows = {row[:3]: row[3:] for row in summary.rows()}
    assert rows["conv", 1, "all"][0] == 89
    assert rows["conv", 1, "all"][1] == pytest.approx(np.delete(expected, 4).mean())
    assert rows["conv", 1, "all"][3] == pytest.approx(np.delete(activations["conv"][:, 1].numpy(), 4, axis=0).max())
    assert rows["fc", 3, "cat"] == (0, None, None, None, None)
    about = summary.report()["layers"]
    assert about["conv"]["not_finite"] == {1: 1}
    assert about["fc"]["not_finite"] == {3: int((labels == 0).sum())}
    assert about["fc"]["dead"] == [2]


def test_true_classes_count_only_if_all_are_known() -> None:
    activations, labels, predicted = batch(40)
    known, unknown = summary_of((activations, labels, predicted)), Summary(("conv", "fc"), CLASSES)
    assert known.images_per_class == tuple(labels.count(i) for i in range(3))
    unknown.add(activations, [*labels[:-1], None], predicted)
    for summary in (unknown, known):
        summary.merge(unknown)
        assert not summary.labelled
        assert summary.report()["classes_are"] == "predicted"
    assert known.images_per_class == tuple(4 * int((predicted == i).sum()) - int((predicted == i).sum()) for i in range(3))


def test_an_image_without_prediction_counts_among_all_only() -> None:
    activations, _, predicted = batch(40)
    predicted[:4] = -1
    summary = Summary(("fc",), CLASSES)
    summary.add(activations, [None] * 40, predicted)
    assert (summary.images, sum(summary.images_per_class)) == (40, 36)
    assert summary.overall("fc").count[0, 0] == 40
    assert summary.by_class("fc").count[:, 0].sum() == 36


def test_an_empty_batch_changes_nothing() -> None:
    summary = summary_of(part(batch(3), slice(0)))
    assert summary.images == 0


@pytest.mark.parametrize(
    ("shape", "labels", "predicted"), [((4,), 4, 4), ((3, 2), 4, 4), ((4, 2), 3, 4), ((4, 2), 4, 3)], ids=str
)
def test_what_does_not_fit_together_is_refused(shape: tuple[int, ...], labels: int, predicted: int) -> None:
    with pytest.raises(UsageError, match=r"layer 'fc': activations of shape .* for \d labels and \d predictions"):
        Summary(("fc",), CLASSES).add({"fc": torch.zeros(shape)}, [0] * labels, np.zeros(predicted, int))


def test_active_means_above_zero_at_any_position() -> None:
    maps = torch.full((2, 3, 2, 2), -1.0)
    maps[0, 0, 1, 1] = 0.1  # its mean is negative
    maps[:, 1] = 0
    moments = RunningStats.empty(1, 3)
    moments.add(*mean_and_max(maps), np.zeros(2, np.intp))
    assert moments.share.tolist() == [[0.5, 0, 0]]
    assert moments.max.tolist() == [[pytest.approx(0.1), 0, -1]]
    assert moments.dead() == (1, 2)


def test_specific_units_are_those_that_stand_out() -> None:
    labels = [0, 1, 2] * 30
    units = torch.rand(90, 5, generator=torch.Generator().manual_seed(0))
    units[torch.tensor(labels) == 1, 4] += 5
    units[torch.tensor(labels) == 2, 0] += 9
    summary = Summary(("fc",), CLASSES)
    summary.add({"fc": units}, labels, np.array(labels))
    specific = summary.report()["layers"]["fc"]["specific"]
    assert (specific["dog"][0], specific["owl"][0]) == (4, 0)
    values, chosen = units[:, 4].double().numpy(), np.array(labels) == 1
    expected = (values[chosen].mean() - values[~chosen].mean()) / values.std()
    assert summary.by_class("fc").specificity()[1, 4] == pytest.approx(expected)


def test_similarity_is_the_cosine_of_the_classes_means() -> None:
    whole = batch(60)
    summary, units, labels = summary_of(whole), whole[0]["fc"].double().numpy(), np.array(whole[1])
    a, b = units[labels == 0].mean(0), units[labels == 2].mean(0)
    matrix = summary.similarity()
    assert matrix is not None
    assert matrix[0, 2] == pytest.approx(a @ b / np.sqrt((a @ a) * (b @ b)), abs=1e-9)
    assert np.diag(matrix) == pytest.approx([1, 1, 1])


def test_similarity_is_not_known_for_zero_and_missing_vectors() -> None:
    matrix = cosines(np.array([[1.0, 0], [0, 0], [np.nan, np.nan], [3, 3]]))
    assert np.isnan(matrix[1:3]).all()
    assert matrix[0, 3] == pytest.approx(np.sqrt(0.5))


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (("fc", "scores"), "fc"),
        (("scores", "conv"), "scores"),
        (("conv",), None),
        (("fc", "gap"), "gap"),
        (("fc", "age"), "fc"),  # a layer of one unit says nothing of likeness
        (("age",), None),
    ],
    ids=str,
)
def test_the_last_hidden_layer_is_compared(layers: tuple[str, ...], expected: str | None) -> None:
    shapes = {"fc": (8,), "scores": (3,), "conv": (2, 4, 4), "gap": (9, 1, 1), "age": (1,)}
    summary = Summary(layers, CLASSES)
    summary.add({layer: torch.rand(6, *shape) for layer, shape in shapes.items()}, [0, 1, 2] * 2, np.zeros(6, int))
    assert summary.connected == expected
    assert (summary.similarity() is None) == (expected is None)


def test_csv(tmp_path: Path) -> None:
    summary = summary_of(batch(50))
    summary.write(tmp_path / "patterns.csv")
    with (tmp_path / "patterns.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == COLUMNS
    assert [row[2] for row in rows[:4]] == ["all", *CLASSES]
    for row, expected in zip(rows, summary.rows(), strict=True):
        assert row[:4] == [str(value) for value in expected[:4]]
        assert [float(value) for value in row[4:]] == pytest.approx(expected[4:], rel=1e-8)


def test_json_says_what_its_numbers_mean(tmp_path: Path) -> None:
    activations, _, _ = batch(50)
    summary = Summary(("conv", "fc"), CLASSES, "toy")
    summary.add(activations, [0] * 50, np.zeros(50, int))
    summary.write(tmp_path / "patterns.json")
    report = json.loads((tmp_path / "patterns.json").read_text(encoding="utf-8"))
    assert (report["model"], report["images"], report["classes_are"]) == ("toy", 50, "true")
    assert "above 0" in report["definitions"]["active"]
    assert report["layers"]["fc"]["dead"] == [2]
    assert report["layers"]["conv"]["maps"]
    assert report["similarity"]["cosine"][0] == [pytest.approx(1), None, None]
    assert report["rows"][2] == {**dict.fromkeys(COLUMNS), "layer": "conv", "unit": 0, "class": "dog", "count": 0}


def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    summary = summary_of(batch(5))
    with pytest.raises(OutputError, match=r"unknown suffix '\.txt'; allowed: \.png, \.csv, \.json"):
        summary.write(tmp_path / "patterns.txt")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="is not a folder"):
        summary.write(tmp_path / "file" / "patterns.csv")
    with pytest.raises(UsageError, match="not one image"):
        Summary(("fc",), CLASSES).write(tmp_path / "patterns.json")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
