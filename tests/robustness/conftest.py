"""Fixtures for the tests of bad surroundings."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import NOBODY


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that belongs to nobody, at a path that nobody can reach."""
    with tempfile.TemporaryDirectory() as name:
        os.chown(name, NOBODY, NOBODY)
        yield Path(name)
