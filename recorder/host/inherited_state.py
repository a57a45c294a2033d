"""Signal dispositions and standard descriptors, which a process inherits and passes on to what it executes."""

from __future__ import annotations

import os
import signal
from collections.abc import Collection
from dataclasses import dataclass

_CHANGED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
"""Python ignores these before it runs any code, so their inherited dispositions can't be read any more."""


@dataclass(frozen=True)
class Inherited:
    """The signals that were blocked, and those that were ignored, when this process started."""

    blocked: frozenset[int]
    ignored: frozenset[int]

    @classmethod
    def take(cls) -> Inherited:
        """Returns the state of this process. Call it before any signal handler is changed.

        SIGPIPE and SIGXFSZ count as ignored if the parent process ignores them, since children inherit that.
        """
        blocked = frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        ignored = {
            number
            for number in signal.valid_signals()
            if number not in _CHANGED_BY_PYTHON and signal.getsignal(number) == signal.SIG_IGN
        }
        return cls(blocked, frozenset(ignored | (_ignored_by(os.getppid()) & set(_CHANGED_BY_PYTHON))))

    def restore(self) -> None:
        """Restores the inherited signals. Call it just before execve()."""
        for number in (*_CHANGED_BY_PYTHON, signal.SIGCHLD):
            signal.signal(number, signal.SIG_IGN if number in self.ignored else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, self.blocked)


def fill_standard_descriptors() -> None:
    """Opens /dev/null as 0, 1 and 2 where these are closed, so that no other file gets these numbers.

    Otherwise a message to stderr could end up in a recording file. Writing to a closed standard output still fails,
    because 1 is opened for reading only. In a program that this process executes they are closed again.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, (os.O_RDONLY if number == 1 else os.O_RDWR) | os.O_CLOEXEC)
            if opened != number:  # a lower number was free
                os.dup2(opened, number, inheritable=False)
                os.close(opened)


def close_all_but(kept: Collection[int]) -> None:
    """Closes every descriptor of this process except these. 0, 1 and 2 become /dev/null if they are closed."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - pathlib is large, and the supervisor must stay small
        if int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:
                continue  # the descriptor of the listing itself
    fill_standard_descriptors()


def _ignored_by(pid: int) -> set[int]:
    """Returns the signals that a process ignores (SigIgn in /proc/PID/status, see proc(5)); empty if unreadable."""
    try:
        with open(f"/proc/{pid}/status", "rb") as status:  # noqa: PTH123 - pathlib is large, see above
            mask = next((int(line.split()[1], 16) for line in status if line.startswith(b"SigIgn:")), 0)
    except OSError:
        return set()
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}
