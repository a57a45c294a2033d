"""What `webpf --version` prints: webpf's version, and those of what it works with."""

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
    """One line for each, webpf first, for scripts. Never fails, and loads neither BCC nor the BPF programs."""
    system = os.uname()
    yield f"webpf {__version__}"
    yield f"BCC {_bcc()}"
    yield f"{system.sysname} {system.release} {system.machine}"
    yield f"Python {platform.python_version()}"
    yield f"SQLite {sqlite3.sqlite_version}"


def log() -> None:
    """The same, as one line of the log."""
    get_logger(__name__).info("%s", ", ".join(lines()))


def _bcc() -> str:
    try:
        return bcc_loader.find().version
    except (WebpfError, OSError):
        return "not installed"
