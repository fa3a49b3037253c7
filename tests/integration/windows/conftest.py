from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

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
