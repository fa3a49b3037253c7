import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.helpers.paths import ROOT

if TYPE_CHECKING:
    from livecnn.networks.bundle import Bundle

# Before torch is imported, here and in processes of ours: its threads sleep while they wait instead of holding on to a core.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# What the explorer shows must not depend on who runs the tests, and no test may write there.
os.environ["LIVECNN_TOPS"] = os.path.join(os.devnull, "top")
settings.register_profile("untimed", deadline=None)  # how long an example takes tells of the machine
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data by others, kept outside the project: `../shared/data`, or $LIVECNN_SHARED/data."""
    data = Path(os.environ.get("LIVECNN_SHARED", ROOT.parent / "shared")) / "data"
    if not data.is_dir():
        pytest.skip(f"real test data is absent: {data} (set LIVECNN_SHARED)")
    return data


@pytest.fixture(scope="session")
def lenet() -> "Bundle":
    """The shipped network that reads digits."""
    from livecnn.networks.bundle import load  # not at the top: some tests here need no torch

    return load("lenet-mnist")
