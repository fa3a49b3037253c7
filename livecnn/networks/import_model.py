"""New bundles among the user's own models: from files that other programs wrote, or a network of the catalogue."""

import inspect
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from livecnn import paths, registry
from livecnn.errors import ModelError, SourceError, UsageError, first_line
from livecnn.io.download import check, fetch
from livecnn.io.files import stand_in, write_error
from livecnn.networks import bundle as bundles
from livecnn.networks import catalogue
from livecnn.networks.bundle import Bundle
from livecnn.networks.catalogue import CatalogueEntry, ModelFile
from livecnn.networks.importers import Imported
from livecnn.networks.pipelines.plain import PlainPipeline
from livecnn.types import Precision

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
LABELS_BYTES = 1 << 20

# What other formats are brought to ONNX with.
CONVERTERS = {
    ".tflite": "python -m tf2onnx.convert --tflite FILE --output net.onnx",
    ".pb": "python -m tf2onnx.convert --graphdef FILE --inputs … --outputs … --output net.onnx",
    "saved_model": "python -m tf2onnx.convert --saved-model FOLDER --output net.onnx",
    ".mlmodel": "onnxmltools.convert_coreml(coremltools.utils.load_spec(FILE))",
    ".mlpackage": "the framework that it came from has an export to ONNX; Core ML's newer format has none",
}

LABELS = "labels.txt"  # as Teachable Machine exports it beside the model

# Before a class name: its number, or WordNet's; a number without a comma or colon only if every line begins with its own.
_NUMBER = re.compile(r"(?:\d+\s*[,:]\s*|n\d{8}\s+)(?=\S)")
_INDEX = re.compile(r"(\d+)[.\s]\s*(?=\S)")


@dataclass(frozen=True)
class ModelDescription:
    """The description of a network beyond what its files say.

    input, output: fields, as in model.yaml, that are put over those which the files tell, or which are usual for such a network.
    classes: names in the order of the scores; None: those that the files tell, or else numbers. precision: see ModelCard.
    """

    input: Mapping[str, Any] = field(default_factory=dict)
    classes: Sequence[str] | None = None
    licence: str = "unknown"
    source: str = ""
    accuracy: Mapping[str, float] = field(default_factory=dict)
    precision: Precision = "float32"
    output: Mapping[str, Any] = field(default_factory=dict)


def import_model(
    files: Sequence[Path],
    name: str,
    about: ModelDescription | None = None,
    *,
    architecture: str | None = None,
    options: Mapping[str, Any] | None = None,
    allow_code: bool = False,
    force: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Path:
    """Read files with the importer for their suffixes and write the bundle `name`; returns its folder.

    architecture, options: for files that hold weights alone, see ModelCard; or, with `allow_code`, `package.module:factory`.
    force: replace a model of that name. tell: gets what its owner should know, line by line. The network is run once before it
    is written, and once as it was written. Raises UsageError, ModelError, OutputError.
    """
    folder = new_bundle_folder(name, force)
    new = folder.with_name(f".{name}.new.{os.getpid()}")
    chosen = {"architecture": architecture, "options": options, "allow_code": allow_code}
    try:
        imported = _read(files, chosen)
        for note in imported.notes:
            tell(note)
        about = about or ModelDescription()
        beside = files[0].with_name(LABELS)
        if about.classes is None and not imported.classes and beside.is_file():
            about = replace(about, classes=read_labels(beside))
            tell(f"its classes are those in {beside}; others: --classes")
        _write(new, imported, name, about, ", ".join(file.name for file in files), tell)
        del imported  # reading it back takes as much memory again
        found = bundles.describe_difference(bundles.load(new, allow_code=allow_code))
        if found:
            raise ModelError(f"{name}: read back from its bundle the network is another one: {found}")
        _put(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return folder


def new_bundle_folder(name: str, force: bool = False) -> Path:
    """Return the folder of a new bundle. Raises UsageError for a name that will not do, or is taken unless `force`."""
    if not NAME.fullmatch(name):
        raise UsageError(f"found the name {name!r}; allowed: up to 64 letters, digits, - and _, a letter or digit first")
    folder = paths.user_models() / name
    if folder.exists() and not (folder / bundles.CARD).is_file():
        raise UsageError(f"{folder}: there is something else than a model; allowed: another name")
    taken = folder if folder.exists() else paths.bundles().get(name)
    if taken is not None and not force:
        raise UsageError(f"{name}: there is a model of that name already, in {taken}; allowed: another name, or --force")
    return folder


def read_labels(path: Path) -> list[str]:
    """Read class names from a text file, one a line, or from JSON; numbers before the names are left out.

    Args:
        path: Lines such as "dog", "0 dog", "1. dog" or "n02084071 dog"; or JSON: a list of names, {"dog": 0, …} as Keras'
            class_indices, or {"0": ["n02084071", "dog"], …} as ImageNet's index.

    Returns:
        The names in the order of the scores.

    Raises:
        UsageError: The file cannot be read, or holds no such names.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LABELS_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 text; a file with a class name a line is needed") from error
    if len(content) > LABELS_BYTES:
        raise UsageError(f"{path}: found more than {LABELS_BYTES} bytes; a file with a class name a line is needed")
    if path.suffix.lower() == ".json":
        return _json_labels(path, text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    numbers = [int(match[1]) if (match := _INDEX.match(line)) else None for line in lines]
    if lines and numbers in ([*range(len(lines))], [*range(1, len(lines) + 1)]):
        return [_INDEX.sub("", line, count=1) for line in lines]
    return [_NUMBER.sub("", line, count=1) for line in lines]


def _json_labels(path: Path, text: str) -> list[str]:
    try:
        found = json.loads(text)
        if isinstance(found, dict):
            by_name = all(type(index) is int for index in found.values())
            pairs = [(index, name) if by_name else (int(name), index) for name, index in found.items()]
            pairs.sort(key=lambda pair: pair[0])
            if [index for index, _ in pairs] != [*range(len(pairs))]:
                raise ValueError("its numbers do not count from 0")
            found = [name[-1] if isinstance(name, list) and name else name for _, name in pairs]
        if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
            raise ValueError("it holds something else than names")
    except (ValueError, RecursionError) as error:  # what is no JSON among them
        allowed = '["dog", "cat"], {"dog": 0, "cat": 1} or {"0": ["n02084071", "dog"], …}'
        raise UsageError(f"{path}: {first_line(error)}; allowed: {allowed}") from error
    return found


def fetch_model(name: str, given: Sequence[Path] = (), *, force: bool = False) -> Path:
    """Make the bundle `name`; returns its folder. No code of a downloaded file is ever run.

    given: files that need no download, by their suffixes; what lies beside them under its published name is taken, too. They
    are checked as downloads are. force: replace a model of that name. Raises LivecnnError.
    """
    entry = catalogue.find(name)
    new_bundle_folder(name, force)
    suffixes = sorted({file.suffix for file in entry.files})
    stranger = next((path for path in given if path.suffix.lower() not in suffixes), None)
    if stranger is not None:
        raise UsageError(f"{stranger}: found a file that ends in {stranger.suffix!r}; {name} is made of {', '.join(suffixes)}")
    folder = paths.user_models() / ".downloads"
    files = [_at_hand(file, given) or _downloaded(file, folder, name) for file in entry.files]
    bundle = _install(entry, files, name, force)
    for file in entry.files:
        (folder / file.name).unlink(missing_ok=True)
    return bundle


def _read(files: Sequence[Path], chosen: Mapping[str, Any]) -> Imported:
    for file in files:
        converter = CONVERTERS.get("saved_model" if (file / "saved_model.pb").exists() else file.suffix.lower())
        if converter:
            raise UsageError(f"{file}: convert it to ONNX first, which can be imported: {converter}")
    missing = next((file for file in files if not file.is_file()), None)
    if missing is not None:
        raise UsageError(f"{missing}: no such file")
    for file in files:
        if found := stand_in(file):
            raise UsageError(f"{file}: {found}")
    suffixes = {file.suffix.lower() for file in files}
    known = {kind: registry.find("networks.importers", kind, ModelError) for kind in registry.kinds("networks.importers")}
    importer = next((found for found in known.values() if suffixes <= set(found.suffixes)), None)
    if importer is None:
        allowed = "; ".join(f"{', '.join(found.suffixes)} ({kind})" for kind, found in known.items())
        raise UsageError(f"{files[0]}: found files that end in {', '.join(sorted(suffixes))}; allowed together: {allowed}")
    taken = inspect.signature(importer.__call__).parameters
    refused = next((word for word, value in chosen.items() if value and word not in taken and word != "allow_code"), None)
    if refused:
        raise UsageError(f"{files[0]}: found --{refused.rstrip('s')}; what such files hold tells it")
    result: Imported = importer()(files, **{word: value for word, value in chosen.items() if value and word in taken})
    return result


def _described(imported: Imported, name: str, about: ModelDescription) -> tuple[Bundle, dict[str, Any]]:
    """Try the network with its input and classes; return it and the input's fields."""
    told = dict(imported.input or {})
    if not told and not {"size", "channels"} <= about.input.keys():
        told = bundles.default_input_spec(name, imported.module)
    if about.input.get("kind", told.get("kind")) != told.get("kind"):
        told = {}  # the fields of one pipeline mean nothing to another
    fields = {**told, **about.input}
    classes = imported.classes or None if about.classes is None else about.classes
    bundle = bundles.bundle_from_module(imported.module, name, classes=classes, input=fields, output=about.output)
    return bundle, fields


def _write(folder: Path, imported: Imported, name: str, about: ModelDescription, files: str, tell: Callable[[str], None]) -> None:
    """Write the bundle; nothing of the network stays in memory."""
    bundle, fields = _described(imported, name, about)
    if bundle.assumption:
        tell(bundle.assumption)
    if bundle.pipeline.shape == (1, 28, 28) and len(bundle.classes) == 10 and isinstance(bundle.pipeline, PlainPipeline):
        # The ink pipeline's values are always 0..1 before mean and deviation.
        mean, std = (f"{values[0] / bundle.pipeline.scale:.5g}" for values in (bundle.pipeline.mean, bundle.pipeline.std))
        tell(f"if it was trained on MNIST, it reads pen on paper with: --input kind=ink --input mean={mean} --input std={std}")
    card = {
        "name": name,
        "architecture": imported.architecture,
        "options": dict(imported.options),
        "input": fields,
        "output": {"kind": bundle.output.kind, **({"name": bundle.output.name} if bundle.output.name else {})},
        "classes": list(bundle.classes),
        "licence": about.licence,
        "source": about.source or files,
        "accuracy": dict(about.accuracy),
        "precision": about.precision,
        "check": bundles.record_check(bundle),
    }
    bundles.save(folder, bundle.module, card)


def _put(new: Path, folder: Path) -> None:
    """In place of an older bundle, which stays if that fails."""
    old = folder.with_name(f".{folder.name}.old.{os.getpid()}")
    try:
        if folder.exists():
            os.replace(folder, old)
        os.replace(new, folder)
    except OSError as error:
        if old.exists():
            os.replace(old, folder)
        raise write_error(folder, error) from error
    shutil.rmtree(old, ignore_errors=True)


def _at_hand(file: ModelFile, given: Sequence[Path]) -> Path | None:
    """Find the file among those given or beside them. Raises UsageError if it is damaged or another one."""
    own = [path for path in given if path.suffix.lower() == file.suffix]
    beside = [path.with_name(file.name) for path in given if path.with_name(file.name).is_file()]
    for path in own or beside:
        try:
            check(path, file.sha256)
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
        return path
    return None


def _downloaded(file: ModelFile, folder: Path, name: str) -> Path:
    path = folder / file.name
    if path.exists():  # an import that failed, or was stopped, after the download
        return path
    try:
        return fetch(file.url, path, sha256=file.sha256, most=file.most)
    except SourceError as error:
        hint = f"if you have {file.name} from elsewhere: livecnn models get {name} --from {file.name}"
        raise SourceError(f"{error}; {hint}") from error


def _install(entry: CatalogueEntry, files: Sequence[Path], name: str, force: bool) -> Path:
    labels = next((path for path in files if path.suffix.lower() == ".txt"), None)
    classes = entry.classes if labels is None else read_labels(labels)
    about = ModelDescription(entry.input, classes, entry.licence, entry.source, entry.accuracy, entry.precision)
    with tempfile.TemporaryDirectory() as scratch:
        own = [Path(scratch, written) for written in entry.written]
        for path in own:
            path.write_text(entry.written[path.name]())
        weights = [path for path in files if path != labels]
        return import_model([*own, *weights], name, about, architecture=entry.architecture, options=entry.options, force=force)
