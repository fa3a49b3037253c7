import inspect
import re

import pytest

from livecnn import errors
from livecnn.errors import LivecnnError, nearest

CLASSES = {name: cls for name, cls in vars(errors).items() if inspect.isclass(cls) and issubclass(cls, Exception)}


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"(?:├──|└──) (\w+)", errors.__doc__ or "")
    assert sorted(drawn) == sorted(set(CLASSES) - {"LivecnnError"})


@pytest.mark.parametrize("name", CLASSES)
def test_everything_is_a_livecnn_error_and_says_what_it_is_for(name: str) -> None:
    assert issubclass(CLASSES[name], LivecnnError)
    assert inspect.getdoc(CLASSES[name])


def test_nearest_comes_first() -> None:
    assert nearest("conv3", ["conv1", "pool1"]) == "did you mean 'conv1'? allowed: conv1, pool1"
    assert nearest("xyz", ["conv1", "pool1"]) == "allowed: conv1, pool1"
    assert nearest("7", range(3)) == "allowed: 0, 1, 2"


def test_long_lists_are_cut() -> None:
    names = [f"layer{i}" for i in range(30)]
    assert nearest("layer29", names, most=3) == "did you mean 'layer29'? allowed: layer0, layer1, layer2, … (30 in all)"
