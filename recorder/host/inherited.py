"""What a process has from the one that started it, and hands on: signals, and standard descriptors."""

from __future__ import annotations

import os
import signal
from collections.abc import Collection
from dataclasses import dataclass

_CHANGED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
"""Python ignores these before its first line runs, so what they were can't be asked any more."""


@dataclass(frozen=True)
class Inherited:
    """As it was when this process began: the mask of blocked signals, and those that were ignored."""

    blocked: frozenset[int]
    ignored: frozenset[int]

    @classmethod
    def take(cls) -> Inherited:
        """To be called before any signal is touched.

        SIGPIPE and SIGXFSZ are taken from the process that called: what it ignores, it has handed on; else default.
        """
        blocked = frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        ignored = {
            number
            for number in signal.valid_signals()
            if number not in _CHANGED_BY_PYTHON and signal.getsignal(number) == signal.SIG_IGN
        }
        return cls(blocked, frozenset(ignored | (_ignored_by(os.getppid()) & set(_CHANGED_BY_PYTHON))))

    def restore(self) -> None:
        """In a process that is about to become another program: signals are as they were."""
        for number in (*_CHANGED_BY_PYTHON, signal.SIGCHLD):
            signal.signal(number, signal.SIG_IGN if number in self.ignored else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, self.blocked)


def fill_standard_descriptors() -> None:
    """Where 0, 1 or 2 is closed, puts /dev/null there, so that no file that is opened takes its number.

    A message to stderr would go into that file. What is written to a closed standard output fails nevertheless: 1 is
    open for reading only. What this process executes finds them closed again.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, (os.O_RDONLY if number == 1 else os.O_RDWR) | os.O_CLOEXEC)
            if opened != number:  # a lower one was closed meanwhile
                os.dup2(opened, number, inheritable=False)
                os.close(opened)


def close_all_but(kept: Collection[int]) -> None:
    """Closes every descriptor of this process except these; 0, 1 and 2 are then /dev/null."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - without pathlib, which is not small
        if int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:
                continue  # the one that listed them
    fill_standard_descriptors()


def _ignored_by(pid: int) -> set[int]:
    """Signals that a process ignores: SigIgn in /proc/PID/status, see proc(5). Empty if it can't be read."""
    try:
        with open(f"/proc/{pid}/status", "rb") as status:  # noqa: PTH123 - without pathlib, which is not small
            mask = next((int(line.split()[1], 16) for line in status if line.startswith(b"SigIgn:")), 0)
    except OSError:
        return set()
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}
