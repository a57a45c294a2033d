"""One-line messages on stderr, and lines of text on stdout, with nothing in them that a terminal would act on."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable
from typing import TextIO

from .escape import safe


def say(message: str) -> None:
    """One line on stderr. Never fails: a recording goes on when its terminal has gone."""
    try:
        sys.stderr.write(f"webpf: {safe(message)}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        # What stays in the buffer would fail again when Python ends, and become its exit code.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def write_lines(lines: Iterable[str], output: TextIO | None = None) -> None:
    """Writes lines, to standard output if not told otherwise, with nothing in them that a terminal would act on."""
    (output or sys.stdout).writelines(safe(line) + "\n" for line in lines)
