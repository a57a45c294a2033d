"""What `webpf --version` prints: the versions of webpf, BCC, the kernel, Python and SQLite."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Iterator

from ..errors import WebpfError
from ..kernel import bcc_loader
from ..log import get_logger
from ..version import __version__


def lines() -> Iterator[str]:
    """Yields a line for each version. Scripts read the first, which is webpf's. Never fails, and doesn't load BCC."""
    system = os.uname()
    yield f"webpf {__version__}"
    yield f"BCC {_bcc()}"
    yield f"{system.sysname} {system.release} {system.machine}"
    yield f"Python {platform.python_version()}"
    yield f"SQLite {sqlite3.sqlite_version}"


def log() -> None:
    """Logs all versions in one line."""
    get_logger(__name__).info("%s", ", ".join(lines()))


def _bcc() -> str:
    try:
        return bcc_loader.find().version
    except (WebpfError, OSError):
        return "not installed"
