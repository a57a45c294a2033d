"""The summary of a recorded command: time, CPU time, memory, failures, and the processes that it left running.

It is printed at the end of each recorded command. So it must be fast, and reads only a few numbers of each process.
"""

from __future__ import annotations

import sqlite3
from bisect import insort
from dataclasses import dataclass, replace

from ..model.process import RUNNING
from ..model.recording import Recording
from ..output import command_label
from ..storage.sql_macros import expand
from . import active_time, process_tree
from .costs import COLUMNS, Costs, CostSum
from .process_tree import OWN_PEAK, reported

SHOWN = 3
"""How many processes each list names by default."""
_NEVER = 2**63

# "NOT IN" makes the list of parents once. A subquery for each process would search all processes each time.
_FIGURES = f"""
SELECT p.id, p.start_ns, p.end_ns, p.cpu_ns, p.max_rss_kib, p.status, p.state,
    p.id NOT IN (SELECT parent_id FROM processes WHERE recording_id = :recording AND parent_id IS NOT NULL) AS is_leaf,
    {COLUMNS}
FROM reported JOIN processes AS p ON p.id = reported.id"""
_OWN_PEAK = f"SELECT {OWN_PEAK} FROM processes AS p WHERE id = ?"
_DETAILS = f"""
SELECT p.id, p.pid, c.argv, p.comm, p.start_ns, p.end_ns, p.cpu_ns, p.max_rss_kib, p.exit_code, p.signal, p.state,
    {COLUMNS}
FROM processes AS p LEFT JOIN commands AS c ON c.id = p.command_id WHERE p.id = ?"""
_DEEPEST = 50
# From a command that failed to its child that failed last, to the child of that one which did, and so on.
_LAST_FAILURES = expand("""WITH RECURSIVE failed (id, parent_id, end_ns) AS MATERIALIZED (
    SELECT id, parent_id, end_ns FROM processes AS p
    WHERE recording_id = :recording AND status <> 0 AND end_ns IS NOT NULL AND is_counted!(p)
),
line (depth, id) AS (
    SELECT 0, id FROM failed WHERE id = :command
    UNION ALL
    SELECT depth + 1, (
        SELECT child.id FROM failed AS parent, failed AS child
        WHERE parent.id = line.id AND child.parent_id = line.id AND child.end_ns <= parent.end_ns
        ORDER BY child.end_ns DESC, child.id DESC LIMIT 1
    )
    FROM line WHERE line.id IS NOT NULL AND depth < :deepest
)
SELECT id FROM line WHERE id IS NOT NULL AND depth > 0 ORDER BY depth""")


@dataclass(frozen=True)
class ProcessDetails:
    """A process that a summary names. Times in ns, memory in KiB. None: not known, or (end_ns) it still runs.

    active_ns: how long it was active, which means without a living child, for which it may have waited. It is computed
    for the slowest processes only.
    """

    id: int
    pid: int
    title: str  # its command line, or for some programs what it did (see command_label.short_title)
    start_ns: int
    end_ns: int | None
    cpu_ns: int | None
    max_rss_kib: int | None
    exit_code: int | None
    signal: int | None
    state: str
    costs: Costs
    active_ns: int | None = None

    @property
    def lifetime_ns(self) -> int | None:
        """The time from start to end, in ns; None while it runs, or if the end is not known."""
        return None if self.end_ns is None else self.end_ns - self.start_ns

    @property
    def outcome(self) -> str:
        """How it ended, in the words of process_tree.outcome()."""
        return process_tree.outcome(self.exit_code, self.signal, self.state)


@dataclass(frozen=True)
class CommandSummary:
    """Totals of a command and its descendants; without a command, of all processes started in the recording.

    Each list names only a few processes. `failures` and `still_running` count all of them. costs_unknown: how many
    processes cpu_ns and costs leave out, because the kernel didn't report what they cost.
    """

    command: ProcessDetails | None
    processes: int
    cpu_ns: int
    costs: Costs
    costs_unknown: int
    failures: int
    still_running: int
    slowest: tuple[ProcessDetails, ...]  # longest active, besides the command
    most_cpu: tuple[ProcessDetails, ...]
    most_memory: tuple[ProcessDetails, ...]  # among those whose own peak is known
    failed: tuple[ProcessDetails, ...]  # in order of their ends
    last_failures: tuple[ProcessDetails, ...]  # the command's child that failed last, then that one's, and so on
    running: tuple[ProcessDetails, ...]  # in order of their starts


def read(connection: sqlite3.Connection, recording: Recording, shown: int = SHOWN) -> CommandSummary:
    """Returns the summary of a recording, with at most `shown` processes in each list.

    Its `command` is None also if the fork of the command was lost.
    """
    id = process_tree.command_id(connection, recording)
    command = None if id is None else _details(connection, id)
    ranking = _Ranking(connection, recording.id, id, shown)

    def details(ids: list[int]) -> tuple[ProcessDetails, ...]:
        return tuple(_details(connection, id) for id in ids)

    return CommandSummary(
        command,
        ranking.processes,
        ranking.cpu_ns,
        ranking.sums.costs,
        ranking.costs_unknown,
        ranking.failed.count,
        ranking.running.count,
        tuple(replace(_details(connection, id), active_ns=ns) for id, ns in ranking.slowest.numbers),
        details(ranking.most_cpu.ids),
        details(ranking.most_memory.ids),
        details(ranking.failed.ids),
        details([] if command is None else _last_failures(connection, recording.id, command)),
        details(ranking.running.ids),
    )


def _last_failures(connection: sqlite3.Connection, recording: int, command: ProcessDetails) -> list[int]:
    """Returns the ids of what failed last below a command that failed; empty if it didn't, or none of its children."""
    if not command.exit_code and not command.signal:
        return []  # without a look at all processes
    values = {"recording": recording, "command": command.id, "deepest": _DEEPEST}
    return [id for (id,) in connection.execute(_LAST_FAILURES, values)]


def _details(connection: sqlite3.Connection, id: int) -> ProcessDetails:
    id, pid, argv, comm, *others = connection.execute(_DETAILS, [id]).fetchone()
    start, end, cpu, peak, exit_code, signal, state, *costs = others
    title = command_label.short_title(argv, comm)
    return ProcessDetails(id, pid, title, start, end, cpu, peak, exit_code, signal, state, Costs(*costs))


class _Lowest:
    """Keeps the ids with the lowest numbers (or the highest) and counts all. Of equal numbers, the lower id wins."""

    def __init__(self, size: int, highest: bool = False) -> None:
        self.count = 0
        self._size = size
        self._sign = -1 if highest else 1
        self._keys: list[tuple[int, int]] = []

    def add(self, number: int, id: int) -> None:
        self.count += 1
        insort(self._keys, (self._sign * number, id))
        del self._keys[self._size :]

    def would_take(self, number: int, id: int) -> bool:
        """Returns whether add() would keep this id."""
        return len(self._keys) < self._size or (self._sign * number, id) < self._keys[-1]

    @property
    def ids(self) -> list[int]:
        return [id for _, id in self._keys]

    @property
    def numbers(self) -> list[tuple[int, int]]:
        """The ids, each with its number."""
        return [(id, self._sign * key) for key, id in self._keys]

    @property
    def last(self) -> int:
        """The number that another one has to be better than; 0 while there is room."""
        return self._sign * self._keys[-1][0] if len(self._keys) == self._size else 0


class _Ranking:
    """The totals of a summary, and the ids of the processes in its lists."""

    def __init__(self, connection: sqlite3.Connection, recording: int, command: int | None, size: int) -> None:
        self._connection = connection
        self.processes = self.cpu_ns = self.costs_unknown = 0
        self.sums = CostSum()
        self.slowest, self.most_cpu, self.most_memory = (_Lowest(size, highest=True) for _ in range(3))
        self.failed, self.running = _Lowest(size), _Lowest(size)
        values = {"recording": recording, "command": command}
        figures = connection.execute(reported(command) + _FIGURES, values)
        for id, start_ns, end_ns, cpu_ns, rss_kib, status, state, is_leaf, *costs in figures:
            self.processes += 1
            self.costs_unknown += cpu_ns is None
            self.sums.add(costs)
            if cpu_ns:
                self.cpu_ns += cpu_ns
                self.most_cpu.add(cpu_ns, id)
            if rss_kib and self.most_memory.would_take(rss_kib, id) and self._is_its_own(id):
                self.most_memory.add(rss_kib, id)
            if is_leaf and id != command and end_ns is not None and end_ns > start_ns:
                self.slowest.add(end_ns - start_ns, id)
            if status:
                self.failed.add(_NEVER if end_ns is None else end_ns, id)
            if state == RUNNING:
                self.running.add(start_ns, id)
        for id, active_ns in active_time.of_parents(connection, recording, command, self.slowest.last):
            if active_ns > 0 and id != command:
                self.slowest.add(active_ns, id)

    def _is_its_own(self, id: int) -> bool:
        """Returns whether the peak is that of the process's own program. Linux carries a peak over an exec."""
        (own,) = self._connection.execute(_OWN_PEAK, [id]).fetchone()
        return own is not None
