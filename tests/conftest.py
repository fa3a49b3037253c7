from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data by others, kept outside the project: `../shared/data`, or $LIVECNN_SHARED/data."""
    data = Path(os.environ.get("LIVECNN_SHARED", ROOT.parent / "shared")) / "data"
    if not data.is_dir():
        pytest.skip(f"real test data is absent: {data} (set LIVECNN_SHARED)")
    return data
