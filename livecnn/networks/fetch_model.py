"""A network of the catalogue: fetched, or taken from files at hand, checked, and put among the user's own models."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from livecnn import paths
from livecnn.errors import SourceError, UsageError
from livecnn.io.download import check, fetch
from livecnn.networks import catalogue
from livecnn.networks import import_model as importing
from livecnn.networks.catalogue import CatalogueEntry, ModelFile


def get(name: str, given: Sequence[Path] = (), *, force: bool = False) -> Path:
    """Make the bundle `name`; returns its folder. No code of a downloaded file is ever run.

    given: files that need no download, by their suffixes; what lies beside them under its published name is taken, too. They
    are checked as downloads are. force: replace a model of that name. Raises LivecnnError.
    """
    entry = catalogue.find(name)
    importing.new_bundle_folder(name, force)
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


def _at_hand(file: ModelFile, given: Sequence[Path]) -> Path | None:
    """The file among those given or beside them. Raises UsageError if it is damaged or another one."""
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
    classes = entry.classes if labels is None else importing.read_labels(labels)
    about = importing.ModelDescription(entry.input, classes, entry.licence, entry.source, entry.accuracy, entry.precision)
    with tempfile.TemporaryDirectory() as scratch:
        own = [Path(scratch, written) for written in entry.written]
        for path in own:
            path.write_text(entry.written[path.name]())
        weights = [path for path in files if path != labels]
        return importing.import_model(
            [*own, *weights], name, about, architecture=entry.architecture, options=entry.options, force=force
        )
