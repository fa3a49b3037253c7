from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from livecnn.app.plan import Plan
from livecnn.app.screen.figure import FigureView
from livecnn.drawing.colormaps import table
from livecnn.drawing.theme import THEMES
from livecnn.engine.crop import Cropper
from livecnn.engine.observer import Observer
from livecnn.engine.reducers import UnitActivation, UnitReducer
from livecnn.explain.methods import kinds
from livecnn.geometry import Rect
from livecnn.networks.architectures.lenet import Lenet
from livecnn.networks.inspection.architecture import Architecture, ReceptiveField
from livecnn.networks.inspection.probe import Probe
from livecnn.panels.base.session import Session
from livecnn.panels.base.targets import ButtonTarget, ClassTarget
from livecnn.panels.unit import (
    annotation_text,
    captions,
    map_picture,
    method_caption,
    receptive_edges,
)
from livecnn.selection import INPUT, OUTPUT, Action, Selection, Unit
from livecnn.types import ExplanationUpdate, Frame, Scene
from tests.helpers.controlled_screen import seven
from tests.helpers.panel_screen import CONV, again, every_size, explored, it, looking, place_of, texts
from tests.helpers.scenes import MEASURED, SHAPES, assert_texts_apart, labels, layout

DARK = THEMES["dark"]
THREE = replace(CONV, methods=("activation", "guided_backprop", "occlusion"))
LARGE = (1280, 720)
REFUSAL = "deconvnet: 'act_1' is called as a function"
MAP = UnitActivation.of("conv2", 31, np.array([[-1.84, 6.02]], np.float32))
NEURON = UnitActivation.of("ip1", 4, np.array([[0.5]], np.float32))


def explaining(focus: Selection, *kinds: str, **options: Any) -> ExplanationUpdate:
    maps = {kind: np.zeros((1, 8, 8), np.float32) for kind in kinds}
    for values in maps.values():
        values[0, 2, 5] = 1
    return ExplanationUpdate(0, focus, 4, maps, **options)


def box(screen: FigureView, text: str) -> Rect:
    """Where a text stands."""
    size = tuple(round(side) for side in screen.figure.bbox.size)
    return place_of(next(label for label in labels(it(screen).live) if label.text == text), size)


def above(screen: FigureView, text: str) -> Any:
    """The square picture over its name, the middle of it."""
    place = box(screen, text)
    x, y = place.x + place.w // 2, place.y - 70
    return screen.pixels()[y - 40 : y + 40, x - 40 : x + 40]


def test_it_watches_the_unit_on_show_and_says_which() -> None:
    screen = looking("unit", CONV)
    drawer, reducer = it(screen), screen.reducers["it"]
    assert isinstance(reducer, UnitReducer)
    assert (reducer.layer, reducer.index) == ("conv", 3)
    assert drawer.heading.text == "unit 3 of conv"
    screen.attend(replace(CONV, hover=Unit("conv", 7, (0, 1))))
    assert screen.reducers["it"] is reducer
    assert reducer.settings == 7
    assert drawer.heading.text == "unit 7 of conv"
    screen.attend(Selection(layer="fc", unit=2))
    assert screen.reducers["it"] is not reducer
    assert screen.reducers["it"].layer == "fc"


@pytest.mark.parametrize(
    "focus",
    [Selection(), Selection(layer=INPUT), Selection(OUTPUT, 3), Selection(layer="nose"), Selection(layer="conv", unit=99)],
    ids=str,
)
def test_without_a_unit_it_says_how_to_select_one(focus: Selection) -> None:
    screen = looking("unit", focus, LARGE)
    assert screen.reducers == {}
    assert it(screen).heading.text == "Unit"
    assert "a click on a map or a neuron" in " ".join(texts(screen, still=True))
    assert it(screen).caption.text == ""


def test_the_numbers_of_the_map_and_what_it_sees() -> None:
    maps = torch.zeros(1, 12, 9, 7)
    maps[0, 3, 4, 4], maps[0, 3, 0, 0] = 6.3, -1.84
    screen = looking("unit", CONV, LARGE, layers={"conv": maps})
    assert it(screen).caption.text == "min −1.84  max 6.30  mean 0.0708 · receptive field 3×3"
    shorter = {(320, "it"): "min −1.84  max 6.30  mean 0.0708", (560, "it ."): "−1.84 … 6.30", (320, "it ."): ""}
    for (width, grid), words in shorter.items():
        narrow = looking("unit", CONV, (width, 240), layers={"conv": maps}, grid=grid)
        assert narrow.drawers["it"].caption.text == words


FUNCTION, NEURON_4 = Selection(layer="act_1", unit=1), Selection(layer="fc", unit=4)


@pytest.mark.parametrize(
    ("focus", "value", "caption"),
    [
        (FUNCTION, 1.0, "min 1.00  max 1.00  mean 1.00"),  # its field may not be known
        (NEURON_4, -2.5, "value −2.50 · receptive field 8×8"),
        (CONV, float("nan"), "min not finite  max not finite  mean not finite · receptive field 3×3"),
        (CONV, float("inf"), "min not finite  max not finite  mean not finite · receptive field 3×3"),
    ],
)
def test_the_numbers_of_other_units(focus: Selection, value: float, caption: str) -> None:
    shape = {"act_1": (1, 12, 9, 7), **SHAPES}[focus.layer]
    screen = looking("unit", focus, LARGE, layers={focus.layer: torch.full(shape, value)})
    assert it(screen).caption.text == caption
    assert ("−2.50" in texts(screen, still=True)) == (focus is NEURON_4)


def marked(screen: FigureView, name: str) -> tuple[int, int, int, int]:
    """Rows and columns that the accent reaches in the picture over a name, in hundredths of the picture."""
    place = box(screen, name)
    exhibits = [exhibit for exhibit in it(screen).live if getattr(exhibit, "box", None) is not None]
    x, y, w, h = next(exhibit.box for exhibit in exhibits if abs(exhibit.box.x + exhibit.box.w / 2 - place.x - place.w / 2) < 3)
    rows, columns = np.nonzero((screen.pixels()[y : y + h, x : x + w] == DARK.accent).all(axis=2))
    ends = (rows.min() / h, (rows.max() + 1) / h, columns.min() / w, (columns.max() + 1) / w)
    return tuple(round(100 * end) for end in ends)  # type: ignore[return-value]


def test_what_the_strongest_position_sees_is_marked_else_that_under_the_mouse() -> None:
    maps = torch.zeros(1, 12, 9, 7)
    maps[0, 3, 4, 2] = 1
    strongest = 50, 88, 25, 62  # rows 4-6, columns 2-4 of 8x8
    screen = looking("unit", CONV, LARGE, layers={"conv": maps})
    for position, ends in ((None, strongest), ((0, 0), (0, 38, 0, 38)), ((500, 0), strongest)):  # 500: of a map of another size
        screen.attend(replace(CONV, hover=Unit("conv", 3, position)))
        again(screen, {"conv": maps, "fc": torch.zeros(1, 30)})
        assert marked(screen, "what the net sees") == pytest.approx(ends, abs=1)


def test_methods_stand_side_by_side_and_change_without_a_full_draw() -> None:
    findings = explaining(THREE, "guided_backprop", "occlusion", progress={"occlusion": 0.4})
    screen = looking("unit", THREE, LARGE, findings=findings)
    told = texts(screen, still=True)
    assert {"what the net sees", "activation", "guided backprop", "occlusion 40 %"} <= set(told)
    still = screen._ground.picture
    screen.attend(replace(THREE, methods=("gradient",)))
    findings = explaining(THREE, "gradient")
    for _ in range(2):  # the same once more is not made anew, and stays
        again(screen, findings=findings)
        assert screen._ground.picture is still
        assert "occlusion 40 %" not in texts(screen, still=True)
        assert above(screen, "gradient").mean() > 200  # mostly white, where the gradient is zero


@pytest.mark.parametrize(
    ("kind", "told", "findings"),
    [
        ("grad_cam", "Grad-CAM for 4", explaining(CONV, "grad_cam")),
        ("deconvnet", REFUSAL, explaining(CONV, refused={"deconvnet": REFUSAL})),
    ],
)
def test_a_method_names_its_class_or_says_why_it_is_refused(kind: str, told: str, findings: ExplanationUpdate) -> None:
    screen = looking("unit", replace(CONV, methods=("activation", kind)), LARGE, findings=findings)
    assert told in " ".join(texts(screen, still=True))


@pytest.mark.parametrize("shown", [replace(THREE, unit=4), Selection(layer="fc", unit=3), Selection()], ids=str)
def test_findings_of_another_unit_are_not_shown_as_if_they_were_of_this_one(shown: Selection) -> None:
    screen = looking("unit", THREE, LARGE, findings=explaining(THREE, "guided_backprop", "occlusion"))
    bright = above(screen, "guided backprop").mean()
    assert bright > 200
    again(screen, findings=explaining(shown, "guided_backprop", "occlusion"))
    assert above(screen, "guided backprop").mean() < 120
    assert texts(screen, still=True).count("…") == 2
    again(screen, findings=explaining(THREE, "guided_backprop", "occlusion"))
    assert above(screen, "guided backprop").mean() == bright
    assert "…" not in texts(screen, still=True)


@pytest.mark.parametrize("findings", [None, explaining(THREE)], ids=["none", "of other methods"])
def test_what_has_not_come_yet_is_waited_for(findings: ExplanationUpdate | None) -> None:
    assert texts(looking("unit", THREE, LARGE, findings=findings), still=True).count("…") == 2


def test_a_view_of_another_layer_is_not_shown() -> None:
    screen = looking("unit", CONV, LARGE)
    scene = screen.scene
    assert scene is not None
    screen.attend(Selection(layer="conv", unit=8))
    screen.show(scene)
    assert it(screen).caption.text == ""
    assert texts(screen, still=True).count("…") == 3


def test_a_muted_unit_says_so() -> None:
    screen = looking("unit", CONV, LARGE, muted={("conv", 3)})
    assert {"muted", "x restore"} <= set(texts(screen, still=True))
    screen.context.session.muted.set(())
    screen.attend(CONV)
    again(screen)
    assert "muted" not in texts(screen, still=True)
    assert "x mute" in texts(screen, still=True)
    neuron = looking("unit", Selection(layer="fc", unit=1), LARGE, muted={("fc", 1)})
    assert "muted" in texts(neuron, still=True)


def test_what_was_noted_of_the_unit() -> None:
    marks = {3: SimpleNamespace(verdict="good", note="loops"), 4: SimpleNamespace(verdict="bad", note="")}
    session = Session(annotations=SimpleNamespace(of=lambda layer, unit: marks.get(unit)))
    for focus, told in (
        (CONV, ["✓ good · loops"]),
        (replace(CONV, unit=4), ["✗ bad"]),
        (replace(CONV, unit=5), []),
        (replace(CONV, marking=True), ["click: good · double click: bad · Shift: clear"]),
    ):
        screen = looking("unit", focus, LARGE, about=explored(session))
        assert [text for text in texts(screen, still=True) if "good" in text or "bad" in text] == told


def test_words_act_like_keys_and_tell_what_they_mean() -> None:
    screen = looking("unit", THREE, LARGE)

    def middle(text: str) -> tuple[float, float]:
        place = box(screen, text)
        return place.x + place.w / 2, place.y + place.h / 2

    drawer = it(screen)
    assert screen.point(*middle("guided backprop")) == ButtonTarget(Action.CHOOSE_METHOD, "guided_backprop")
    assert "guided backprop" in screen.tooltip.text
    assert "click" in screen.tooltip.text
    assert screen.point(*middle("gradient")) == ButtonTarget(Action.TOGGLE_METHOD, "gradient")
    assert screen.tooltip.tip.lines == ("gradient", "which pixels would change the value, if changed a little")
    for word, action in (("x mute", Action.MUTE), ("a annotate", Action.MARK_MODE), ("n note", Action.WRITE_NOTE)):
        assert screen.point(*middle(word)) == ButtonTarget(action)
        assert screen.tooltip.text == ""
    assert "z restore all 2" not in texts(screen, still=True)
    screen.context.session.muted.set({("conv", 1), ("fc", 2)})
    screen.attend(THREE)
    again(screen)
    assert screen.point(*middle("z restore all 2")) == ButtonTarget(Action.RESTORE)
    assert drawer.tip(ClassTarget(0)) is None
    assert drawer.tip(ButtonTarget(Action.CHOOSE_METHOD, "nose")) is None


def test_the_map_knows_its_positions() -> None:
    maps = torch.arange(12 * 63.0).reshape(1, 12, 9, 7)
    screen = looking("unit", CONV, LARGE, layers={"conv": maps})
    drawer = it(screen)
    place = next(
        exhibit.box for exhibit in drawer.live if getattr(exhibit, "box", None) is not None and exhibit is not drawer.live[2]
    )
    x, y, w, h = place.fit(7 / 9)
    target = screen.point(x + w * 2.5 / 7, y + h * 6.5 / 9)
    assert target == Unit("conv", 3, (6, 2))
    assert "row 6, column 2: 233" in screen.tooltip.text
    assert drawer.tip(Unit("conv", 5, (0, 0))) is None
    assert drawer.tip(Unit("conv", 3)) is None
    assert screen.point(place.x + 1, place.y + 1) is None  # beside the map, which is narrower than its place


@every_size
@pytest.mark.parametrize(
    "focus",
    [
        Selection(),
        replace(THREE, marking=True),
        Selection(layer="fc", unit=1, methods=kinds()),
        Selection(layer="conv", unit=2, methods=("nose", "deconvnet", "deconvnet")),
    ],
    ids=["no unit", "three", "all", "unknown"],
)
def test_texts_stay_apart_at_every_size(size: tuple[int, int], focus: Selection, grid: str) -> None:
    note = SimpleNamespace(verdict="good", note="likes loops at the top, and strokes that lean to the right; see also 17")
    session = Session(annotations=SimpleNamespace(of=lambda layer, unit: note))
    findings = explaining(focus, "occlusion", "gradient", refused={"deconvnet": REFUSAL * 3}, progress={"occlusion": 0.5})
    screen = looking("unit", focus, size, about=explored(session), findings=findings, grid=grid, muted={("fc", 1)})
    assert_texts_apart(screen, "it")
    exhibits = [exhibit.box for exhibit in it(screen).live if getattr(exhibit, "box", None) is not None]
    assert exhibits


def test_with_a_network_at_work_the_newest_focus_counts() -> None:
    plan = Plan.of(None, source="demo")
    module, frame = plan.bundle.module, Frame(seven(), 0, 0.0)
    architecture = Architecture.of(module, torch.zeros(1, 1, 28, 28))
    panels = {"unit": {"kind": "unit"}, "strongest": {"kind": "strongest"}}
    screen = FigureView(layout(panels, "unit strongest", LARGE), replace(plan.context, architecture=lambda: architecture))
    observer = Observer(module, Cropper(plan.bundle.pipeline, 1.0), torch.device("cpu"))
    with observer, Probe(module, ["conv1", "ip1"]) as probe:
        for layer, unit in (("conv1", 4), ("conv1", 7), ("ip1", 31)):
            screen.attend(Selection(layer=layer, unit=unit))
            observer.watch(screen.reducers)
            tick = observer(frame)
            screen.show(Scene(frame, tick, MEASURED))
            screen.draw()
            wanted = probe(tick.patch.prepared.tensor)[1][layer][0, unit]
            np.testing.assert_allclose(tick.views["unit"].map.squeeze(), wanted, atol=1e-5)
            (strong,) = screen.context.session.strongest.of(layer, unit)
            assert strong.value == pytest.approx(float(wanted.max()), abs=1e-5)
            assert screen.drawers["unit"].caption.text != ""


@pytest.mark.parametrize("layer", ["conv1", "pool1", "conv2", "pool2"])
@pytest.mark.parametrize("position", [(0, 0), (2, 3), (3, 1)], ids=str)
def test_the_reach_holds_every_pixel_that_matters(layer: str, position: tuple[int, int]) -> None:
    """Against gradients: pixels outside have none, and the pixels of a linear layer's reach have."""
    torch.manual_seed(0)
    net, x = Lenet().eval(), torch.randn(1, 1, 28, 28, requires_grad=True)
    field = next(node.field for node in Architecture.of(net, x.detach()).nodes if node.name == layer)
    kept: list[torch.Tensor] = []
    with net.get_submodule(layer).register_forward_hook(lambda module, given, output: kept.append(output)):
        net(x)
    kept[0][0, :, position[0], position[1]].sum().backward()
    rows, columns = np.nonzero(x.grad[0, 0].numpy())
    assert field is not None
    top, left, bottom, right = (28 * edge for edge in receptive_edges(field, position, (28, 28)))
    assert (top <= rows.min(), left <= columns.min()) == (True, True)
    assert (rows.max() < bottom, columns.max() < right) == (True, True)
    if layer == "conv1":
        assert (top, left, bottom, right) == (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)


def test_the_reach_is_kept_inside_the_picture() -> None:
    assert receptive_edges(ReceptiveField((5, 5), (1, 1), (0.0, 0.0)), (0, 0), (10, 20)) == (0.0, 0.0, 0.25 + 0.05, 0.15)
    assert receptive_edges(ReceptiveField((10, 20)), (0, 0), (10, 20)) == (0.0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize(("position", "ends"), [((1, 2), (40, 79, 60, 89)), (None, (0, 79, 0, 89))], ids=str)
def test_a_map_shows_a_position_or_is_framed(position: tuple[int, int] | None, ends: tuple[int, ...]) -> None:
    view = UnitActivation.of("conv", 0, np.arange(6, dtype=np.float32).reshape(2, 3))
    picture = map_picture(view, (90, 80), table("gray", DARK), position, DARK.accent, 2)
    rows, columns = np.nonzero((picture[:, :, :3] == DARK.accent).all(axis=2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == ends
    assert picture[10, 10, 0] == 0
    assert picture[70, 80, 0] == 255
    broken = UnitActivation.of("conv", 0, np.full((2, 2), np.nan, np.float32))
    picture = map_picture(broken, (40, 40), table("gray", DARK), None, DARK.bad, 1)
    assert picture[20, 20, :3].tolist() == list(DARK.not_finite)


def test_captions_from_the_longest_to_the_shortest() -> None:
    told = captions(MAP, ReceptiveField((14, 12), (2, 2), (6.5, 6.5)))
    assert told[0] == "min −1.84  max 6.02  mean 2.09 · receptive field 14×12"
    assert told[-1] == "−1.84 … 6.02"
    assert sorted(told, key=len, reverse=True) == list(told)
    assert captions(MAP, None)[0] == "min −1.84  max 6.02  mean 2.09"
    assert captions(NEURON, None) == ("value 0.50", "0.50")


def test_what_stands_under_a_picture() -> None:
    findings = ExplanationUpdate(0, Selection(), 1, progress={"occlusion": 0.404})
    assert method_caption("occlusion", findings, ("cat", "dog"))[0] == "occlusion 40 %"
    assert method_caption("occlusion", replace(findings, progress={"occlusion": 1.0}), ("cat", "dog")) == ("occlusion",)
    assert method_caption("grad_cam", findings, ("cat", "dog"))[0] == "Grad-CAM for dog"
    assert method_caption("grad_cam", None, ("cat", "dog")) == ("Grad-CAM",)


@pytest.mark.parametrize(
    ("verdict", "note", "told"),
    [("good", "loops", "✓ good · loops"), ("bad", "", "✗ bad"), (None, "loops", "loops"), (None, "", "")],
)
def test_what_was_noted(verdict: str | None, note: str, told: str) -> None:
    assert annotation_text(SimpleNamespace(verdict=verdict, note=note)) == told
    assert annotation_text(None) == ""
