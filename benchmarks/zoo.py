"""What livecnn makes of networks that it has never seen: a table, a row a network; ends with 1 if a figure is wrong.

    python benchmarks/zoo.py [--only resnet,keras] [--json FILE]

The networks are livecnn's own architectures with random weights; of pytorchcv, where it is installed, one of each family; each of
these once more as an ONNX graph, where onnx and onnxruntime are; and those of keras.applications, where Keras is. Of each:

- layers: every layer against plain hooks, onnxruntime or Keras' predict, the worst difference as a share of the layer's maximum
- run: two frames of the demo through the automatic layout and through the explorer
- methods: every explanation of one unit and one class; gradients against autograd
- dream: two steps

A refusal is a row's word with its reason, and not wrong.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import livecnn
from livecnn.errors import LivecnnError
from livecnn.explain.methods import kinds
from livecnn.explain.methods.gradient import Gradient
from livecnn.networks import bundle as bundles
from livecnn.networks.import_model import import_model
from livecnn.networks.inspection.probe import Probe

OWN: dict[str, dict[str, Any]] = {"lenet": {}, "alexnet": {}, "squeezenet": {}, "vgg": {"depth": 11}, "resnet": {"depth": 18}}
PYTORCHCV = """resnet10 preresnet10 seresnet10 mobilenetv2_wd4 mobilenetv3_small_w7d20 shufflenetv2_wd2 squeezeresnet_v1_1
    densenet121 efficientnet_b0 ghostnet mnasnet_small hardnet39ds regnetx002 dla34 vovnet27s peleenet bagnet9 cbam_resnet18
    vgg11 bninception diaresnet10 nin_cifar10 resnet20_cifar10""".split()  # noqa: SIM905
KERAS = ("MobileNet", "MobileNetV2", "EfficientNetB0", "DenseNet121", "ResNet50", "VGG16", "Xception", "NASNetMobile")
CLOSE = 1e-3  # share of a layer's largest value; random networks are badly conditioned
SIZE = 96


def main() -> None:
    """Print the table, and end with 1 if a figure of it is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="Names, or the beginnings of names, with commas between them.")
    parser.add_argument("--json", type=Path, help="File for the table.")
    options = parser.parse_args()
    wanted = tuple(options.only.split(",")) if options.only else ("",)
    warnings.simplefilter("ignore")
    rows = []
    for name, make in networks():
        if name.startswith(wanted):
            rows.append({"network": name, **tried(make)})
            print("  ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    wrong = [row["network"] for row in rows if any("WRONG" in str(value) for value in row.values())]
    print(json.dumps({"networks": len(rows), "wrong": wrong, "refused": sum("refused" in str(row) for row in rows)}))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    sys.exit(1 if wrong else 0)


def networks() -> Iterator[tuple[str, Callable[[Path], tuple[bundles.Bundle, Reference]]]]:
    """Yield names, and what makes a network and its reference in a folder."""
    for name, fields in OWN.items():
        yield name, lambda _folder, name=name, fields=fields: of_module(bundles.architecture(name, fields))
        if installed("onnx") and installed("onnxruntime"):
            yield f"onnx-{name}", lambda folder, name=name, fields=fields: of_onnx(bundles.architecture(name, fields), folder)
    if installed("pytorchcv"):
        from pytorchcv.model_provider import get_model

        for name in PYTORCHCV:
            yield f"pytorchcv-{name}", lambda _folder, name=name: of_module(get_model(name))
            if installed("onnx") and installed("onnxruntime"):
                yield f"onnx-{name}", lambda folder, name=name: of_onnx(get_model(name), folder)
    if installed("keras"):
        for name in KERAS:
            yield f"keras-{name}", lambda folder, name=name: of_keras(name, folder)


Reference = Callable[[torch.Tensor], dict[str, Any]]  # from an input to every layer's values, by its name


def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def of_module(module: nn.Module) -> tuple[bundles.Bundle, Reference]:
    module = module.eval()
    own = isinstance(getattr(module, "input", None), dict)
    channels = next(inner for inner in module.modules() if isinstance(inner, nn.Conv2d)).in_channels
    spec = None if own else {"kind": "plain", "size": [28, 28] if channels == 1 else size_of(module), "channels": channels}

    def hooked(x: torch.Tensor) -> dict[str, Any]:
        found: dict[str, Any] = {}
        handles = [
            inner.register_forward_hook(lambda _m, _i, output, name=name: found.setdefault(name, output.clone()))
            for name, inner in module.named_modules()
            if name and not any(inner.children()) and name not in getattr(module, "blobs", {})  # Caffe's are another's value
        ]
        with torch.no_grad():
            module(x)
        for handle in handles:
            handle.remove()
        return found

    return bundles.bundle_from_module(module, "net", input=spec), hooked


def size_of(module: nn.Module) -> list[int]:
    told = getattr(module, "in_size", (224, 224))
    return [*told]


def of_onnx(module: nn.Module, folder: Path) -> tuple[bundles.Bundle, Reference]:
    import onnx
    import onnxruntime

    bundle, _ = of_module(module)
    path = folder / "net.onnx"
    torch.onnx.export(bundle.module, (torch.zeros(1, *bundle.pipeline.shape),), path, opset_version=17, dynamo=False)
    imported = bundles.load(str(import_model([path], "zoo-onnx", force=True)))
    steps = {step["name"]: step["outputs"][0] for step in imported.card.options["plan"]["steps"]}  # type: ignore[union-attr]

    def session(x: torch.Tensor) -> dict[str, Any]:
        model = onnx.load(path)
        ends = {end.name for end in model.graph.output}
        model.graph.output.extend(
            onnx.ValueInfoProto(name=name) for node in model.graph.node for name in node.output if name not in ends
        )
        running = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        values = running.run(None, {running.get_inputs()[0].name: x.numpy()})
        by_value = dict(zip((end.name for end in running.get_outputs()), values, strict=True))
        return {name: torch.from_numpy(by_value[value]) for name, value in steps.items() if value in by_value}

    return imported, session


def of_keras(name: str, folder: Path) -> tuple[bundles.Bundle, Reference]:
    from livecnn.networks.architectures.keras import library

    keras = library()
    small = {} if name == "NASNetMobile" else {"input_shape": (SIZE, SIZE, 3)}
    model = getattr(keras.applications, name)(weights=None, **small)
    model.save(folder / "net.keras")
    bundle = bundles.load(str(import_model([folder / "net.keras"], "zoo-keras", force=True)))
    return bundle, lambda x: {"": torch.from_numpy(model.predict(x.permute(0, 2, 3, 1).numpy(), verbose=0))}


def tried(make: Callable[[Path], tuple[bundles.Bundle, Reference]]) -> dict[str, Any]:
    """Return what came of each part."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        try:
            bundle, reference = make(folder)
        except LivecnnError as error:
            return {"layers": f"refused: {error}"}
        parts: dict[str, Callable[[], str]] = {
            "layers": lambda: layers(bundle, reference),
            "run": lambda: shown(bundle, folder),
            "methods": lambda: explained(bundle),
            "dream": lambda: dreamt(bundle),
        }
        return {name: told(part) for name, part in parts.items()}


def told(part: Callable[[], str]) -> str:
    try:
        return part()
    except LivecnnError as error:
        return f"refused: {error}"
    except Exception as error:  # whatever it is, it is a bug
        return f"WRONG: {type(error).__name__}: {error}"


def layers(bundle: bundles.Bundle, reference: Reference) -> str:
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((1, *bundle.pipeline.shape)).astype(np.float32))
    wanted = reference(x)
    with Probe(bundle.module, [name for name in wanted if name]) as probe:
        scores, found = probe(x)
    found[""] = scores
    shares = [
        float((found[name] - value).abs().max() / value.abs().max().clamp_min(1e-6))
        for name, value in wanted.items()
        if value.is_floating_point() and value.numel()
    ]
    return f"{len(shares)}, {max(shares):.0e}" + ("" if max(shares) <= CLOSE else " WRONG")


def shown(bundle: bundles.Bundle, folder: Path) -> str:
    livecnn.watch(bundle.module, input=spec_of(bundle), source="demo", headless=True, frames=2)
    livecnn.watch(
        bundle.module, input=spec_of(bundle), layout="explorer", source="demo", headless=True, frames=2, record=folder / "x.gif"
    )
    return "ok"


def spec_of(bundle: bundles.Bundle) -> Any:
    return {"kind": "plain", **bundle.pipeline.model_dump()} if bundle.card is None else bundle.card.input


def explained(bundle: bundles.Bundle) -> str:
    image = np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    layer = next(node.name for node in bundle.architecture.nodes if node.window is not None and len(node.output) == 3)
    refused = []
    for method in kinds():
        try:
            chosen = {"classes": [0], "layer": layer} if method == "grad_cam" else {"units": [0], "layer": layer}
            livecnn.explanations(bundle, image, method=method, **chosen)
        except LivecnnError as error:  # noqa: PERF203
            refused.append(f"{method}: {error}")
    x = bundle.prepare(image).requires_grad_()
    found = Gradient(bundle.module, layer, at="sum").explain(x.detach(), [0])
    with torch.enable_grad(), Probe(bundle.module, []) as _:
        kept: list[torch.Tensor] = []
        handle = bundle.module.get_submodule(layer.partition(":")[0]).register_forward_hook(lambda _m, _i, o: kept.append(o))
        bundle.module(x)
        handle.remove()
        (slope,) = torch.autograd.grad(kept[0][0, 0].sum(), x)
    away = float((found - slope).abs().max() / slope.abs().max().clamp_min(1e-9))
    return (f"refused {'; '.join(refused)}" if refused else "ok") + ("" if away <= CLOSE else f" WRONG gradient {away:.0e}")


def dreamt(bundle: bundles.Bundle) -> str:
    layer = next(node.name for node in bundle.architecture.nodes if node.window is not None)
    return "ok" if livecnn.dream(bundle, layer, [0], steps=2).images.any() else "WRONG: black"


if __name__ == "__main__":
    main()
