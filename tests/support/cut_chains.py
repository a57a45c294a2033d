"""Chains for tests: the events of one recording, cut into segments as `webpf record --rotate` does."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from support import at, make_recording

from webpf.model.events import Event, Exec, Exit, Fork, Free, Seen, Vanished

Identity = tuple[int, int]  # pid and start


class _Alive:
    """What /proc would show of the processes that are alive."""

    def __init__(self) -> None:
        self.known: dict[Identity, Seen] = {}

    def add(self, event: Event) -> None:
        key = event.pid, event.start_ns
        if isinstance(event, Seen):
            self.known[key] = event
        elif isinstance(event, Fork):
            self.known[key] = Seen(
                0,
                *key,
                event.ppid,
                event.comm,
                event.uid,
                event.euid,
                event.cgroup_id,
                event.kernel,
                0,
                None,
                None,
                None,
            )
        elif isinstance(event, Exec) and key in self.known:
            changed = ("comm", "uid", "euid", "cgroup_id", "filename", "argv", "argv_bytes")
            values = {name: getattr(event, name) for name in changed}
            self.known[key] = self.known[key]._replace(execs=1, **values)
        elif isinstance(event, Exit | Free | Vanished):
            self.known.pop(key, None)


def cut(events: Iterable[Event], cuts_ms: Sequence[float]) -> list[list[Event]]:
    """Returns the events of each segment. A process that goes on is seen at the begin of the next.

    A free belongs to the segment in which its process ended.
    """
    segments: list[list[Event]] = [[]]
    alive, ended = _Alive(), dict[Identity, int]()
    limits = [at(ms) for ms in cuts_ms]
    for event in sorted(events, key=lambda each: each.time_ns):
        while len(segments) <= len(limits) and event.time_ns >= limits[len(segments) - 1]:
            begin = limits[len(segments) - 1]
            segments.append([each._replace(time_ns=begin) for each in alive.known.values()])
        key = event.pid, event.start_ns
        segment = ended.get(key, len(segments) - 1) if isinstance(event, Free) else len(segments) - 1
        segments[segment].append(event)
        if isinstance(event, Exit):
            ended[key] = segment
        alive.add(event)
    return segments


def make_chain(
    db: Path, events: Iterable[Event], cuts_ms: Sequence[float], end_ms: float = 1000, shift_ns: int = 0
) -> None:
    """Writes a chain. shift_ns: how far the clock is set forward at each cut."""
    segments = cut(events, cuts_ms)
    for number, part in enumerate(segments, 1):
        shift = shift_ns * (number - 1)
        moved = [_moved(event, shift) for event in part]
        make_recording(db, moved)
        begin, end = ([0, *cuts_ms][number - 1], [*cuts_ms, end_ms][number - 1])
        with closing(sqlite3.connect(db)) as connection, connection:
            connection.execute(
                "UPDATE recordings SET chain = 1, segment = ?1, started_ns = ?2, ended_ns = ?3, updated_ns = ?3,"
                " clock_offset_ns = clock_offset_ns + ?4 WHERE id = ?1",
                [number, at(begin), at(end), shift],
            )


def _moved(event: Event, shift: int) -> Event:
    names = ("time_ns", "start_ns", "parent_start_ns")
    return event._replace(**{name: getattr(event, name) + shift for name in names if hasattr(event, name)})
