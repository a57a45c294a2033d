"""The blocks of event ids that a recording reserves in its file, so that several recorders can write to it."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterable

_BLOCK = 1 << 20  # ids: more than the number of events that can wait to be written
ENOUGH = _BLOCK // 4
"""Consecutive ids that are enough for the largest number of events that one drain returns."""

_SHORTEN = """UPDATE fact_blocks SET size = max(?1 - first_id, 0)
WHERE recording_id = ?2 AND first_id < ?3 AND first_id + size > ?1"""
_DROP_EMPTY = "DELETE FROM fact_blocks WHERE recording_id = ? AND size <= 0"


class EventIds:
    """Ids that are reserved in the file, and not used yet. One thread takes them; another one may add more."""

    def __init__(self, ranges: Iterable[range] = ()) -> None:
        self._ranges = deque(ranges)

    def can_take(self, count: int) -> bool:
        """Whether there are that many consecutive ids."""
        return any(len(each) >= count for each in list(self._ranges))

    def take(self, count: int) -> range:
        """Returns consecutive ids. Ids grow. Check can_take() before."""
        while len(self._ranges[0]) < count:
            self._ranges.popleft()
        taken = self._ranges[0][:count]
        self._ranges[0] = self._ranges[0][count:]
        return taken

    def take_all(self) -> tuple[range, ...]:
        """Returns all ids."""
        return tuple(self._ranges.popleft() for _ in range(len(self._ranges)))

    @property
    def unused(self) -> tuple[range, ...]:
        """All ids, which stay here."""
        return tuple(self._ranges)

    def add(self, more: range) -> None:
        """Adds ids, which are higher than all others."""
        self._ranges.append(more)

    @property
    def are_few(self) -> bool:
        """True if it is time to fetch a block in advance."""
        return sum(map(len, list(self._ranges))) < _BLOCK // 2

    @property
    def are_enough(self) -> bool:
        """True if there are ENOUGH consecutive ids."""
        return self.can_take(ENOUGH)


# These run in a transaction of the caller.


def fetch(connection: sqlite3.Connection, recording_id: int, least: int) -> range:
    """Reserves a block with at least that many ids for a recording."""
    size = max(_BLOCK, least)
    # Write first: this takes the lock, so no other recorder can commit in between.
    connection.execute("UPDATE recordings SET id = id WHERE id = ?", [recording_id])
    first = connection.execute("SELECT coalesce(max(first_id + size), 1) FROM fact_blocks").fetchone()[0]
    connection.execute("INSERT INTO fact_blocks VALUES (?, ?, ?)", [first, size, recording_id])
    return range(first, first + size)


def give_back(connection: sqlite3.Connection, recording_id: int, unused: Iterable[range]) -> None:
    """Shortens the blocks of a recording by the ids at their ends that it didn't use."""
    for each in unused:
        connection.execute(_SHORTEN, [each.start, recording_id, each.stop])
    connection.execute(_DROP_EMPTY, [recording_id])


def pass_on(connection: sqlite3.Connection, before: int, following: int, unused: Iterable[range]) -> None:
    """Gives the ids that a recording didn't use to another recording."""
    unused = [each for each in unused if each]
    give_back(connection, before, unused)
    connection.executemany(
        "INSERT INTO fact_blocks VALUES (?, ?, ?)", [(each.start, len(each), following) for each in unused]
    )
