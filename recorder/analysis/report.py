"""Where the time of a recording went: concurrency, serial sections, critical path, repeated commands, activities."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..model.recording import Recording
from . import active_time, command_summary, process_tree
from .command_summary import CommandSummary, ProcessDetails
from .costs import Costs, add_known, sum_known, total
from .critical_path import Schedule, Section
from .process_tree import Node

STEPS = 60
"""The number of equal steps for which the concurrency is computed."""

PROCESSOR, STORAGE, SLEEP = "processor", "storage", "sleep"
"""What processes mostly waited for. See ActivityCost.waits_for."""
_NS_PER_BYTE, _NS_PER_FAULT = 20, 10_000_000
"""How long a slow disk takes: 50 MB/s, and 10 ms for a page fault. For a guess at what storage can explain."""


@dataclass(frozen=True)
class PathShare:
    """The part of the critical path that the processes of one activity have, in ns. cpu_ns: of all their life.

    title: of the only process; of several, the activity. cpu_ns is None if it isn't known of each.
    """

    activity: str
    time_ns: int
    process_ids: tuple[int, ...]
    title: str
    cpu_ns: int | None

    @property
    def is_mostly_waiting(self) -> bool:
        """Whether more than half of the time was none on a processor."""
        return self.cpu_ns is not None and 2 * self.cpu_ns < self.time_ns


@dataclass(frozen=True)
class RepeatedCommand:
    """A command that ran more than once with the same arguments in the same directory. Times in ns.

    directory: its path, or its device and inode as `8:42` if the path isn't known. None: nothing is known.
    repeated_ns: the time of all runs except one of average length.
    """

    line: str
    directory: str | None
    process_ids: tuple[int, ...]
    total_ns: int

    @property
    def repeated_ns(self) -> int:
        """The time that could be saved if it ran only once."""
        return self.total_ns - self.total_ns // len(self.process_ids)


@dataclass(frozen=True)
class ActivityCost:
    """The cost of the processes of one activity, in ns. longest_id: the process that lived longest.

    waiting_ns: the time without a living child (see active_time), minus CPU time. waiting_for_processor_ns: the part of
    it for which they waited for a processor; None if it isn't known of any. costs: of all processes of the activity.
    """

    activity: str
    processes: int
    cpu_ns: int
    waiting_ns: int
    longest_id: int
    waiting_for_processor_ns: int | None
    costs: Costs

    @property
    def waits_for(self) -> str | None:
        """What most of the waiting was for: PROCESSOR, STORAGE or SLEEP; None if it didn't wait, or if it isn't known.

        PROCESSOR is exact. STORAGE is a guess: a slow disk could take half of the other waiting for what was read,
        written and faulted. SLEEP is what remains: a timer, the network, a lock, another process, or a fast disk.
        """
        if not self.waiting_ns or self.waiting_for_processor_ns is None:
            return None
        if 2 * self.waiting_for_processor_ns >= self.waiting_ns:
            return PROCESSOR
        moved = add_known(self.costs.read_bytes, self.costs.write_bytes) or 0
        disk_ns = moved * _NS_PER_BYTE + (self.costs.major_faults or 0) * _NS_PER_FAULT
        return STORAGE if 2 * disk_ns >= self.waiting_ns - self.waiting_for_processor_ns else SLEEP


@dataclass(frozen=True)
class Report:
    """A report of a command and its descendants, or of all processes that started in a recording. Times in Unix ns.

    concurrency: the average number of active processes in each of STEPS steps. most_active: the highest number at one
    time. All lists are complete. Serial sections are sorted by length, the critical path by time, the others by cost.
    """

    recording: Recording
    summary: CommandSummary
    start_ns: int
    end_ns: int
    concurrency: tuple[float, ...]
    most_active: int
    serial_sections: Sequence[Section]
    critical_path: Sequence[Section]
    path_shares: Sequence[PathShare]
    repeated: Sequence[RepeatedCommand]
    activities: Sequence[ActivityCost]

    @property
    def wall_ns(self) -> int:
        """The time from start to end, in ns."""
        return self.end_ns - self.start_ns

    @property
    def cpu_ns(self) -> int:
        """CPU time of all processes, in ns."""
        return sum(each.cpu_ns for each in self.activities)

    @property
    def waiting_ns(self) -> int:
        """The time in which processes had no living child, minus their CPU time, in ns."""
        return sum(each.waiting_ns for each in self.activities)

    @property
    def waiting_for_processor_ns(self) -> int | None:
        """The part of waiting_ns for which these processes waited for a processor; None if it isn't known."""
        return sum_known(each.waiting_for_processor_ns for each in self.activities)


def read(connection: sqlite3.Connection, recording: Recording, shown: int = command_summary.SHOWN) -> Report:
    """Returns the report of a recording. shown: the most processes that a list of its summary names."""
    summary = command_summary.read(connection, recording, shown)
    command = summary.command
    id = None if command is None else command.id
    nodes = process_tree.read_reported(connection, recording.id, id)
    start_ns, end_ns = _stretch(recording, command)
    schedule = Schedule(nodes, start_ns, end_ns)
    path = schedule.critical_path()
    return Report(
        recording,
        summary,
        start_ns,
        end_ns,
        tuple(schedule.concurrency(STEPS)),
        schedule.most_active(),
        schedule.serial_sections(),
        path,
        _path_shares(path),
        _repeated(nodes),
        _activities(nodes, dict(active_time.of_parents(connection, recording.id, id))),
    )


def read_critical_path(connection: sqlite3.Connection, recording: Recording) -> list[Section]:
    """Returns only the critical path of a report."""
    id = process_tree.command_id(connection, recording)
    nodes = process_tree.read_reported(connection, recording.id, id, with_directories=False)
    command = next((node for node in nodes if node.id == id), None)
    return Schedule(nodes, *_stretch(recording, command)).critical_path()


def _stretch(recording: Recording, command: ProcessDetails | Node | None) -> tuple[int, int]:
    """Returns the stretch of time that a report is about, in Unix ns: the life of the command, if there was one."""
    if command is None:
        return recording.started_ns, recording.until_ns
    return command.start_ns, command.end_ns or recording.until_ns


def _path_shares(path: Sequence[Section]) -> list[PathShare]:
    """Returns the critical path by activity, most time first."""
    spent: Counter[str] = Counter()
    nodes: dict[str, dict[int, Node]] = {}  # by activity, by id
    for each in path:
        spent[each.node.activity] += each.duration_ns
        nodes.setdefault(each.node.activity, {})[each.node.id] = each.node
    by_time = sorted(spent, key=lambda activity: (-spent[activity], activity))
    return [_path_share(activity, spent[activity], nodes[activity]) for activity in by_time]


def _path_share(activity: str, time_ns: int, nodes: Mapping[int, Node]) -> PathShare:
    *several, node = nodes.values()
    known = [each.cpu_ns for each in nodes.values() if each.cpu_ns is not None]
    cpu_ns = sum(known) if len(known) == len(nodes) else None
    return PathShare(activity, time_ns, tuple(nodes), activity if several else node.title, cpu_ns)


def _repeated(nodes: Sequence[Node]) -> list[RepeatedCommand]:
    """Returns the commands that ran more than once in the same directory, most repeated time first."""
    runs: dict[tuple[bytes, str | None], list[Node]] = {}
    for node in nodes:
        if node.has_run and node.lifetime_ns is not None:
            runs.setdefault((node.command, node.directory), []).append(node)
    found = [
        RepeatedCommand(
            same[-1].line, directory, tuple(node.id for node in same), sum(node.lifetime_ns or 0 for node in same)
        )
        for (_, directory), same in runs.items()
        if len(same) > 1
    ]
    return sorted(found, key=lambda each: (-each.repeated_ns, each.line, each.directory or ""))


def _activities(nodes: Sequence[Node], active_ns: Mapping[int, int]) -> list[ActivityCost]:
    """Returns the costs by activity, most expensive first. active_ns: the active time of parents, by id."""
    waiting_ns = {node.id: _waiting_ns(node, active_ns.get(node.id, node.lifetime_ns)) for node in nodes}
    by_activity: dict[str, list[Node]] = {}
    for node in nodes:
        by_activity.setdefault(node.activity, []).append(node)
    found = [
        ActivityCost(
            activity,
            len(same),
            sum(node.cpu_ns or 0 for node in same),
            sum(waiting_ns[node.id] for node in same),
            max(same, key=lambda node: (node.lifetime_ns or 0, -node.id)).id,
            sum_known(_at_most(node.costs.run_delay_ns, waiting_ns[node.id]) for node in same),
            total(node.costs for node in same),
        )
        for activity, same in by_activity.items()
    ]
    return sorted(found, key=lambda each: (-each.cpu_ns - each.waiting_ns, each.activity))


def _waiting_ns(node: Node, active_ns: int | None) -> int:
    """Returns active time minus CPU time; 0 if one of them isn't known.

    A parent also ran while children lived. So this is the least that it can have waited.
    """
    return 0 if active_ns is None or node.cpu_ns is None else max(active_ns - node.cpu_ns, 0)


def _at_most(delay_ns: int | None, waiting_ns: int) -> int | None:
    """Returns the part of waiting_ns: several threads can wait for longer than their process was active."""
    return None if delay_ns is None else min(delay_ns, waiting_ns)
