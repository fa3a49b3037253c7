from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from livecnn.engine.engine import Engine, Work
from livecnn.engine.reducers import MosaicReducer, NeuronsReducer
from livecnn.errors import ModelError
from livecnn.networks.pipelines.plain import PlainPipeline, Resize
from tests.helpers.relu_networks import hooks
from tests.helpers.scenes import picture

CPU = torch.device("cpu")
recordings: list[tuple[int, ...]] = []


@pytest.fixture(autouse=True)
def nothing_recorded() -> None:
    recordings.clear()


class Replayed:
    """In the place of a CUDA graph: fixed places for input and results, and the same work again and again."""

    def __init__(self, work: Work, given: torch.Tensor, device: torch.device) -> None:
        recordings.append(tuple(given.shape))
        self._work, self._given = work, given.clone()
        self._hosts = [tensor.clone() for tensor in work(self._given)]

    def __call__(self, given: torch.Tensor) -> Sequence[torch.Tensor]:
        self._given.copy_(given)
        for host, result in zip(self._hosts, self._work(self._given), strict=True):
            host.copy_(result)
        return self._hosts


def relu_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(216, 5)).eval()


def reducers(grid: tuple[int, int] = (2, 3)) -> dict[str, Any]:
    maps = MosaicReducer("0", range(6), 6, "map")
    maps.grid = grid
    return {"maps": maps, "units": NeuronsReducer("3", [4, 3, 2, 1, 0], 2, "layer")}


def inputs(count: int = 6) -> list[torch.Tensor]:
    return list(torch.randn(count, 1, 1, 8, 8, generator=torch.Generator().manual_seed(1)))


def same(ours: tuple[torch.Tensor, dict[str, Any]], theirs: tuple[torch.Tensor, dict[str, Any]]) -> bool:
    views = zip(ours[1].values(), theirs[1].values(), strict=True)
    return bool(torch.equal(ours[0], theirs[0])) and all((a.codes == b.codes).all() for a, b in views)


def test_a_pass_that_is_played_again_is_the_same_pass() -> None:
    stepwise, played = Engine(relu_network(), CPU, (1, 8, 8)), Engine(relu_network(), CPU, (1, 8, 8), record=Replayed)
    for engine in (stepwise, played):
        engine.watch(reducers())
    with stepwise, played:
        results = [(stepwise(x), played(x)) for x in inputs()]
    assert recordings == [(1, 1, 8, 8)]
    assert all(same(*pair) for pair in results)
    scores, views = results[-1][1]
    assert scores.shape == (1, 5)
    assert set(views) == {"maps", "units"}
    assert views["maps"].codes.shape == (12, 18)
    assert not same(results[0][1], results[-1][1])  # what was handed out earlier stays as it was


def test_it_is_recorded_anew_for_what_has_changed_for_good() -> None:
    wanted = reducers()
    with Engine(relu_network(), CPU, (1, 8, 8), record=Replayed) as engine:
        engine.watch(wanted)
        xs = inputs()
        engine(xs[0])
        assert recordings == []  # once is not for good
        engine(xs[1])
        assert len(recordings) == 1
        wanted["maps"].grid = (3, 2)
        assert engine(xs[2])[1]["maps"].codes.shape == (18, 12)
        assert engine(xs[3])[1]["maps"].codes.shape == (18, 12)
        assert len(recordings) == 2
        wanted["units"].reorder([0, 1, 2, 3, 4])
        plain = Engine(relu_network(), CPU, (1, 8, 8))
        plain.watch({"units": NeuronsReducer("3", range(5), 2, "layer")})
        with plain:
            for x in xs:
                assert (engine(x)[1]["units"].codes == plain(x)[1]["units"].codes).all()
        engine.watch({"units": NeuronsReducer("3", range(5), 1, "layer")})
        assert set(engine(xs[0])[1]) == {"units"}


def test_a_running_range_goes_on_when_played() -> None:
    net = nn.Sequential(nn.Identity(), nn.Flatten())
    with Engine(net, CPU, (1, 2, 2), record=Replayed) as engine:
        engine.watch({"maps": MosaicReducer("0", (0,), 1, "running")})
        ramp = torch.arange(4.0).view(1, 1, 2, 2)
        top = [int(engine(ramp * gain)[1]["maps"].codes[0, 1]) for gain in (1, 1, 3, 3, 3, 3)]
    assert top[:2] == [2 + 253 // 3] * 2
    assert top[2] > top[3] > top[4] > top[5] > top[0]  # the range follows, slowly


def test_sizes_that_come_and_go_are_not_recorded() -> None:
    rest = Resize((8, 8), 1, (0.0,), (1.0,), 1)
    with Engine(relu_network(), CPU, (1, 8, 8), record=Replayed) as engine:
        for side in range(20, 30):
            engine(torch.zeros(side, side, 3, dtype=torch.uint8), rest)
        assert recordings == []
        engine(torch.zeros(29, 29, 3, dtype=torch.uint8), rest)
        assert recordings == [(29, 29, 3)]


@pytest.mark.parametrize("side", [8, 20, 37, 64, 224, 300])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"channels": 1},
        {"order": "BGR", "mean": (0.1, 0.2, 0.3)},
        {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
        {"scale": 255, "mean": (110,)},
        {"resize": "bilinear"},
    ],
)
def test_on_the_device_a_picture_is_prepared_as_on_the_host(side: int, fields: dict[str, Any]) -> None:
    pipeline = PlainPipeline(size=(56, 56), **fields)
    shot = picture(side, side)
    staged = pipeline.on(torch.device("cuda"))(shot)
    host = pipeline(shot)
    assert staged.tensor.dtype == torch.uint8
    assert (staged.seen == host.seen).all()
    assert staged.device_transform is not None
    level = pipeline.scale / 255 / min(pipeline.std)
    difference = (staged.device_transform(staged.tensor) - host.tensor).abs()
    assert difference.max() <= 1.01 * level
    assert difference.mean() <= 0.25 * level  # Pillow rounds twice
    assert pipeline.on(CPU) is pipeline


def test_nothing_of_the_network_is_changed() -> None:
    net = relu_network()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    threads = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="shape"), Engine(net, CPU, (1, 8, 8), "bfloat16") as engine:
        assert engine.precision == "float32"  # the CPU calculates as it always does
        engine(torch.zeros(1, 1, 30, 30))
    assert torch.get_num_threads() == threads
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert not any(inner._forward_hooks for inner in net.modules())


def without(net: nn.Sequential, *units: int) -> nn.Sequential:
    """These filters of the first layer give 0."""
    with torch.no_grad():
        for parameter in net[0].parameters():
            parameter[list(units)] = 0
    return net


@pytest.mark.parametrize("record", [None, Replayed])
def test_muted_units_give_0_from_the_next_pass_on(record: Callable[..., Replayed] | None) -> None:
    net = relu_network()
    xs = inputs()
    with Engine(net, CPU, (1, 8, 8), record=record) as engine:
        engine.watch(reducers())
        for units in [(), (2, 5), (1,), ()]:
            engine.muted.set([("0", unit) for unit in units])
            with Engine(without(relu_network(), *units), CPU, (1, 8, 8)) as plain:
                plain.watch(reducers())
                assert all(same(engine(x), plain(x)) for x in xs)
        engine.muted.set({("0", 3)})
        engine(xs[0])
    assert hooks(net) == 0


def test_muting_drops_what_was_recorded() -> None:
    x = inputs()[0]
    with Engine(relu_network(), CPU, (1, 8, 8), record=Replayed) as engine:
        for unit in (0, 1, 2, 3):  # one after the other: nothing to record yet
            engine.muted.set({("0", unit)})
            engine(x)
        assert recordings == []
        engine(x)
        assert len(recordings) == 1
        engine.muted.set([("0", 3), ("0", 3)])  # the same
        engine(x)
        assert len(recordings) == 1
        engine.muted.set(())
        engine(x)
        engine(x)
        assert len(recordings) == 2


@pytest.mark.parametrize(
    ("unit", "message"),
    [(("nose", 0), "^unknown layer 'nose'"), (("0", 6), r"^unit 6: layer '0' has 6 \(0-5\)$")],
)
def test_what_cannot_be_muted_is_told_at_every_pass(unit: tuple[str, int], message: str) -> None:
    net, x = relu_network(), inputs()[0]
    with Engine(net, CPU, (1, 8, 8)) as engine:
        before = engine(x)[0]
        engine.muted.set({unit})
        for _ in range(2):
            with pytest.raises(ModelError, match=message):
                engine(x)
        engine.muted.set(())
        assert torch.equal(engine(x)[0], before)
    assert hooks(net) == 0


class Views(nn.Module):
    """Takes its tensors' order for granted, as much code does."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.fc = nn.Linear(216, 5000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.conv(x).view(len(x), -1))[:, :5]  # type: ignore[no-any-return]


@pytest.mark.parametrize("flatten", [False, True])
def test_a_large_network_is_turned_if_it_can_be(flatten: bool) -> None:
    net = Views().eval()
    turnable = nn.Sequential(net.conv, nn.Flatten(), net.fc)
    module = turnable if flatten else net
    weight, x = net.conv.weight, torch.rand(1, 3, 8, 8)
    kept = weight.data
    wanted = module(x)[:, :5].detach()
    with Engine(module, CPU, (3, 8, 8)) as engine:
        engine.watch({"maps": MosaicReducer("0" if flatten else "conv", range(6), 6, "map")})
        scores, views = engine(x)
        assert weight.is_contiguous(memory_format=torch.channels_last) is flatten
    assert weight.data_ptr() == kept.data_ptr()
    assert torch.allclose(scores[:, :5], wanted, atol=1e-5)
    maps = net.conv(x).detach()
    reducer = MosaicReducer("0", range(6), 6, "map")
    assert np.abs(views["maps"].codes.astype(int) - reducer(maps).codes).max() <= 1


def test_what_fails_in_any_order_fails() -> None:
    net = nn.Sequential(nn.Conv2d(1, 6, 3), nn.Flatten(), nn.Linear(1, 1_000_001))
    engine = Engine(net, CPU, (1, 8, 8))
    weight = net[0].weight.data_ptr()
    with pytest.raises(RuntimeError, match="shapes"), engine:
        pass
    assert net[0].weight.data_ptr() == weight


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
@pytest.mark.parametrize(("precision", "most"), [("float32", 1e-4), ("tf32", 1e-2), ("bfloat16", 1e-2)])
def test_a_cuda_device_makes_no_difference(precision: Any, most: float) -> None:
    host, device = Engine(relu_network(), CPU, (1, 8, 8)), Engine(relu_network(), torch.device("cuda"), (1, 8, 8), precision)
    for engine in (host, device):
        engine.watch(reducers())
    with host, device:
        for x in inputs():
            (scores, views), (wanted, wanted_views) = device(x), host(x)
            assert np.allclose(scores.softmax(1), wanted.softmax(1), atol=most)
            assert np.abs(views["maps"].codes.astype(int) - wanted_views["maps"].codes).max() <= (1 if most < 1e-3 else 16)
        for engine in (host, device):
            engine.muted.set({("0", 4), ("1", 2)})
        for x in inputs():
            assert np.allclose(device(x)[0].softmax(1), host(x)[0].softmax(1), atol=most)
