"""Asks about paths that users give, which can be anything."""

from __future__ import annotations

import os
from pathlib import Path


def exists(path: str | Path) -> bool:
    """Whether a path leads to something. False too, and no error, for one that is too long or can't be reached."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists() raises for such a path
