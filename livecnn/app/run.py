"""Run a source, a network and a layout together: in a window, without one, or picture by picture in order."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from livecnn.analysis.annotations.store import Annotations, annotations_path
from livecnn.app.controls.background import LiveRecording
from livecnn.app.controls.controller import Controls
from livecnn.app.live.capture import Capture
from livecnn.app.live.loops import LiveLoop
from livecnn.app.live.stats import Stats, write_stats
from livecnn.app.plan import Plan
from livecnn.app.screen.figure import FigureView
from livecnn.app.toolkit.backend import backend, has_display
from livecnn.app.window import Window
from livecnn.dreams.ascent import live_dreams
from livecnn.engine.observer import Observer
from livecnn.errors import OutputError, SourceError, UsageError
from livecnn.explain.live import ExplainWorker
from livecnn.io.files import CsvFile, check_writable, free_path
from livecnn.io.recorders import ThreadedRecorder, open_recorder
from livecnn.networks.bundle import Bundle
from livecnn.networks.device import pick_device
from livecnn.panels.base.session import FrameBuffer
from livecnn.sources import Source, SourceOptions, split_spec
from livecnn.sources.pad import PadSource
from livecnn.types import ExplanationUpdate, Floats, Frame, LoopStatus, Reading, Scene, SourceStatus, Tick

if TYPE_CHECKING:
    import torch

RECORDINGS = Path("recordings")
ENDLESS = ("auto", "demo", "camera", "http", "https", "rtsp")
UNSEEN_FRAMES = 80  # recorded where there is no display and nobody said how many,
UNSEEN_FPS = 10  # and of the demo so many a second: two digits
IDLE = 0.02  # seconds between two looks at the loops where there is no window to keep alive


@dataclass(frozen=True)
class RunOptions:
    """The options of `livecnn run`; None where the layout or the source decides."""

    config: str | None = None  # A layout, by name or file; None for the default one, or one that fits `model`
    source: str | None = None
    model: str | None = None
    device: str = "auto"  # "auto", "cpu", "cuda", "cuda:1", "mps"
    record: Path | None = None  # file for a film of the run, .gif or .mp4, or a folder
    headless: bool = False
    frames: int | None = None  # end after so many ticks
    overrides: tuple[str, ...] = ()  # changes to the layout, as `--set` takes them
    stats: Path | None = None  # JSON file for rates and ages of the run
    scores: Path | None = None  # CSV file for a row of scores per pass through the network
    fullscreen: bool = False
    once: bool = False  # end with the source instead of starting it over
    allow_code: bool = False  # allow the model to be code that is run
    output: str | None = None  # the name of the output that is the answer, where the network has several, or its kind
    source_options: SourceOptions = field(default_factory=SourceOptions)


class ScoresTable(CsvFile):
    """`--scores FILE.csv`: a row per pass through the network, written as it happens, so that nothing is lost by a crash.

    Columns: index, name, label (empty where unknown), top_class (empty when there is nothing in the box, a score is not a number,
    or scores are no probabilities), top_score, then a score per class, by name.
    """

    def __init__(self, path: Path, classes: Sequence[str], reading: Reading = "distribution") -> None:
        super().__init__(path, buffering=1)
        self.classes, self._reading = tuple(classes), reading
        self._rows = 0
        self._last: Tick | None = None
        self.write(["index", "name", "label", "top_class", "top_score", *self.classes])

    def add(self, tick: Tick) -> None:
        """Write the row of a pass, unless it has one already; raise OutputError if it cannot be written."""
        if tick is self._last:
            return
        self._last = tick
        scores = tick.scores
        known = not tick.patch.prepared.empty and self._reading != "numbers" and bool(np.isfinite(scores).all())
        self.add_row(tick.frame.name, tick.frame.label, scores, int(scores.argmax()) if known else None)

    def add_row(self, name: str, label: str, scores: Floats, top: int | None) -> None:
        """Write a row of scores; `top` is None where there is no answer. Raise OutputError if it cannot be written."""
        best, score = ("", 0.0) if top is None else (self.classes[top], float(scores[top]))
        self.write([self._rows, name, label, best, f"{score:.6f}", *(f"{s:.6f}" for s in scores)])
        self._rows += 1


class RunOutputs:
    """The outputs of a run: statistics, rows of scores, the recording of the whole run and the film of the key r."""

    def __init__(self, stats: Stats, table: ScoresTable | None, recorder: ThreadedRecorder | None, frames: int | None) -> None:
        self.stats, self.film = stats, LiveRecording(RECORDINGS)
        self._table, self._recorder, self._frames = table, recorder, frames
        self._newest_seq = -1  # of the frames that passed

    def passed(self, tick: Tick) -> None:
        """Count a pass through the network and write its scores, unless the user looks back; on the model's thread."""
        self.stats.passed(tick)
        if self._table is not None and tick.frame.seq >= self._newest_seq:
            self._table.add(tick)
        self._newest_seq = max(self._newest_seq, tick.frame.seq)

    def take(self, screen: FigureView, work: float, *, live: bool) -> bool:
        """Count and record the scene on show, as `Stats.shown`; return True after the last tick that was asked for."""
        assert screen.scene is not None
        scene = screen.scene
        now = self.stats.shown(scene, work, live=live)
        if self._recorder is not None:
            self._recorder.add(screen.pixels(), now if live else scene.frame.time)
        if self.film.since is not None:
            self.film.add(screen.pixels(), now)
        return self.stats.ticks == self._frames


def run(options: RunOptions) -> None:
    """Run the live program until it ends; mistakes are found before the first picture, and everything opened is closed."""
    options, unseen = window_or_recording(options)
    plan = Plan.of(
        options.config, options.overrides, model=options.model, source=options.source, source_options=options.source_options,
        allow_code=options.allow_code, output=options.output,
    )  # fmt: skip
    run_plan(plan, options, unseen=unseen)


def window_or_recording(options: RunOptions) -> tuple[RunOptions, bool]:
    """Return the options and False; where a window is wanted and there is no display those of a recording, and True."""
    unseen = not options.headless and not has_display()
    return (_as_recording(options) if unseen else options), unseen


def run_plan(plan: Plan, options: RunOptions, *, unseen: bool = False) -> None:
    """Do what `run` does for a plan that is made already; `unseen` as of `window_or_recording`."""
    check_files(options)
    device, toolkit = pick_device(options.device), "agg" if options.headless else backend()
    stats = Stats(toolkit, str(device))
    names = () if options.headless else [view.name for view in plan.views]
    screen = FigureView(plan.layout, plan.context, names, plan.focus if plan.layout.explores else None)
    _remember(plan)
    source = plan.source
    if options.headless and isinstance(source, PadSource):
        raise UsageError("source 'pad': there is no window to draw in; allowed here: any other source")
    ordered = options.headless and (unseen or options.frames is not None)
    with ExitStack() as stack:
        source.open()
        stack.callback(_print_summary, options, source, stats, unseen)
        capture = None if ordered else Capture(source, once=options.once)
        stack.callback(capture.stop if capture else source.close)
        sinks = RunOutputs(stats, *_open_files(stack, options, plan.bundle, ordered), options.frames)
        stack.callback(_finish_film, sinks.film)
        if source.note:
            print(f"livecnn: {source.note}", file=sys.stderr)
        fall_back = partial(_fall_back, stats) if options.device == "auto" else None
        observer = plan.observer(device, fall_back, sequential=source.camera_like)
        observer.watch(screen.reducers)
        explaining = _explaining(plan, screen, device)
        try:
            if capture is None:
                _run_in_order(options, source, observer, screen, sinks, explaining)
            else:
                _run_live(plan, options, LiveLoop(capture, observer, stats, sinks.passed, explaining), screen, sinks)
        finally:
            if options.stats is not None:
                write_stats(options.stats, stats.report())


def _remember(plan: Plan) -> None:
    """Open the annotations if units can be chosen in any view; raise OutputError for a file that is damaged."""
    view = next((view for view in plan.views if view.explores), None)
    if view is not None:
        path = annotations_path(view.path, view.from_file, plan.bundle.name)
        plan.context.session.annotations = Annotations.open(path, plan.bundle.name)


def _fall_back(stats: Stats, message: str) -> None:
    """Note that the device has failed; on the model's thread."""
    stats.device = "cpu"
    print(f"livecnn: {message}", file=sys.stderr)


def _as_recording(options: RunOptions) -> RunOptions:
    """Return the options of the same run into a file."""
    record = options.record or free_path(RECORDINGS, ".gif")
    if split_spec(options.source or "auto")[0] in ENDLESS:
        frames = options.frames or UNSEEN_FRAMES
        source_options = replace(options.source_options, fps=options.source_options.fps or UNSEEN_FPS)
        return replace(options, headless=True, record=record, frames=frames, source_options=source_options)
    return replace(options, headless=True, record=record, once=options.once or options.frames is None)


def check_files(options: RunOptions) -> None:
    """Raise OutputError if a file of the run cannot be written; what is there already stays as it is."""
    named = [path for path in (options.stats, options.scores, options.record) if path is not None]
    twice = next((path for path in named if named.count(path) > 1), None)
    if twice is not None:
        raise OutputError(f"{twice}: named twice; --stats, --scores and --record need a file each")
    for path in (options.stats, options.scores):
        if path is not None:
            check_writable(path)
    if options.record is not None:
        open_recorder(options.record)


def _open_files(
    stack: ExitStack, options: RunOptions, bundle: Bundle, ordered: bool
) -> tuple[ScoresTable | None, ThreadedRecorder | None]:
    table = None
    if options.scores is not None:
        table = stack.enter_context(ScoresTable(options.scores, bundle.classes, bundle.output.reading))
    if options.record is None:
        return table, None
    return table, stack.enter_context(
        ThreadedRecorder(open_recorder(options.record), every=ordered, clock=None if ordered else time.monotonic)
    )


def _run_in_order(
    options: RunOptions,
    source: Source,
    observer: Observer,
    screen: FigureView,
    sinks: RunOutputs,
    explaining: ExplainWorker | None,
) -> None:
    """Make every picture one tick, in order, as fast as it goes: the same pictures give the same files."""
    stats = sinks.stats
    stats.source = status = SourceStatus("live", source.name, source.note)
    bar = tqdm(total=options.frames, unit="picture", disable=None, leave=False)
    with bar, observer as observe:
        try:
            for frame in iterate_frames(source, once=options.once):
                start = time.perf_counter()
                tick = observe(frame)
                sinks.passed(tick)
                findings = explain_tick(screen, tick, explaining)
                screen.show(Scene(frame, tick, LoopStatus(status, mirrored=source.mirrored), findings))
                screen.draw()
                bar.update()
                if sinks.take(screen, time.perf_counter() - start, live=False):
                    return
        except SourceError as error:
            stats.source = replace(status, state="lost" if stats.ticks else "failed", note=str(error))
            raise
        stats.source = replace(status, state="ended")


def iterate_frames(source: Source, *, once: bool) -> Iterator[Frame]:
    """Yield the frames of an open source, again and again unless `once`; raise SourceError if it has none."""
    while True:
        frame = source.read()
        if frame is None:
            raise SourceError(f"{source.name}: no picture in it")
        while frame is not None:
            yield frame
            frame = source.read()
        if once:
            return
        source.rewind()


def _explaining(plan: Plan, screen: FigureView, device: torch.device) -> ExplainWorker | None:
    """Return what explains; None where no view asks for that, so that the network need not be one that can be copied."""
    views = [view for view in plan.views if view.name in screen.views]
    panels = [(name, panel) for view in views for name, panel in view.panels.items()]
    if screen.asks or any(panel.drawer(name, plan.context.of(panel.model)).asks for name, panel in panels):
        return ExplainWorker(plan.bundle, live_dreams(plan.bundle), device, plan.context.session.muted)
    return None


def explain_tick(screen: FigureView, tick: Tick, explaining: ExplainWorker | None) -> ExplanationUpdate | None:
    """Return all explanations of this tick that the panels ask for."""
    if explaining is None:
        return None
    screen.ask(explaining)
    return explaining.now(tick)


def _run_live(plan: Plan, options: RunOptions, live: LiveLoop, screen: FigureView, sinks: RunOutputs) -> None:
    """Run the three loops until the window is closed, the source has ended or there were ticks enough."""
    toolkit = sinks.stats.backend

    def shown(work: float) -> bool:
        screen.ask(live.explaining)  # a grid may be in the order of what was shown, so its page may hold other units
        return sinks.take(screen, work, live=True)

    screen.ask(live.explaining)
    with live:
        try:
            if toolkit == "agg":
                _show_unseen(live, screen, shown)
            else:
                screen.context.session.past = FrameBuffer()
                window = Window(screen, live, toolkit, shown)
                window.controls = Controls(live, screen, window, plan, sinks.film)
                window.run(fullscreen=options.fullscreen)
        finally:
            sinks.stats.source = live.capture.status()


def _finish_film(film: LiveRecording) -> None:
    for line in film.close():
        print(line)


def _show_unseen(live: LiveLoop, screen: FigureView, shown: Callable[[float], bool]) -> None:
    """Do what a window does, without one."""
    while not live.over:
        if not live.ready():
            live.wait(IDLE)
            continue
        start = time.perf_counter()
        screen.show(live.scene())
        screen.draw()
        if shown(time.perf_counter() - start):
            return


def _print_summary(options: RunOptions, source: Source, stats: Stats, unseen: bool) -> None:
    """Print what was skipped and recorded, however the run ended."""
    if source.skipped and stats.ticks:
        print(f"livecnn: skipped {len(source.skipped)}: {'; '.join(source.skipped[:5])}", file=sys.stderr)
    if options.record is None or not stats.ticks or not options.record.exists():
        return
    print(f"recorded {options.record} ({options.record.stat().st_size / 1e6:.1f} MB)")
    if unseen:
        print("There is no display here, so this went into a file. For a window, run livecnn on a desktop, or set DISPLAY.")
