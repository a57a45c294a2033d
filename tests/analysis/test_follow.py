"""Following a recording: what looks find together is what is in the file, over segments, late frees and its end."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from support import MS, T0, Machine, exec_, exit_, fork, free, make_recording, recording_values, seen

from webpf.analysis.activity import Activity
from webpf.analysis.follow import GRACE_SECONDS, Follower, Look
from webpf.analysis.followed_process import FollowedProcess
from webpf.capture import recording_end
from webpf.capture.recording_session import Session
from webpf.model import moments
from webpf.model.event_source import MemorySource
from webpf.model.events import Event
from webpf.model.scope import Scope
from webpf.storage.recording_file import RecordingFile
from webpf.storage.recording_writer import RecordingWriter


class Live:
    """A recording that goes on. add(): writes events, as the recorder does at a drain."""

    def __init__(self, db: Path) -> None:
        self.file = RecordingFile(db)
        self.writer: RecordingWriter = self.file.begin(recording_values() | me())
        self.source = MemorySource([], 1000)
        self.session = Session(self.source, self.writer, Machine())

    def add(self, *events: Event) -> None:
        """Writes events in one transaction."""
        self.session.add_events(list(events))

    def end(self) -> None:
        """Ends the recording."""
        recording_end.finish(self.session)


def me() -> dict[str, object]:
    """Returns the columns that say that this process is the recorder."""
    import os

    from webpf.host import liveness, procfs

    stat = procfs.read_stat(os.getpid())
    assert stat is not None
    return {"recorder_pid": os.getpid(), "recorder_start_ns": stat.start_ns, "boot_id": liveness.boot_id()}


@contextmanager
def live(db: Path) -> Iterator[Live]:
    """Records into a file, and closes it at the end."""
    recording = Live(db)
    try:
        yield recording
    finally:
        recording.file.close()


class Clock:
    """A clock that a test sets, in seconds."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def pids(processes: list[FollowedProcess]) -> list[int]:
    """Returns their pids."""
    return [process.pid for process in processes]


def test_what_starts_and_ends(tmp_path: Path) -> None:
    clock, follower = Clock(), None
    with live(tmp_path / "webpf.db") as recording:
        recording.add(seen(30, -2000), fork(100, 0))
        follower = Follower(tmp_path / "webpf.db", clock=clock)
        first = follower.look()
        assert (first.started, first.ended, first.end) == ([], [], None)
        assert sorted(process.pid for process in follower.alive.values()) == [30, 100]
        recording.add(
            fork(101, 10, 100, 0), exec_(101, 10, 11), exit_(101, 10, 20, 256 * 3), free(101, 10, 21, cpu_ms=7)
        )
        recording.add(fork(102, 15, 100, 0))
        second = follower.look()
        assert (pids(second.started), pids(second.ended)) == ([101, 102], [101])
        (ended,) = second.ended
        assert (ended.cpu_ns, ended.exit_code, ended.outcome, ended.parent, ended.ppid) == (
            7 * MS,
            3,
            "failed",
            "sh",
            100,
        )
        assert (ended.command, ended.end_ns) == ("/bin/true", T0 + 20 * MS)
        assert (follower.look().started, follower.look().ended) == ([], [])
        recording.add(exit_(30, -2000, 30), free(30, -2000, 31))
        assert pids(follower.look().ended) == [30]


def test_an_end_waits_for_its_costs_but_not_long(tmp_path: Path) -> None:
    clock = Clock()
    with live(tmp_path / "webpf.db") as recording:
        recording.add(fork(100, 0), fork(200, 0))
        follower = Follower(tmp_path / "webpf.db", clock=clock)
        follower.look()
        recording.add(exit_(100, 0, 10), exit_(200, 0, 10))
        assert follower.look().ended == []
        recording.add(free(100, 0, 12, cpu_ms=5))
        assert [(each.pid, each.cpu_ns) for each in follower.look().ended] == [(100, 5 * MS)]
        clock.now += GRACE_SECONDS
        assert [(each.pid, each.cpu_ns) for each in follower.look().ended] == [(200, None)]
        recording.add(free(200, 0, 900))
        assert follower.look().ended == [], "each once"


def test_the_end_of_the_recording(tmp_path: Path) -> None:
    with live(tmp_path / "webpf.db") as recording:
        recording.add(fork(100, 0))
        follower = Follower(tmp_path / "webpf.db")
        follower.look()
        recording.add(exit_(100, 0, 10))
        recording.end()
        last = follower.look()
        assert pids(last.ended) == [100]
        assert last.end == "recording 1 has ended"


def test_nothing_is_held_between_looks(tmp_path: Path) -> None:
    with live(tmp_path / "webpf.db") as recording:
        recording.add(fork(100, 0))
        follower = Follower(tmp_path / "webpf.db")
        follower.look()
        busy, *_ = recording.file.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert busy == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["webpf.db"], "one plain file at its end"


def segments(db: Path) -> None:
    """Makes a chain of three segments. 30 lives on; 102 ends in the second; each has a process that ends."""
    first: list[Event] = [seen(30, -2000), fork(101, 10), exit_(101, 10, 20), free(101, 10, 21), fork(102, 900)]
    second: list[Event] = [seen(30, -2000), fork(102, 900), exit_(102, 900, 1100), free(102, 900, 1101)]
    third: list[Event] = [seen(30, -2000), fork(103, 1200), exit_(103, 1200, 2100), free(103, 1200, 2101)]
    for number, events in enumerate((first, [*second, fork(103, 1200)], third)):
        make_recording(db, events, end_ms=1000 * number + 1000)
        with closing(sqlite3.connect(db)) as connection, connection:
            connection.execute(
                """UPDATE recordings SET chain = 1, segment = ?1 + 1, started_ns = started_ns + ?1 * 1000000000,
                clock_offset_ns = clock_offset_ns + ?1 * 250, forks_lost = ?1 WHERE id = ?1 + 1""",
                [number],
            )
            # The clock was measured anew.
            connection.execute(
                "UPDATE processes SET start_ns = start_ns + ?1 * 250 WHERE recording_id = ?1 + 1", [number]
            )


def test_over_segments_each_process_once(tmp_path: Path) -> None:
    db = tmp_path / "webpf.db"
    segments(db)
    with closing(sqlite3.connect(db)) as connection, connection:
        rows = connection.execute("SELECT * FROM recordings WHERE id > 1").fetchall()
        connection.execute("UPDATE recordings SET status = 'recording' WHERE id = 1")
        connection.execute("PRAGMA foreign_keys = OFF")
        # The later segments aren't there yet.
        connection.execute("CREATE TABLE away AS SELECT * FROM processes WHERE recording_id > 1")
        connection.execute("DELETE FROM processes WHERE recording_id > 1")
        connection.execute("UPDATE recordings SET chain = NULL WHERE id > 1")
    assert len(rows) == 2
    follower = Follower(db, "1")
    follower.look()
    assert sorted(process.pid for process in follower.alive.values()) == [30, 102]
    names = "id, recording_id, pid, ppid, start_ns, exact, end_ns, state, comm, execs, status, uid, cpu_ns, freed_ns"
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute(f"INSERT INTO processes ({names}) SELECT {names} FROM away")
        connection.execute("DROP TABLE away")
        connection.execute("UPDATE recordings SET chain = 1, status = 'complete'")
    found = follower.look()
    assert pids(found.started) == [103]
    assert pids(found.ended) == [102, 103]
    assert (found.lost, found.end) == (3, "recording 3 has ended")


def test_since(tmp_path: Path) -> None:
    """What has ended since a time, in all segments of the chain, each once."""
    db = tmp_path / "webpf.db"
    segments(db)
    for second, expected in ((20, [101, 102, 103]), (21, [102, 103]), (22, [103])):
        since = moments.parse("--since", f"2023-11-14T22:13:{second}+00:00")  # 20: T0
        look = Follower(db, scope=Scope(since=since)).look()
        assert (pids(look.ended), look.end) == (expected, "recording 3 has ended")


def test_an_interrupted_recording(tmp_path: Path) -> None:
    make_recording(tmp_path / "webpf.db", [fork(1, 1)])
    with closing(sqlite3.connect(tmp_path / "webpf.db")) as connection, connection:
        connection.execute("UPDATE recordings SET status = 'recording', ended_ns = NULL")
    assert Follower(tmp_path / "webpf.db").look().end == "recording 1 was interrupted"


def process(pid: int, **values: object) -> FollowedProcess:
    """Returns a process that has failed, with these values."""
    defaults = dict.fromkeys(FollowedProcess._fields)
    row = defaults | {
        "id": pid,
        "pid": pid,
        "comm": "sh",
        "uid": 0,
        "start_ns": T0,
        "end_ns": T0 + MS,
        "outcome": "failed",
    }
    return FollowedProcess(**(row | values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scope", "ends", "starts"),
    [
        (Scope(), [101, 102, 103], [101, 102, 103]),
        (Scope(failed=True), [101, 103], [101, 102, 103]),
        (Scope(signals=(9,)), [103], [101, 102, 103]),
        (Scope(uids=(7,)), [102], [102]),
        (Scope(comms=("tr?e", "x")), [101, 102, 103], [101, 102, 103]),
        (Scope(args=("b.n/tr",), failed=True), [101], [101]),
        (Scope(min_lifetime_ns=8 * MS), [103], [101, 102, 103]),
    ],
)
def test_scopes(scope: Scope, ends: list[int], starts: list[int], tmp_path: Path) -> None:
    with live(tmp_path / "webpf.db") as recording:
        recording.add(seen(30, -2000))
        follower = Follower(tmp_path / "webpf.db", scope=scope)
        follower.look()
        recording.add(
            fork(101, 0, uid=0), exec_(101, 0, 1)._replace(uid=0), exit_(101, 0, 5, 256), free(101, 0, 6),
            fork(102, 0, uid=7), exit_(102, 0, 5), free(102, 0, 6),
            fork(103, 0, uid=0), exit_(103, 0, 9, 9), free(103, 0, 10),
        )  # fmt: skip
        look = follower.look()
    assert [each.pid for each in look.ended if each.is_shown] == ends
    assert [each.pid for each in look.started if each.is_start_shown] == starts


def test_figures_of_a_window() -> None:
    activity, second = Activity(), 1000 * MS
    activity.add(T0, [], [], [])
    look = Look(
        started=[process(1), process(2, comm="make")],
        ended=[process(1, cpu_ns=5, max_rss_kib=10, run_delay_ns=1), process(3, comm="make", outcome="ok", cpu_ns=7)],
    )
    activity.add(T0 + 4 * second, look.started, look.ended, [process(9, comm="cc"), process(8, comm="cc")])
    found = activity.figures("command", 10)
    assert {name: (each.starts, each.ends, each.failed, each.alive) for name, each in found.items()} == {
        "sh": (1, 1, 1, 0), "make": (1, 1, 0, 0), "cc": (0, 0, 0, 2),
    }  # fmt: skip
    assert (found["sh"].cpu_ns, found["sh"].max_rss_kib, found["sh"].run_delay_ns) == (5, 10, 1)
    assert activity.figures("user", 10)[0].starts == 2
    assert activity.length_seconds(10) == 4.0
    activity.add(T0 + 20 * second, [], [], [])
    assert activity.figures("command", 10) == {}
    assert activity.figures("command", 600)["sh"].starts == 1
    activity.add(T0 + 700 * second, [], [], [])
    assert activity.figures("command", 600) == {}
