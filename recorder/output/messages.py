"""Writes messages to stderr and lines to stdout, with control characters escaped."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable
from typing import TextIO

from . import journal
from .escape import safe


def say(message: str, priority: int = journal.INFO) -> None:
    """Writes one line to stderr. It never fails, so that a recording continues if its terminal is closed.

    priority: one of those of journal.py, for a line that goes to systemd's journal.
    """
    try:
        sys.stderr.write(f"{journal.prefix(priority)}webpf: {safe(message)}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        # The text stays in the buffer. Python would fail to write it again at its end, and change the exit code.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def write_lines(lines: Iterable[str], output: TextIO | None = None) -> None:
    """Writes lines with control characters escaped. output: None is standard output."""
    (output or sys.stdout).writelines(safe(line) + "\n" for line in lines)
