import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from livecnn.app.plan import Plan
from livecnn.types import Frame
from tests.helpers.controlled_screen import Controlled, controlled, seven
from tests.helpers.virtual_display import Display, start_display

PROGRAMS = ("Xvfb", "xdotool", "openbox")


@pytest.fixture(scope="session")
def display() -> Iterator[Display]:
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        message = f"windows cannot be tested without {', '.join(missing)}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with ExitStack() as stack:
        yield start_display(stack)


@pytest.fixture
def oracle(tmp_path: Path) -> Iterator[Controlled]:
    """What a window should show of `folder_of_seven`."""
    with controlled(Plan.of("lenet", source="demo"), Frame(seven(), 0, 0.0, "seven.png"), tmp_path, box=1.0) as oracle:
        oracle.live.source_name = "pictures"
        oracle.live.refresh()
        yield oracle
