"""How webpf was called, and so how it can be called again."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path


def sudo_command(arguments: list[str] | None = None) -> str:
    """This very call as root, or one with other arguments. By full path: sudo's own PATH lacks a user's folders."""
    called = program(str(Path(sys.argv[0]).absolute()))
    return shlex.join(["sudo", *called, *(sys.argv[1:] if arguments is None else arguments)])


def program(path: str) -> list[str]:
    """How webpf was called: by path, by name, or as a module."""
    return [sys.executable, "-m", "webpf"] if Path(path).name == "__main__.py" else [path]
