"""`livecnn.watch` without a window, in this process; tests/integration/windows/test_watch.py opens windows."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch
import tqdm
from PIL import Image as PillowImage
from torch import nn
from torch.nn.parameter import is_lazy

import livecnn
from livecnn.app import watch as watching
from livecnn.app.run import RunOptions
from livecnn.app.watch import module_in_eval, watch
from livecnn.errors import LivecnnError, ModelError, SourceError, UsageError
from livecnn.types import Image
from tests.helpers.files import rows_of

CPU = torch.device("cpu")
SMALL = {"kind": "plain", "size": [8, 8], "channels": 1}
LAYOUT = {
    "source": "demo",
    "figure": {"size": [320, 240]},
    "layout": "camera maps scores",
    "panels": {"camera": {"kind": "camera"}, "scores": {"kind": "scores"}, "maps": {"kind": "feature_maps", "layer": "relu"}},
}


class Net(nn.Module):
    """Everything that could be left changed; it fails at a pass if it is told to, and may draw random numbers."""

    input = SMALL

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.norm = nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.BatchNorm2d(4)
        self.drop, self.head = nn.Dropout(), nn.Linear(144, 3)
        self.passes, self.fails_at = 0, -1
        self.error: BaseException = RuntimeError("oops")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.passes += 1
        if self.passes == self.fails_at:
            raise self.error
        x = self.norm(self.relu(self.conv(x)))
        scores: torch.Tensor = self.head(self.drop(x).flatten(1) + torch.rand(1))
        return scores


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    net = Net().train()
    net.norm.eval()
    net.conv.bias.requires_grad_(False)
    net(torch.zeros(2, 1, 8, 8)).sum().backward()
    return net


@pytest.fixture(autouse=True)
def headless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs in a folder of its own, without a display."""
    monkeypatch.chdir(tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)


def state_of(net: nn.Module) -> dict[str, Any]:
    """Everything about a network, and about the world around it, that must not change."""
    return {
        "hooks": [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in net.modules()],
        "modes": [module.training for module in net.modules()],
        "gradients wanted": [parameter.requires_grad for parameter in net.parameters()],
        "gradients": [None if parameter.grad is None else parameter.grad.tolist() for parameter in net.parameters()],
        "identities": [id(tensor) for tensor in (*net.parameters(), *net.buffers())],
        "places": [(tensor.device, tensor.data_ptr()) for tensor in (*net.parameters(), *net.buffers())],
        "values": {name: tensor.tolist() for name, tensor in net.state_dict().items()},
        "random": torch.get_rng_state().tolist(),
        "threads": (torch.get_num_threads(), threading.active_count()),
        "settings": (mpl.rcParams["keymap.quit"], mpl.rcParams["toolbar"], torch.is_grad_enabled()),
        "cudnn": (torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "attributes": sorted(vars(net)),
    }


def changed(net: nn.Module, before: dict[str, Any]) -> list[str]:
    now = state_of(net)
    return [name for name in before if now[name] != before[name]]


@pytest.mark.parametrize("options", [{}, {"layers": ["conv", "add"]}, {"layout": LAYOUT}], ids=["alone", "layers", "layout"])
def test_the_network_comes_back_as_it_was(net: Net, options: dict[str, Any]) -> None:
    before = state_of(net)
    watch(net, source="demo", headless=True, frames=3, **options)
    assert changed(net, before) == []


@pytest.mark.parametrize(
    ("options", "frames", "error"),
    [
        ({}, 50, RuntimeError("oops")),
        ({}, None, RuntimeError("oops")),
        ({"layout": LAYOUT}, 50, RuntimeError("oops")),
        ({"layout": LAYOUT}, None, RuntimeError("oops")),
        ({}, 50, KeyboardInterrupt("oops")),
    ],
    ids=["in order", "live", "layout in order", "layout live", "Ctrl-C"],
)
def test_after_an_error_as_well(net: Net, options: dict[str, Any], frames: int | None, error: BaseException) -> None:
    before, net.fails_at, net.error = state_of(net), 8, error
    with pytest.raises(type(error), match="oops"):
        watch(net, source="demo", headless=True, frames=frames, **options)
    assert changed(net, before) == []


@pytest.mark.parametrize(
    ("wrong", "error", "told"),
    [
        ({"source": "nowhere"}, SourceError, "source 'nowhere'"),
        ({"layers": ["nose"]}, ModelError, "unknown layer 'nose'"),
        ({"classes": ["one"]}, ModelError, "is needed for 1 classes"),
        ({"device": "tpu"}, ModelError, "unknown device 'tpu'"),
        ({"layout": "nowhere.yaml"}, LivecnnError, r"nowhere\.yaml: neither a file nor a layout"),
        ({"record": "x.avi"}, LivecnnError, r"x\.avi: unknown suffix"),
    ],
)
def test_a_mistake_changes_nothing(net: Net, wrong: dict[str, Any], error: type[Exception], told: str) -> None:
    before = state_of(net)
    with pytest.raises(error, match=told):
        watch(net, headless=True, frames=1, **({"source": "demo"} | wrong))
    assert changed(net, before) == []


def test_tensors_that_moved_are_put_back(net: Net) -> None:
    """As after a visit to another device: other contents, other buffers."""
    before = state_of(net)
    with module_in_eval(net, CPU):
        for table in (module._buffers for module in net.modules()):
            table.update({name: tensor.clone() for name, tensor in table.items() if tensor is not None})
        net.head = net.head.to("meta")
        net.conv.weight = nn.Parameter(torch.zeros(4, 1, 3, 3))
        net.eval()
        torch.rand(3)
        assert net.head.weight.is_meta
    assert changed(net, before) == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
@pytest.mark.parametrize(("home", "device"), [("cpu", "cuda"), ("cuda", "cpu"), ("cuda", "auto")])
def test_a_visit_to_another_device(home: str, device: str) -> None:
    net = Net().to(home)
    before = state_of(net)
    watch(net, source="demo", headless=True, frames=2, device=device)
    assert changed(net, before) == []


def test_what_it_leaves_behind(net: Net) -> None:
    watch(net, classes=["a", "b", "c"], source="demo", headless=True, frames=2, record="x.gif", scores="s.csv", stats="s.json")
    assert rows_of("s.csv")[0][-3:] == ["a", "b", "c"]
    assert len(rows_of("s.csv")) == 3
    assert json.loads(Path("s.json").read_text())["ticks"] == 2
    with PillowImage.open("x.gif") as film:
        assert film.size == (1280, 720)


@pytest.mark.parametrize(
    ("said", "classes", "names"),
    [(None, None, ["0", "1", "2"]), (("x", "y", "z"), None, ["x", "y", "z"]), (("x", "y", "z"), [7, 8, 9], ["7", "8", "9"])],
)
def test_names_of_classes(net: Net, said: Any, classes: Any, names: list[str]) -> None:
    if said:
        net.classes = said
    watch(net, classes=classes, source="demo", headless=True, frames=1, scores="s.csv")
    assert rows_of("s.csv")[0][-3:] == names


def test_without_a_display_it_records(net: Net, capsys: pytest.CaptureFixture[str]) -> None:
    watch(net, source="demo", frames=2)
    (path,) = Path("recordings").iterdir()
    assert path.suffix == ".gif"
    assert "There is no display here" in capsys.readouterr().out


def test_a_function_as_input(net: Net) -> None:
    shapes = []

    def prepare(rgb: Image) -> torch.Tensor:
        shapes.append((rgb.dtype, rgb.shape[2]))
        return torch.from_numpy(rgb[:8, :8, :1].copy()).permute(2, 0, 1)[None] / 255

    watch(net, input=prepare, source="demo", headless=True, frames=2)
    assert len(shapes) == 3
    assert set(shapes) == {(np.dtype(np.uint8), 3)}


def test_options_arrive(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[RunOptions] = []
    monkeypatch.setattr(watching, "run_plan", lambda plan, options, *, unseen: given.append(options))
    watch(net, source=1, device="cpu", headless=True, frames=7, fullscreen=True, once=True)
    assert given == [RunOptions(source="camera:1", device="cpu", headless=True, frames=7, fullscreen=True, once=True)]


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        ("lenet", {}, r"^watch: found a str; a torch\.nn\.Module is needed$"),
        (Net(), {"layers": ["conv"], "layout": "lenet"}, r"^watch: found both layers and layout; one of them is allowed$"),
        (
            nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(1800, 10)),
            {},
            r"^Sequential: a picture of 3x224x224 does not go through: RuntimeError: .*; .*'size': \[32, 32\], 'channels': 3",
        ),
        (Net(), {"input": 3}, r"^Net: its `input` is a int; a dict is needed, as in model\.yaml, or a function$"),
        (Net(), {"layout": {"layout": "camera", "panels": {}}}, r"^layout: layout: no panel is named 'camera'"),
        (Net(), {"layout": LAYOUT | {"layout": "scores"}}, r"^layout: panels\.camera: this panel has no place"),
    ],
)
def test_mistakes(network: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(LivecnnError, match=message):
        watch(network, source="demo", headless=True, frames=1, **options)


def test_a_window_is_refused_to_other_threads(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":7654")
    raised: list[BaseException] = []

    def from_a_thread(**options: Any) -> None:
        try:
            livecnn.watch(net, source="demo", frames=1, **options)
        except Exception as error:
            raised.append(error)

    for options in ({}, {"headless": True}):
        thread = threading.Thread(target=from_a_thread, kwargs=options)
        thread.start()
        thread.join()
    assert [type(error) for error in raised] == [UsageError]
    assert "a window can be opened by the main thread only" in str(raised[0])


def linear(**attributes: Any) -> nn.Module:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 5))
    for name, value in attributes.items():
        setattr(net, name, value)
    return net


class Wrapped(nn.Module):
    """Returns its scores among other things."""

    def __init__(self, wrap: Callable[[torch.Tensor], object]) -> None:
        super().__init__()
        self.head, self.wrap, self.input = linear(), wrap, SMALL

    def forward(self, x: torch.Tensor) -> object:
        return self.wrap(self.head(x))


def made_in_inference_mode() -> nn.Module:
    with torch.inference_mode():
        return linear(input=SMALL)


@pytest.mark.parametrize(
    "network",
    [
        linear(input=SMALL),
        Wrapped(lambda scores: (scores, None)),
        Wrapped(lambda scores: {"logits": scores, "aux": scores[:, :1]}),
        nn.Sequential(nn.Conv2d(1, 6, 3), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(96, 1000)),
        nn.Sequential(nn.LazyConv2d(6, 3), nn.Flatten(), nn.LazyLinear(4)),
        made_in_inference_mode(),
        linear().double(),
        linear().half(),
        linear().bfloat16(),
        nn.Sequential(nn.Conv2d(1, 7, 3), nn.AdaptiveAvgPool2d(1)),
        nn.Sequential(linear(), nn.Flatten(0)),
        nn.DataParallel(linear()),
    ],
    ids=[
        "no hidden layer",
        "tuple",
        "dict",
        "1000 classes",
        "lazy",
        "inference",
        "float64",
        "float16",
        "bfloat16",
        "maps of 1x1",
        "no axis of the batch",
        "parallel",
    ],
)
def test_networks_of_all_kinds(network: nn.Module) -> None:
    types = {tensor.dtype for tensor in network.parameters() if not is_lazy(tensor)}
    watch(network, input=SMALL, source="demo", headless=True, frames=2, scores="s.csv")
    for row in rows_of("s.csv")[1:]:
        assert sum(map(float, row[5:])) == pytest.approx(1, abs=1e-3)
    assert {tensor.dtype for tensor in network.parameters()} >= types


def test_a_compiled_network_is_watched_like_its_original() -> None:
    network = linear()
    compiled = torch.compile(network, backend="eager")
    compiled(torch.zeros(1, 1, 8, 8))
    watch(compiled, layers=["1"], input=SMALL, source="demo", headless=True, frames=2, scores="s.csv")
    assert len(rows_of("s.csv")) == 3


@pytest.fixture(autouse=True)
def threads_end() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def test_a_shipped_layout_leaves_out_views_of_other_networks() -> None:
    watch(Net().eval(), layout="explorer", source="demo", headless=True, frames=1, record="x.gif")
    assert Path("x.gif").is_file()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("how", ["script", "trace"])
def test_torchscript_is_watched_without_its_layers_and_with_a_word(how: str, capsys: pytest.CaptureFixture[str]) -> None:
    network = linear().eval()
    program = torch.jit.script(network) if how == "script" else torch.jit.trace(network, torch.zeros(1, 1, 8, 8))
    watch(program, input=SMALL, source="demo", headless=True, frames=1, scores="s.csv")
    assert sum(map(float, rows_of("s.csv")[1][5:])) == pytest.approx(1, abs=1e-3)
    assert "TorchScript, whose layers cannot be watched" in capsys.readouterr().err


def test_the_hint_about_the_input_stands_only_where_it_was_guessed() -> None:
    class Wrong(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: torch.Tensor, meta: torch.Tensor) -> torch.Tensor:
            return x

    with pytest.raises(
        ModelError, match="missing 1 required positional argument: 'meta'; its input was guessed: give the network"
    ):
        watch(Wrong(), source="demo", headless=True, frames=1)
    with pytest.raises(ModelError, match=r"missing 1 required positional argument: 'meta'$"):
        watch(Wrong(), input=SMALL, source="demo", headless=True, frames=1)
