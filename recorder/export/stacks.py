"""A recording as stacks for flame graphs: each process below its ancestors, weighted by what it cost itself."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import TextIO

from ..model.recording import Recording
from ..output import command_label
from ..output.escape import safe
from ..progress import UNWATCHED, Work, counted
from ..progress import processes as work_of
from ..storage.sql_macros import expand

WEIGHTS = ("wall", "cpu", "count")
"""wall: ns that it lived while none of its children did; cpu: ns of CPU time; count: one for each."""

SPEEDSCOPE_SCHEMA = "https://www.speedscope.app/file-format-schema.json"


DEPTH = 100
"""Longest stack. What is below is one more frame, which says how many processes it stands for."""

_TOP = 0


@dataclass
class _Process:
    parent: int | None
    name: str
    start_ns: int
    end_ns: int
    cpu_ns: int
    covered_ns: int = 0  # how much of its time its children were there
    covered_until_ns: int = 0
    place: int | None = None  # in _Stacks


class _Stacks:
    """All stacks, each as its last frame and the number of the stack without it."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, str], int] = {}
        self._frames: list[tuple[int, str]] = [(_TOP, "")]
        self._depths = [0]
        self._weights = [0]
        self._deeper: dict[int, list[int]] = {}  # of stacks of full length: processes and weight below

    def below(self, number: int, name: str) -> int:
        """The stack that is longer by this frame; the same one, if it is as long as may be."""
        if self._depths[number] == DEPTH:
            return number
        key = (number, name)
        found = self._numbers.get(key)
        if found is None:
            found = self._numbers[key] = len(self._frames)
            self._frames.append(key)
            self._depths.append(self._depths[number] + 1)
            self._weights.append(0)
        return found

    def add(self, number: int, above: int, weight: int) -> None:
        """Adds the weight of a process in this stack, whose parent is in the one above."""
        if number != above:
            self._weights[number] += weight
            return
        deeper = self._deeper.setdefault(number, [0, 0])
        deeper[0] += 1
        deeper[1] += weight

    def weights(self) -> dict[tuple[str, ...], int]:
        """Stack -> weight, in a stable order, without those that weigh nothing."""
        found = {self._names(number): weight for number, weight in enumerate(self._weights) if weight}
        for number, (count, weight) in self._deeper.items():
            if weight:
                more = f"… {count:,} more process{'' if count == 1 else 'es'} below"
                stack = (*self._names(number), more)
                found[stack] = weight
        return dict(sorted(found.items()))

    def _names(self, number: int) -> tuple[str, ...]:
        names = []
        while number != _TOP:
            number, name = self._frames[number]
            names.append(name)
        return tuple(reversed(names))


def read(
    connection: sqlite3.Connection, recording: Recording, weight: str, work: Work = UNWATCHED
) -> dict[tuple[str, ...], int]:
    """Stack (names of programs, the oldest ancestor first) -> weight. Without kernel threads, in a stable order."""
    sql = """SELECT id, parent_id, comm, CASE WHEN comm GLOB 'ld*' THEN argv END, start_ns,
            last_ns!(processes, ?), coalesce(cpu_ns, 0)
        FROM processes WHERE recording_id = ? AND is_counted!(processes) ORDER BY start_ns, id"""
    cursor = connection.execute(expand(sql), [recording.until_ns, recording.id])
    rows = counted(cursor, work, work_of(connection, recording.id))
    processes = {
        id: _Process(parent, command_label.display_name(argv, comm), start_ns, end_ns, cpu_ns)
        for id, parent, comm, argv, start_ns, end_ns, cpu_ns in rows
    }
    if weight == "wall":
        _cover(processes, recording.started_ns)
    stacks = _Stacks()
    for each in processes.values():
        _place(each, processes, stacks)
        above = processes[each.parent].place if each.parent in processes else None
        cost = 1 if weight == "count" else each.cpu_ns
        if weight == "wall":
            cost = each.end_ns - max(each.start_ns, recording.started_ns) - each.covered_ns
        stacks.add(each.place or _TOP, above or _TOP, max(cost, 0))
    return stacks.weights()


def _place(process: _Process, processes: dict[int, _Process], stacks: _Stacks) -> None:
    """Finds the stack of a process, and first that of its ancestors, as far as they have none yet."""
    line = [process]
    while line[-1].place is None:
        line[-1].place = _TOP  # so that it ends where somebody is their own ancestor
        parent = processes.get(line[-1].parent) if line[-1].parent is not None else None
        if parent is None:
            break
        line.append(parent)
    number = line[-1].place or _TOP
    for each in reversed(line):
        if each.place == _TOP:
            each.place = stacks.below(number, each.name)
        number = each.place or _TOP


def _cover(processes: dict[int, _Process], started_ns: int) -> None:
    """Adds up for how long each had children, from the recording's begin on. They come in the order of their starts."""
    for child in processes.values():
        parent = processes.get(child.parent) if child.parent is not None else None
        if parent is not None:
            begin = max(child.start_ns, parent.covered_until_ns, parent.start_ns, started_ns)
            end = min(child.end_ns, parent.end_ns)
            parent.covered_ns += max(end - begin, 0)
            parent.covered_until_ns = max(parent.covered_until_ns, end)


def write_folded(
    connection: sqlite3.Connection, recording: Recording, out: TextIO, weight: str, work: Work = UNWATCHED
) -> None:
    """One stack a line, names joined by ; as flamegraph.pl reads them."""
    stacks = read(connection, recording, weight, work)
    out.writelines(f"{';'.join(map(_frame, stack))} {cost}\n" for stack, cost in stacks.items())


def write_speedscope(
    connection: sqlite3.Connection, recording: Recording, out: TextIO, weight: str, work: Work = UNWATCHED
) -> None:
    """For speedscope.app, by its schema."""
    stacks = read(connection, recording, weight, work)
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


def _frame(name: str) -> str:
    """A name without what separates names, and without what a terminal would act on."""
    return safe(name).replace(";", "_")
