import itertools

import pytest

from livecnn.app.screen.figure import FigureView
from livecnn.app.screen.header import REFRESH_TICKS, Header
from livecnn.drawing.artists import Label
from livecnn.drawing.theme import THEMES, Metrics
from livecnn.geometry import Rect
from livecnn.types import LoopStatus, Scene, SourceStatus
from tests.helpers.scenes import MEASURED, context, ink, inside, labels, layout, overlap
from tests.helpers.scenes import scene as scene_of

DARK = THEMES["dark"]
VIEWS = ("generic", "sorted", "overview")


def laid_out(width: int, status: LoopStatus = MEASURED, model: str = "lenet-mnist", views: tuple[str, ...] = VIEWS) -> Header:
    header = Header(DARK, model, views, "sorted")
    metrics = Metrics.of(width, width * 9 // 16)
    header.lay_out(Rect(metrics.gap, 0, width - 2 * metrics.gap, metrics.header), metrics)
    header.show(scene(status))
    return header


def scene(status: LoopStatus) -> Scene:
    return scene_of(FigureView(layout({"it": {"kind": "status"}}, "it"), context()), status=status)


def texts(header: Header) -> list[str]:
    return [label.text for label in labels([*header.still, *reversed(header.live)]) if label.text]


def test_everything_fits_a_usual_window() -> None:
    facts = ["● camera 0", "25 fps", "model 3.1 ms", "picture 21 ms old", "h  help"]
    assert texts(laid_out(1280)) == ["livecnn", "lenet-mnist", *VIEWS, *facts]


def test_a_network_that_is_behind_is_told() -> None:
    def told(network: float) -> str:
        status = LoopStatus(SourceStatus("live", "camera 0"), picture_age=21.0, model_age=network)
        return next(text for text in texts(laid_out(1280, status)) if text.endswith("old"))

    assert told(70.0) == "picture 21 ms old"  # nobody sees that
    assert told(320.0) == "picture 21, network 320 ms old"


@pytest.mark.parametrize("width", [320, 500, 640, 800, 1280, 1920, 3840])
@pytest.mark.parametrize("model", ["lenet-mnist", "my.own.package.of.networks:a_factory_of_networks"])
@pytest.mark.parametrize("name", ["camera 0", "https://user@camera.example/" + "x" * 300])
def test_texts_never_overlap_nor_leave_the_figure(width: int, model: str, name: str) -> None:
    header = laid_out(width, LoopStatus(SourceStatus("lost", name), 25.0, 24.0, 3.1, 21.0), model)
    size = (width, 150)
    seen = [(label.text, place) for label in labels([*header.still, *header.live]) if (place := ink(label, size))]
    margin = Metrics.of(width, width * 9 // 16).px(6)
    for i, (text, place) in enumerate(seen):
        assert inside(place, Rect(margin, 0, width - 2 * margin, 150)), text
        for other, there in seen[:i]:
            assert not overlap(place, there), (text, other)


def test_in_a_narrow_strip_the_source_is_the_last_to_go() -> None:
    status = LoopStatus(SourceStatus("live", "camera 0"), 25.0, 24.0, 3.1, 21.0)
    shown = [set(texts(laid_out(width, status, views=("only",)))) for width in range(1280, 300, -40)]
    for wider, narrower in itertools.pairwise(shown):
        assert narrower <= wider
    order = ["picture 21 ms old", "model 3.1 ms", "25 fps", "h  help"]
    gone = [next(i for i, words in enumerate(shown) if fact not in words) for fact in order if any(fact not in w for w in shown)]
    assert gone == sorted(gone)
    assert len(gone) >= 2
    assert "● camera 0" in shown[-1]


@pytest.mark.parametrize(
    ("status", "text", "color"),
    [
        (LoopStatus(SourceStatus("live", "demo")), "● demo", DARK.good),
        (LoopStatus(SourceStatus("stale", "camera 0")), "● camera 0: stale", DARK.accent),
        (LoopStatus(SourceStatus("frozen", "camera 0")), "● camera 0: frozen", DARK.accent),
        (LoopStatus(SourceStatus("lost", "camera 0")), "● camera 0: lost", DARK.bad),
        (LoopStatus(SourceStatus("failed", "camera 0")), "● camera 0: failed", DARK.bad),
        (LoopStatus(SourceStatus("ended", "clip.mp4")), "● clip.mp4: ended", DARK.muted),
        (LoopStatus(SourceStatus("live", "demo"), frozen=True), "● frozen", DARK.accent),
    ],
)
def test_the_state_of_the_source(status: LoopStatus, text: str, color: tuple[int, int, int]) -> None:
    state = next(label for label in labels(laid_out(1280, status).live) if label.text.startswith("●"))
    assert (state.text, state.color) == (text, color)


def test_tabs_lie_under_their_names_and_the_open_one_is_underlined() -> None:
    header = laid_out(1280)
    assert [name for _, name in header.tabs] == list(VIEWS)
    for place, name in header.tabs:
        label = next(label for label in labels(header.still) if label.text == name)
        where = ink(label, (1280, 100))
        assert where is not None
        assert inside(where, place.inset(-2, 0, -2, 0))
        assert label.weight == ("bold" if name == "sorted" else "normal")
    line = ink(header.still[-1], (1280, 100))
    assert not isinstance(header.still[-1], Label)
    assert line is not None
    assert (line.x, line.w) == (header.tabs[1][0].x, header.tabs[1][0].w)


def test_a_single_view_needs_no_tabs() -> None:
    assert laid_out(1280, views=("only",)).tabs == []
    assert "only" not in texts(laid_out(1280, views=("only",)))


def test_where_there_are_no_keys_there_is_no_help() -> None:
    told = texts(laid_out(1280, views=()))
    assert told == ["livecnn", "lenet-mnist", "● camera 0", "25 fps", "model 3.1 ms", "picture 21 ms old"]


def test_numbers_stand_long_enough_to_be_read_but_freezing_is_told_at_once() -> None:
    header = laid_out(1280, LoopStatus(SourceStatus("live", "demo"), display_fps=10))
    for fps in range(11, 10 + REFRESH_TICKS):
        header.show(scene(LoopStatus(SourceStatus("live", "demo"), display_fps=fps)))
        assert "10 fps" in texts(header)
    header.show(scene(LoopStatus(SourceStatus("live", "demo"), display_fps=99)))
    assert "99 fps" in texts(header)
    header.show(scene(LoopStatus(SourceStatus("live", "demo"), frozen=True)))
    assert "● frozen" in texts(header)


def test_what_changes_for_the_worse_or_back_is_told_at_once() -> None:
    header = laid_out(1280, LoopStatus(SourceStatus("live", "camera 0")))
    header.show(scene(LoopStatus(SourceStatus("lost", "camera 0"))))
    assert "● camera 0: lost" in texts(header)
    header.show(scene(LoopStatus(SourceStatus("live", "camera 0"))))
    assert "● camera 0" in texts(header)
