import pytest

import livecnn
from livecnn.errors import UsageError
from livecnn.networks.selectors import check_positive_int, class_index, resolve_classes, resolve_layers, resolve_units


def test_a_class_by_number_or_name() -> None:
    assert [class_index(wanted, ["cat", "dog"]) for wanted in (1, "cat")] == [1, 0]
    assert class_index(30, ["20", "30"]) == 1  # no such number, but a name


@pytest.mark.parametrize(
    ("wanted", "message"),
    [(2, "no class 2; allowed: 0-1, or allowed: cat, dog"), ("dogs", "no class 'dogs'; allowed: 0-1, or did you mean 'dog'?")],
)
def test_no_such_class(wanted: int | str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        class_index(wanted, ["cat", "dog"])


def test_other_words_are_allowed_in_place_of_a_class() -> None:
    with pytest.raises(ValueError, match="did you mean 'expected'"):
        class_index("expecte", ["cat", "dog"], "expected")


def test_units_and_classes_of_a_network() -> None:
    bundle = livecnn.load("lenet-mnist")
    assert resolve_units(bundle, "conv1", "all") == tuple(range(20))
    assert resolve_units(bundle, "conv1", "3,0-1") == (3, 0, 1)
    assert resolve_classes(bundle, "7, 3") == (7, 3)
    assert resolve_classes(bundle, "all") == tuple(range(10))
    with pytest.raises(UsageError, match="unknown class 'seven'"):
        resolve_classes(bundle, "seven")


def test_names_and_numbers() -> None:
    assert resolve_layers("layers", ["a", "b", "a"]) == ("a", "b")
    with pytest.raises(UsageError, match="layers: found 5; allowed: a name or a list of names"):
        resolve_layers("layers", 5)  # type: ignore[arg-type]
    check_positive_int("k", None, 1)
    with pytest.raises(UsageError, match="k: found 0; allowed: 1 to 9"):
        check_positive_int("k", 0, 1, 9)
