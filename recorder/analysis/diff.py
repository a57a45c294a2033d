"""Compares two recordings, of one file or of two: what is new, gone, slower or needs more, and what is only noise."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from ..errors import UsageError
from ..model.recording import Recording
from ..model.scope import EVERYTHING, Scope
from ..output import command_label
from ..storage import reader, scoped
from . import process_tree
from .costs import COLUMNS, NO_COSTS, Costs, add_known

NOISE_SHARE, NOISE_NS, NOISE_KIB = 0.1, 20_000_000, 2048
"""A difference is noise if it is less than this share of the old value, or less than this time or this memory."""
NOISE_BYTES, NOISE_FAULTS = NOISE_KIB * 1024, NOISE_KIB // 4
"""The same for bytes of storage, and for page faults: as many as that memory has pages of 4 KiB."""
NOISE_OF_WHOLE = 0.05
"""The time of an activity must change by more than this share of the whole, too.

What runs at the same time, and slows others down, changes from run to run.
"""

NEW, GONE, SLOWER, MORE_CPU, MORE_MEMORY, FAILING_MORE = CHANGES = (
    "new", "gone", "slower", "more_cpu", "more_memory", "failing_more",
)  # fmt: skip
"""All changes that an activity can have."""

_NUMBERS = ("processes", "failures", "faults")  # conditions that can be a number, and not only a share
_CONDITION = re.compile(r"(\w+)\s*>\s*(\d+(?:\.\d+)?)\s*(%?)")
_PROCESSES = f"""{process_tree.REPORTED}
SELECT p.id, c.argv, p.comm, p.lifetime_ns, p.cpu_ns, {process_tree.OWN_PEAK}, p.max_rss_kib, p.status,
    {COLUMNS}
FROM reported JOIN processes AS p ON p.id = reported.id LEFT JOIN commands AS c ON c.id = p.command_id"""


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


class Measure(NamedTuple):
    """A number that is compared. condition: its name in --fail-if. least: a smaller difference is noise."""

    condition: str
    attribute: str
    least: int

    def value(self, cost: Cost) -> int | None:
        """Returns the number; None if it isn't known. Of CPU time and memory, 0 means the same."""
        found: int | None = getattr(cost.costs if hasattr(cost.costs, self.attribute) else cost, self.attribute)
        return found


MEASURES = (
    Measure("wall", "wall_ns", NOISE_NS),
    Measure("cpu", "cpu_ns", NOISE_NS),
    Measure("rss", "own_rss_kib", NOISE_KIB),
    Measure("processes", "processes", 0),
    Measure("failures", "failures", 0),
)
"""The main measures, in the order in which they are shown."""
COST_MEASURES = (
    Measure("user", "user_ns", NOISE_NS),
    Measure("system", "system_ns", NOISE_NS),
    Measure("read", "read_bytes", NOISE_BYTES),
    Measure("write", "write_bytes", NOISE_BYTES),
    Measure("run_delay", "run_delay_ns", NOISE_NS),
    Measure("faults", "faults", NOISE_FAULTS),
)
"""The other measures, in the order in which they are shown."""
_BY_CONDITION = {each.condition: each for each in (*MEASURES, *COST_MEASURES)}


@dataclass(frozen=True)
class RecordingCosts:
    """The costs of a recording, as a whole (wall_ns: how long it took) and by activity. about: see storage.scoped."""

    file: Path
    recording: Recording
    whole: Cost
    activities: dict[str, Cost]
    about: str | None = None

    @property
    def name(self) -> str:
        """File, number and name of the recording, for people."""
        name = self.recording.name
        return f"{self.file}:{self.recording.id}" + (f" ({name})" if name else "")


@dataclass(frozen=True)
class Condition:
    """How much a measure may grow: by `limit` as a share of the old value, or by that number."""

    text: str
    measure: Measure
    limit: float
    is_share: bool

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Parses a text such as `wall>10%` or `failures>0`. Raises UsageError."""
        match = _CONDITION.fullmatch(text.strip())
        measure = _BY_CONDITION.get(match[1]) if match else None
        if match is None or measure is None or (not match[3] and match[1] not in _NUMBERS):
            shares = ", ".join(name for name in _BY_CONDITION if name not in _NUMBERS)
            message = (
                f"--fail-if takes a share of {shares}; or a share or a number of {', '.join(_NUMBERS)}, not {text!r}"
            )
            raise UsageError(message, "webpf diff --fail-if 'wall>10%' --fail-if 'failures>0'")
        return cls(text.strip(), measure, float(match[2]) / (100 if match[3] else 1), bool(match[3]))

    def is_met(self, before: Cost, after: Cost) -> bool:
        """Returns whether the measure grew by more than the limit. A cost that isn't known has not grown."""
        old, new = (self.measure.value(cost) for cost in (before, after))
        if self.measure.condition == "rss":
            old = old or before.rss_at_most_kib
        if old is None or new is None:
            return False
        return bool(new - old > (self.limit * old if self.is_share else self.limit))


@dataclass(frozen=True)
class ActivityChange:
    """How an activity changed. before, after: None if it isn't in that recording. changes: some of CHANGES."""

    activity: str
    before: Cost | None
    after: Cost | None
    changes: tuple[str, ...]

    @property
    def wall_change_ns(self) -> int:
        """How much longer its processes lived, in ns; negative: shorter."""
        return (self.after or Cost()).wall_ns - (self.before or Cost()).wall_ns


@dataclass(frozen=True)
class Comparison:
    """The comparison of two recordings. activities: those of both, sorted by name."""

    before: RecordingCosts
    after: RecordingCosts
    activities: tuple[ActivityChange, ...]


def is_noise(old: float, new: float, least: float) -> bool:
    """Returns whether a difference is too small to matter: less than NOISE_SHARE of the old value, or than `least`."""
    return abs(new - old) < max(NOISE_SHARE * old, least)


def compare(before: RecordingCosts, after: RecordingCosts) -> Comparison:
    """Returns how each activity changed."""
    found = []
    for activity in sorted(before.activities.keys() | after.activities.keys()):
        old, new = before.activities.get(activity), after.activities.get(activity)
        changes = (NEW,) if old is None else (GONE,) if new is None else tuple(_changes(before.whole, old, new))
        found.append(ActivityChange(activity, old, new, changes))
    return Comparison(before, after, tuple(found))


def _changes(whole: Cost, before: Cost, after: Cost) -> list[str]:
    """Returns what got worse by more than noise. whole: the costs of the whole recording before."""
    return [
        change
        for change, old, new, least in (
            (SLOWER, before.wall_ns, after.wall_ns, max(NOISE_NS, NOISE_OF_WHOLE * whole.wall_ns)),
            (MORE_CPU, before.cpu_ns, after.cpu_ns, max(NOISE_NS, NOISE_OF_WHOLE * whole.cpu_ns)),
            (MORE_MEMORY, before.rss_at_most_kib, after.own_rss_kib, NOISE_KIB),  # the smallest growth that is certain
            (FAILING_MORE, before.failures, after.failures, 0),
        )
        if new > old and not is_noise(old, new, least)
    ]


def last_two(db: Path) -> tuple[int, int]:
    """Returns the ids of the last two recordings of a file, older first. Raises NotFound if there are not two."""
    with reader.reading(db) as connection:
        latest = reader.find(connection, db)
        earlier = [each.id for each in reader.recordings(connection)[:-1]]
        return reader.find(connection, db, earlier[-1] if earlier else latest.id - 1).id, latest.id


def read(file: Path, recording: int | str | None, scope: Scope = EVERYTHING) -> RecordingCosts:
    """Returns the costs of a recording: of its command and all descendants, or of all processes started in it."""
    with reader.reading(file) as connection:
        found, about, _ = scoped.find(connection, file, recording, scope)
        command = process_tree.command_id(connection, found)
        activities = _by_activity(connection, found.id, command)
        wall_ns = _wall_ns(connection, found, command)
    return RecordingCosts(file, found, replace(sum(activities.values(), Cost()), wall_ns=wall_ns), activities, about)


def _by_activity(connection: sqlite3.Connection, recording: int, command: int | None) -> dict[str, Cost]:
    costs: dict[str, Cost] = {}
    values = {"recording": recording, "command": command}
    for id, argv, comm, wall, cpu, own, peak, status, *others in connection.execute(_PROCESSES, values):
        activity = command_label.activity(argv, comm)
        # int() fails here, where the error is explained, for text that only a damaged file holds in these columns.
        wall_ns, cpu_ns, own_kib, peak_kib = (int(value or 0) for value in (wall, cpu, own, peak))
        known = Costs(*(value if value is None else int(value) for value in others))
        cost = Cost(wall_ns, cpu_ns, own_kib, 1, int(bool(status)), peak_kib, wall_ns, id, known)
        costs[activity] = costs.get(activity, Cost()) + cost
    return costs


def _wall_ns(connection: sqlite3.Connection, recording: Recording, command: int | None) -> int:
    """Returns how long the command lived, or else how long the recording took, in ns."""
    sql = "SELECT lifetime_ns FROM processes WHERE id = ?"
    lifetime = connection.execute(sql, [command]).fetchone() if command is not None else None
    if lifetime and lifetime[0] is not None:
        return int(lifetime[0])
    return recording.until_ns - recording.started_ns
