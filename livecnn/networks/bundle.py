"""A model is a bundle: a folder with `model.yaml` (what it is) and its weights, or code of the user, `package.module:factory`."""

import importlib
import importlib.machinery
import importlib.util
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import MappingProxyType
from typing import Annotated, Any, TypeAlias, TypeVar

import numpy as np
import torch
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError
from torch import nn
from torch.func import functional_call
from torch.nn.parameter import is_lazy

from livecnn import paths, registry
from livecnn.errors import LivecnnError, ModelError, OutputError, UsageError, first_line, nearest
from livecnn.io import yaml_document as yamlfile
from livecnn.io.files import stand_in
from livecnn.io.validation import Problem, ValidationProblem, explain, report
from livecnn.io.yaml_document import Document
from livecnn.networks import catalogue, weights
from livecnn.networks import pipelines as inputs
from livecnn.networks.inspection.architecture import Architecture
from livecnn.networks.inspection.probe import as_input, find_scores, function_shapes, run_and_shapes, score_tensors
from livecnn.networks.inspection.tracing import parts
from livecnn.networks.outputs import KINDS, PREFERRED, Kind, Output, kind_of, last_function
from livecnn.networks.pipelines import FunctionPipeline
from livecnn.types import Image, Precision

T = TypeVar("T")
Survey: TypeAlias = Mapping[str, tuple[torch.Tensor, str]]  # by place among the outputs: scores (1, units), the last function

CARD = "model.yaml"
WEIGHTS = "weights.safetensors"
INPUT_HINT = (
    "give the network an attribute `input`, as in model.yaml, or call livecnn.watch(…, input=…) with "
    "{'kind': 'plain', 'size': [32, 32], 'channels': 3} or a function from uint8 (H, W, 3) to its tensor"
)

# By channels: what networks trained on ImageNet expect (https://docs.pytorch.org/vision/stable/models.html), and MNIST's size.
_USUAL_INPUT: dict[int, dict[str, Any]] = {
    3: {
        "kind": "plain",
        "size": [224, 224],
        "channels": 3,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "resize": "bilinear",
    },
    1: {"kind": "plain", "size": [28, 28], "channels": 1, "mean": [0.0], "std": [1.0]},
}
FACTORY_SPEC = re.compile(r"((?:[^\W\d]\w*\.)*[^\W\d]\w*):([^\W\d]\w*)")
TOLERANCE = 1e-4  # of scores up to 1, and as a share of larger ones
LEAST_SIDE = 100


def _inside(file: str) -> str:
    """Refuse a file outside of the bundle's folder, whatever the platform's idea of a path is."""
    windows = PureWindowsPath(file)
    if "\0" in file or file.startswith("/") or windows.drive or windows.root or ".." in windows.parts:
        raise ValidationProblem(f"found {file!r}; allowed: a file inside the bundle's folder")
    if PurePosixPath(file).suffix not in weights.FORMATS:
        raise ValidationProblem(f"found {file!r}; allowed: a file that ends in {', '.join(weights.FORMATS)}")
    return file


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value  # `classes: [0, 1]`


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Weights(_Section):
    """A file of named tensors, and what its bytes must hash to."""

    file: Annotated[str, AfterValidator(_inside)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Check(_Section):
    """The output of the network for a known picture of `sample`, [H, W] pixels: see `livecnn/networks/bundle.py`."""

    sample: tuple[Annotated[int, Field(ge=1, le=8192)], Annotated[int, Field(ge=1, le=8192)]]
    scores: tuple[float, ...]


class OutputCard(_Section):
    """What the scores are, and where among several outputs, see Output; by default as the network's functions tell."""

    kind: Kind | None = None
    name: str = ""


TOLD = OutputCard()  # by the network itself


class ModelCard(_Section):
    """model.yaml.

    architecture: a file name in architectures/, or `package.module:factory`.  options: the arguments of its class or factory.
    input: `kind` of a pipeline in pipelines/, and its fields.  output: what the scores are.  classes: names in the order of the
    scores.  accuracy: by data set, 0..1.  training: how to get the same weights again.  precision: with which it may calculate
    on CUDA devices, if its scores stay within 0.01.  check: what `livecnn models check` compares with.
    """

    name: Annotated[str, Field(min_length=1)]
    architecture: str
    options: dict[str, JsonValue] = {}
    weights: Weights
    input: dict[str, JsonValue]
    output: OutputCard = TOLD
    classes: tuple[Annotated[str, BeforeValidator(_as_text)], ...]
    licence: str
    source: str
    accuracy: dict[str, Annotated[float, Field(ge=0, le=1)]] = {}
    training: dict[str, JsonValue] = {}
    precision: Precision = "float32"
    check: Check | None = None


@dataclass(frozen=True, eq=False)
class Bundle:
    """A network ready to be looked at: in evaluation mode, and, unless it is a user's module, without gradients.

    Attributes:
        name: As its card, or its class, names it.
        module: The network, from tensors (N, C, H, W) to scores (N, classes).
        classes: Names in the order of the scores.
        pipeline: From a shot to the network's input.
        card: What model.yaml says; None for a network from code.
        said: What its scores are, as far as somebody said so; the rest is told by its functions.
    """

    name: str
    module: nn.Module
    classes: tuple[str, ...]
    pipeline: inputs.Pipeline
    card: ModelCard | None = None
    said: OutputCard = TOLD

    @property
    def precision(self) -> Precision:
        """See ModelCard."""
        return self.card.precision if self.card else "float32"

    def prepare(self, rgb: Image) -> torch.Tensor:
        """Turn an image into the network's input.

        Args:
            rgb: Image, uint8 (H, W, 3) RGB, values 0..255.

        Returns:
            The input, float32 (1, C, H, W).

        Raises:
            UsageError: The image has another shape or dtype.
        """
        if not isinstance(rgb, np.ndarray) or rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or not rgb.size:
            found = f"{rgb.dtype} {rgb.shape}" if isinstance(rgb, np.ndarray) else type(rgb).__name__
            raise UsageError(f"prepare: found {found}; a NumPy array of uint8 (H, W, 3) is needed")
        return self.pipeline(rgb).tensor

    def shapes(self, wanted: Iterable[str] = ()) -> dict[str, tuple[int, ...]]:
        """Output shape (1, …) of every layer by its name (see `livecnn.Probe`), in the order in which they finish.

        Functions are among them only if one of the layers `wanted` is no module: finding them takes another pass. Layers that
        did not run, or gave something else than tensors with a batch axis, are left out. Raises ModelError.
        """
        modules = self._survey[1]
        return modules if all(layer in modules for layer in wanted) else {**modules, **self._functions}

    @cached_property
    def architecture(self) -> Architecture:
        """The network as data, found by a pass of zeros. Raises ModelError."""
        return self._with_blank(partial(Architecture.of, name=self.name))

    @property
    def output(self) -> Output:
        """What its scores are. Raises ModelError."""
        return Output(self.said.kind or self._told_kind[0], self._scores[1].shape[1], self._scores[0])

    @property
    def assumption(self) -> str:
        """What is assumed of its scores, or its input, and how to say it better, one line; "" for nothing."""
        reason = "" if self.said.kind else self._told_kind[1]
        scripted = any(isinstance(inner, torch.jit.ScriptModule) for inner in self.module.modules())
        if not reason:
            note = self.pipeline.note or ("TorchScript, whose layers cannot be watched" if scripted else "")
            return f"{self.name}: {note}" if note else ""
        return f"{self.name}: {reason}, so plain numbers are shown; else say `output`, one of {', '.join(KINDS)} (docs/models.md)"

    @cached_property
    def _told_kind(self) -> tuple[Kind, str]:
        named = self.classes not in ((), tuple(map(str, range(len(self.classes)))))
        return kind_of(*self._scores[1:], named=named)

    @cached_property
    def _scores(self) -> tuple[str, torch.Tensor, str]:
        """Name, values (1, units) and last function of the scores of a pass of zeros. Raises ModelError."""
        found = self._survey[0]
        if isinstance(found, str):
            raise ModelError(f"{self.name}: {found}")
        if self.said.name and self.said.name not in found:
            allowed = [*filter(None, found), *KINDS]
            raise ModelError(f"{self.name}: unknown output {self.said.name!r}; {nearest(self.said.name, allowed)}")
        best = min(found, key=lambda name: PREFERRED.index(found[name][1]) if found[name][1] in PREFERRED else len(PREFERRED))
        name = self.said.name or best
        scores, last = found[name]
        if scores.shape[0] != 1:
            raise ModelError(f"{self.name}: the network gives the shape {tuple(scores.shape)} for one picture; (1, …) is needed")
        return "" if name == next(iter(found)) else name, scores, last

    @cached_property
    def _survey(self) -> tuple[Survey | str, dict[str, tuple[int, ...]]]:
        return self._with_blank(_survey)

    @cached_property
    def _functions(self) -> dict[str, tuple[int, ...]]:
        return self._with_blank(function_shapes)

    def _with_blank(self, look: Callable[[nn.Module, torch.Tensor], T]) -> T:
        """Look at the network in a pass of a picture of zeros. Raises ModelError."""
        shape = self.pipeline.shape
        tensor = next(self.module.parameters(), torch.empty(0))
        try:
            return look(self.module, as_input(self.module, torch.zeros(1, *shape, device=tensor.device)))
        except Exception as error:  # whatever a network raises when its input does not suit it
            size = "x".join(map(str, shape))
            reason = str(error).partition("\n")[0]
            told = f"{self.name}: a picture of {size} does not go through: {type(error).__name__}: {reason}"
            raise ModelError(told) from error


def load(spec: str | Path, *, allow_code: bool = False, output: str | Mapping[str, Any] | None = None) -> Bundle:
    """Load a network with its classes and its input pipeline.

    Args:
        spec: Name of a bundle (the user's own come first, then what ships), its folder, or `package.module:factory`.
        allow_code: Let such a factory run its code, also where a bundle names it as its architecture.
        output: The name of the output that is the answer, where there are several, or its kind, or a dict as in model.yaml.

    Returns:
        The bundle: `.module` (in evaluation mode, on the CPU), `.classes`, and `.prepare(rgb)`, which makes the network's input.

    Raises:
        ModelError: The bundle is unknown, damaged, or not what its card says.

    Example:
        >>> import livecnn
        >>> bundle = livecnn.load("lenet-mnist")
        >>> x = bundle.prepare(np.full((28, 28, 3), 255, np.uint8))  # an image as uint8 (H, W, 3) RGB
        >>> tuple(bundle.module(x).shape), len(bundle.classes)
        ((1, 10), 10)
    """
    name = str(spec)
    known = paths.bundles()
    path = known.get(name) or os.path.expanduser(name)  # os.path takes any text, pathlib raises
    if os.path.isdir(path):
        read = _read(Path(path), allow_code)
        chosen = read if output is None else replace(read, said=_output_card(read, output))
        # The card's classes are those of the output that it means.
        fitting = output is None or len(chosen.output.class_names(None)) == len(chosen.output.class_names(read.classes))
        bundle = _named(chosen, read.classes if fitting else None)
    elif is_factory_spec(name, allow_code):
        bundle = bundle_from_module(_frozen(call_factory(name)), name, output=output)
    else:
        allowed = [*known, "FOLDER", "package.module:factory"]
        if name in catalogue.ENTRIES:
            raise ModelError(f"{name}: not at hand; fetch it with: livecnn models get {name}")
        raise ModelError(f"{name}: neither a model that is at hand nor a bundle's folder; {nearest(name, allowed)}")
    return bundle


def _frozen(module: nn.Module) -> nn.Module:
    for parameter in module.parameters():  # TorchScript has no way to say it of a whole module
        if not is_lazy(parameter):
            parameter.requires_grad_(False)
    return module


def read_card(folder: Path) -> ModelCard:
    """Read a bundle's model.yaml and nothing else. Raises ModelError."""
    return _validated_card(yamlfile.load(folder / CARD, ModelError))


def save(folder: str | Path, module: nn.Module, card: Mapping[str, Any]) -> Path:
    """Write a network and its card as a bundle; an older bundle there is replaced at the very end.

    Args:
        folder: Where the bundle is written; made if it is absent.
        module: The network.
        card: The fields of ModelCard but `weights`.

    Returns:
        The folder.

    Raises:
        ModelError: The card is wrong.
        OutputError: The folder cannot be written.
    """
    folder = Path(folder)
    fields = {**card, "weights": {"file": WEIGHTS, "sha256": "0" * 64}}
    _validated_card(Document(fields, folder / CARD, {}, error=ModelError))

    def write_card(path: Path) -> None:
        fields["weights"]["sha256"] = weights.sha256(path.with_name(_temporary(WEIGHTS)))
        path.write_bytes(yamlfile.dump(fields).encode())

    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace({folder / WEIGHTS: lambda path: weights.write(module, path), folder / CARD: write_card})
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return folder


def architecture(name: str, options: Mapping[str, JsonValue], *, allow_code: bool = False) -> nn.Module:
    """Build a network without its weights: a file name in architectures/ or, with `allow_code`, `package.module:factory`.

    Raises ModelError, TypeError, ValueError or RuntimeError (the options are wrong).
    """
    if is_factory_spec(name, allow_code):
        return call_factory(name, options)
    network: nn.Module = registry.find("networks.architectures", name, ModelError)(**options)
    return network


def _read(folder: Path, allow_code: bool) -> Bundle:
    document = yamlfile.load(folder / CARD, ModelError)
    card = _validated_card(document)
    pipeline = _pipeline(document)
    try:
        network = architecture(card.architecture, card.options, allow_code=allow_code)
    except (ModelError, TypeError, ValueError, RuntimeError) as error:  # the last from PyTorch: a size below 0, or too large
        of_code = FACTORY_SPEC.fullmatch(card.architecture) is not None
        at = "architecture" if of_code or card.architecture not in registry.kinds("networks.architectures") else "options"
        raise report(document, [Problem((at,), first_line(error))]) from error
    path = _weights_path(folder, card.weights)
    weights.load_into(network, weights.read(path), path)
    return Bundle(card.name, network.eval().requires_grad_(False), card.classes, pipeline, card, card.output)


def bundle_from_module(
    module: nn.Module,
    name: str | None = None,
    *,
    classes: Sequence[str] | None = None,
    input: Mapping[str, Any] | Callable[[Image], torch.Tensor] | None = None,
    output: str | Mapping[str, Any] | None = None,
) -> Bundle:
    """Make a bundle of any network, which may have as attributes what a card says: `classes`, `input` and `output`.

    The network is put into evaluation mode.

    Args:
        module: The network, from tensors (1, C, H, W) to scores (1, classes).
        name: By default that of its class.
        classes: Names in the order of the scores; by default the network's attribute, else numbers.
        input: A dict as in model.yaml, or a function from a shot, uint8 (H, W, 3) RGB, to the network's input (1, …); by default
            the network's attribute, else what is usual for so many channels.
        output: What the scores are, see `Output.kind`, or the name of the output that has them, or a dict as in model.yaml; by
            default the network's attribute, else what its functions tell.

    Returns:
        The bundle, without a card.

    Raises:
        ModelError: The input is unknown, or the network does not give a score for each class.
    """
    module = getattr(module, "_orig_mod", module)  # torch.compile's has no layers that could be watched
    name = name or type(module).__name__
    pipeline = _pipeline_of(name, module, declared(module, "input") if input is None else input)
    known = declared(module, "classes") if classes is None else classes
    if known is not None and (not isinstance(known, Sequence) or isinstance(known, str)):
        raise ModelError(f"{name}: its `classes` are a {type(known).__name__}; a list of names is needed")
    seen = Bundle(name, module.eval(), tuple(map(str, known or ())), pipeline)
    try:
        _ = seen._survey
    except ModelError as error:
        guessed = input is None and declared(module, "input") is None
        raise ModelError(f"{error}; its input was guessed: {INPUT_HINT}" if guessed else str(error)) from error
    said = _output_card(seen, declared(module, "output") if output is None else output)
    chosen = replace(seen, said=said)
    vars(chosen).update(_survey=seen._survey)  # one pass is enough
    return _named(chosen, None if known is None else seen.classes)


def _output_card(bundle: Bundle, said: Any) -> OutputCard:
    """Check what is said of a network's output; a word alone is the name of an output or, if there is none, a kind."""
    if said is None or callable(said):  # a method may well be called `output`
        return TOLD
    name = bundle.name
    if isinstance(said, str):
        said = {"kind" if said in KINDS and said not in bundle._survey[0] else "name": said}
    fields = said
    if not isinstance(fields, Mapping):
        allowed = f"{', '.join(KINDS)}, or a dict as in model.yaml"
        raise ModelError(f"{name}: its `output` is a {type(said).__name__}; allowed: {allowed}")
    document = Document({"output": dict(fields)}, Path(name), {}, error=ModelError)
    try:
        return OutputCard.model_validate(fields)
    except ValidationError as error:
        raise report(document, explain(error, OutputCard, fields, ("output",))) from error


def _pipeline_of(name: str, module: nn.Module, chosen: Any) -> inputs.Pipeline:
    if chosen is None:
        chosen = default_input_spec(name, module)
    if callable(chosen):
        return FunctionPipeline.of(chosen)
    if not isinstance(chosen, Mapping):
        raise ModelError(f"{name}: its `input` is a {type(chosen).__name__}; a dict is needed, as in model.yaml, or a function")
    return _pipeline(Document({"input": dict(chosen)}, Path(name), {}, error=ModelError))


def declared(network: nn.Module, name: str) -> Any:
    """Return what a network says of itself in an attribute; None if there is none, or a layer of that name."""
    value = getattr(network, name, None)
    return None if isinstance(value, nn.Module) else value


def default_input_spec(name: str, network: nn.Module) -> dict[str, Any]:
    """Return the fields of `input` that networks for photographs, or for MNIST, have; by channels. Raises ModelError."""
    first = next((layer for layer in network.modules() if isinstance(layer, nn.Conv2d)), None)
    channels = first.in_channels if first else 0
    if first is None:
        raise ModelError(f"{name}: it has no convolution, so its input is unknown; {INPUT_HINT}")
    return _USUAL_INPUT.get(channels, {"kind": "plain", "size": [224, 224], "channels": channels})


def _validated_card(document: Document) -> ModelCard:
    try:
        return ModelCard.model_validate_json(json.dumps(document.data), strict=True)
    except ValidationError as error:
        raise report(document, explain(error, ModelCard, document.data)) from error


def _pipeline(document: Document) -> inputs.Pipeline:
    """Make the pipeline of a document's `input`."""
    fields = document.data["input"]
    try:
        return inputs.make(fields)
    except ModelError as error:
        problems = [Problem(("input", "kind"), str(error))]
        raise report(document, problems) from error
    except ValidationError as error:
        pipeline = registry.find("networks.pipelines", fields.get("kind", "plain"), ModelError)
        raise report(document, explain(error, pipeline, fields, ("input",))) from error


def _weights_path(folder: Path, card: Weights) -> Path:
    """Path of the weights, once it is sure that they lie inside the bundle and are those that the card means."""
    path = folder / card.file
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ModelError(f"{path}: a link that leads out of the bundle's folder; the file itself is needed")
    try:
        found = weights.sha256(path)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error
    if found != card.sha256:
        if left := stand_in(path):
            raise ModelError(f"{path}: {left}")
        raise ModelError(f"{path}: damaged or changed: its sha256 is {found}, {CARD} says {card.sha256}")
    return path


def _survey(module: nn.Module, x: torch.Tensor) -> tuple[Survey | str, dict[str, tuple[int, ...]]]:
    """Run one pass: all that has the shape of scores, or why there is nothing, and the shapes of all layers."""
    noted = x.clone().requires_grad_().clone()
    tensors = dict(chain(module.named_parameters(), module.named_buffers()))
    try:
        with torch.inference_mode(False), torch.enable_grad():  # so autograd notes the functions
            normal = {name: tensor.clone() for name, tensor in tensors.items() if not is_lazy(tensor) and tensor.is_inference()}
            output, shapes = run_and_shapes(
                module, noted, lambda x: functional_call(module, normal, (x,)) if normal else module(x)
            )
    except RuntimeError:  # where autograd is of no use, as with quantized weights
        output, shapes = run_and_shapes(module, x)
    try:
        found = score_tensors(output) or {name: tensor for name, tensor in parts(output, torch.Tensor).items() if tensor.ndim > 1}
        found = found or {"": find_scores(output)}
    except ModelError as error:
        return str(error), shapes
    return {name: (scores.detach(), last_function(scores)) for name, scores in found.items()}, shapes


def _named(seen: Bundle, names: tuple[str, ...] | None) -> Bundle:
    """Return a bundle with a name for each class. Raises ModelError if the names are fewer or more."""
    output = seen.output
    classes = output.class_names(names)
    if len(classes) != len(output.class_names(None)):
        found, count = f"(1, {output.units})", len(classes)
        raise ModelError(f"{seen.name}: the network gives scores of shape {found}; (1, {count}) is needed for {count} classes")
    bundle = replace(seen, classes=classes)
    vars(bundle).update(_survey=seen._survey)  # one pass is enough
    return bundle


def _replace(writers: Mapping[Path, Callable[[Path], None]]) -> None:
    """Write files in full before any takes its place, the last one last: no reader meets half a file."""
    with ExitStack() as cleanup:
        for path, write in writers.items():
            temporary = path.with_name(_temporary(path.name))
            cleanup.callback(temporary.unlink, missing_ok=True)
            write(temporary)
        for path in writers:
            os.replace(path.with_name(_temporary(path.name)), path)


def _temporary(name: str) -> str:
    return f".{name}.{os.getpid()}"


def is_factory_spec(spec: str, allow_code: bool) -> bool:
    """Return whether a text is `package.module:factory`. Raises ModelError if it is, and running code is not allowed."""
    if FACTORY_SPEC.fullmatch(spec) is None:
        return False
    if not allow_code:
        raise ModelError(f"{spec}: this would run Python code of yours or of others; allowed with --allow-code, if you trust it")
    return True


def call_factory(spec: str, options: Mapping[str, Any] = MappingProxyType({})) -> nn.Module:
    """Call the factory with these arguments. The path of the code is printed first, to the standard error output.

    The current folder is searched last, as `python -m` searches it first. Raises ModelError: no such module or factory, the code
    fails, or it returns something else than an nn.Module.
    """
    match = FACTORY_SPEC.fullmatch(spec)
    if match is None:
        raise ModelError(f"{spec}: allowed: package.module:factory")
    module_name, factory_name = match.groups()
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    print(f"livecnn: --allow-code: running {_origin(module_name)}", file=sys.stderr, flush=True)
    try:
        code = importlib.import_module(module_name)
        factory = getattr(code, factory_name, None)
        if not callable(factory):
            names = [name for name, value in vars(code).items() if callable(value) and not name.startswith("_")]
            raise ModelError(f"{spec}: {module_name} has no function {factory_name!r}; {nearest(factory_name, names)}")
        network = factory(**options)
    except LivecnnError:
        raise
    except Exception as error:
        raise ModelError(f"{spec}: the code failed: {type(error).__name__}: {error}") from error
    if not isinstance(network, nn.Module):
        raise ModelError(f"{spec}: returned a {type(network).__name__}; a torch.nn.Module is needed")
    return network


def _origin(module_name: str) -> str:
    """Path of a module's file, found without importing the packages around it (which would run their code)."""
    first, *rest = module_name.split(".")
    try:
        found = importlib.util.find_spec(first)
    except ValueError:  # a module made by hand, such as __main__
        found = None
    for depth, _ in enumerate(rest, 2):
        places = found.submodule_search_locations if found else None
        found = importlib.machinery.PathFinder.find_spec(".".join([first, *rest][:depth]), places) if places else None
    if found is None or found.origin is None:
        raise ModelError(f"no module {module_name!r}; searched: {', '.join(filter(None, sys.path))}")
    return found.origin


def check_picture(height: int, width: int) -> Image:
    """uint8 (height, width, 3) RGB: a dark square frame on bright paper of changing colour. Drawn with integers: no rounding."""
    y, x = np.ogrid[:height, :width]
    side = min(height, width)
    distance = np.maximum(abs(2 * y + 1 - height), abs(2 * x + 1 - width))  # from the centre, in half pixels
    paper = np.zeros((height, width, 3), np.uint8)
    paper[..., 0], paper[..., 1], paper[..., 2] = 200 + 40 * x // width, 210, 240 - 60 * y // height
    paper[(side * 9 // 20 < distance) & (distance < side * 12 // 20)] = (40, 30, 60)
    return paper


def record_check(bundle: Bundle) -> dict[str, Any]:
    """`check` of a card: the picture's size, and what the network gives for it. Raises ModelError if that is no number."""
    height, width = bundle.pipeline.shape[-2:]
    times = -(-LEAST_SIDE // min(height, width))  # a whole number, so that nothing is interpolated on the way in
    size = (times * height, times * width)
    scores = _scores(bundle, size)
    if not np.isfinite(scores).all():
        raise ModelError(f"{bundle.name}: the network gives {scores.tolist()[:8]} for a picture; numbers are needed")
    return {"sample": list(size), "scores": [float(f"{score:.7g}") for score in scores]}


def describe_difference(bundle: Bundle) -> str:
    """Describe what differs from the card's `check`; "" if all is as it was. Raises ModelError if the card has none."""
    known = bundle.card.check if bundle.card else None
    if known is None:
        raise ModelError(f"{bundle.name}: its model.yaml holds no `check` to compare with")
    expected, found = np.array(known.scores), _scores(bundle, known.sample)
    if found.shape != expected.shape:
        return f"{len(found)} scores, {len(expected)} expected"
    away = np.abs(found - expected)
    if (away <= TOLERANCE * max(1.0, float(np.abs(expected).max(initial=0)))).all():
        return ""
    at = int(away.argmax())  # a NaN counts as the largest
    return f"the score of {bundle.classes[at]!r} is {found[at]:.6g}, expected {expected[at]:.6g}"


def _scores(bundle: Bundle, size: tuple[int, int]) -> np.ndarray[Any, np.dtype[np.float64]]:
    with torch.inference_mode():
        given = bundle.module(as_input(bundle.module, bundle.prepare(check_picture(*size))))
        scores = find_scores(given, bundle.output.name)
    if scores.ndim > 2:
        scores = scores.flatten(2).mean(2)
    return scores[0].double().cpu().numpy()
