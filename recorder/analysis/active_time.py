"""How long processes were active: without a living child, for which they may have waited.

A process that is active runs on a processor, waits for one, or sleeps.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby

from .process_tree import reported

# All children count, also those that a scope leaves out. If the end of one isn't known, it may have lived to the end of
# its parent.
_CHILDREN = """
SELECT p.id, p.start_ns, p.end_ns, child.start_ns, coalesce(child.end_ns, p.end_ns)
FROM reported JOIN processes AS p ON p.id = reported.id JOIN processes AS child ON child.parent_id = p.id
WHERE p.end_ns - p.start_ns > :least
ORDER BY p.id, child.start_ns"""
# Children start while their parent lives: this limits the range of the index over time.
_CHILDREN_OF_ONE = """SELECT start_ns, coalesce(end_ns, :until) FROM processes
WHERE recording_id = :recording AND start_ns BETWEEN :since AND :until AND parent_id = :id
ORDER BY start_ns"""


def of_parents(
    connection: sqlite3.Connection, recording: int, command: int | None, longer_than_ns: int = 0
) -> Iterator[tuple[int, int]]:
    """Yields the id and the active time in ns of each process of a report that had children and has ended.

    longer_than_ns: only of those that lived longer. A process without children was active all its life.
    """
    values = {"recording": recording, "command": command, "least": longer_than_ns}
    children = connection.execute(reported(command) + _CHILDREN, values)
    for (id, start_ns, end_ns), rows in groupby(children, lambda row: row[:3]):
        yield id, end_ns - start_ns - _covered_ns(start_ns, end_ns, (row[3:] for row in rows))


def of_one(connection: sqlite3.Connection, recording: int, id: int, start_ns: int, until_ns: int) -> int:
    """Returns the active time in ns of a process that lived from start_ns until until_ns (Unix ns)."""
    values = {"recording": recording, "id": id, "since": start_ns, "until": until_ns}
    return until_ns - start_ns - _covered_ns(start_ns, until_ns, connection.execute(_CHILDREN_OF_ONE, values))


def _covered_ns(start: int, end: int, stretches: Iterable[tuple[int, int]]) -> int:
    """Returns how much of a stretch others cover. stretches: their starts and ends, in order of the starts."""
    covered, reached = 0, start
    for begin, until in stretches:
        covered += max(min(until, end) - max(begin, reached), 0)
        reached = max(reached, min(until, end))
    return covered
