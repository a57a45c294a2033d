"""Sessions with events from memory: what they keep in memory, and which events are after their end."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from support import MS, Machine, at, exec_, exit_, fork, free, recording_values, seen

from webpf.capture import recording_end
from webpf.capture.recording_session import Session
from webpf.host import clock
from webpf.host.procfs import State
from webpf.model.event_source import Counts, MemorySource
from webpf.model.events import Event, Exec, Exit, Fork, Free
from webpf.model.known_processes import MAX_GIVEN_UP
from webpf.storage.recording_file import RecordingFile
from webpf.storage.verify import verify


def test_processes_that_were_never_freed_are_given_up(tmp_path: Path) -> None:
    """Zombies are kept, and so are processes that have just been reaped. The rows in the file stay the same."""
    states: dict[int, State] = {100: "gone", 101: "zombie", 102: "gone"}

    def held() -> set[int]:
        return {process.pid for process in session.pairing.unfreed()}

    events: list[Event] = [
        fork(100, 0),
        fork(101, 1),
        fork(102, 2),
        exit_(100, 0, 3),
        exit_(101, 1, 4),
        exit_(102, 2, 5),
    ]
    file = RecordingFile(tmp_path / "webpf.db")
    session = Session(MemorySource(events), file.begin(recording_values()), Machine(states.__getitem__))
    session.add_events(session.source.drain())
    session.forget_unfreed()
    assert held() == {100, 101, 102}
    session.add_events([free(102, 2, 90)])
    states[101] = "gone"
    session.forget_unfreed()
    assert held() == {101}
    session.add_events([free(101, 1, 99)])
    session.forget_unfreed()
    assert (held(), session._gone) == (set(), set())
    session.writer.write_counts(session.source.counts(), 0)
    file.close()
    assert [finding.problems for finding in verify(tmp_path / "webpf.db")] == [(), ()]


END = 1000
"""When the recordings below end, in ms since T0."""


class LateSource(MemorySource):
    """A source that has more events, in batches, after intake was stopped."""

    def __init__(self, events: list[Event], later: list[list[Event]]) -> None:
        super().__init__(events)
        self._later = later
        self._stopped = False
        self._attempts = Counter(type(event) for batch in (events, *later) for event in batch)

    def stop_intake(self) -> None:
        self._stopped = True

    def drain(self) -> list[Event]:
        return self._later.pop(0) if self._stopped and self._later else super().drain()

    def counts(self) -> Counts:
        return Counts(tuple(self._attempts[kind] for kind in (Fork, Exec, Exit, Free)))


def finished(db: Path, events: list[Event], *later: list[Event], gone: Iterable[int] = ()) -> list[tuple[Any, ...]]:
    """Records events until END, then adds the later events. Returns pid, state and CPU time in ms of each process.

    gone: pids that are not in /proc at the end. Asserts that the rows follow from the events.
    """
    file = RecordingFile(db)
    offset = at(END) - clock.boot_ns()
    machine = Machine(lambda pid: "gone" if pid in gone else "alive", offset)
    session = Session(LateSource(events, list(later)), file.begin(recording_values()), machine)
    session.add_events(session.source.drain())
    recording_end.finish(session)
    assert session.counts.arrived == session.writer.written
    rows = file.db["processes"].rows_where(order_by="pid")
    processes = [(row["pid"], row["state"], row["cpu_ns"] and row["cpu_ns"] / MS) for row in rows]
    file.close()
    assert [finding.problems for finding in verify(db)] == [(), ()]
    return processes


LATE = END + 60_000


def test_events_after_the_end_are_left_out(tmp_path: Path) -> None:
    """A processor that saw the gate open can write its event when others see it shut. So they are not complete."""
    later: list[Event] = [
        exec_(100, 0, LATE),
        exit_(100, 0, LATE + 1),
        fork(101, LATE),
        fork(102, END - 1),
        exit_(103, 5, 9),
    ]
    processes = finished(tmp_path / "db", [fork(100, 0), fork(103, 5)], later)
    assert processes == [(100, "running", None), (102, "running", None), (103, "exited", None)]
    with closing(sqlite3.connect(tmp_path / "db")) as connection:
        ended_ns, execs, attempted = connection.execute(
            "SELECT ended_ns, execs_attempted, forks_attempted FROM recordings"
        ).fetchone()
    assert at(END) <= ended_ns < at(LATE)
    assert (execs, attempted) == (0, 3)


def test_a_process_that_is_freed_just_after_the_end_was_running(tmp_path: Path) -> None:
    """Its exit came after the end. The exit of another process, in the same batch, was before."""
    later: list[Event] = [exit_(101, 1, 5), free(101, 1, LATE), free(100, 0, LATE)]
    events: list[Event] = [fork(100, 0), fork(101, 1)]
    assert finished(tmp_path / "db", events, later) == [(100, "running", None), (101, "exited", 1)]


def test_a_process_whose_fork_and_late_free_are_in_one_batch_was_running(tmp_path: Path) -> None:
    later: list[Event] = [fork(100, 999), free(100, 999, LATE)]
    assert finished(tmp_path / "db", [], later) == [(100, "running", None)]


def test_a_free_from_before_the_end_is_kept_though_the_exit_was_lost(tmp_path: Path) -> None:
    assert finished(tmp_path / "db", [fork(100, 0)], [free(100, 0, 900, cpu_ms=3)]) == [(100, "lost", 3)]


def test_a_late_free_of_a_vanished_process_is_kept_though_the_exit_was_lost(tmp_path: Path) -> None:
    rows = finished(tmp_path / "db", [fork(100, 0)], [free(100, 0, LATE, cpu_ms=3)], gone=[100])
    assert rows == [(100, "lost", 3)]


def test_a_free_of_a_process_that_started_after_the_end_is_left_out(tmp_path: Path) -> None:
    assert finished(tmp_path / "db", [], [free(100, LATE, LATE + 5)]) == []


def test_the_exact_start_in_a_late_free_is_not_used(tmp_path: Path) -> None:
    """The recording doesn't have this free, so the row would not follow from the events."""
    rows = finished(tmp_path / "db", [seen(100, -50)], [free(100, -47, LATE)])
    assert rows == [(100, "running", None)]


def test_a_free_event_of_a_process_that_was_given_up(tmp_path: Path) -> None:
    file = RecordingFile(tmp_path / "db")
    session = Session(MemorySource([]), file.begin(recording_values()), Machine(lambda pid: "gone"))
    session.add_events([fork(100, 0), exit_(100, 0, 3)])
    for _ in range(2):
        session.forget_unfreed()
    session.add_events([free(100, 0, 200_000, cpu_ms=3)])
    session.writer.write_counts(Counts((1, 0, 1, 1)), 0)
    assert [row["cpu_ns"] for row in file.db["processes"].rows] == [3 * MS]
    file.close()
    assert [finding.problems for finding in verify(tmp_path / "db")] == [(), ()]


def test_missing_free_events_use_limited_memory(tmp_path: Path) -> None:
    """Also if pids are reused so fast that forget_unfreed() never sees most of the processes."""
    file = RecordingFile(tmp_path / "db")
    writer = file.begin(recording_values())
    session = Session(MemorySource([]), writer, Machine())
    for round in range(2 * MAX_GIVEN_UP):
        session.add_events([fork(100, round), exit_(100, round, round + 0.5)])
        if round % 1000 == 0:
            session.forget_unfreed()
    session.forget_unfreed()
    assert len(writer._processes._changeable) <= MAX_GIVEN_UP + 2
    file.close()
