"""Reads lines from a file, a pipe or a terminal, as they come."""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Iterator

from ..errors import DataError

LONGEST_LINE = 16 << 20
"""Bytes. A line of `webpf stream` has at most 13 MiB: --max-args takes 2 MiB, in base64 and as text (argv.quote())."""

_CHUNK = 1 << 18


class LineReader:
    """The lines of a descriptor, numbered from 1. No call but wait() waits for more.

    number: that of the last line that was taken. is_at_end: whether nothing more can come.
    """

    def __init__(self, descriptor: int) -> None:
        self.number = 0
        self.is_at_end = False
        self.is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self._lines: list[bytes] = []  # the next one last
        self._rest: list[bytes] = []  # the beginning of a line
        self._rest_bytes = 0

    def wait(self, seconds: float) -> bool:
        """Waits until there is more to take, at most so long; returns whether there is."""
        return bool(self._lines) or self.is_at_end or bool(self._poll.poll(seconds * 1000))

    def take(self) -> Iterator[bytes]:
        """The lines that are there by now, without their ends; also a last one that has none.

        Raises DataError for a line that is too long.
        """
        while True:
            while self._lines:
                self.number += 1
                yield self._lines.pop()
            if self.is_at_end or not self._poll.poll(0):
                return
            self._read()

    @property
    def has_more(self) -> bool:
        """Whether take() has lines now."""
        return bool(self._lines) or (not self.is_at_end and bool(self._poll.poll(0)))

    def _read(self) -> None:
        chunk = os.read(self._descriptor, _CHUNK)
        if not chunk:
            self.is_at_end = True
            if self._rest:
                self._lines = [b"".join(self._rest)]
            return
        first, *others = chunk.split(b"\n")
        self._rest.append(first)
        self._rest_bytes += len(first)
        if self._rest_bytes > LONGEST_LINE:
            raise DataError(f"line {self.number + 1} is longer than {LONGEST_LINE >> 20} MiB")
        if others:
            *whole, rest = (b"".join(self._rest), *others)
            self._lines = whole[::-1]
            self._rest, self._rest_bytes = [rest] if rest else [], len(rest)
