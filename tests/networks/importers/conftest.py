import warnings
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def digits_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Keras model of digits. Keras is imported only where it is wanted."""
    from tests.helpers.keras_models import digits, saved

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Keras' own, of NumPy
        return saved(digits(), tmp_path_factory.mktemp("keras") / "m.keras")


@pytest.fixture
def file(digits_file: Path, tmp_path: Path) -> Path:
    """The same, to be spoilt."""
    path = tmp_path / "m.keras"
    path.write_bytes(digits_file.read_bytes())
    return path
