"""A recording as stacks for flame graphs: each process below its ancestors, weighted by what it cost itself."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import TextIO

from .ordering import parents_first
from .slices import Row
from .work import UNWATCHED, Work, counted
from .work import processes as work_of

WEIGHTS = ("wall", "cpu", "count")
"""wall: ns that it lived while none of its children did; cpu: ns of CPU time; count: one for each."""

SPEEDSCOPE_SCHEMA = "https://www.speedscope.app/file-format-schema.json"


@dataclass
class _Process:
    parent: int | None
    name: str
    start_ns: int
    end_ns: int
    cpu_ns: int
    covered_ns: int = 0  # how much of its time its children were there
    covered_until_ns: int = 0


def read(connection: sqlite3.Connection, about: Row, weight: str, work: Work = UNWATCHED) -> dict[tuple[str, ...], int]:
    """Stack (names of programs, the oldest ancestor first) -> weight. Without kernel threads, in a stable order."""
    ended_ns = about["ended_ns"] or about["updated_ns"]
    sql = """SELECT id, parent_id, coalesce(comm, '?'), start_ns,
            coalesce(end_ns, CASE state WHEN 'running' THEN ? ELSE start_ns END), coalesce(cpu_ns, 0)
        FROM processes WHERE recording_id = ? AND kernel IS NOT 1 ORDER BY start_ns, id"""
    rows = counted(connection.execute(sql, [ended_ns, about["id"]]), work, work_of(connection, about["id"]))
    processes = {id: _Process(*rest) for id, *rest in rows}
    if weight == "wall":
        _cover(processes, about["started_ns"])
    stacks: dict[int | None, tuple[str, ...]] = {None: ()}
    weights: dict[tuple[str, ...], int] = {}
    for id in parents_first(sorted(processes), int, lambda id: processes[id].parent):
        each = processes[id]
        stacks[id] = stack = (*stacks.get(each.parent, ()), each.name)
        cost = 1 if weight == "count" else each.cpu_ns
        if weight == "wall":
            cost = each.end_ns - max(each.start_ns, about["started_ns"]) - each.covered_ns
        weights[stack] = weights.get(stack, 0) + max(cost, 0)
    return dict(sorted((stack, cost) for stack, cost in weights.items() if cost))


def _cover(processes: dict[int, _Process], started_ns: int) -> None:
    """Adds up for how long each had children, from the recording's begin on. They come in the order of their starts."""
    for child in processes.values():
        parent = processes.get(child.parent) if child.parent is not None else None
        if parent is not None:
            begin = max(child.start_ns, parent.covered_until_ns, parent.start_ns, started_ns)
            end = min(child.end_ns, parent.end_ns)
            parent.covered_ns += max(end - begin, 0)
            parent.covered_until_ns = max(parent.covered_until_ns, end)


def write_folded(stacks: dict[tuple[str, ...], int], out: TextIO) -> None:
    """One stack a line, names joined by ; as flamegraph.pl reads them."""
    out.writelines(f"{';'.join(map(_safe, stack))} {cost}\n" for stack, cost in stacks.items())


def write_speedscope(stacks: dict[tuple[str, ...], int], about: Row, weight: str, out: TextIO) -> None:
    """For speedscope.app, by its schema."""
    frames = list(dict.fromkeys(name for stack in stacks for name in stack))
    index = {name: number for number, name in enumerate(frames)}
    document = {
        "$schema": SPEEDSCOPE_SCHEMA,
        "exporter": "webpf",
        "name": f"recording {about['id']} of {about['host']}, {weight}",
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


def _safe(name: str) -> str:
    """A name without what separates names and lines."""
    return "".join("_" if character == ";" or character < " " else character for character in name)
