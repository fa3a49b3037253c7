import inspect

from livecnn import errors
from livecnn.errors import LivecnnError, nearest


def test_every_error_is_one_of_livecnn() -> None:
    classes = [cls for cls in vars(errors).values() if inspect.isclass(cls) and issubclass(cls, Exception)]
    assert all(issubclass(cls, LivecnnError) for cls in classes)


def test_nearest_comes_first() -> None:
    assert nearest("conv3", ["conv1", "pool1"]) == "did you mean 'conv1'? allowed: conv1, pool1"
    assert nearest("xyz", ["conv1", "pool1"]) == "allowed: conv1, pool1"
    assert nearest("7", range(3)) == "allowed: 0, 1, 2"


def test_long_lists_are_cut() -> None:
    names = [f"layer{i}" for i in range(30)]
    assert nearest("layer29", names, most=3) == "did you mean 'layer29'? allowed: layer0, layer1, layer2, … (30 in all)"
