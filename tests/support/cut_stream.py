"""Cuts a stream of events into several, as if one recording after the other had been made of the same machine."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from fleets import set_machine
from support import make_recording

from webpf.model.events import TICK_NS, Event, Exec, Exit, Fork, Free, Seen


def cut(events: Iterable[Event], times: Sequence[int]) -> list[list[Event]]:
    """Returns the events before the first time, then those between two times, and those from the last on.

    A later part begins with the processes that are alive, as /proc shows them: with starts in whole ticks. What the
    kernel says of an ended process when it frees it belongs to the part in which it ended.
    """
    parts: list[list[Event]] = [[] for _ in range(len(times) + 1)]
    alive: dict[int, Seen] = {}
    ended_in: dict[tuple[int, int], int] = {}
    at = 0
    for event in events:
        if isinstance(event, Free):
            parts[ended_in.get((event.pid, event.start_ns), at)].append(event)
            continue
        while at < len(times) and event.time_ns >= times[at]:
            at += 1
            parts[at] += [seen._replace(time_ns=times[at - 1]) for seen in alive.values()]
        parts[at].append(event)
        if isinstance(event, Exit):
            ended_in[event.pid, event.start_ns] = at
        _follow(alive, event)
    return parts


def _follow(alive: dict[int, Seen], event: Event) -> None:
    if isinstance(event, Seen):
        alive[event.pid] = event
    elif isinstance(event, Fork):
        start = event.start_ns // TICK_NS * TICK_NS
        words = event.time_ns, event.pid, start, event.ppid, event.comm, event.uid, event.euid, event.cgroup_id
        alive[event.pid] = Seen(*words, event.kernel, 0, None, None, None)
    elif isinstance(event, Exec):
        program: dict[str, Any] = {"filename": event.filename, "argv": event.argv, "argv_bytes": event.argv_bytes}
        alive[event.pid] = alive[event.pid]._replace(
            comm=event.comm, uid=event.uid, euid=event.euid, execs=1, **program
        )
    elif isinstance(event, Exit):
        del alive[event.pid]
        for pid, seen in alive.items():
            if seen.ppid == event.pid:
                alive[pid] = seen._replace(ppid=1)


def record_part(
    db: Path, events: Iterable[Event], begin_ns: int, end_ns: int, boot_ns: int, boot: str = "a boot"
) -> Path:
    """Makes a file with a recording of these events from begin_ns to end_ns, on a machine that booted at boot_ns."""
    make_recording(db, events, batch=500)
    set_machine(db, "web1", "a machine", boot, started_ns=begin_ns, clock_offset_ns=boot_ns)
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("UPDATE recordings SET ended_ns = ?, updated_ns = ?", [end_ns, end_ns])
        connection.commit()
    return db
