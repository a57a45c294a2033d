"""Writes to a reader that may stop reading: what waits for it then ends when it is asked to."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import stat
import time
from collections.abc import Callable

_POLL_MS = 50
_PATIENCE_SECONDS = 0.25  # with a reader that takes nothing, once the end was asked for
_LAST_WORDS_SECONDS = 5.0  # for one that takes little


class Stalled(Exception):
    """The end was asked for, and the reader doesn't take what is left."""


class PipeWriter:
    """Writes to a descriptor. is_ending: whether the end was asked for; until then a reader has all the time.

    No write blocks: a pipe that has room at all has it for a page, and never is more written at once.
    """

    def __init__(self, descriptor: int, is_ending: Callable[[], bool]) -> None:
        self._descriptor = _without_waiting(descriptor)
        self._is_ending = is_ending
        self._is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLOUT)
        self._ending_since: float | None = None
        self._has_given_up = False

    def _write(self, data: memoryview) -> int:
        """Writes the beginning, at most a page; returns how many bytes. Raises Stalled."""
        if self._is_file:
            return os.write(self._descriptor, data)
        while True:
            self._wait_for_room()
            with contextlib.suppress(BlockingIOError):
                return os.write(self._descriptor, data[: select.PIPE_BUF])

    def put(self, block: bytes) -> bool:
        """Writes a block as a whole, or nothing of it; returns whether it was written. Once it wasn't, no more is.

        Only what is no pipe can be left with half of it.
        """
        done = 0
        try:
            while done < len(block) and not self._has_given_up:
                done += self._write(memoryview(block)[done:])
        except Stalled:
            self._has_given_up = True
            return done > 0 and self._complete(memoryview(block)[done:])
        return done == len(block)

    def _wait_for_room(self) -> None:
        begun = time.monotonic()
        while not self._poll.poll(_POLL_MS):
            if self._seconds_of_ending(begun) > _PATIENCE_SECONDS:
                raise Stalled
        if self._seconds_of_ending() > _LAST_WORDS_SECONDS:
            raise Stalled

    def _seconds_of_ending(self, begun: float = 0.0) -> float:
        """How long ago the end was asked for, or since `begun`; negative if it wasn't."""
        if self._ending_since is None and self._is_ending():
            self._ending_since = time.monotonic()
        return -1.0 if self._ending_since is None else time.monotonic() - max(begun, self._ending_since)

    def _complete(self, rest: memoryview) -> bool:
        """Enlarges a pipe by what is still missing."""
        try:
            size = fcntl.fcntl(self._descriptor, fcntl.F_GETPIPE_SZ)
            fcntl.fcntl(self._descriptor, fcntl.F_SETPIPE_SZ, size + len(rest) + select.PIPE_BUF)
            while rest and self._poll.poll(0):
                rest = rest[os.write(self._descriptor, rest[: select.PIPE_BUF]) :]
        except OSError:  # no pipe, or larger than this user may make it
            return False
        return not rest


def _without_waiting(descriptor: int) -> int:
    """A terminal may have room for less than a page. Opened anew: its flags are shared with all that use it."""
    if os.isatty(descriptor):
        with contextlib.suppress(OSError):  # it is another user's
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    return descriptor
