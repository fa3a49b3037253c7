"""Explanations beside the loops: in order, and on threads whose work the test lets through step by step."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn
from torch.testing import assert_close
from tqdm import TMonitor

from livecnn.errors import ModelError
from livecnn.explain import live
from livecnn.explain.live import ExplainWorker, LiveExplainer, Refused, WorkerState, copy_to_explain
from livecnn.explain.methods.grad_cam import GradCam
from livecnn.explain.methods.gradient import Gradient
from livecnn.explain.methods.guided_backprop import GuidedBackprop
from livecnn.explain.methods.integrated_gradients import IntegratedGradients
from livecnn.explain.methods.occlusion import Occlusion
from livecnn.networks.architectures.lenet import Lenet
from livecnn.networks.bundle import Bundle
from livecnn.networks.inspection.ablation import Ablation
from livecnn.networks.inspection.probe import Probe
from livecnn.selection import INPUT, OUTPUT, MutedUnits, Selection, Unit
from livecnn.types import Box, ExplanationUpdate, Frame, Patch, PreferredInput, Prepared, Tick
from tests.helpers.relu_networks import Functional, Reused, picture, seeded, untouched
from tests.helpers.waiting import until

SHOT = np.zeros((2, 2, 3), np.uint8)
SCORES = np.eye(10, dtype=np.float32)[7]
UNIT = Selection("conv2", 3, methods=("activation", "gradient"))
OCCLUSION = Selection("conv2", 3, methods=("occlusion",))
GRID = Selection("conv2", 3, grid="guided_backprop")


def x_of(seq: int) -> torch.Tensor:
    return torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(seq))


def tick(seq: int, *, empty: bool = False, rest: Callable[[torch.Tensor], torch.Tensor] | None = None) -> Tick:
    prepared = Prepared(x_of(seq), SHOT, empty, rest)
    return Tick(Frame(SHOT, seq, 0.0), Patch(SHOT, Box(0, 0, 2, 2), prepared), SCORES)


class Gate:
    """Notes calls, and lets one through for every `open`; without `closed` all."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.closed = threading.Semaphore(0)
        self.free = False

    def __call__(self, call: object) -> None:
        self.calls.append(call)
        if not self.free:
            assert self.closed.acquire(timeout=30)

    def open(self, times: int = 1) -> None:
        self.closed.release(times)

    def leave_open(self) -> None:
        self.free = True
        self.closed.release(1000)


class Dreams:
    """Stands for gradient ascent of eight steps."""

    def __init__(self, gate: Callable[[object], None] = lambda _: None, error: Exception | None = None) -> None:
        self.begun: list[tuple[str, int]] = []
        self._gate, self._error = gate, error

    def __call__(self, module: nn.Module, layer: str, unit: int) -> Iterator[PreferredInput]:
        self.begun.append((layer, unit))
        self.module = module
        for step in range(1, 9):
            module(x_of(0))  # as an ascent does: it gives way to the loops there
            self._gate((unit, step))
            if self._error is not None:
                raise self._error
            yield PreferredInput(Unit(layer, unit), SHOT, float(step), step, 8)


@pytest.fixture(autouse=True)
def nothing_left(lenet: Bundle, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(live, "DWELL", 0.0)
    before, threads = alive(), torch.get_num_threads()
    yield
    assert alive() == before
    assert torch.get_num_threads() == threads
    assert in_new_thread(torch.get_num_threads) == threads
    assert untouched(lenet.module)


def alive() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if not isinstance(thread, TMonitor)}  # torch.fx shows a progress bar


def in_new_thread(work: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


def same(ours: ExplanationUpdate, theirs: ExplanationUpdate) -> bool:
    """To the byte."""

    def told(findings: ExplanationUpdate) -> list[object]:
        arrays = {**findings.maps, "grid": findings.grid, "contributions": findings.contributions}
        data = {name: None if array is None else array.tobytes() for name, array in arrays.items()}
        return [findings.seq, findings.target, data, findings.refused, findings.progress, findings.units, findings.logit]

    return told(ours) == told(theirs)


# In order


def now(
    lenet: Bundle,
    focus: Selection,
    asks: Sequence[Any],
    units: Sequence[int] = (),
    seq: int = 0,
    muted: Collection[tuple[str, int]] = (),
) -> ExplanationUpdate:
    owner = MutedUnits()
    owner.set(muted)
    explaining = ExplainWorker(lenet, muted=owner)
    explaining.want(focus, asks, units)
    return explaining.now(tick(seq))


def test_findings_are_what_the_methods_tell(lenet: Bundle) -> None:
    kinds = ("activation", "gradient", "grad_cam", "integrated_gradients", "occlusion")
    found = now(lenet, replace(GRID, methods=kinds), ["unit", "grid", "contributions"], range(5, 9))
    net, x = lenet.module, x_of(0)
    wanted = {
        "gradient": Gradient(net, "conv2").explain(x, [3]),
        "grad_cam": GradCam(net, "conv2").explain(x, target=7),
        "integrated_gradients": IntegratedGradients(net, "conv2").explain(x, [3]),
        "occlusion": Occlusion(net, "conv2").explain(x, [3]),
    }
    assert list(found.maps) == list(wanted)
    assert all(np.array_equal(found.maps[kind], map[0]) for kind, map in wanted.items())
    assert np.array_equal(found.grid, GuidedBackprop(net, "conv2").explain(x, range(5, 9)))  # type: ignore[arg-type]
    assert found.units == (5, 6, 7, 8)
    assert (found.seq, found.target, found.refused, found.progress) == (0, 7, {}, {"occlusion": 1.0})
    assert found.contributions is not None
    assert found.contributions.shape == (50,)
    assert found.logit is not None
    assert found.preferred is None


def test_only_what_is_asked_for_is_told(lenet: Bundle) -> None:
    found = now(lenet, GRID, ["contributions"], range(5))
    assert not found.maps
    assert not found.refused
    assert found.grid is None
    assert found.contributions is not None
    assert now(lenet, replace(GRID, grid="activation"), ["grid"], range(5)).grid is None


def test_the_unit_under_the_mouse_and_the_chosen_class(lenet: Bundle) -> None:
    focus = replace(UNIT, methods=("gradient", "grad_cam"), hover=Unit("conv2", 8), target=2)
    found = now(lenet, focus, ["unit"])
    assert found.target == 2
    assert np.array_equal(found.maps["gradient"], Gradient(lenet.module, "conv2").explain(x_of(0), [8])[0])
    assert np.array_equal(found.maps["grad_cam"], GradCam(lenet.module, "conv2").explain(x_of(0), target=2)[0])


def test_the_same_ticks_give_the_same_bytes(lenet: Bundle) -> None:
    asks = ["unit", "grid", "contributions", "preferred"]
    focus = replace(GRID, methods=("guided_backprop", "deconvnet", "occlusion"))
    assert same(now(lenet, focus, asks, range(50)), now(lenet, focus, asks, range(50)))
    assert not same(now(lenet, focus, asks, range(50)), now(lenet, focus, asks, range(50), seq=1))


def test_the_network_is_explained_without_its_muted_units(lenet: Bundle) -> None:
    muted = frozenset({("conv1", 3), ("conv1", 5)})
    found = now(lenet, UNIT, ["unit"], muted=muted)
    with Ablation(lenet.module) as muting:
        muting.set(muted)
        wanted = Gradient(lenet.module, "conv2").explain(x_of(0), [3])[0]
    assert np.array_equal(found.maps["gradient"], wanted)
    assert not np.array_equal(found.maps["gradient"], now(lenet, UNIT, ["unit"]).maps["gradient"])


def test_the_rest_of_the_input_pipeline_is_done(lenet: Bundle) -> None:
    explaining = ExplainWorker(lenet)
    explaining.want(UNIT, ["unit"])
    found = explaining.now(tick(0, rest=lambda x: x / 2))
    assert np.array_equal(found.maps["gradient"], Gradient(lenet.module, "conv2").explain(x_of(0) / 2, [3])[0])


def test_the_last_findings_stay_while_nothing_is_in_the_box(lenet: Bundle) -> None:
    explaining = ExplainWorker(lenet)
    explaining.want(UNIT, ["unit"])
    assert not explaining.now(tick(0, empty=True)).maps
    found = explaining.now(tick(1))
    assert explaining.now(tick(2, empty=True)) is found
    assert explaining.now(tick(3)).seq == 3


def test_refusals_by_what_was_asked(lenet: Bundle) -> None:
    focus = Selection("prob", 3, methods=("grad_cam", "gradient"), grid="grad_cam")
    found = now(lenet, focus, ["unit", "grid", "contributions"], range(3))
    assert list(found.maps) == ["gradient"]
    assert found.refused == {
        "grad_cam": "needs a layer that gives maps; 'prob' gives 10 values",
        "contributions": "need a way from the layer to the scores; 'prob' has none",
    }
    ends = now(lenet, Selection(methods=("gradient", "occlusion"), grid="deconvnet"), ["unit", "grid"], [0])
    assert set(ends.refused) == {"gradient", "occlusion", "deconvnet"}


@pytest.mark.parametrize(("kept", "asked", "begun"), [(64, (3, 4, 3), (3, 4)), (2, (0, 1, 2, 1, 0), (0, 1, 2, 0))])
def test_a_preferred_input_is_found_once_and_few_are_remembered(
    lenet: Bundle, monkeypatch: pytest.MonkeyPatch, kept: int, asked: Sequence[int], begun: Sequence[int]
) -> None:
    monkeypatch.setattr(live, "KEPT", kept)
    dreams = Dreams()
    explaining = ExplainWorker(lenet, dreams)
    for unit in asked:
        explaining.want(replace(UNIT, unit=unit), ["preferred"])
        found = explaining.now(tick(0)).preferred
        assert found is not None
        assert (found.unit, found.step) == (Unit("conv2", unit), 8)
    assert dreams.begun == [("conv2", unit) for unit in begun]


def test_a_network_that_cannot_be_copied_is_an_error(lenet: Bundle) -> None:
    module = nn.Sequential()
    module.steps = (step for step in ())  # type: ignore[assignment]
    with pytest.raises(ModelError, match=r"^explanations need a copy of the network: TypeError: .*generator"):
        ExplainWorker(replace(lenet, module=module))


# On threads


class Rig:
    """Explanations on their threads, with what was published."""

    def __init__(self, bundle: Bundle, dreams: Dreams | None = None) -> None:
        self.muted = MutedUnits()
        self.explaining = ExplainWorker(bundle, dreams, muted=self.muted)

    def want(self, focus: Selection, *asks: Any, units: Sequence[int] = ()) -> None:
        self.explaining.want(focus, asks, units)

    def passed(self, *seqs: int) -> None:
        for seq in seqs:
            self.explaining.on_tick(tick(seq))

    @property
    def found(self) -> ExplanationUpdate:
        found = self.explaining.newest()[1]
        return ExplanationUpdate(-1, Selection(), -1) if found is None else found

    def explained(self, seq: int) -> ExplanationUpdate:
        until(lambda: self.found.seq == seq)
        return self.found


@contextmanager
def running(
    bundle: Bundle, focus: Selection, *asks: Any, units: Sequence[int] = (), dreams: Dreams | None = None
) -> Iterator[Rig]:
    """Explanations of a first tick."""
    rig = Rig(bundle, dreams)
    with rig.explaining:
        rig.want(focus, *asks, units=units)
        rig.passed(0)
        yield rig


def test_findings_on_threads_are_those_in_order(lenet: Bundle) -> None:
    dreams = Dreams()
    focus = replace(GRID, methods=("gradient", "grad_cam", "occlusion"))
    asks = ("unit", "grid", "contributions", "preferred")
    assert Rig(lenet).explaining.newest() == (0, None)
    with running(lenet, focus, *asks, units=range(50), dreams=dreams) as rig:
        until(lambda: rig.found.progress.get("occlusion") == 1 and len(rig.found.units) == 50 and rig.found.preferred)
        found = rig.found
    assert rig.explaining.error is None
    assert untouched(dreams.module)
    wanted = now(lenet, focus, asks, range(50))
    assert (found.seq, found.target, found.focus, found.units) == (0, 7, focus, wanted.units)
    assert list(found.maps) == list(wanted.maps)
    for kind, map in wanted.maps.items():
        assert_allclose(found.maps[kind], map, atol=1e-5)
    assert_allclose(found.grid, wanted.grid, atol=1e-5)  # type: ignore[arg-type]
    assert_allclose(found.contributions, wanted.contributions, atol=1e-5)  # type: ignore[arg-type]


def gated(monkeypatch: pytest.MonkeyPatch, method: type = Gradient, together: int = 0) -> Gate:
    """Every explanation by this method has to be let through; everything takes long if it is for so many units of a grid."""
    gate, explain = Gate(), method.explain  # type: ignore[attr-defined]

    def wait(self: Any, x: torch.Tensor, units: Sequence[int] = (), target: int | None = None) -> torch.Tensor:
        gate((x, list(units)))
        found: torch.Tensor = explain(self, x, units, target)
        return found

    monkeypatch.setattr(method, "explain", wait)
    if together:
        monkeypatch.setattr(live, "FIRST", together)
        monkeypatch.setattr(live, "LONG", 0.0)
    return gate


def test_the_newest_tick_only(lenet: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = gated(monkeypatch)
    with running(lenet, UNIT, "unit") as rig:
        until(lambda: len(gate.calls) == 1)
        rig.passed(1, 2, 3, 4)
        rig.explaining.on_tick(tick(5, empty=True))
        gate.open()
        rig.explained(0)
        until(lambda: len(gate.calls) == 2)
        gate.open()
        rig.explained(4)
        assert rig.explaining.newest()[0] == 2
        gate.leave_open()
    assert [bool(torch.equal(x, x_of(seq))) for (x, _), seq in zip(gate.calls, (0, 4), strict=True)] == [True, True]


def test_another_focus_is_answered_without_a_new_tick(lenet: Bundle) -> None:
    with running(lenet, UNIT, "unit") as rig:
        first = rig.explained(0).maps["gradient"]
        rig.want(replace(UNIT, hover=Unit("conv2", 9)), "unit")
        until(lambda: rig.found.focus.hover and rig.found.maps)
        assert not np.array_equal(rig.found.maps["gradient"], first)
        rig.want(replace(UNIT, layer="ip1"), "unit")
        until(lambda: rig.found.focus.layer == "ip1" and rig.found.maps)


def test_nothing_is_done_that_nobody_asks_for(lenet: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = gated(monkeypatch)
    gate.leave_open()
    with running(lenet, UNIT) as rig:
        rig.want(UNIT, "contributions")
        rig.explained(0)
    assert not gate.calls


def test_a_long_grid_comes_in_parts(lenet: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = gated(monkeypatch, GuidedBackprop, together=2)
    with running(lenet, GRID, "grid", units=(4, 5, 6)) as rig:
        gate.open()
        until(lambda: rig.found.units == (4, 5))
        gate.open()
        until(lambda: rig.found.units == (4, 5, 6))
        first = rig.found.grid
        rig.passed(1)
        gate.open()
        until(lambda: rig.found.seq == 1 and rig.found.grid is not first)
        mixed = rig.found  # one of the new tick, two of the old
        gate.open(2)
        until(lambda: len(gate.calls) == 5)
        gate.leave_open()
    assert [units for _, units in gate.calls] == [[4, 5], [6], [4], [5], [6]]
    assert mixed.units == (4, 5, 6)
    assert first is not None
    assert mixed.grid is not None
    assert np.array_equal(mixed.grid[1:], first[1:])
    assert not np.array_equal(mixed.grid[0], first[0])


def test_a_change_of_focus_does_not_wait_for_a_long_grid(lenet: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = gated(monkeypatch, GuidedBackprop, together=1)
    with running(lenet, GRID, "grid", units=(4, 5, 6)) as rig:
        until(lambda: len(gate.calls) == 1)
        rig.want(replace(GRID, page=1), "grid", units=(7,))
        gate.open(2)
        until(lambda: rig.found.units == (7,))
        gate.leave_open()
    assert [units for _, units in gate.calls] == [[4], [7]]


def test_a_long_grid_goes_on_where_it_was_given_up(lenet: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = gated(monkeypatch, GuidedBackprop, together=1)
    with running(lenet, GRID, "grid", units=(4, 5, 6)) as rig:
        gate.open()
        until(lambda: len(gate.calls) == 2)
        rig.want(replace(GRID, hover=Unit("conv2", 9)), "grid", units=(4, 5, 6))
        gate.open()
        until(lambda: len(gate.calls) == 3)
        assert rig.found.units == (4,)
        gate.leave_open()
        until(lambda: rig.found.units == (4, 5, 6))
    assert [units for _, units in gate.calls] == [[4], [5], [5], [6]]
    assert_allclose(rig.found.grid, GuidedBackprop(lenet.module, "conv2").explain(x_of(0), (4, 5, 6)), atol=1e-5)  # type: ignore[arg-type]


def test_a_refused_grid_is_told(lenet: Bundle) -> None:
    with running(lenet, replace(GRID, grid="grad_cam"), "grid", units=(0, 1)) as rig:
        until(lambda: rig.found.refused)
    assert rig.found.refused == {"grad_cam": "explains classes, not units"}


@pytest.fixture
def refining(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Every step of occlusion has to be let through."""
    gate, refine = Gate(), Occlusion.refine

    def steps(self: Occlusion, x: torch.Tensor, units: Sequence[int] = (), target: int | None = None) -> Iterator[torch.Tensor]:
        for step, found in enumerate(refine(self, x, units, target)):
            gate((list(units), step, x))
            yield found

    monkeypatch.setattr(Occlusion, "refine", steps)
    return gate


def steps_of(gate: Gate) -> list[tuple[int, int]]:
    """Unit and step of every call."""
    return [(units[0], step) for units, step, _ in gate.calls]


def test_occlusion_is_refined_on_one_tick_then_on_the_newest(lenet: Bundle, refining: Gate) -> None:
    with running(lenet, OCCLUSION, "unit") as rig:
        maps = []
        for progress in (0.25, 0.5, 0.75, 1.0):
            refining.open()
            until(lambda progress=progress: rig.found.progress == {"occlusion": progress})
            maps.append(rig.found.maps["occlusion"])
            rig.passed(1, 2)
        until(lambda: len(refining.calls) == 5)
        assert rig.found.progress == {"occlusion": 1.0}
        refining.open(4)
        until(lambda: not np.array_equal(rig.found.maps["occlusion"], maps[-1]) and rig.found.progress["occlusion"] == 1)
        rig.want(replace(OCCLUSION, page=1), "unit")  # no other unit: it rests
        until(lambda: rig.found.focus.page == 1)
        refining.leave_open()
    assert steps_of(refining) == [(3, step) for step in (0, 1, 2, 3)] * 2
    assert all(torch.equal(x, x_of(seq)) for (*_, x), seq in zip(refining.calls, (0, 0, 0, 0, 2, 2, 2, 2), strict=True))


def test_occlusion_starts_anew_when_the_focus_changes(lenet: Bundle, refining: Gate) -> None:
    with running(lenet, OCCLUSION, "unit") as rig:
        until(lambda: len(refining.calls) == 1)
        rig.want(replace(OCCLUSION, hover=Unit("conv2", 5)), "unit")
        refining.open(2)
        until(lambda: rig.found.progress and rig.found.focus.hover)
        rig.want(replace(OCCLUSION, methods=()), "unit")
        refining.open()
        until(lambda: not rig.found.maps and not rig.found.focus.methods)
        refining.leave_open()
    assert steps_of(refining)[:2] == [(3, 0), (5, 0)]
    assert (3, 1) not in steps_of(refining)


def test_occlusion_goes_back_to_a_unit_on_a_picture_that_stands_still(lenet: Bundle, refining: Gate) -> None:
    with running(lenet, OCCLUSION, "unit") as rig:
        refining.open(4)
        until(lambda: rig.found.progress == {"occlusion": 1.0})
        rig.want(replace(OCCLUSION, hover=Unit("conv2", 5)), "unit")
        refining.open()
        until(lambda: rig.found.focus.hover and rig.found.progress)
        rig.want(OCCLUSION, "unit")
        refining.leave_open()
        until(lambda: rig.found.focus == OCCLUSION and rig.found.progress == {"occlusion": 1.0})
    assert steps_of(refining)[-4:] == [(3, step) for step in (0, 1, 2, 3)]


def test_a_focus_that_comes_back_in_the_middle_is_answered(lenet: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = gated(monkeypatch, together=1)
    with running(lenet, UNIT, "unit") as rig:
        until(lambda: gate.calls)
        rig.want(replace(UNIT, hover=Unit("conv2", 5)), "unit")
        rig.want(UNIT, "unit")
        gate.leave_open()
        until(lambda: rig.found.maps)


def test_preferred_inputs_come_every_few_steps(lenet: Bundle) -> None:
    gate = Gate()
    with running(lenet, UNIT, "preferred", dreams=Dreams(gate)) as rig:
        gate.open(4)
        until(lambda: rig.found.preferred)
        assert rig.found.preferred is not None
        assert rig.found.preferred.step == 4
        gate.open(4)
        until(lambda: rig.found.preferred.step == 8)  # type: ignore[union-attr]


def test_preferred_inputs_come_while_nothing_is_in_the_box(lenet: Bundle) -> None:
    rig = Rig(lenet, Dreams())
    with rig.explaining:
        rig.want(UNIT, "preferred", "unit")
        rig.explaining.on_tick(tick(0, empty=True))
        until(lambda: rig.found.preferred)
    assert (rig.found.seq, rig.found.maps) == (-1, {})


def test_another_unit_ends_an_ascent_and_what_was_found_comes_back(lenet: Bundle) -> None:
    gate = Gate()
    dreams = Dreams(gate)

    def shown() -> tuple[int, int] | None:
        found = rig.found.preferred
        return None if found is None else (found.unit.index, found.step)

    with running(lenet, UNIT, "preferred", dreams=dreams) as rig:
        until(lambda: gate.calls == [(3, 1)])
        rig.want(replace(UNIT, hover=Unit("conv2", 9)), "preferred")  # under the mouse only: it goes on
        gate.open()
        until(lambda: gate.calls[-1] == (3, 2))
        rig.want(replace(UNIT, unit=4), "preferred")
        gate.open()
        until(lambda: gate.calls[-1] == (4, 1))
        gate.open(8)
        until(lambda: shown() == (4, 8))
        gate.leave_open()
        rig.want(UNIT, "preferred")
        until(lambda: shown() == (3, 8))
        rig.want(replace(UNIT, unit=4), "preferred")
        until(lambda: shown() == (4, 8))
    assert [unit for _, unit in dreams.begun] == [3, 4, 3]


def test_an_ascent_begins_once_a_unit_has_stayed_selected(lenet: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "DWELL", 3600.0)
    dreams, waits, wait = Dreams(), [], WorkerState.wait

    def noted(board: WorkerState, ready: Callable[[], object], timeout: float | None = None) -> bool:
        waits.append(timeout)
        return wait(board, ready, timeout)

    monkeypatch.setattr(WorkerState, "wait", noted)
    with running(lenet, UNIT, "preferred", dreams=dreams) as rig:
        until(lambda: 3600.0 in waits)
        monkeypatch.setattr(live, "DWELL", 0.0)
        rig.want(replace(UNIT, unit=4), "preferred")
        until(lambda: rig.found.preferred)
    assert dreams.begun == [("conv2", 4)]


def test_a_refused_ascent_is_told(lenet: Bundle) -> None:
    dreams = Dreams(error=ModelError("preferred needs a way back"))
    with running(lenet, UNIT, "preferred", dreams=dreams) as rig:
        until(lambda: rig.found.refused)
        assert rig.found.refused == {"preferred": "needs a way back"}
        rig.want(replace(UNIT, unit=4), "preferred")
        until(lambda: rig.found.focus.unit == 4 and rig.found.refused)
    assert dreams.begun == [("conv2", 3)]


def test_without_dreams_the_rest_is_answered(lenet: Bundle) -> None:
    with running(lenet, UNIT, "preferred", "unit") as rig:
        until(lambda: rig.found.maps)
    assert rig.found.preferred is None
    assert rig.explaining.error is None


def test_muting_reaches_every_thread(lenet: Bundle) -> None:
    focus = replace(OCCLUSION, methods=("gradient", "occlusion"))
    with running(lenet, focus, "unit") as rig:
        until(lambda: rig.found.progress)
        assert all(map.any() for map in rig.found.maps.values())
        rig.muted.set(("conv1", unit) for unit in range(20))  # type: ignore[arg-type]
        rig.want(focus, "unit")
        until(lambda: len(rig.found.maps) == 2 and not any(map.any() for map in rig.found.maps.values()))


def test_what_a_network_raises_is_told_and_the_threads_go_on(lenet: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> Any:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(Gradient, "explain", fail)
    monkeypatch.setattr(Occlusion, "refine", fail)
    focus, dreams = replace(UNIT, methods=("gradient", "occlusion")), Dreams(error=ZeroDivisionError("oops"))
    with running(lenet, focus, "unit", "preferred", dreams=dreams) as rig:
        until(lambda: len(rig.found.refused) == 3)
        assert set(rig.found.refused.values()) == {"ZeroDivisionError: oops"}
        rig.want(replace(UNIT, methods=("grad_cam",)), "unit")
        until(lambda: "grad_cam" in rig.found.maps)
    assert rig.explaining.error is None


@pytest.mark.parametrize("where", ["explain", "occlusion", "preferred"])
def test_a_defect_in_any_thread_ends_all(where: str, lenet: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        if threading.current_thread().name == where:
            raise ZeroDivisionError("oops")

    monkeypatch.setattr(LiveExplainer, "mute", fail)
    others = threading.active_count()
    with running(lenet, replace(UNIT, methods=("gradient", "occlusion")), "unit", "preferred", dreams=Dreams()) as rig:
        until(lambda: rig.explaining.error is not None)
        until(lambda: threading.active_count() == others)
    assert str(rig.explaining.error) == "oops"


def test_unknown_units_to_mute_are_a_defect_of_the_caller(lenet: Bundle) -> None:
    rig = Rig(lenet)
    with rig.explaining:
        rig.muted.set({("conv9", 0)})
        rig.want(UNIT, "unit")
        rig.passed(0)
        until(lambda: rig.explaining.error is not None)
    assert isinstance(rig.explaining.error, ModelError)


def test_it_ends_in_the_middle_of_things_and_twice(lenet: Bundle) -> None:
    rig = Rig(lenet, Dreams())
    focus = replace(GRID, methods=("integrated_gradients", "occlusion"))

    def work() -> None:
        with rig.explaining:
            rig.want(focus, "unit", "grid", "preferred", units=range(50))
            rig.passed(0)
            rig.explaining.__exit__(None, None, None)
            raise ZeroDivisionError("in the middle")

    with pytest.raises(ZeroDivisionError, match="in the middle"):
        work()
    assert rig.explaining.error is None
    ExplainWorker(lenet).__exit__(None, None, None)  # never begun


# One copy of a network, one input: what is told, or why it is not


@pytest.fixture
def x() -> torch.Tensor:
    return picture(2, 13, 12)


@pytest.fixture
def explainer() -> Iterator[LiveExplainer]:
    with LiveExplainer(seeded(Reused)) as explainer:
        yield explainer


def reason_of(answer: object) -> str:
    assert isinstance(answer, Refused)
    return answer.reason


def test_a_copy_shares_weights_and_nothing_else() -> None:
    net = seeded(Lenet)
    copied = copy_to_explain(net)
    assert all(ours is theirs for ours, theirs in zip(copied.parameters(), net.parameters(), strict=True))
    assert not set(copied.modules()) & set(net.modules())


def test_pictures_are_those_of_the_methods(explainer: LiveExplainer, x: torch.Tensor) -> None:
    direct = GuidedBackprop(explainer.module, "conv2").explain(x, [3, 1]).numpy()
    assert np.array_equal(explainer.pictures("guided_backprop", x, "conv2", [3, 1]), direct)
    one = explainer.picture("guided_backprop", x, Unit("conv2", 3), 0)
    assert one.shape == (2, 13, 12)
    assert_close(one, direct[0])


def test_a_method_of_classes_is_about_the_target(explainer: LiveExplainer, x: torch.Tensor) -> None:
    first, second = (explainer.picture("grad_cam", x, Unit("conv2", 0), target) for target in (0, 1))
    assert first.shape == (1, 13, 12)
    assert not np.array_equal(first, second)
    assert explainer.pictures("grad_cam", x, "conv2", [0]) == Refused("explains classes, not units")


def test_contributions_of_the_last_hidden_layer_sum_up_to_the_score() -> None:
    net, x = seeded(Lenet), picture(1, 28, 28)
    with torch.no_grad():
        logits = net.logits(x)[0]
    with LiveExplainer(net) as explainer:
        for target in range(10):
            values, logit = explainer.contributions(x, "ip1", target)  # type: ignore[misc]
            assert values.shape == (500,)
            assert logit == pytest.approx(logits[target].item(), abs=1e-5)
            assert values.sum() + net.ip2.bias[target].item() == pytest.approx(logit, abs=1e-5)


def test_contributions_of_maps_are_activation_times_gradient() -> None:
    net, x = seeded(Reused), picture(2, 13, 12)
    values, _ = LiveExplainer(net).contributions(x, "conv3", 2)  # type: ignore[misc]
    with Probe(net, ["conv3"]) as probe:
        maps = probe(x)[1]["conv3"][0]
    # after conv3 come a ReLU, a mean and a linear layer
    wanted = (maps.clamp_min(0)).mean((1, 2)) * net.fc.weight[2]
    assert_close(torch.from_numpy(values), wanted.detach())


def test_contributions_need_a_way_to_the_scores(x: torch.Tensor) -> None:
    net = seeded(Reused)
    net.fc.register_forward_pre_hook(lambda _, given: given[0].detach())
    with LiveExplainer(net) as explainer:
        assert explainer.contributions(x, "conv2", 0) == Refused("need a way from the layer to the scores; 'conv2' has none")


@pytest.mark.parametrize("end", [INPUT, OUTPUT])
def test_the_ends_of_a_network_have_no_units(end: str, explainer: LiveExplainer, x: torch.Tensor) -> None:
    told = [
        explainer.picture("gradient", x, Unit(end, 0), 0),
        explainer.pictures("gradient", x, end, [0]),
        explainer.contributions(x, end, 0),
        *explainer.refine(x, Unit(end, 0)),
    ]
    assert len(told) == 4
    assert all(isinstance(one, Refused) and "choose" in one.reason for one in told)


@pytest.mark.parametrize(
    ("kind", "layer", "reason"),
    [
        ("guided_backprop", "conv3", "cannot change the way back through a ReLU: "),
        ("grad_cam", "flatten", "needs a layer that gives maps; 'flatten' gives 36 values"),
        ("gradient", "cnv3", "unknown layer 'cnv3'; did you mean 'conv3'?"),
    ],
)
def test_what_lies_in_the_layer_is_tried_once(
    kind: str, layer: str, reason: str, x: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = seeded(lambda: Functional(torch.ops.aten.relu))
    passes: list[object] = []
    with LiveExplainer(net) as explainer:
        assert reason_of(explainer.picture(kind, x, Unit(layer, 0), 0)).startswith(reason)
        handle = net.register_forward_pre_hook(lambda *_: passes.append(0))
        assert reason_of(explainer.picture(kind, x, Unit(layer, 0), 0)).startswith(reason)
        assert reason_of(explainer.picture(kind, x, Unit(layer, 1), 1)).startswith(reason)
        assert not passes
        assert not isinstance(explainer.picture("gradient", x, Unit("conv2", 0), 0), Refused)
        explainer.mute({("conv1", 0)})  # another network: perhaps it can be explained
        passes.clear()
        explainer.picture(kind, x, Unit(layer, 0), 0)
        assert passes or layer == "cnv3"
        handle.remove()


def test_what_lies_in_the_unit_is_tried_again(explainer: LiveExplainer, x: torch.Tensor) -> None:
    assert explainer.picture("gradient", x, Unit("conv2", 8), 0) == Refused("unit 8: conv2 has 8 (0-7)")
    assert not isinstance(explainer.picture("gradient", x, Unit("conv2", 7), 0), Refused)
    assert explainer.contributions(x, "conv2", 9) == Refused("class 9: the network has 4 (0-3)")
    assert reason_of(explainer.picture("magic", x, Unit("conv2", 0), 0)).startswith("unknown kind 'magic' in methods")


def test_errors_of_networks_are_told_in_a_line(
    explainer: LiveExplainer, x: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> torch.Tensor:
        raise RuntimeError("out of memory\nat some place")

    monkeypatch.setattr(Gradient, "explain", fail)
    assert explainer.picture("gradient", x, Unit("conv2", 0), 0) == Refused("RuntimeError: out of memory")
    monkeypatch.setattr(Gradient, "explain", lambda *_, **__: 1 / 0)
    assert explainer.picture("gradient", x, Unit("conv3", 0), 0) == Refused("ZeroDivisionError: division by zero")


def test_a_refusal_on_the_way_ends_the_steps(explainer: LiveExplainer) -> None:
    def steps() -> Iterator[int]:
        yield 1
        raise RuntimeError("enough")

    assert list(explainer.steps("some", "conv2", steps)) == [1, Refused("RuntimeError: enough")]
    assert list(explainer.steps("some", "conv2", steps)) == [Refused("RuntimeError: enough")]
    assert list(explainer.steps("other", "conv2", lambda: iter([1, 2]))) == [1, 2]


def test_occlusion_from_coarse_to_fine(explainer: LiveExplainer, x: torch.Tensor) -> None:
    found: list[Any] = list(explainer.refine(x, Unit("conv2", 1)))
    assert [progress for _, progress in found] == [0.25, 0.5, 0.75, 1.0]
    assert np.array_equal(found[-1][0], explainer.picture("occlusion", x, Unit("conv2", 1), 0))
    assert not np.array_equal(found[0][0], found[-1][0])


@pytest.mark.parametrize(("net", "layer", "units"), [(Reused, "conv2", 6), (Functional, "relu", 4)], ids=["layer", "function"])
def test_muted_units_count_for_nothing(net: Callable[[], nn.Module], layer: str, units: int, x: torch.Tensor) -> None:
    with LiveExplainer(seeded(net)) as explainer:
        whole = explainer.picture("gradient", x, Unit(layer, 1), 0)
        explainer.mute({("conv1", unit) for unit in range(units)})
        assert not np.any(explainer.picture("gradient", x, Unit(layer, 1), 0))
        explainer.mute(())
        assert np.array_equal(explainer.picture("gradient", x, Unit(layer, 1), 0), whole)
    assert np.any(whole)


def test_hooks_are_gone_afterwards(x: torch.Tensor) -> None:
    net = seeded(Reused)

    def work() -> None:
        with LiveExplainer(net) as explainer:
            explainer.mute({("conv1", 0)})
            explainer.contributions(x, "conv2", 0)
            assert not untouched(net)
            raise ZeroDivisionError("in the middle")

    with pytest.raises(ZeroDivisionError, match="in the middle"):
        work()
    assert untouched(net)
