"""Make a film of a folder, a video or a data set: first scores, in batches, then pictures of those chosen."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from livecnn._cv2 import one_thread
from livecnn.analysis.dataset import ImageDataset, as_spec
from livecnn.analysis.patterns.summary import Summary, check_suffix
from livecnn.analysis.scorer import ScoredImage, Scorer
from livecnn.app.plan import Plan, make_cropper
from livecnn.app.run import ScoresTable, explain_tick
from livecnn.app.screen.figure import FigureView
from livecnn.dreams.ascent import live_dreams
from livecnn.engine.observer import Observer
from livecnn.errors import ImageError, OutputError, UsageError, nearest
from livecnn.explain.live import ExplainWorker
from livecnn.io.files import check_writable, is_folder, partial_path
from livecnn.io.recorders import NUMBERED, ThreadedRecorder, open_recorder
from livecnn.networks.device import pick_device
from livecnn.sources import split_spec
from livecnn.types import LoopStatus, Scene, SourceStatus

SLOWEST, FASTEST = 0.01, 30.0  # pictures a second; GIF's clock and MP4's rate tell no more apart
TOLD = 3  # of the skipped pictures, by name

Order = Literal["name", "score", "class"]
ORDERS: tuple[str, ...] = get_args(Order)


@dataclass(frozen=True)
class ReplayFilter:
    """Which pictures a replay shows, and in which order.

    Attributes:
        only_class: Only those in which the network sees this class.
        min_score: The least score of the class that it sees, 0-1.
        max_score: The largest one.
        wrong: Only those whose label is another class.
        limit: At most so many.
        shuffle: Choose at random, the same for the same seed.
        seed: For `shuffle`.
        order: "name", "score" (the highest first) or "class"; None for by name or, shuffled, as they were chosen.
    """

    only_class: str | None = None
    min_score: float = 0.0
    max_score: float = 1.0
    wrong: bool = False
    limit: int | None = None
    shuffle: bool = False
    seed: int = 0
    order: Order | None = None

    def check(self, classes: Sequence[str]) -> None:
        """Raise UsageError for an option that is out of range, or a class that is unknown."""
        if self.only_class is not None and self.only_class not in classes:
            raise UsageError(f"--only-class: unknown class {self.only_class!r}; {nearest(self.only_class, classes, most=10)}")
        for option, score in (("--min-score", self.min_score), ("--max-score", self.max_score)):
            if not 0 <= score <= 1:
                raise UsageError(f"{option}: found {score:g}; allowed: 0 to 1")
        if self.min_score > self.max_score:
            raise UsageError(f"--min-score {self.min_score:g} is above --max-score {self.max_score:g}: no picture can pass")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit: found {self.limit}; allowed: 1 or more")
        if self.seed < 0:
            raise UsageError(f"--seed: found {self.seed}; allowed: 0 or more")
        if self.order not in (None, *ORDERS):
            raise UsageError(f"--order: found {self.order!r}; {nearest(str(self.order), ORDERS)}")

    def places(self, count: int) -> list[int]:
        """Return the places of `count` pictures, in the order in which they are scored."""
        return np.random.default_rng(self.seed).permutation(count).tolist() if self.shuffle else list(range(count))

    def among(self, scored: Iterable[ScoredImage], classes: Sequence[str]) -> list[ScoredImage]:
        """Return those to be shown, in order; score no more than that takes."""
        stop = self.limit if self.shuffle or self.order in (None, "name") else None
        passing = islice((each for each in scored if self._passes(each, classes)), stop)
        if self.order == "score":
            chosen = sorted(passing, key=lambda each: (-each.score, each.index))
        elif self.order == "class":
            chosen = sorted(passing, key=lambda each: (len(classes) if each.top is None else each.top, each.index))
        elif self.order == "name":
            chosen = sorted(passing, key=lambda each: each.index)
        else:
            chosen = list(passing)
        return chosen[: self.limit]

    def _passes(self, each: ScoredImage, classes: Sequence[str]) -> bool:
        seen = "" if each.top is None else classes[each.top]
        if self.only_class is not None and (each.top is None or seen != self.only_class):
            return False
        if self.wrong and (not each.label or seen == each.label):
            return False
        return self.min_score <= round(each.score, 6) <= self.max_score  # as in the table of scores


@dataclass(frozen=True)
class ReplayOptions:
    """The options of `livecnn replay`.

    Attributes:
        folder: A folder of pictures (sub-folders are labels), a video or `idx:DIR?split=test`.
        config: A layout; None for `replay`, or for another model one that fits it.
        out: A .gif or .mp4 file, or a folder for numbered PNG files (one that exists, or a text that ends with a slash).
        scores: A .csv file for the scores of the pictures chosen.
        summary: A .png, .csv or .json file for the patterns in the layers that the layout shows, over the pictures chosen.
        choice: Which pictures are shown.
        fps: Pictures a second, 0.01-30.
        hold: Seconds more that the last picture is shown.
        loop: How often a GIF is played; 0 for ever.
        size: Width and height of the film in pixels, instead of the layout's.
        jobs: Processes that decode pictures and run the input pipeline for the scores.
        model: The network, instead of the layout's.
        device: Where it runs: "auto", "cpu", "cuda", "cuda:1", "mps".
        overrides: Changes to the layout, as `--set` takes them.
        force: Replace files that are there.
        allow_code: Allow the model to be code that is run.
        output: The name of the output that is the answer, where the network has several, or its kind.
    """

    folder: str | Path
    config: str | None = None
    out: str | Path | None = None
    scores: str | Path | None = None
    summary: str | Path | None = None
    choice: ReplayFilter = field(default_factory=ReplayFilter)
    fps: float = 4.0
    hold: float = 1.0
    loop: int = 0
    size: tuple[int, int] | None = None
    jobs: int = 1
    model: str | None = None
    device: str = "auto"
    overrides: tuple[str, ...] = ()
    force: bool = False
    allow_code: bool = False
    output: str | None = None


@dataclass(frozen=True, eq=False)
class Replay:
    """The outcome of a replay; as text one line.

    Attributes:
        paths: Files and folders, the film first.
        frames: Number of pictures in the film.
        scores: Columns of equal length in the order shown, by name as in `--scores FILE.csv`; ready for pandas.DataFrame.
        skipped: Pictures that could not be read, each with its reason.
        right: Number of the pictures chosen in which the network sees their label.
        wrong: Number of those in which it sees something else.
        seconds: Time that it took.
    """

    paths: tuple[Path, ...]
    frames: int
    scores: dict[str, npt.NDArray[Any]]
    skipped: tuple[str, ...]
    right: int
    wrong: int
    seconds: float

    def __str__(self) -> str:
        told = [f"{self.frames} frames" if self.frames else f"{len(self.scores['index'])} pictures scored"]
        if self.skipped:
            rest = f", … ({len(self.skipped)} in all)" if len(self.skipped) > TOLD else ""
            told.append(f"{len(self.skipped)} skipped ({'; '.join(self.skipped[:TOLD])}{rest})")
        if self.right + self.wrong:
            told.append(f"{self.right} right, {self.wrong} wrong")
        return ", ".join([*told, f"{self.seconds:.1f} s", *(f"{path} {_size(path)}" for path in self.paths)])


def replay(folder: str | Path, config: str | Path | None = None, **options: Any) -> Replay:
    """Make a film, a table of scores, or both, of a folder of pictures, a video or a data set.

    Args:
        folder: A folder (sub-folders are labels), a video, or `idx:DIR?split=test` for MNIST's files.
        config: A layout, by name or file; by default `replay` or, for another `model`, one that fits it.
        **options: The fields of ReplayOptions and of ReplayFilter; `out`, `scores` or `summary` is needed. A program that uses
            `jobs` needs the usual `if __name__ == "__main__":`.

    Returns:
        The files that were written, the scores, and what was skipped.

    Raises:
        LivecnnError: There is a mistake, or a file cannot be written.
        KeyboardInterrupt: The user pressed Ctrl-C; a film is then complete up to that picture.

    Example:
        >>> import os
        >>> import numpy as np
        >>> from PIL import Image
        >>> os.makedirs("digits/1")
        >>> digit = np.full((40, 40, 3), 255, np.uint8)
        >>> digit[8:32, 18:23] = 0
        >>> Image.fromarray(digit).save("digits/1/one.png")
        >>> film = replay("digits", out="ones.gif", only_class="1", limit=40)
        >>> film.frames, film.right
        (1, 1)
        >>> film.scores["top_class"]
        array(['1'], dtype='<U1')
    """
    chosen = {name: options.pop(name) for name in ReplayFilter.__dataclass_fields__ if name in options}
    return run_replay(ReplayOptions(folder, None if config is None else str(config), choice=ReplayFilter(**chosen), **options))


def run_replay(options: ReplayOptions) -> Replay:
    """Do what `replay` does; mistakes are found before the first picture is scored."""
    start = time.perf_counter()
    out, table, patterns = paths = _check(options)
    spec = as_spec(options.folder)
    size = () if options.size is None else (f"figure.size={list(options.size)}",)
    plan = Plan.of(
        options.config, (*options.overrides, *size), default="replay", model=options.model, source=spec,
        allow_code=options.allow_code, output=options.output,
    )  # fmt: skip
    classes, choice = plan.bundle.classes, options.choice
    choice.check(classes)
    summary = None if patterns is None else _empty_summary(plan)
    device = pick_device(options.device)
    cropper = make_cropper(plan.bundle, plan.layout, plan.source)
    with one_thread(), ImageDataset(spec) as pictures, plan.observer(device) as observer:
        _check_labels(pictures.labels(), options, plan.bundle.name, classes)
        scorer = Scorer(pictures, cropper, plan.bundle.module, device, output=plan.bundle.output)
        places = choice.places(len(pictures))
        with closing(scorer(places, options.jobs)) as scored:
            chosen = choice.among(_bar("scores", len(places), scored), classes)
        if not chosen:
            raise _no_frames_error(options, len(places), scorer.skipped)
        if table is not None:
            _write_scores(table, classes, chosen)
        if patterns is not None and summary is not None:
            _fill(summary, scorer, chosen, options.jobs)
            summary.write(patterns)
        skipped = list(scorer.skipped)
        frames = 0 if out is None else _film(options, out, plan, pictures, observer, chosen, skipped)
    right = sum(each.top is not None and classes[each.top] == each.label for each in chosen)
    labelled = sum(bool(each.label) for each in chosen)
    return Replay(
        tuple(path for path in paths if path is not None),
        frames,
        _columns(classes, chosen),
        tuple(skipped),
        right,
        labelled - right,
        time.perf_counter() - start,
    )


def _check(options: ReplayOptions) -> tuple[Path | None, Path | None, Path | None]:
    """Return film, table and summary, as paths that can be written to; raise UsageError or OutputError."""
    out, table, summary = (Path(path) if path else None for path in (options.out, options.scores, options.summary))
    named = {"--out": out, "--scores": table, "--summary": summary}
    wanted = {option: path for option, path in named.items() if path is not None}
    if not wanted:
        raise UsageError(
            "nothing to make: give --out FILE.gif, FILE.mp4 or FOLDER/, --scores FILE.csv or --summary FILE.png, or several"
        )
    _check_numbers(options)
    for option, path in wanted.items():
        twin = next(other for other in wanted if wanted[other].resolve() == path.resolve())
        if twin != option:
            raise OutputError(f"{path}: named twice; {twin} and {option} need a file each")
        taken = any(path.iterdir()) if path.is_dir() else path.exists()
        if taken and not options.force:
            raise OutputError(f"{path}: is there already; allowed: another name, or --force to replace it")
        if path.resolve() == _place(options.folder):
            raise OutputError(f"{path}: holds the pictures that are to be shown; allowed for {option}: another name")
    if table is not None:
        check_writable(table)
    if summary is not None:
        check_suffix(summary)
        check_writable(summary)
    if out is not None and is_folder(str(options.out)):
        check_writable(out.with_name(f"{out.name}.part"))
    elif out is not None:
        open_recorder(out)
    return out, table, summary


def _check_numbers(options: ReplayOptions) -> None:
    if not SLOWEST <= options.fps <= FASTEST:
        raise UsageError(f"--fps: found {options.fps:g}; allowed: {SLOWEST:g} to {FASTEST:g} pictures a second")
    if not 0 <= options.hold <= 3600:
        raise UsageError(f"--hold: found {options.hold:g}; allowed: 0 to 3600 seconds")
    for option, found, least in (("--loop", options.loop, 0), ("--jobs", options.jobs, 1)):
        if not least <= found <= 65_535:
            raise UsageError(f"{option}: found {found}; allowed: {least} to 65535")


def _place(folder: str | Path) -> Path:
    """Return the place of the pictures, without the kind that may stand before it."""
    return Path(split_spec(as_spec(folder))[1].partition("?")[0]).expanduser().resolve()


def _check_labels(labels: set[str], options: ReplayOptions, model: str, classes: Sequence[str]) -> None:
    strange = sorted(labels.difference(classes))
    if strange:
        known = nearest(strange[0], classes, most=10)
        raise UsageError(f"{options.folder}: the label {strange[0]!r} is no class of {model}; {known}")
    if options.choice.wrong and not labels:
        raise UsageError(f"--wrong: the pictures of {options.folder} have no labels; sub-folders by class or idx files give them")


def _no_frames_error(options: ReplayOptions, count: int, skipped: Sequence[str]) -> UsageError:
    if len(skipped) == count:
        return UsageError(f"{options.folder}: none of {count} pictures can be read; first: {skipped[0]}")
    unread = f" ({len(skipped)} cannot be read)" if skipped else ""
    return UsageError(f"{options.folder}: none of {count} pictures passes the filters{unread}")


def _write_scores(path: Path, classes: Sequence[str], chosen: Sequence[ScoredImage]) -> None:
    """Write the whole table or none; raise OutputError."""
    part = partial_path(path)
    try:
        with ScoresTable(part, classes) as table:
            for each in chosen:
                table.add_row(each.name, each.label, each.scores, each.top)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _empty_summary(plan: Plan) -> Summary:
    layers = dict.fromkeys(layer for panel in plan.layout.panels.values() for layer in panel.layers())
    if not layers:
        raise UsageError(f"--summary: {plan.layout.path} shows no layer; allowed: a layout with feature_maps or neurons")
    return Summary(tuple(layers), plan.bundle.classes, plan.bundle.name)


def _fill(summary: Summary, scorer: Scorer, chosen: Sequence[ScoredImage], jobs: int) -> None:
    """Fill a summary by another pass over the pictures chosen: which they are is only known after the first."""
    places = [each.index for each in chosen]
    seen = dict(zip(places, chosen, strict=True))
    with closing(scorer.activations(summary.layers, places, jobs)) as batches, _bar("patterns", len(places)) as bar:
        for indices, activations in batches:
            batch = [seen[index] for index in indices]
            labels = [summary.classes.index(each.label) if each.label else None for each in batch]
            summary.add(activations, labels, np.array([-1 if each.top is None else each.top for each in batch]))
            bar.update(len(batch))


def _film(
    options: ReplayOptions,
    out: Path,
    plan: Plan,
    pictures: ImageDataset,
    observer: Observer,
    chosen: Sequence[ScoredImage],
    skipped: list[str],
) -> int:
    """Draw every picture chosen and return their number; what cannot be read any more is added to `skipped`."""
    if is_folder(str(options.out)):
        _clear(out)
    screen = FigureView(plan.layout, plan.context, focus=plan.focus if plan.layout.explores else None)
    observer.watch(screen.reducers)
    explaining = ExplainWorker(plan.bundle, live_dreams(plan.bundle), observer.device) if screen.asks else None
    status, drawn = LoopStatus(SourceStatus("live", plan.source.name)), 0
    recorder = open_recorder(str(options.out), fps=options.fps, hold=options.hold, loop=options.loop)
    with ThreadedRecorder(recorder, every=True) as film:
        for each in _bar("pictures", len(chosen), chosen):
            try:
                frame = pictures.at(each.index)
            except ImageError as error:
                skipped.append(str(error))
                continue
            tick = observer(frame)
            screen.show(Scene(frame, tick, status, explain_tick(screen, tick, explaining)))
            screen.draw()
            film.add(screen.pixels(), drawn / options.fps)
            drawn += 1
    return drawn


def _clear(folder: Path) -> None:
    """Delete the numbered pictures of an earlier replay: they would go on after the end of a shorter one."""
    for path in folder.glob("*.png"):
        if NUMBERED.fullmatch(path.name):
            path.unlink()


def _columns(classes: Sequence[str], chosen: Sequence[ScoredImage]) -> dict[str, npt.NDArray[Any]]:
    table = np.stack([each.scores for each in chosen])
    return {
        "index": np.arange(len(chosen)),
        "name": np.array([each.name for each in chosen]),
        "label": np.array([each.label for each in chosen]),
        "top_class": np.array(["" if each.top is None else classes[each.top] for each in chosen]),
        "top_score": np.array([each.score for each in chosen], np.float32),
        **{name: table[:, place] for place, name in enumerate(classes)},
    }


def _bar(what: str, count: int, pictures: Iterable[Any] | None = None) -> tqdm[Any]:
    """Show rate and time left, on a terminal."""
    return tqdm(pictures, what, count, unit="picture", disable=None, leave=False)


def _size(path: Path) -> str:
    files = path.iterdir() if path.is_dir() else [path]
    size = sum(file.stat().st_size for file in files)
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
