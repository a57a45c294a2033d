"""The data of the timeline: what it shows of a stretch of time, in as much detail as its width in pixels allows.

It never sends all rows. The longest processes that are at least one pixel wide become bars; the others are counted
per column. This module knows nothing of Datasette.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..model.recording import Recording
from ..output import command_label
from ..progress import NO_PROGRESS, Progress
from ..storage.sql_macros import expand
from . import process_tree, saved_queries

MOST_BARS = 2500
OVERVIEW_STEPS = 1000
_COLUMN_PIXELS = 4
_ARGS = 300  # the most characters of a command line that are sent
_NAMES = 500
_FARTHEST = 1 << 62

OUTCOMES = ("ok", "failed", "signalled", "running", "lost")
_NUMBERS = {outcome: number for number, outcome in enumerate(OUTCOMES)}
Row: TypeAlias = dict[str, Any]

# The end of a lost process isn't known. Its bar says so, even if its status is known.
_OUTCOME = "CASE WHEN state = 'lost' THEN 'lost' ELSE outcome END"
_LAST = "last_ns!(processes, :now_ns)"
# The index that serves this condition begins with start_ns and end_ns.
_IN_WINDOW = f"""recording_id = :recording AND is_counted!(processes) AND start_ns <= :to_ns
    AND {_LAST} >= :from_ns"""
_RESIDENT = "start_ns < :begin AND is_alive_at_end!(processes)"
_LENGTH = f"{_LAST} - start_ns"


@dataclass(frozen=True)
class View:
    """The part of a recording that a page shows: times in ms from begin_ns(), the width in pixels, and filters.

    residents: also show processes that ran all the time. Most machines have many, and they say little.
    """

    from_ms: float
    to_ms: float
    width: int
    comm: str = ""
    uid: int | None = None
    outcome: int | None = None
    search: str = ""
    residents: bool = False


def overview(connection: sqlite3.Connection, recording: Recording) -> Row:
    """Returns numbers of the whole recording: its processes, and how many were alive at each of OVERVIEW_STEPS steps.

    lead_ms: the time from the start of the recording to the start of its command. Times count from the latter.
    """
    begin = process_tree.begin_ns(connection, recording)
    query = saved_queries.load("concurrency")
    values = saved_queries.bind(query, {"recording": str(recording.id), "steps": str(OVERVIEW_STEPS)})
    alive = [row[3] for row in connection.execute(query.sql, values)]
    counted = expand("SELECT count(*) FROM processes WHERE recording_id = :recording AND is_counted!(processes)")
    of_counts = {"recording": recording.id, "begin": begin}
    return {
        "length_ms": length_ns(connection, recording) / 1e6,
        "lead_ms": (begin - recording.started_ns) / 1e6,
        "status": recording.status,
        "lost": recording.lost,
        "processes": connection.execute(counted, of_counts).fetchone()[0],
        "alive": alive,
        "residents": connection.execute(expand(f"{counted} AND {_RESIDENT}"), of_counts).fetchone()[0],
    }


def choices(connection: sqlite3.Connection, recording: Recording) -> Row:
    """Returns the names and users that filters offer, with their numbers of processes, most first."""
    names: Counter[str | None] = Counter()
    users: Counter[int | None] = Counter()
    for name, user, count in connection.execute(
        expand("""SELECT comm, uid, count(*) FROM processes WHERE recording_id = ? AND is_counted!(processes)
        GROUP BY 1, 2 ORDER BY 1, 2"""),
        [recording.id],
    ):
        names[name] += count
        users[user] += count
    return {"names": names.most_common(_NAMES), "users": users.most_common()}


def window(connection: sqlite3.Connection, recording: Recording, view: View, progress: Progress = NO_PROGRESS) -> Row:
    """Returns the bars of a view in their lanes, and counts of the shorter processes by column and outcome.

    Raises Interrupted if `progress` does.
    """
    begin = process_tree.begin_ns(connection, recording)
    pixel = max((view.to_ms - view.from_ms) * 1e6 / max(view.width, 1), 1)
    columns = max(view.width // _COLUMN_PIXELS, 1)
    values = {
        "recording": recording.id,
        "from_ns": _in_64_bits(begin + view.from_ms * 1e6),
        "to_ns": _in_64_bits(begin + view.to_ms * 1e6),
        "now_ns": _in_64_bits(begin + length_ns(connection, recording)),
        "pixel": pixel,
        "column": pixel * _COLUMN_PIXELS,
        "columns": columns,
        "comm": view.comm,
        "uid": view.uid,
        "outcome": next((name for name, number in _NUMBERS.items() if number == view.outcome), None),
        "begin": begin,
        "most": MOST_BARS,
        "pattern": view.search,
    }
    wanted = expand(" AND ".join([_IN_WINDOW, *_filters(view)]))
    bars = _read_bars(connection, wanted, values, begin)
    shortest = min((bar["end_ms"] - bar["start_ms"] for bar in bars), default=0) * 1e6
    # If there are too many for MOST_BARS, those without a bar are counted like short ones.
    values["pixel"] = max(pixel, shortest) if len(bars) == MOST_BARS else pixel
    return {
        "length_ms": length_ns(connection, recording) / 1e6,
        "status": recording.status,
        "lanes": assign_lanes(bars),
        "bars": bars,
        "columns": columns,
        "short": list(_count_short(connection, wanted, values, progress)),
        "matches": _count_matches(connection, wanted, values) if view.search else None,
    }


def assign_lanes(bars: list[Row]) -> int:
    """Gives each bar a lane below the lane of its parent, so that no bars overlap; returns the number of lanes.

    bars: in the order of their starts.
    """
    lanes = _Lanes(len(bars))
    lane_of: dict[int, int] = {}
    for bar in bars:
        lane = lanes.take(lane_of.get(bar["parent_id"], -1) + 1, bar["start_ms"], bar["end_ms"])
        lane_of[bar["id"]] = bar["lane"] = lane
    return lanes.used


class _Lanes:
    """The time from which each lane is free, in a binary tree of minimums: finding the first free lane takes log n."""

    def __init__(self, most: int) -> None:
        self.used = 0
        self._size = 1 << max(most - 1, 0).bit_length()
        self._earliest = [-math.inf] * (2 * self._size)

    def take(self, first: int, since: float, until: float) -> int:
        """Returns the first lane from `first` on that is free at `since`, and occupies it until `until`."""
        node = first + self._size
        while self._earliest[node] > since:
            while node & 1:  # a right child: its parent covers no lane further to the right
                node >>= 1
            node += 1
        while node < self._size:
            node = 2 * node + (self._earliest[2 * node] > since)
        lane = node - self._size
        self._earliest[node] = until
        while node > 1:
            node >>= 1
            self._earliest[node] = min(self._earliest[2 * node], self._earliest[2 * node + 1])
        self.used = max(self.used, lane + 1)
        return lane


def length_ns(connection: sqlite3.Connection, recording: Recording) -> int:
    """Returns the time in ns from begin_ns() to the end of the recording, or to its last commit if it is running."""
    return max(recording.until_ns - process_tree.begin_ns(connection, recording), 1)


def _in_64_bits(ns: float) -> int:
    """Clamps a time, so that SQLite can compute with it without overflow: requests and files can hold any number."""
    return math.floor(min(max(ns, -_FARTHEST), _FARTHEST))


def _filters(view: View) -> Iterable[str]:
    if view.comm:
        yield "comm = :comm"
    if view.uid is not None:
        yield "uid = :uid"
    if view.outcome is not None:
        yield f"{_OUTCOME} = :outcome"
    if not view.residents:
        yield f"NOT ({_RESIDENT})"


def _read_bars(connection: sqlite3.Connection, wanted: str, values: Row, begin: int) -> list[Row]:
    sql = expand(
        f"""WITH longest AS MATERIALIZED (
            SELECT id FROM processes WHERE {wanted} AND ({_LENGTH}) >= :pixel ORDER BY {_LENGTH} DESC, id LIMIT :most
        )
        SELECT processes.id, parent_id, pid, ppid, comm, uid, argv, substr(coalesce(args, ''), 1, {_ARGS}) AS args,
            exit_code, signal, core_dumped, max_rss_kib, cpu_ns / 1e6 AS cpu_ms, user_ns / 1e6 AS user_ms,
            system_ns / 1e6 AS system_ms, run_delay_ns / 1e6 AS run_delay_ms, read_bytes, write_bytes,
            {_OUTCOME} AS outcome, start_ns, {_LAST} AS last_ns,
            :pattern <> '' AND (instr(lower(comm), lower(:pattern)) OR instr(lower(args), lower(:pattern))) AS is_match
        FROM longest JOIN processes ON processes.id = longest.id LEFT JOIN commands AS c ON c.id = processes.command_id
        ORDER BY start_ns, processes.id"""
    )
    cursor = connection.execute(sql, values)
    names = [column[0] for column in cursor.description]
    bars = [dict(zip(names, row, strict=True)) for row in cursor]
    for bar in bars:
        bar["outcome"] = _NUMBERS.get(bar["outcome"], 0)
        bar["title"] = command_label.short_title(bar.pop("argv"), bar["comm"])[:_ARGS]
        bar["start_ms"], bar["end_ms"] = ((bar.pop(name) - begin) / 1e6 for name in ("start_ns", "last_ns"))
    return bars


def _count_short(
    connection: sqlite3.Connection, wanted: str, values: Row, progress: Progress
) -> Iterator[tuple[int, int, int]]:
    """Yields (column, outcome, count) of the processes that are too short for a bar.

    It runs one statement per column, each over a range of the index: a GROUP BY would sort all rows and take twice as
    long. LIMIT -1 keeps SQLite from computing the outcome again for each sum.
    """
    sums = ", ".join(f"sum(outcome = '{outcome}')" for outcome in OUTCOMES)
    counted = expand(
        f"""SELECT {sums} FROM (SELECT {_OUTCOME} AS outcome FROM processes
        WHERE {wanted} AND ({_LENGTH}) < :pixel AND start_ns >= :since LIMIT -1)"""
    )
    edges = [round(values["from_ns"] + number * values["column"]) for number in range(values["columns"])]
    # A short process that reaches into the first column began less than a pixel before it.
    since = [_in_64_bits(values["from_ns"] - values["pixel"]), *edges[1:]]
    until = [*(edge - 1 for edge in edges[1:]), values["to_ns"]]
    for column, edge in enumerate(zip(since, until, strict=True)):
        progress.report(column, values["columns"])
        row = connection.execute(counted, {**values, "since": edge[0], "to_ns": edge[1]}).fetchone()
        for outcome, number in enumerate(row):
            if number:
                yield column, outcome, number


def _count_matches(connection: sqlite3.Connection, wanted: str, values: Row) -> int:
    sql = f"""SELECT count(*) FROM processes WHERE {wanted}
        AND (instr(lower(comm), lower(:pattern)) OR command_id IN (
            SELECT id FROM commands WHERE recording_id = :recording AND instr(lower(args), lower(:pattern))))"""
    return int(connection.execute(sql, values).fetchone()[0])
