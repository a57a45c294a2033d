"""What a recording cost, as a whole and by activity: the numbers that are compared."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from ..model.recording import Recording
from ..model.scope import EVERYTHING, Scope
from ..output import command_label
from ..storage import reader, scoped
from . import process_tree
from .costs import COLUMNS, NO_COSTS, Costs, add_known

NOISE_NS, NOISE_KIB = 20_000_000, 2048
"""A smaller difference of time or memory doesn't matter."""
NOISE_BYTES, NOISE_FAULTS = NOISE_KIB * 1024, NOISE_KIB // 4
"""The same for bytes of storage, and for page faults: as many as that memory has pages of 4 KiB."""

_PROCESSES = f"""
SELECT p.id, c.argv, p.comm, p.lifetime_ns, p.cpu_ns, {process_tree.OWN_PEAK}, p.max_rss_kib, p.status,
    {COLUMNS}
FROM reported JOIN processes AS p ON p.id = reported.id LEFT JOIN commands AS c ON c.id = p.command_id"""
_COMMAND = """SELECT p.lifetime_ns, p.exit_code, p.signal, p.state, c.argv, p.comm
FROM processes AS p LEFT JOIN commands AS c ON c.id = p.command_id WHERE p.id = ?"""


@dataclass(frozen=True)
class Cost:
    """The sums over some processes. wall_ns: the sum of their lifetimes. cpu_ns: 0 if it isn't known for any.

    rss_at_most_kib is the highest peak of all processes. Linux carries the peak of the program before over an exec, so
    it can belong to that program. own_rss_kib is the highest of the peaks that are higher than the one carried over;
    0 if there is none. costs: those that are None if they aren't known for any.
    """

    wall_ns: int = 0
    cpu_ns: int = 0
    own_rss_kib: int = 0
    processes: int = 0
    failures: int = 0
    rss_at_most_kib: int = 0
    longest_ns: int = -1
    longest_id: int | None = None  # the process that lived longest
    costs: Costs = NO_COSTS

    def __add__(self, other: Cost) -> Cost:
        """Returns the sums over both; of memory, the higher peak."""
        longest = self if self.longest_ns >= other.longest_ns else other
        return Cost(
            self.wall_ns + other.wall_ns,
            self.cpu_ns + other.cpu_ns,
            max(self.own_rss_kib, other.own_rss_kib),
            self.processes + other.processes,
            self.failures + other.failures,
            max(self.rss_at_most_kib, other.rss_at_most_kib),
            longest.longest_ns,
            longest.longest_id,
            Costs(*map(add_known, self.costs, other.costs)),
        )


Unit = Literal["time", "memory", "bytes", "number"]


class Measure(NamedTuple):
    """A number that is compared. condition: its name in --fail-if. least: a smaller difference doesn't matter.

    unit: a time is in ns, memory in KiB.
    """

    condition: str
    attribute: str
    least: int
    unit: Unit

    def value(self, cost: Cost) -> int | None:
        """Returns the number; None if it isn't known. Of CPU time and memory, 0 means the same."""
        found: int | None = getattr(cost.costs if hasattr(cost.costs, self.attribute) else cost, self.attribute)
        return found

    @property
    def is_unknown_at_0(self) -> bool:
        """Whether 0 means that it isn't known."""
        return self.condition in ("cpu", "rss")


MEASURES = (
    Measure("wall", "wall_ns", NOISE_NS, "time"),
    Measure("cpu", "cpu_ns", NOISE_NS, "time"),
    Measure("rss", "own_rss_kib", NOISE_KIB, "memory"),
    Measure("processes", "processes", 0, "number"),
    Measure("failures", "failures", 0, "number"),
)
"""The main measures, in the order in which they are shown."""
COST_MEASURES = (
    Measure("user", "user_ns", NOISE_NS, "time"),
    Measure("system", "system_ns", NOISE_NS, "time"),
    Measure("read", "read_bytes", NOISE_BYTES, "bytes"),
    Measure("write", "write_bytes", NOISE_BYTES, "bytes"),
    Measure("run_delay", "run_delay_ns", NOISE_NS, "time"),
    Measure("faults", "faults", NOISE_FAULTS, "number"),
)
"""The other measures, in the order in which they are shown."""


@dataclass(frozen=True)
class RecordingCosts:
    """The costs of a recording, as a whole (wall_ns: how long it took) and by activity. about: see storage.scoped.

    command: the command line of the recorded command, for people; None without a command. outcome: how it ended, in
    the words of process_tree.outcome().
    """

    file: Path
    recording: Recording
    whole: Cost
    activities: dict[str, Cost]
    about: str | None = None
    command: str | None = None
    outcome: str | None = None

    @property
    def name(self) -> str:
        """File, number and name of the recording, for people."""
        name = self.recording.name
        return f"{self.file}:{self.recording.id}" + (f" ({name})" if name else "")


def read(file: Path, recording: int | str | None, scope: Scope = EVERYTHING) -> RecordingCosts:
    """Returns the costs of a recording: of its command and all descendants, or of all processes started in it."""
    with reader.reading(file) as connection:
        found, about, _ = scoped.find(connection, file, recording, scope)
        id = process_tree.command_id(connection, found)
        activities = _by_activity(connection, found.id, id)
        line, outcome, lifetime_ns = _command(connection, id)
    wall_ns = found.until_ns - found.started_ns if lifetime_ns is None else lifetime_ns
    whole = replace(sum(activities.values(), Cost()), wall_ns=wall_ns)
    return RecordingCosts(file, found, whole, activities, about, line, outcome)


def _command(connection: sqlite3.Connection, id: int | None) -> tuple[str | None, str | None, int | None]:
    """Returns the line of the recorded command, its outcome, and how long it lived, in ns. None: not known."""
    row = connection.execute(_COMMAND, [id]).fetchone()
    if row is None:
        return None, None, None
    lifetime, exit_code, signal, state, argv, comm = row
    line, outcome = command_label.command_line(argv, comm), process_tree.outcome(exit_code, signal, state)
    return line, outcome, None if lifetime is None else int(lifetime)


def _by_activity(connection: sqlite3.Connection, recording: int, command: int | None) -> dict[str, Cost]:
    costs: dict[str, Cost] = {}
    values = {"recording": recording, "command": command}
    rows = connection.execute(process_tree.reported(command) + _PROCESSES, values)
    for id, argv, comm, wall, cpu, own, peak, status, *others in rows:
        activity = command_label.activity(argv, comm)
        # int() fails here, where the error is explained, for text that only a damaged file holds in these columns.
        wall_ns, cpu_ns, own_kib, peak_kib = (int(value or 0) for value in (wall, cpu, own, peak))
        known = Costs(*(value if value is None else int(value) for value in others))
        cost = Cost(wall_ns, cpu_ns, own_kib, 1, int(bool(status)), peak_kib, wall_ns, id, known)
        costs[activity] = costs.get(activity, Cost()) + cost
    return costs
