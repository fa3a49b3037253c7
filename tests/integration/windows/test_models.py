"""Networks that others made, in a real window, with real keys."""

import json
from pathlib import Path

import numpy as np
import pytest

from livecnn.cli import main
from tests.helpers.virtual_display import Display, Program, until

INK = ("--input", "kind=ink", "--input", "mean=0", "--input", "std=1")


@pytest.fixture(scope="module")
def models(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIVECNN_MODELS", str(folder))
        files = {
            "lenet-caffe": ("caffe/lenet.prototxt", "caffe/lenet_iter_10000.caffemodel"),
            "keras-digits": ("keras/tensorspace_tf_keras_model.h5",),
            "age": ("age/age_gender_model.weights",),
        }
        for name, given in files.items():
            paths = [str(shared / file) for file in given]
            assert main(["models", "import", *paths, "--name", name, *(INK if name != "age" else ())]) == 0
    return folder


@pytest.mark.parametrize(
    "words",
    [("compare", "--source", "demo"), ("--model", "keras-digits", "--source", "demo"), ("age", "--source", "demo")],
    ids=["caffe", "keras", "age"],
)
def test_they_run_and_obey(
    words: tuple[str, ...], models: Path, display: Display, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVECNN_MODELS", str(models))
    with Program(display, tmp_path, "run", *words, "--stats", "stats.json") as program:
        program.wait_for_window()
        program.wait_for_motion()
        program.key("space")
        until(program.steady, "the picture stands still")
        before = program.shot()
        program.key("k")
        until(lambda: not np.array_equal(before, program.shot()), "the colours change")
        program.key("5", "plus", "minus", "v", "m", "space")
        program.resize(900, 600)
        until(lambda: program.size() == (900, 600), "the window has another size")
        program.wait_for_motion()
        program.key("q")
        assert program.end() == (0, "", "")
    told = json.loads((tmp_path / "stats.json").read_text())
    assert told["source_state"] == "live"
    assert told["ticks"] > 0
