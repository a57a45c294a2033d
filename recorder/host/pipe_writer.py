"""Writes to a pipe whose reader may stop reading, and can still end when it is asked to."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import stat
import time
from collections.abc import Callable

_POLL_MS = 50
# After the writer was asked to end:
_STALL_SECONDS = 0.25  # to wait for a reader that reads nothing, by default
_FINISH_SECONDS = 5.0  # to write the rest to a reader that reads slowly


class Stalled(Exception):
    """The writer was asked to end, and the reader doesn't read the rest."""


class PipeWriter:
    """Writes to a descriptor. is_ending: whether the writer was asked to end; until then it waits without a limit.

    stall_seconds: how long it waits then for a reader that reads nothing.
    No write blocks: poll(2) reports a pipe as writable when it has space for a page, and each write is a page at most.
    """

    def __init__(self, descriptor: int, is_ending: Callable[[], bool], stall_seconds: float = _STALL_SECONDS) -> None:
        self._descriptor = _non_blocking(descriptor)
        self._is_ending = is_ending
        self._stall_seconds = stall_seconds
        self._is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLOUT)
        self._ending_since: float | None = None
        self._has_given_up = False

    def _write(self, data: memoryview) -> int:
        """Writes the first bytes, at most a page; returns how many. Raises Stalled."""
        if self._is_file:
            return os.write(self._descriptor, data)
        while True:
            self._wait_for_room()
            with contextlib.suppress(BlockingIOError):
                return os.write(self._descriptor, data[: select.PIPE_BUF])

    def put(self, block: bytes) -> bool:
        """Writes a block completely or not at all; returns whether it was written.

        After it failed once, it writes nothing more. If the descriptor is not a pipe, a part of the block can be left.
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
        wait_began = time.monotonic()
        while not self._poll.poll(_POLL_MS):
            if self._seconds_since_ending(wait_began) > self._stall_seconds:
                raise Stalled
        if self._seconds_since_ending() > _FINISH_SECONDS:
            raise Stalled

    def _seconds_since_ending(self, at_least: float = 0.0) -> float:
        """Returns the seconds since the writer was asked to end, or since `at_least` if that is later.

        Negative if it was not asked.
        """
        if self._ending_since is None and self._is_ending():
            self._ending_since = time.monotonic()
        return -1.0 if self._ending_since is None else time.monotonic() - max(at_least, self._ending_since)

    def _complete(self, rest: memoryview) -> bool:
        """Enlarges the pipe and writes the rest of a block; returns whether that worked."""
        try:
            size = fcntl.fcntl(self._descriptor, fcntl.F_GETPIPE_SZ)
            fcntl.fcntl(self._descriptor, fcntl.F_SETPIPE_SZ, size + len(rest) + select.PIPE_BUF)
            while rest and self._poll.poll(0):
                rest = rest[os.write(self._descriptor, rest[: select.PIPE_BUF]) :]
        except OSError:  # it is no pipe, or the size is more than this user may set
            return False
        return not rest


def _non_blocking(descriptor: int) -> int:
    """Returns a non-blocking descriptor if this one is a terminal, which may have space for less than a page.

    It is opened again, because other processes share the flags of this descriptor.
    """
    if os.isatty(descriptor):
        with contextlib.suppress(OSError):  # the terminal belongs to another user
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    return descriptor
