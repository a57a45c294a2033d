"""Calls programs of the system."""

from __future__ import annotations

import subprocess

from ..errors import Unavailable


def call(*command: str) -> subprocess.CompletedProcess[str]:
    """Runs a program, and returns what it wrote. Raises Unavailable if there is no such program."""
    try:
        return subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="backslashreplace"
        )
    except OSError as error:
        raise Unavailable(f"{command[0]} can't be called: {error.strerror}") from None


def require(*command: str, hint: str = "") -> None:
    """Runs a program that must succeed. Raises Unavailable with the last line that it wrote to stderr."""
    called = call(*command)
    if called.returncode != 0:
        why = (called.stderr.strip() or f"exit code {called.returncode}").splitlines()[-1]
        raise Unavailable(f"{' '.join(command)}: {why.removeprefix(f'{command[0]}: ')}", hint)
