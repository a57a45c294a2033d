"""What a timeline is asked for: a stretch of time and filters, as SQL over the processes of a recording."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..model.recording import Recording
from ..storage import scoped
from . import process_tree

OUTCOMES = ("ok", "failed", "signalled", "running", "lost")
"""How processes end. Timelines send the number of an outcome in this list."""
Row: TypeAlias = dict[str, Any]

_NUMBERS = {outcome: number for number, outcome in enumerate(OUTCOMES)}
_FARTHEST = 1 << 62

OUTCOME = "CASE WHEN state = 'lost' THEN 'lost' ELSE outcome END"
"""SQL: the outcome. The end of a lost process isn't known. Its bar says so, even if its status is known."""
LAST = "last_ns!(processes, :now_ns)"
"""SQL: where the bar of a process ends."""
ALIVE = f"start_ns <= :to_ns AND {LAST} >= :from_ns"
"""SQL: whether a process was alive in the stretch. The index that serves it begins with start_ns and end_ns."""
RESIDENT = "start_ns < :begin AND is_alive_at_end!(processes)"
"""SQL: whether a process ran all the time."""
MATCHES = """(instr(lower(comm), lower(:pattern)) OR command_id IN (
    SELECT id FROM commands WHERE recording_id = :recording AND instr(lower(args), lower(:pattern))))"""
"""SQL: whether a search finds a process."""

# Below a process: all that it started, directly or indirectly. A damaged file can hold a circle, so UNION.
_TREE = """INSERT INTO temp.timeline_tree
    WITH RECURSIVE below (id) AS (
        SELECT id FROM processes WHERE id = :tree AND recording_id = :recording
        UNION
        SELECT child.id FROM below JOIN processes AS child ON child.parent_id = below.id
    )
    SELECT id FROM below"""


@dataclass(frozen=True)
class View:
    """The part of a recording that a page shows: times in ms from begin_ns(), the width in pixels, and filters.

    residents: also show processes that ran all the time. Most machines have many, and they say little. tree: id of a
    process; only it and all that it started.
    """

    from_ms: float
    to_ms: float
    width: int
    comm: str = ""
    uid: int | None = None
    outcome: int | None = None
    search: str = ""
    residents: bool = False
    tree: int | None = None

    @property
    def condition(self) -> str:
        """SQL with macros: whether the filters keep a process, whenever it ran."""
        return " AND ".join(("recording_id = :recording", "is_counted!(processes)", *self._filters()))

    def _filters(self) -> Iterable[str]:
        if self.comm:
            yield "comm = :comm"
        if self.uid is not None:
            yield "uid = :uid"
        if self.outcome is not None:
            yield f"{OUTCOME} = :outcome"
        if self.tree is not None:
            yield "id IN (SELECT id FROM temp.timeline_tree)"
        elif not self.residents:
            yield f"NOT ({RESIDENT})"

    def prepare(self, connection: sqlite3.Connection, recording: Recording, begin: int) -> Row:
        """Returns the values of the parameters of `condition` and of the SQL in this module, and makes its tables."""
        if self.tree is not None:
            with scoped.making_temporary_tables(connection):
                connection.execute("CREATE TEMP TABLE timeline_tree (id INTEGER PRIMARY KEY)")
                connection.execute(_TREE, {"tree": self.tree, "recording": recording.id})
        return {
            "recording": recording.id,
            "begin": begin,
            "from_ns": in_64_bits(begin + round(self.from_ms * 1e6)),
            "to_ns": in_64_bits(begin + round(self.to_ms * 1e6)),
            "now_ns": in_64_bits(begin + length_ns(connection, recording)),
            "comm": self.comm,
            "uid": self.uid,
            "outcome": next((name for name, number in _NUMBERS.items() if number == self.outcome), None),
            "pattern": self.search,
        }


def number_of(outcome: str) -> int:
    """Returns the number of an outcome in OUTCOMES."""
    return _NUMBERS.get(outcome, 0)


def length_ns(connection: sqlite3.Connection, recording: Recording) -> int:
    """Returns the time in ns from begin_ns() to the end of the recording, or to its last commit if it is running."""
    return max(recording.until_ns - process_tree.begin_ns(connection, recording), 1)


def in_64_bits(ns: float) -> int:
    """Clamps a time, so that SQLite can compute with it without overflow: requests and files can hold any number."""
    return math.floor(min(max(ns, -_FARTHEST), _FARTHEST))
