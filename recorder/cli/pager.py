"""Shows long output on a terminal in a pager: $PAGER, or else less."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from typing import IO, Any

from ..host import file_owner

_DEFAULT = ["less"]
_LESS = "FRX"  # quit if it fits the screen, show colours, leave the text on the screen


def is_possible(descriptor: int) -> bool:
    """Returns whether a descriptor is a terminal on which a pager can run."""
    return os.isatty(descriptor) and os.environ.get("TERM", "dumb") != "dumb" and _command() is not None


def is_needed(lines: int) -> bool:
    """Returns whether so many lines are more than the terminal shows at once."""
    return lines >= shutil.get_terminal_size().lines


def show(text: IO[Any]) -> bool:
    """Shows a file from its begin, until the user quits. Returns False if there is no pager.

    The pager reads the file itself, so that nothing is left to write when the user quits early.
    """
    command = _command()
    if command is None:
        return False
    text.seek(0)
    environment = {"LESS": _LESS, **os.environ}
    if _is_sudo():
        environment["LESSSECURE"] = "1"  # no shell and no other file: sudo may allow webpf alone
    handler = signal.getsignal(signal.SIGINT)
    try:
        with subprocess.Popen(command, stdin=text.fileno(), env=environment) as process:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the pager
            process.wait()
    except OSError:
        return False
    finally:
        signal.signal(signal.SIGINT, handler)
    return True


def _is_sudo() -> bool:
    return file_owner.invoking_user() is not None


def _command() -> list[str] | None:
    """Returns the pager; None if the user wants none, or it isn't there. Under sudo, $PAGER isn't used."""
    wanted = None if _is_sudo() else os.environ.get("PAGER")
    try:
        words = _DEFAULT if wanted is None else shlex.split(wanted)
    except ValueError:
        return None
    if not words or words == ["cat"] or shutil.which(words[0]) is None:
        return None
    return words
