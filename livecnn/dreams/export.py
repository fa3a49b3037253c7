"""`livecnn dream`: a picture, a film of the ascent, or a folder that a run can go on from."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
from tqdm import tqdm

from livecnn.dreams.api import DreamBatch, DreamResult
from livecnn.dreams.ascent import State
from livecnn.errors import OutputError, UsageError
from livecnn.io.files import check_same_run, check_writable, is_folder, write_atomically, write_png
from livecnn.io.recorders import open_recorder

FRAMES, FPS, HOLD = 64, 12.0, 2.0  # of a film: pictures, a second, and seconds for the last
OFTEN = 2.0  # seconds between two states
MANIFEST, STATE = "manifest.json", "state.safetensors"
SUFFIXES = (".png", ".gif", ".mp4")


def check_out(out: str, resume: bool) -> None:
    """Raise OutputError or UsageError before the work begins."""
    path = Path(out)
    if resume and not is_folder(out):
        raise UsageError(f"--resume: {out} is no folder; allowed with --out FOLDER/")
    if not is_folder(out) and path.suffix.lower() not in SUFFIXES:
        raise OutputError(f"{out}: unknown suffix {path.suffix!r}; allowed: {', '.join(SUFFIXES)}, or a folder: {out}/")
    if resume and not (path / STATE).exists():
        raise UsageError(f"--resume: {path} holds no run to go on with")
    check_writable(path / MANIFEST if is_folder(out) else path)


def write(dreamer: DreamBatch, steps: int, out: str) -> DreamResult:
    """Dream, and write it there. Raises OutputError, UsageError; whatever ends a run into a folder, its state is kept."""
    with dreamer.threads():
        return _into_folder(dreamer, steps, Path(out)) if is_folder(out) else _into_file(dreamer, steps, Path(out))


def _into_file(dreamer: DreamBatch, steps: int, path: Path) -> DreamResult:
    if path.suffix.lower() == ".png":
        *_, last = _shown(dreamer, steps)
        write_png(path, last.picture())
        return last
    with open_recorder(path, fps=FPS, hold=HOLD) as recorder:
        for i, last in enumerate(_shown(dreamer, steps)):
            recorder.add(last.picture(), i / FPS)
    return last


def _shown(dreamer: DreamBatch, steps: int, state: State | None = None) -> Iterator[DreamResult]:
    """Yield some of the steps, with a progress bar on terminals."""
    done = 0 if state is None else state.step
    with tqdm(total=steps, initial=done, desc="dreaming", unit="step", disable=None, leave=False) as bar:
        for dreams in dreamer(steps, state, every=-(-steps // FRAMES)):
            bar.update(dreams.step - done)
            done = dreams.step
            yield dreams


def _into_folder(dreamer: DreamBatch, steps: int, folder: Path) -> DreamResult:
    """Write a picture a unit, a manifest, and the state."""
    settings = {**dreamer.settings, "units": list(dreamer.units)}
    state = _left(folder, settings, steps)
    last, kept = None, time.monotonic()
    try:
        for last in _shown(dreamer, steps, state):
            if time.monotonic() - kept > OFTEN:
                _keep(folder, settings, last.state)
                kept = time.monotonic()
    finally:
        if last is not None:
            _keep(folder, settings, last.state)
    assert last is not None
    kind = "class" if settings["layer"] is None else "unit"
    rows = []
    for unit, name, image, value in zip(dreamer.units, last.names, last.images, last.values, strict=True):
        file = f"{kind}-{unit}.png"
        write_png(folder / file, image)
        rows.append({kind: unit, "name": name, "value": float(value) if np.isfinite(value) else None, "file": file})
    text = json.dumps({**settings, "steps": last.step, "images": rows}, indent=2, ensure_ascii=False)
    write_atomically(folder / MANIFEST, f"{text}\n".encode())
    return last


def _keep(folder: Path, settings: dict[str, object], state: State) -> None:
    tensors = {"values": state.values, "slope": state.slope, "square": state.square}
    about = {"run": json.dumps({"step": state.step, "settings": settings})}  # safetensors has no order of several
    data = safetensors.torch.save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, about)
    write_atomically(folder / STATE, data)


def _left(folder: Path, settings: dict[str, object], steps: int) -> State | None:
    """Read what an earlier run of these settings left there. Raises OutputError if it was another run."""
    path = folder / STATE
    if not path.exists():
        return None
    try:
        with safetensors.safe_open(path, "pt") as file:
            run = json.loads((file.metadata() or {})["run"])
            found, step = dict(run["settings"]), int(run["step"])
            state = State(step, *(file.get_tensor(name) for name in ("values", "slope", "square")))
    except (OSError, KeyError, TypeError, ValueError, safetensors.SafetensorError) as error:
        raise OutputError(f"{path}: not the state of a run: {error}; name another folder") from error
    check_same_run(folder, found, settings)
    if state.step > steps:
        raise OutputError(f"{folder}: holds a run of {state.step} steps already; ask for as many or more, or name another folder")
    return state
