"""The data of the timeline: what it shows of a stretch of time, in as much detail as its width in pixels allows.

It never sends all rows. The longest processes that are at least one pixel wide become bars; the others are counted
per column. This module knows nothing of Datasette.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator

from ..model.recording import Recording
from ..progress import NO_PROGRESS, Progress
from ..storage.sql_macros import expand
from . import process_tree, saved_queries, timeline_rows
from .timeline_rows import ARGS, BAR, WITH_COMMANDS
from .timeline_view import ALIVE, LAST, MATCHES, OUTCOME, OUTCOMES, RESIDENT, Row, View, in_64_bits, length_ns

MOST_BARS = 2500
OVERVIEW_STEPS = 1000
_COLUMN_PIXELS = 4
_NAMES = 500

_LENGTH = f"{LAST} - start_ns"


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
        "residents": connection.execute(expand(f"{counted} AND {RESIDENT}"), of_counts).fetchone()[0],
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
        **view.prepare(connection, recording, begin),
        "pixel": pixel,
        "column": (view.to_ms - view.from_ms) * 1e6 / columns,
        "columns": columns,
        "most": MOST_BARS,
    }
    wanted = expand(f"{view.condition} AND {ALIVE}")
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

    Each takes the first lane that is free from its start to its end. Its descendants do so before its next sibling, so
    that a family stays together.

    bars: in the order of their starts.
    """
    lanes = _Lanes(time for bar in bars for time in (bar["start_ms"], bar["end_ms"]))
    children: dict[int, list[Row]] = {}
    roots: list[Row] = []
    for bar in bars:
        # Only bars that came before have an entry, so a file where processes are their own ancestors ends here, too.
        children.get(bar["parent_id"], roots).append(bar)
        children[bar["id"]] = []
    waiting = [(bar, 0) for bar in reversed(roots)]
    while waiting:
        bar, first = waiting.pop()
        bar["lane"] = lanes.take(first, bar["start_ms"], bar["end_ms"])
        waiting += [(child, bar["lane"] + 1) for child in reversed(children[bar["id"]])]
    return lanes.used


class _Lanes:
    """Which lanes are occupied when, as sets of lanes: the bits of an integer.

    The sets are in a segment tree over the steps of time between the starts and ends of all bars. So finding a free
    lane takes log n unions of sets, however many lanes there are.
    """

    def __init__(self, times: Iterable[float]) -> None:
        self.used = 0
        self._steps = {time: step for step, time in enumerate(sorted(set(times)))}
        self._sometimes = [0] * (2 * len(self._steps))  # of each node: the lanes occupied in a part of its time
        self._always = [0] * (2 * len(self._steps))  # those that one bar occupies from its beginning to its end

    def take(self, first: int, since: float, until: float) -> int:
        """Returns the first lane from `first` on that is free from `since` to `until`, and occupies it then.

        since, until: two of the times, in their order.
        """
        begin = self._steps[since] + len(self._steps)
        end = max(self._steps[until] + len(self._steps), begin + 1)
        parts, around = list(_parts(begin, end)), {*_ancestors(begin), *_ancestors(end - 1)}
        occupied = 0
        for node in parts:
            occupied |= self._sometimes[node]
        for node in around:
            occupied |= self._always[node]
        free = ~(occupied >> first)
        lane = first + (free & -free).bit_length() - 1
        for node in parts:
            self._always[node] |= 1 << lane
        for node in (*parts, *around):
            self._sometimes[node] |= 1 << lane
        self.used = max(self.used, lane + 1)
        return lane


def _parts(begin: int, end: int) -> Iterator[int]:
    """Yields the nodes of a segment tree that together cover its leaves from `begin` to before `end`."""
    while begin < end:
        if begin & 1:
            yield begin
            begin += 1
        if end & 1:
            end -= 1
            yield end
        begin, end = begin >> 1, end >> 1


def _ancestors(node: int) -> Iterator[int]:
    while node > 1:
        node >>= 1
        yield node


def _read_bars(connection: sqlite3.Connection, wanted: str, values: Row, begin: int) -> list[Row]:
    sql = expand(
        f"""WITH longest AS MATERIALIZED (
            SELECT id FROM processes WHERE {wanted} AND ({_LENGTH}) >= :pixel ORDER BY {_LENGTH} DESC, id LIMIT :most
        )
        SELECT {BAR},
            :pattern <> '' AND (instr(lower(comm), lower(:pattern)) OR instr(lower(args), lower(:pattern))) AS is_match
        FROM longest JOIN {WITH_COMMANDS} WHERE processes.id = longest.id
        ORDER BY start_ns, processes.id"""
    )
    return timeline_rows.read(connection.execute(sql, {**values, "args": ARGS}), begin)


def _count_short(
    connection: sqlite3.Connection, wanted: str, values: Row, progress: Progress
) -> Iterator[tuple[int, int, int]]:
    """Yields (column, outcome, count) of the processes that are too short for a bar.

    It runs one statement per column, each over a range of the index: a GROUP BY would sort all rows and take twice as
    long. LIMIT -1 keeps SQLite from computing the outcome again for each sum.
    """
    sums = ", ".join(f"sum(outcome = '{outcome}')" for outcome in OUTCOMES)
    counted = expand(
        f"""SELECT {sums} FROM (SELECT {OUTCOME} AS outcome FROM processes
        WHERE {wanted} AND ({_LENGTH}) < :pixel AND start_ns >= :since LIMIT -1)"""
    )
    edges = [round(values["from_ns"] + number * values["column"]) for number in range(values["columns"])]
    # A short process that reaches into the first column began less than a pixel before it.
    since = [in_64_bits(values["from_ns"] - values["pixel"]), *edges[1:]]
    until = [*(edge - 1 for edge in edges[1:]), values["to_ns"]]
    for column, edge in enumerate(zip(since, until, strict=True)):
        progress.report(column, values["columns"])
        row = connection.execute(counted, {**values, "since": edge[0], "to_ns": edge[1]}).fetchone()
        for outcome, number in enumerate(row):
            if number:
                yield column, outcome, number


def _count_matches(connection: sqlite3.Connection, wanted: str, values: Row) -> int:
    return int(connection.execute(f"SELECT count(*) FROM processes WHERE {wanted} AND {MATCHES}", values).fetchone()[0])
