from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from livecnn.engine.crop import Cropper
from livecnn.engine.observer import Observer
from livecnn.engine.reducers import MosaicReducer, NeuronsReducer, ValueReducer
from livecnn.errors import ModelError
from livecnn.networks.bundle import Bundle
from livecnn.networks.outputs import Output
from livecnn.networks.pipelines.plain import PlainPipeline
from livecnn.types import Frame, Image
from tests.helpers.relu_networks import hooks
from tests.helpers.scenes import picture

CPU = torch.device("cpu")
PLAIN = PlainPipeline(size=(8, 8), channels=1)


def frame(image: Image | None = None) -> Frame:
    return Frame(picture() if image is None else image, 3, 1.5, "a.png", "7")


def network(*tail: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 5), *tail)


def observer(net: nn.Module) -> Observer:
    return Observer(net, Cropper(PLAIN, 1.0), CPU)


def test_scores_are_what_the_output_means() -> None:
    net = network()
    with Observer(net, Cropper(PLAIN, 1.0), CPU, output=Output("logits", 5)) as observe:
        seen = observe(frame())
    assert seen.scores.dtype == np.float32
    assert np.allclose(seen.scores, net(seen.patch.prepared.tensor).softmax(1)[0].detach().numpy(), atol=1e-6)


def test_without_an_output_scores_are_as_the_network_gives_them() -> None:
    net = network()
    with observer(net) as observe:
        seen = observe(frame())
    assert np.allclose(seen.scores, net(seen.patch.prepared.tensor)[0].detach().numpy(), atol=1e-6)


def test_an_empty_box_has_no_scores(lenet: Bundle) -> None:
    white = np.full((64, 64, 3), 255, np.uint8)
    with Observer(lenet.module, Cropper(lenet.pipeline, 1.0), CPU) as observe:
        seen = observe(frame(white))
    assert seen.patch.prepared.empty
    assert seen.scores.tolist() == [0] * 10


def test_a_tick_holds_its_frame_the_views_and_the_times() -> None:
    net, given = network(), frame()
    with observer(net) as observe:
        observe.watch({"maps": MosaicReducer("0", range(4), 4, "map"), "units": NeuronsReducer("2", range(5), 1, "layer")})
        seen = observe(given)
    assert seen.frame is given
    assert set(seen.views) == {"maps", "units"}
    maps = net[0](seen.patch.prepared.tensor)
    assert (seen.views["maps"].codes == MosaicReducer("0", range(4), 4, "map")(maps.detach()).codes).all()
    assert set(seen.timings) == {"patch", "model"}
    assert all(seconds >= 0 for seconds in seen.timings.values())
    with pytest.raises(TypeError, match="does not support item assignment"):
        seen.views["maps"] = None  # type: ignore[index]


def test_watch_swaps_the_hooks_between_two_frames() -> None:
    net = network()
    with observer(net) as observe:
        observe.watch({"a": MosaicReducer("0", range(4), 4, "map")})
        assert set(observe(frame()).views) == {"a"}
        observe.watch({"b": NeuronsReducer("2", range(5), 1, "layer"), "c": NeuronsReducer("2", range(5), 1, "layer")})
        assert set(observe(frame()).views) == {"b", "c"}
        assert hooks(net) == 1
        observe.watch({})
        assert not observe(frame()).views
        assert hooks(net) == 0


def silent(observe: Observer, layer: str) -> list[int]:
    """Which of a layer's first units give 0."""
    observe.watch({str(unit): ValueReducer(layer, unit) for unit in range(3)})
    return [int(unit) for unit, value in observe(frame()).views.items() if value == 0]


def test_units_are_muted_between_two_frames_from_any_thread() -> None:
    net = network()
    observe = observer(net)
    observe.mute({("2", 1)})
    with observe:
        assert silent(observe, "2") == [1]
        thread = Thread(target=observe.mute, args=({("2", 0), ("2", 2)},))
        thread.start()
        thread.join()
        assert silent(observe, "2") == [0, 2]
        observe.mute(())
        assert silent(observe, "2") == []
        assert hooks(net) == 1
        observe.mute({("2", 2)})
        assert silent(observe, "2") == [2]
    assert hooks(net) == 0


def test_what_is_asked_for_while_it_starts_is_not_missed() -> None:
    net = network()
    observe = observer(net)
    first_pass = net.register_forward_pre_hook(lambda *_: observe.mute({("2", 1)}))  # as from another thread
    with observe:
        first_pass.remove()
        assert silent(observe, "2") == [1]


def test_only_the_main_network_is_muted() -> None:
    main, other = network(), network()
    beside = observer(other)
    with Observer(main, Cropper(PLAIN, 1.0), CPU, other_observers={"other": beside}) as observe:
        before = observe(frame())
        observe.mute({("0", 0), ("0", 1)})
        after = observe(frame())
    assert (after.scores != before.scores).any()
    assert (after.others["other"].scores == before.scores).all()


def test_an_observer_can_be_used_again() -> None:
    net = network()
    observe = observer(net)
    observe.watch({"a": MosaicReducer("0", range(4), 4, "map")})
    for _ in range(2):
        with observe:
            assert set(observe(frame()).views) == {"a"}
        assert hooks(net) == 0


def test_the_network_is_put_into_evaluation_mode() -> None:
    net = network(nn.Dropout(0.9)).train()
    with observer(net) as observe:
        assert (observe(frame()).scores == observe(frame()).scores).all()


class Fails(nn.Module):
    """Fails at its nth pass, as a device does that it lies on, or on every device."""

    def __init__(self, error: Exception, passes: int, device: str = "meta") -> None:
        super().__init__()
        self.layer, self.error, self.passes, self.device = nn.Flatten(), error, passes, device

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.passes -= 1
        if self.passes < 0 and self.device in ("", x.device.type):
            raise self.error
        return self.layer(torch.ones(x.shape))[:, :3]  # type: ignore[no-any-return]


BROKEN = RuntimeError("the network broke")


@pytest.fixture
def threads() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield 2
    torch.set_num_threads(before)


@pytest.mark.parametrize(("limit", "inside"), [(40 * 6 * 6 + 145 * 5, 1), (40 * 6 * 6 + 145 * 5 - 1, 2)])
def test_only_a_network_with_much_work_gets_all_threads(
    limit: int, inside: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However busy the machine is: else the same pictures would not give the same bytes."""
    monkeypatch.setattr("livecnn.engine.engine.WORTH_THREADS", limit)
    with observer(network()):
        assert torch.get_num_threads() == inside
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("passes", [0, 4])
def test_an_error_of_the_network_comes_through_and_nothing_stays_behind(passes: int, threads: int) -> None:
    net = Fails(BROKEN, passes, device="")
    observe = observer(net)
    observe.watch({"a": NeuronsReducer("layer", range(3), 1, "layer")})
    with pytest.raises(RuntimeError, match="the network broke"), observe:
        list(map(observe, [frame()] * 3))
    assert hooks(net) == 0
    assert torch.get_num_threads() == threads


def test_an_unknown_layer_comes_through() -> None:
    net = network()
    observe = observer(net)
    observe.watch({"a": NeuronsReducer("nose", range(3), 1, "layer")})
    with pytest.raises(ModelError, match="unknown layer 'nose'"), observe:
        observe(frame())
    assert hooks(net) == 0


FAILURES = [
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB.\nmore"), 0),
    (RuntimeError("CUDA error: an illegal memory access was encountered"), 4),
    (NotImplementedError("The operator 'aten::nose' is not currently implemented for the MPS device."), 4),
]


@pytest.mark.parametrize(("error", "passes"), FAILURES)
def test_the_cpu_takes_over_from_a_device_that_fails(error: Exception, passes: int) -> None:
    told: list[str] = []
    observe = Observer(Fails(error, passes), Cropper(PLAIN, 1.0), torch.device("meta"), on_device_error=told.append)
    observe.watch({"a": NeuronsReducer("layer", range(3), 1, "layer")})
    with observe:
        ticks = [observe(frame()) for _ in range(3)]
    assert told == [observe.note]
    assert observe.note.startswith(f"meta: {type(error).__name__}: {str(error).splitlines()[0]}; going on on the CPU")
    assert all(set(tick.views) == {"a"} for tick in ticks)
    assert observe.device == CPU


@pytest.mark.parametrize("meanwhile", [False, True])
@pytest.mark.parametrize(("error", "passes"), FAILURES)
def test_what_is_muted_is_muted_on_the_cpu_too(error: Exception, passes: int, meanwhile: bool) -> None:
    net = Fails(error, passes)

    def fall_back(_: str) -> None:
        if meanwhile:  # as from another thread
            observe.mute({("layer", 1), ("layer", 2)})

    observe = Observer(net, Cropper(PLAIN, 1.0), torch.device("meta"), on_device_error=fall_back)
    observe.mute({("layer", 0)})
    with observe:
        found = [silent(observe, "layer") for _ in range(2)]
        assert found[-1] == ([1, 2] if meanwhile else [0])
        assert observe.device == CPU
    assert hooks(net) == 0


@pytest.mark.parametrize(("error", "passes"), FAILURES)
def test_a_device_that_was_asked_for_by_name_ends_the_run(error: Exception, passes: int) -> None:
    observe = Observer(Fails(error, passes), Cropper(PLAIN, 1.0), torch.device("meta"))
    with pytest.raises(ModelError, match=r"meta: .*; allowed: --device cpu, or auto") as caught, observe:
        for _ in range(3):
            observe(frame())
    assert "\n" not in str(caught.value)


def test_what_is_the_networks_own_fault_comes_again_on_the_cpu() -> None:
    observe = Observer(Fails(BROKEN, 0, device=""), Cropper(PLAIN, 1.0), torch.device("meta"), on_device_error=lambda told: None)
    with pytest.raises(RuntimeError, match="the network broke"), observe:
        observe(frame())
