"""A recording under way, with replayed events: what it holds on to, and what it lets go of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from support import MS, Machine, at, exit_, fork, free, recording_values, seen

from webpf.capture.session import Session
from webpf.host import clock
from webpf.host.procfs import State
from webpf.model.events import Event, Exec, Exit, Fork, Free
from webpf.model.known_processes import MAX_GIVEN_UP
from webpf.model.source import Counts, MemorySource
from webpf.storage.recording_file import RecordingFile
from webpf.storage.verify import verify


def test_what_was_never_freed_is_let_go_of_once_it_is_long_gone(tmp_path: Path) -> None:
    """Not what is a zombie still, not what was reaped just now; and what it says in the file is not touched."""
    states: dict[int, State] = {100: "gone", 101: "zombie", 102: "gone"}

    def held() -> set[int]:
        return {process.pid for process in session._pairing.unfreed()}

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


def test_a_recording_ends_with_what_it_still_took_in(tmp_path: Path) -> None:
    """Not with a moment after intake stopped, of which it knows nothing; and a free belongs to an end before it."""
    file = RecordingFile(tmp_path / "webpf.db")
    events: list[Event] = [fork(100, 0), exit_(100, 0, 5), free(100, 0, 9)]
    session = Session(MemorySource(events, batch=1), file.begin(recording_values()), Machine(lambda pid: "gone"))
    assert session.finish() == at(5)
    assert [row["ended_ns"] for row in file.db["recordings"].rows] == [at(5)]
    file.close()


END = 1000
"""When the recordings below end, in ms since T0."""


class Latecomers(MemorySource):
    """A source that brings some events, in batches, only after intake was stopped."""

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
    """Records events, ends at END, takes in what comes later; pid, state and CPU time in ms of each process then.

    gone: pids that /proc doesn't show at the end. The file must follow from its facts.
    """
    file = RecordingFile(db)
    offset = at(END) - clock.boot_ns()
    machine = Machine(lambda pid: "gone" if pid in gone else "alive", offset)
    session = Session(Latecomers(events, list(later)), file.begin(recording_values()), machine)
    session.add_events(session.source.drain())
    session.finish()
    assert session.counts.arrived == session.writer.written
    rows = file.db["processes"].rows_where(order_by="pid")
    found = [(row["pid"], row["state"], row["cpu_ns"] and row["cpu_ns"] / MS) for row in rows]
    file.close()
    assert [finding.problems for finding in verify(db)] == [(), ()]
    return found


LATE = END + 60_000


def test_who_is_alive_at_the_end_and_freed_just_after_was_running(tmp_path: Path) -> None:
    """His exit came after the end. Another's, which the same batch brings, did not."""
    later: list[Event] = [exit_(101, 1, 5), free(101, 1, LATE), free(100, 0, LATE)]
    events: list[Event] = [fork(100, 0), fork(101, 1)]
    assert finished(tmp_path / "db", events, later) == [(100, "running", None), (101, "exited", 1)]


def test_born_in_the_batch_that_brings_his_free_he_was_running_too(tmp_path: Path) -> None:
    later: list[Event] = [fork(100, 999), free(100, 999, LATE)]
    assert finished(tmp_path / "db", [], later) == [(100, "running", None)]


def test_a_free_from_before_the_end_is_kept_though_the_exit_was_lost(tmp_path: Path) -> None:
    assert finished(tmp_path / "db", [fork(100, 0)], [free(100, 0, 900, cpu_ms=3)]) == [(100, "lost", 3)]


def test_a_free_of_who_was_gone_at_the_end_is_kept_though_the_exit_was_lost(tmp_path: Path) -> None:
    rows = finished(tmp_path / "db", [fork(100, 0)], [free(100, 0, LATE, cpu_ms=3)], gone=[100])
    assert rows == [(100, "lost", 3)]


def test_a_free_of_who_was_born_after_the_end_is_no_fact_of_it(tmp_path: Path) -> None:
    assert finished(tmp_path / "db", [], [free(100, LATE, LATE + 5)]) == []


def test_a_start_that_only_a_late_free_tells_is_not_taken_over(tmp_path: Path) -> None:
    """The file would not follow from its facts: that free is none of them."""
    rows = finished(tmp_path / "db", [seen(100, -50)], [free(100, -47, LATE)])
    assert rows == [(100, "running", None)]


def test_a_free_that_comes_after_all_for_who_was_given_up(tmp_path: Path) -> None:
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


def test_a_free_that_never_comes_costs_no_memory_for_ever(tmp_path: Path) -> None:
    """Also where pids come round so soon that no sweep sees a process that was never freed."""
    file = RecordingFile(tmp_path / "db")
    writer = file.begin(recording_values())
    session = Session(MemorySource([]), writer, Machine())
    for round in range(2 * MAX_GIVEN_UP):
        session.add_events([fork(100, round), exit_(100, round, round + 0.5)])
        if round % 1000 == 0:
            session.forget_unfreed()
    session.forget_unfreed()
    assert len(writer._changeable) <= MAX_GIVEN_UP + 2
    file.close()
