"""Networks from the user's own code, `package.module:factory`. This runs that code, so the user has to allow it first."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from livecnn.errors import LivecnnError, ModelError, nearest

if TYPE_CHECKING:
    from torch import nn

SPEC = re.compile(r"((?:[^\W\d]\w*\.)*[^\W\d]\w*):([^\W\d]\w*)")


def is_factory_spec(spec: str, allow_code: bool) -> bool:
    """Whether that is `package.module:factory`. Raises ModelError if it is, and running code is not allowed."""
    if SPEC.fullmatch(spec) is None:
        return False
    if not allow_code:
        raise ModelError(f"{spec}: this would run Python code of yours or of others; allowed with --allow-code, if you trust it")
    return True


def build(spec: str, options: Mapping[str, Any] = MappingProxyType({})) -> nn.Module:
    """Call the factory with these arguments. The path of the code is printed first, to the standard error output.

    The current folder is searched last, as `python -m` searches it first. Raises ModelError: no such module or factory, the code
    fails, or it returns something else than an nn.Module.
    """
    match = SPEC.fullmatch(spec)
    if match is None:
        raise ModelError(f"{spec}: allowed: package.module:factory")
    module_name, factory_name = match.groups()
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    origin = _origin(module_name)
    print(f"livecnn: --allow-code: running {origin}", file=sys.stderr, flush=True)
    return _call(module_name, factory_name, spec, options)


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


def _call(module_name: str, factory_name: str, spec: str, options: Mapping[str, Any]) -> nn.Module:
    from torch import nn

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
