"""Every public name says what it is for; those of `livecnn` also what they take and give, with an example that runs."""

import doctest
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import tqdm

import livecnn

SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Yields|Example|Examples|Note|Source):$")
PUBLIC = [name for name in livecnn.__all__ if not name.startswith("__")]


def modules() -> Iterator[ModuleType]:
    yield livecnn
    for found in pkgutil.walk_packages(livecnn.__path__, "livecnn."):
        if found.name != "livecnn.__main__":
            try:
                yield importlib.import_module(found.name)
            except ImportError as error:  # what an extra brings
                if (error.name or "").startswith("livecnn"):
                    raise


def members(owner: ModuleType | type) -> Iterator[tuple[str, Any]]:
    """The public functions and classes that are defined there; of a class also its properties."""
    module = owner.__name__ if inspect.ismodule(owner) else owner.__module__
    for name, value in vars(owner).items():
        found = getattr(value, "__func__", getattr(value, "func", value))
        described = inspect.isfunction(found) or inspect.isclass(found) or isinstance(found, property)
        default = getattr(found, "__name__", name) == "<lambda>"  # of a dataclass's field
        if described and not default and not name.startswith("_") and getattr(found, "__module__", module) == module:
            yield name, value


def described(owner: ModuleType | type, name: str) -> bool:
    """Whether a member has a docstring, its own or one that it inherits."""
    return bool(inspect.getdoc(getattr(owner, name)))


def undescribed(module: ModuleType) -> Iterator[str]:
    if not inspect.getdoc(module):
        yield module.__name__
    for name, value in members(module):
        if not described(module, name):
            yield f"{module.__name__}.{name}"
        if inspect.isclass(value):
            inner = (inner for inner, _ in members(value) if not described(value, inner))
            yield from (f"{module.__name__}.{name}.{each}" for each in inner)


def test_everything_public_has_a_docstring() -> None:
    found = [name for module in modules() for name in undescribed(module)]
    assert not found, "\n".join(found)


def sections(text: str) -> dict[str, str]:
    """The sections of a docstring in Google's style by name; "" is what comes before them."""
    found: dict[str, list[str]] = {"": []}
    name = ""
    for line in text.splitlines():
        heading = SECTION.match(line)
        name = heading[1] if heading else name
        found.setdefault(name, []) if heading else found[name].append(line)
    return {key: inspect.cleandoc("\n".join(lines)) for key, lines in found.items()}


def callables() -> Iterator[tuple[str, Callable[..., Any]]]:
    """The public functions, and the classes with their public methods."""
    for name in PUBLIC:
        value = getattr(livecnn, name)
        yield name, value
        if inspect.isclass(value) and not issubclass(value, Exception):
            yield from ((f"{name}.{inner}", getattr(value, inner)) for inner, _ in members(value))


CALLABLES = dict(callables())


@pytest.mark.parametrize("name", CALLABLES)
def test_a_public_name_tells_what_it_takes_and_gives(name: str) -> None:
    value = CALLABLES[name]
    told = sections(inspect.getdoc(value) or "")
    if inspect.isclass(value) and issubclass(value, Exception):
        assert told[""]
        return
    signature = inspect.signature(value)
    listed = told.get("Args", "") + "\n" + told.get("Attributes", "")
    described = {*re.findall(r"^\**(\w+)(?: \([^)]*\))?:", listed, re.MULTILINE)}
    assert {*signature.parameters} - {"self", "cls"} - described == set()
    if inspect.isfunction(value) and signature.return_annotation not in (None, "None"):
        assert told.get("Returns")
    assert ">>>" in told.get("Example", "")


@pytest.mark.parametrize("name", PUBLIC)
def test_an_example_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty folder, with the names of the module where it stands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    lines: list[str] = []
    for examples in doctest.DocTestFinder().find(getattr(livecnn, name), name):
        runner.run(examples, out=lines.append)
    assert runner.failures == 0, "".join(lines)
