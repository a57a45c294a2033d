"""Segments of events from memory: what goes over to the next one, and where late frees end up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest
from chains import assert_sound, rows, segments
from support import MS, T0, exec_, exit_, fork, free, recording_values, seen

from webpf.capture import recording_end
from webpf.capture.recording_session import Session
from webpf.capture.replayed_machine import ReplayedMachine
from webpf.capture.rotation import Rotation
from webpf.model.event_source import MemorySource
from webpf.model.events import Event
from webpf.model.process import Process
from webpf.storage.recording_file import RecordingFile
from webpf.storage.write_queue import WriteQueue

COLUMNS = "pid, ppid, start_ns, exact, execs, comm, uid, cgroup_id, carried_rss_kib, kernel, ns_pid, sid, loginuid"


class GoneProcesses(ReplayedMachine):
    """A machine of which the test says what is not in /proc any more."""

    gone: frozenset[int] = frozenset()

    def is_alive(self, process: Process) -> bool:
        return process.pid not in self.gone


class Batches(MemorySource):
    """A source to which events are added."""

    def __init__(self) -> None:
        self._waiting: list[Event] = []
        super().__init__([])

    def add(self, events: Sequence[Event]) -> None:
        self._waiting += events

    def drain(self) -> list[Event]:
        self._events = iter(self._waiting)
        self._waiting = []
        return super().drain()


class Chain:
    """A chain that is being recorded, with raw events or without."""

    def __init__(self, db: Path, events: str, is_filtered: bool = False) -> None:
        self.db = db
        self.machine = GoneProcesses(T0)
        self._file = RecordingFile(db)
        options = {"options": {"events": events, "filtered": is_filtered}}
        values = recording_values() | {**asdict(self.machine.describe_host()), "clock_offset_ns": T0} | options
        self._queue = WriteQueue(self._file, self._file.begin(values | {"segment": 1}), self.machine.now)
        self._source = Batches()
        self.session = Session(self._source, self._queue, self.machine, is_filtered)
        self.rotation = Rotation(
            self.session,
            self._queue,
            1,
            lambda started_ns: values | {"started_ns": started_ns, "updated_ns": started_ns},
        )

    def add(self, *events: Event) -> None:
        """Adds events as one batch, and rotates if a second has passed since the last cut."""
        self._source.add(events)
        self.machine.advance(max(event.time_ns for event in events))
        self.session.drain()
        self.rotation.step()
        self._queue.await_idle()

    def finish(self) -> None:
        """Ends it, and checks all that verify checks."""
        recording_end.finish(self.session)
        self._queue.await_idle()
        assert self._queue.close()
        self._file.close()
        assert self.session.counts.arrived == self.session.written
        assert_sound(self.db)


@pytest.mark.parametrize("events", ["all", "none"])
def test_what_goes_over_is_what_was_known(tmp_path: Path, events: str) -> None:
    """Also commands that several processes share are copied once, and parents are linked if they go over too."""
    chain = Chain(tmp_path / "db", events)
    line = b"/bin/sh\0-c\0\xff\0"
    chain.add(
        seen(1, -5000, ppid=0), seen(2, -5000, ppid=0, argv=None, kernel=1), fork(100, 1), exec_(100, 1, 2, line, "sh")
    )
    chain.add(fork(101, 3, ppid=100, parent_ms=1), exec_(101, 3, 4, line, "sh"), exec_(101, 3, 5))
    chain.add(fork(102, 6, ppid=100, parent_ms=1), exec_(102, 6, 7, line, "sh"), exec_(103, 8, 9, line, "sh"))
    chain.add(fork(104, 1001, ppid=102, parent_ms=6))
    chain.add(exec_(104, 1001, 1002, line, "sh"), exit_(102, 6, 1003, comm="sh"))
    chain.finish()
    first, second = (
        rows(chain.db, f"SELECT {COLUMNS} FROM processes WHERE recording_id = {n} ORDER BY pid") for n in (1, 2)
    )
    assert [row["pid"] for row in first] == [1, 2, 100, 101, 102, 103, 104]
    assert second[:-1] == first[:-1]
    assert second[-1] == first[-1] | {"execs": 1, "carried_rss_kib": 500}
    commands = rows(
        chain.db, "SELECT argv, filename, argv_bytes, args, count(*) AS n FROM commands GROUP BY argv ORDER BY argv"
    )
    assert [(row["argv"], row["n"]) for row in commands] == [
        (b"/bin/sh\0-c\0\xff\0", 2),
        (b"/bin/true\0", 2),
        (b"/sbin/init\0", 2),
    ]
    parents = rows(
        chain.db,
        "SELECT p.pid, parent.pid AS parent, parent.recording_id = p.recording_id AS is_own FROM processes AS p"
        " JOIN processes AS parent ON parent.id = p.parent_id WHERE p.recording_id = 2 ORDER BY p.pid",
    )
    assert [(row["pid"], row["parent"], row["is_own"]) for row in parents] == [
        (100, 1, 1), (101, 100, 1), (102, 100, 1), (104, 102, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("events", ["all", "none"])
def test_late_frees(tmp_path: Path, events: str) -> None:
    """A free reaches the segment in which its process ended, until the next one ends; it is counted where it is."""
    chain = Chain(tmp_path / "db", events)
    chain.add(fork(100, 1), fork(101, 2), fork(102, 3), exit_(100, 1, 4), exit_(101, 2, 5))
    chain.add(fork(103, 1000))
    chain.add(
        fork(104, 1001), free(100, 1, 1002, cpu_ms=7), exit_(102, 3, 1003), free(102, 3, 1004), free(99, -9, 1005)
    )
    chain.add(fork(105, 2100))
    chain.add(free(101, 2, 2101), exit_(105, 2100, 2102))
    chain.finish()
    processes = rows(chain.db, "SELECT recording_id, pid, cpu_ns FROM processes WHERE state = 'exited' ORDER BY pid")
    assert [(row["recording_id"], row["pid"], row["cpu_ns"]) for row in processes] == [
        (1, 100, 7 * MS), (1, 101, None), (2, 102, 1 * MS), (3, 105, None),
    ]  # fmt: skip
    counted = [(row["frees_attempted"], row["frees_written"]) for row in segments(chain.db)]
    assert counted == [(1, 1), (2, 2), (1, 1)]
    if events == "all":
        frees = rows(chain.db, "SELECT recording_id, pid FROM frees ORDER BY pid, time_ns")
        assert [(row["recording_id"], row["pid"]) for row in frees] == [(2, 99), (1, 100), (3, 101), (2, 102)]


def test_a_process_whose_exit_was_lost(tmp_path: Path) -> None:
    """It is gone from /proc at two cuts: then it is lost, and goes over no more. Its exit may still come after one."""
    chain = Chain(tmp_path / "db", "all")
    chain.add(fork(100, 1), fork(101, 2))
    chain.machine.gone = frozenset({100, 101})
    chain.add(fork(102, 1000))
    chain.add(exit_(101, 2, 1001))
    chain.add(fork(103, 2100))
    chain.add(fork(104, 3200))
    chain.finish()
    states = rows(chain.db, "SELECT recording_id, state FROM processes WHERE pid = 100 ORDER BY id")
    assert [(row["recording_id"], row["state"]) for row in states] == [(1, "running"), (2, "lost")]
    ends = rows(chain.db, "SELECT recording_id, state FROM processes WHERE pid = 101 ORDER BY id")
    assert [(row["recording_id"], row["state"]) for row in ends] == [(1, "running"), (2, "exited")]


def test_memory_does_not_grow_with_the_number_of_segments(tmp_path: Path) -> None:
    """Of processes that ended and were not freed, only those of two segments are kept."""
    chain = Chain(tmp_path / "db", "none")
    for number in range(12):
        ms = 1100 * number
        chain.add(*(fork(100 + number * 10 + each, ms) for each in range(9)))
        chain.add(*(exit_(100 + number * 10 + each, ms, ms + 1) for each in range(9)))
    assert chain.rotation.segments == 12
    assert len(chain.session.pairing.unfreed()) <= 18
    ended = chain.session.ended_segment
    assert ended is not None
    assert len(ended.unfreed(lambda process: True)) <= 18
    chain.finish()
