"""Networks that other programs saved. A new format is one new file here: its class says which files it reads, and reads them."""

from __future__ import annotations

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
    """What an importer found; with a name, it is a bundle's content.

    module: the network with its weights, in evaluation mode.  architecture, options: a file name in architectures/ and the
    arguments that make the same network again, without its weights.  input: as in model.yaml, or None if the files do not tell.
    classes: names in the order of the scores, () if the files do not tell.  notes: what its owner should be told, a line each.
    """

    module: nn.Module
    architecture: str
    options: Mapping[str, JsonValue] = field(default_factory=dict)
    input: Mapping[str, Any] | None = None
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Importer(ABC):
    """suffixes: of the files that it reads; those that no other importer claims."""

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
        """Raises ModelError, naming the file, and what in it is wrong or not supported.

        architecture, options: for files that hold weights alone; a file name in architectures/ and its arguments or, with
        `allow_code`, `package.module:factory` and its arguments.
        """


def single(files: Sequence[Path]) -> Path:
    """The one file. Raises ModelError."""
    if len(files) != 1:
        raise ModelError(f"found {len(files)} files ({', '.join(map(str, files))}); allowed: 1")
    return files[0]
