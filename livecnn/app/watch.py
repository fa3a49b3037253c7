"""Watch a network that lives in the user's own program, and give it back as it was."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from torch import nn

from livecnn.app.plan import Plan, fitting, load_views
from livecnn.app.run import RunOptions, run_plan, window_or_recording
from livecnn.errors import UsageError
from livecnn.io.yaml_document import Document
from livecnn.layout.auto_layout import make_layout
from livecnn.layout.layout import Layout, layout_from_document, load_layout
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
    output: str | Mapping[str, Any] | None = None,
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
    """Show a network at work in a window, until it is closed; without a display, record into recordings/.

    It blocks. Afterwards, whatever happened, the network is as it was: no hooks, every module in its mode, every parameter on
    its device and with its `requires_grad`.

    Args:
        module: The network, from images (1, C, H, W) to scores (1, classes).
        classes: Names in the order of the scores; by default the network's attribute `classes`, else numbers.
        layers: What to show, by names as `Probe` takes them; by default convolutions from all depths and the last hidden layer.
        layout: Instead of layers, a layout: a file, the name of one that ships, or the same as a dict.
        source: `auto` (the default: a camera, else the demo), a camera's number, `video:FILE`, `folder:DIR`, `demo`, an address.
        input: A dict as `input` in model.yaml, e.g. {"kind": "plain", "size": [32, 32], "channels": 3}, or a function from uint8
            (H, W, 3) RGB of any size to the network's input (1, C, H, W); by default the network's attribute `input`, else what
            is usual for its first convolution.
        output: What the scores are: "softmax", "log_softmax", "logits", "sigmoid", "sigmoid_logits" or "numbers"; by default the
            network's attribute `output`, else what its last function tells.
        device: Where the network runs: "auto", "cpu", "cuda", "cuda:1", "mps".
        record: File for a film, .gif or .mp4.
        headless: Open no window.
        frames: End after so many ticks.
        stats: JSON file for rates and ages.
        scores: CSV file for a row of scores per pass through the network.
        fullscreen: Begin in full screen.
        once: End with the source instead of starting it over.
        source_options: Options of the source, as frames a second.

    Raises:
        LivecnnError: There is a mistake, or a device fails.
        KeyboardInterrupt: The user pressed Ctrl-C.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 5), nn.ReLU(), nn.Flatten(), nn.Linear(2304, 10))
        >>> watch(net, layers=["1"], source="demo", headless=True, frames=2, scores="scores.csv")
        >>> len(Path("scores.csv").read_text().splitlines())
        3
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
        bundle = bundles.bundle_from_module(module, classes=classes, input=input, output=output)
        view, views = _views(bundle, layers, layout)
        plan = Plan.for_bundle(bundle, view, views, source=options.source, source_options=options.source_options)
        run_plan(plan, options, unseen=unseen)


@contextmanager
def module_in_eval(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Put modes, tensors and random numbers, also those of a device, back at the end, whatever happened to them inside."""
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
    """Return the dicts in which a module keeps its own tensors; those of a scripted one are not Python's."""
    return [table for table in (module._parameters, module._buffers) if isinstance(table, dict)]


def _views(
    bundle: Bundle, layers: Sequence[str] | None, layout: str | Path | Mapping[str, Any] | None
) -> tuple[Layout, list[Layout]]:
    """Return what is shown first, and everything that the key v walks through."""
    if layout is None:
        view = make_layout(bundle, layers)
    elif isinstance(layout, Mapping):
        view = layout_from_document(Document(layout, Path("layout"), {}))
    else:
        view = load_layout(layout)
    return view, fitting(load_views(view), view, bundle)


def _path(name: str | Path | None) -> Path | None:
    return None if name is None else Path(name)
