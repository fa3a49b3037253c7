"""`livecnn.watch`: the main job for a network that lives in the user's own program, and gets it back as it was."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from torch import nn

from livecnn.app.plan import Plan, load_views
from livecnn.app.run import RunOptions, run_plan, window_or_recording
from livecnn.errors import UsageError
from livecnn.io.yaml_document import Document
from livecnn.layout import auto_layout as autolayout
from livecnn.layout import layout as config
from livecnn.layout.layout import Layout
from livecnn.networks import bundle as bundles
from livecnn.networks.bundle import Bundle
from livecnn.networks.device import pick_device
from livecnn.sources import SourceOptions
from livecnn.types import Image


def watch(
    module: nn.Module,
    *,
    classes: Sequence[str] | None = None,
    layers: Sequence[str] | None = None,
    layout: str | Path | Mapping[str, Any] | None = None,
    source: str | int | None = None,
    input: Mapping[str, Any] | Callable[[Image], torch.Tensor] | None = None,
    device: str = "auto",
    record: str | Path | None = None,
    headless: bool = False,
    frames: int | None = None,
    stats: str | Path | None = None,
    scores: str | Path | None = None,
    fullscreen: bool = False,
    once: bool = False,
    source_options: SourceOptions | None = None,
) -> None:
    """Show a network at work, in a window, until it is closed; without a display, record into recordings/.

    classes: names in the order of the scores; by default the network's attribute `classes`, else numbers.
    layers: what to show, by names as `Probe` takes them; by default convolutions from all depths and the last hidden layer.
    layout: instead of layers, a layout: a file, the name of one that ships, or the same as a dict.
    source: `auto` (the default: a camera, else the demo), a camera's number, `video:FILE`, `folder:DIR`, `demo`, an address.
    input: a dict as `input` in model.yaml, e.g. {"kind": "plain", "size": [32, 32], "channels": 3}, or a function from uint8
    (H, W, 3) RGB of any size to the network's input (1, C, H, W); by default the network's attribute `input`, else what is usual
    for its first convolution.

    The others are those of the command `livecnn run`. It blocks. Afterwards, whatever happened, the network is as it was: no
    hooks, every module in its mode, every parameter on its device and with its `requires_grad`. Raises LivecnnError for a
    mistake or a device that fails, KeyboardInterrupt for Ctrl-C.
    """
    if not isinstance(module, nn.Module):
        raise UsageError(f"watch: found a {type(module).__name__}; a torch.nn.Module is needed")
    if layers is not None and layout is not None:
        raise UsageError("watch: found both layers and layout; one of them is allowed")
    options, unseen = window_or_recording(
        RunOptions(
            source=f"camera:{source}" if isinstance(source, int) else source,
            device=device,
            record=_path(record),
            headless=headless,
            frames=frames,
            stats=_path(stats),
            scores=_path(scores),
            fullscreen=fullscreen,
            once=once,
            source_options=source_options or SourceOptions(),
        )
    )
    if not options.headless and threading.current_thread() is not threading.main_thread():
        raise UsageError("watch: a window can be opened by the main thread only; call it there, or with headless=True")
    with module_in_eval(module, pick_device(device)), mpl.rc_context():
        bundle = bundles.bundle_from_module(module, classes=classes, input=input)
        view, views = _views(bundle, layers, layout)
        plan = Plan.for_bundle(bundle, view, views, source=options.source, source_options=options.source_options)
        run_plan(plan, options, unseen=unseen)


@contextmanager
def module_in_eval(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Inside, a network may change its mode and its device; outside nobody notices.

    device: where random numbers may be drawn inside.
    """
    modes = [(inner, inner.training) for inner in module.modules()]
    tables = [(table, dict(table)) for inner, _ in modes for table in _tables(inner)]
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    contents = [(tensor, tensor.data) for tensor in (*module.parameters(), *gradients)]
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            for inner, training in modes:
                inner.training = training
            for table, kept in tables:
                table.update(kept)
            for tensor, data in contents:
                if tensor.device != data.device:
                    tensor.data = data


def _tables(module: nn.Module) -> list[dict[str, Any]]:
    """Where a module keeps its own tensors; that of a scripted one is not Python's."""
    return [table for table in (module._parameters, module._buffers) if isinstance(table, dict)]


def _views(
    bundle: Bundle, layers: Sequence[str] | None, layout: str | Path | Mapping[str, Any] | None
) -> tuple[Layout, list[Layout]]:
    """What is shown first, and everything that the key v walks through."""
    if layout is None:
        view = autolayout.make_layout(bundle, layers)
    elif isinstance(layout, Mapping):
        view = config.layout_from_document(Document(layout, Path("layout"), {}))
    else:
        view = config.load_layout(layout)
    return view, load_views(view)


def _path(name: str | Path | None) -> Path | None:
    return None if name is None else Path(name)
