"""Importers of networks that other programs saved, one file for each format. A new format is one new file here.

The class says which files it reads: `livecnn/networks/importers/caffe.py` holds CaffeImporter.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from pydantic import JsonValue
from torch import nn

from livecnn.errors import ModelError


@dataclass(frozen=True, eq=False)
class Imported:
    """The network that an importer found in files: with a name it makes a bundle.

    Attributes:
        module: The network with its weights, in evaluation mode.
        architecture: A file name in `architectures/`.
        options: Arguments of the architecture that make the same network again, without its weights.
        input: The input pipeline as in model.yaml, or None if the files do not say.
        classes: Names in the order of the scores, () if the files do not say.
        notes: What the user should know, one line each.
    """

    module: nn.Module
    architecture: str
    options: Mapping[str, JsonValue] = field(default_factory=dict)
    input: Mapping[str, Any] | None = None
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Importer(ABC):
    """The contract of a file format: which files it has, and how a network is read from them without running their code.

    Attributes:
        suffixes: Endings of the files that it reads, in small letters; no other importer may have them.

    Example:
        >>> import torch
        >>> class RawImporter(Importer):
        ...     suffixes = (".raw",)
        ...
        ...     def __call__(self, files, **_):
        ...         numbers = torch.frombuffer(bytearray(read_start(only_file(files), 32)), dtype=torch.float32)
        ...         module = nn.Linear(4, 2, bias=False)
        ...         module.load_state_dict({"weight": numbers.view(2, 4)})
        ...         return Imported(module.eval(), "linear", {"inputs": 4, "outputs": 2})
    """

    suffixes: ClassVar[tuple[str, ...]]

    @abstractmethod
    def __call__(
        self,
        files: Sequence[Path],
        *,
        architecture: str | None = None,
        options: Mapping[str, JsonValue] = MappingProxyType({}),
        allow_code: bool = False,
    ) -> Imported:
        """Read the network from its files.

        A format whose files say all leaves the keyword arguments out and takes `**_` instead.

        Args:
            files: One or more that exist, all with one of the suffixes.
            architecture: For files that hold weights alone, a file name in `architectures/` or, with `allow_code`,
                `package.module:factory`.
            options: Arguments of the architecture.
            allow_code: Whether Python code of the user may run.

        Raises:
            ModelError: If the files make no network; names the file, what in it is wrong, and what is supported.
        """


def only_file(files: Sequence[Path]) -> Path:
    """Return the one file. Raises ModelError if there are several."""
    if len(files) != 1:
        raise ModelError(f"found {len(files)} files ({', '.join(map(str, files))}); allowed: 1")
    return files[0]


def read_start(path: Path, size: int) -> bytes:
    """Return the first `size` bytes of a file, or all if it is shorter. Raises ModelError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error
