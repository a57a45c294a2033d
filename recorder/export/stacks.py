"""Exports a recording as stacks for flame graphs: a process's stack is its ancestors, its weight its own cost."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import TextIO

from ..model.recording import Recording
from ..output import command_label
from ..output.escape import safe
from ..progress import NO_PROGRESS, Progress, count_processes, report_rows
from ..storage.sql_macros import expand

WEIGHTS = ("wall", "cpu", "count")
"""wall: ns during which a process lived and none of its children did; cpu: ns of CPU time; count: 1 per process."""

SPEEDSCOPE_SCHEMA = "https://www.speedscope.app/file-format-schema.json"

MAX_DEPTH = 100
"""Maximum number of frames in a stack. Deeper processes are merged into one more frame that gives their number."""

_ROOT = 0


@dataclass
class _Process:
    parent: int | None
    name: str
    start_ns: int
    end_ns: int
    cpu_ns: int
    children_ns: int = 0  # time during which at least one of its children lived
    children_until_ns: int = 0  # latest end of the children that children_ns includes
    stack: int | None = None  # its number in _Stacks


class _Stacks:
    """All stacks as a tree. A stack is a number: of its last frame and of the stack without that frame."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, str], int] = {}
        self._frames: list[tuple[int, str]] = [(_ROOT, "")]
        self._depths = [0]
        self._weights = [0]
        self._deeper: dict[int, list[int]] = {}  # by stack of full length: count and weight of the processes below it

    def child(self, stack: int, name: str) -> int:
        """Returns the stack with this frame added; returns the same stack if it has MAX_DEPTH frames."""
        if self._depths[stack] == MAX_DEPTH:
            return stack
        key = (stack, name)
        found = self._numbers.get(key)
        if found is None:
            found = self._numbers[key] = len(self._frames)
            self._frames.append(key)
            self._depths.append(self._depths[stack] + 1)
            self._weights.append(0)
        return found

    def add(self, stack: int, parent_stack: int, weight: int) -> None:
        """Adds the weight of a process. If its stack is that of its parent, the process is deeper than MAX_DEPTH."""
        if stack != parent_stack:
            self._weights[stack] += weight
            return
        deeper = self._deeper.setdefault(stack, [0, 0])
        deeper[0] += 1
        deeper[1] += weight

    def weights(self) -> dict[tuple[str, ...], int]:
        """Returns stack -> weight, in a stable order, without stacks of weight 0."""
        weights = {self._names(stack): weight for stack, weight in enumerate(self._weights) if weight}
        for stack, (count, weight) in self._deeper.items():
            if weight:
                more = f"… {count:,} more process{'' if count == 1 else 'es'} below"
                full_stack = (*self._names(stack), more)
                weights[full_stack] = weight
        return dict(sorted(weights.items()))

    def _names(self, stack: int) -> tuple[str, ...]:
        names = []
        while stack != _ROOT:
            stack, name = self._frames[stack]
            names.append(name)
        return tuple(reversed(names))


def read_stacks(
    connection: sqlite3.Connection, recording: Recording, weight: str, progress: Progress = NO_PROGRESS
) -> dict[tuple[str, ...], int]:
    """Returns stack -> weight, in a stable order. A stack is program names, the oldest ancestor first.

    Kernel threads are left out. Raises the errors of `progress`.
    """
    # Only the name of a program that the dynamic loader runs is made from its arguments.
    sql = """SELECT p.id, p.parent_id, p.comm,
            CASE WHEN p.comm GLOB 'ld*' THEN (SELECT argv FROM commands WHERE id = p.command_id) END, p.start_ns,
            last_ns!(p, ?), coalesce(p.cpu_ns, 0)
        FROM processes AS p WHERE p.recording_id = ? AND is_counted!(p) ORDER BY p.start_ns, p.id"""
    cursor = connection.execute(expand(sql), [recording.until_ns, recording.id])
    rows = report_rows(cursor, progress, count_processes(connection, recording.id))
    processes = {
        id: _Process(parent, command_label.display_name(argv, comm), start_ns, end_ns, cpu_ns)
        for id, parent, comm, argv, start_ns, end_ns, cpu_ns in rows
    }
    if weight == "wall":
        _sum_child_time(processes, recording.started_ns)
    stacks = _Stacks()
    for each in processes.values():
        _assign_stack(each, processes, stacks)
        parent_stack = processes[each.parent].stack if each.parent in processes else None
        cost = 1 if weight == "count" else each.cpu_ns
        if weight == "wall":
            cost = each.end_ns - max(each.start_ns, recording.started_ns) - each.children_ns
        stacks.add(each.stack or _ROOT, parent_stack or _ROOT, max(cost, 0))
    return stacks.weights()


def _assign_stack(process: _Process, processes: dict[int, _Process], stacks: _Stacks) -> None:
    """Sets the stack of a process, and before that the stacks of its ancestors that have none yet."""
    unassigned = [process]
    while unassigned[-1].stack is None:
        unassigned[-1].stack = _ROOT  # ends the loop if a damaged file makes a process its own ancestor
        parent = processes.get(unassigned[-1].parent) if unassigned[-1].parent is not None else None
        if parent is None:
            break
        unassigned.append(parent)
    stack = unassigned[-1].stack or _ROOT
    for each in reversed(unassigned):
        if each.stack == _ROOT:
            each.stack = stacks.child(stack, each.name)
        stack = each.stack or _ROOT


def _sum_child_time(processes: dict[int, _Process], started_ns: int) -> None:
    """Sets children_ns of all processes, counted from the start of the recording.

    processes: in the order of their start times.
    """
    for child in processes.values():
        parent = processes.get(child.parent) if child.parent is not None else None
        if parent is not None:
            begin = max(child.start_ns, parent.children_until_ns, parent.start_ns, started_ns)
            end = min(child.end_ns, parent.end_ns)
            parent.children_ns += max(end - begin, 0)
            parent.children_until_ns = max(parent.children_until_ns, end)


def write_folded(
    connection: sqlite3.Connection, recording: Recording, out: TextIO, weight: str, progress: Progress = NO_PROGRESS
) -> None:
    """Writes one stack per line, with names joined by `;`, as flamegraph.pl reads them."""
    stacks = read_stacks(connection, recording, weight, progress)
    out.writelines(f"{';'.join(map(_folded_frame, stack))} {cost}\n" for stack, cost in stacks.items())


def write_speedscope(
    connection: sqlite3.Connection, recording: Recording, out: TextIO, weight: str, progress: Progress = NO_PROGRESS
) -> None:
    """Writes a sampled profile that follows speedscope's schema."""
    stacks = read_stacks(connection, recording, weight, progress)
    frames = list(dict.fromkeys(name for stack in stacks for name in stack))
    index = {name: number for number, name in enumerate(frames)}
    document = {
        "$schema": SPEEDSCOPE_SCHEMA,
        "exporter": "webpf",
        "name": f"recording {recording.id} of {recording.machine_name}, {weight}",
        "activeProfileIndex": 0,
        "shared": {"frames": [{"name": name} for name in frames]},
        "profiles": [
            {
                "type": "sampled",
                "name": weight,
                "unit": "none" if weight == "count" else "nanoseconds",
                "startValue": 0,
                "endValue": sum(stacks.values()),
                "samples": [[index[name] for name in stack] for stack in stacks],
                "weights": list(stacks.values()),
            }
        ],
    }
    json.dump(document, out)
    out.write("\n")


def _folded_frame(name: str) -> str:
    """Returns a name without the separator `;` and without characters that a terminal would interpret."""
    return safe(name).replace(";", "_")
