"""Notices when the real-time clock is set: a timer that the kernel cancels then. See timerfd_create(2)."""

from __future__ import annotations

import contextlib
import errno
import os

from . import syscalls

_FAR = 2**33  # seconds: a time that is never reached


class ClockWatch:
    """Watches from its creation on. Raises OSError if the kernel has no such timer."""

    def __init__(self) -> None:
        self._timer = syscalls.timer_until(_FAR)

    def was_set(self) -> bool:
        """Whether the clock was set since the last call, or the machine slept."""
        try:
            os.read(self._timer, 8)
        except BlockingIOError:
            return False
        except OSError as error:
            return error.errno == errno.ECANCELED
        return False

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._timer)
