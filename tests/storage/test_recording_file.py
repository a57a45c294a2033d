"""Recording files: their content while they are written, and the files that are left after they are closed."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import (
    MS,
    RAW_EVENTS,
    Machine,
    at,
    exec_,
    exit_,
    fork,
    free,
    make_recording,
    recording_values,
    seen,
    vanished,
    with_commands,
)

from webpf.capture import recording_end
from webpf.capture.recording_session import Session
from webpf.errors import CannotCreate, DataError, StorageError
from webpf.host import liveness, procfs
from webpf.model.event_source import Counts, MemorySource
from webpf.model.events import Event
from webpf.model.pairing import Pairing
from webpf.model.process import EXITED, RUNNING, Process
from webpf.storage.command_ids import CommandIds
from webpf.storage.event_rows import make_event_rows
from webpf.storage.file_check import APPLICATION_ID, SCHEMA_VERSION
from webpf.storage.recording_file import RecordingFile
from webpf.storage.recording_totals import Totals
from webpf.storage.recording_writer import RecordingWriter

Query = Callable[..., list[dict[str, Any]]]

ONE_OF_EACH: list[Event] = [
    seen(1, -1000, ppid=0),
    fork(100, 1),
    exec_(100, 1, 2, b"/bin/echo\0a b\0", "echo", argv_bytes=50),
    fork(101, 3),
    exit_(100, 1, 4, status=256, comm="echo"),
    free(100, 1, 5, cpu_ms=0.5, status=256),
    vanished(101, 3, 6),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of the recording file."""
    return tmp_path / "webpf.db"


def process(id: int, status: int | None = None, end_ms: float | None = None) -> Process:
    """A process that started at T0."""
    made = Process(id, 1000 + id, at(0))
    made.status = status
    made.end_ns = None if end_ms is None else at(end_ms)
    return made


def write(writer: RecordingWriter, events: list[Event]) -> list[int]:
    """Pairs and writes events, as a session does. Returns their ids."""
    first_id = writer.reserve_ids(len(events))
    pairing = Pairing()
    owners = pairing.feed(events, first_id)
    writer.write(make_event_rows(events, first_id, owners, CommandIds()), pairing.take_changed(), until_ns=at(7))
    return list(range(first_id, first_id + len(events)))


# Content


COSTS = {
    "cpu_ns": 500_000, "user_ns": 375_000, "system_ns": 125_000, "minor_faults": 2, "major_faults": 3,
    "voluntary_switches": 5, "involuntary_switches": 7, "read_bytes": 512, "write_bytes": 4096, "run_delay_ns": 11,
}  # fmt: skip


def test_events_are_written_unchanged(path: Path, query: Query) -> None:
    make_recording(path, ONE_OF_EACH)
    assert query("SELECT * FROM forks WHERE pid = 100") == [
        {
            "id": 2, "recording_id": 1, "process_id": 2, "time_ns": at(1), "pid": 100, "start_ns": at(1), "ppid": 1,
            "parent_start_ns": at(-1000), "comm": "sh", "uid": 1000, "euid": 1000, "cgroup_id": 1, "kernel": 0,
            "sid": None, "loginuid": None, "execs": None, "begun": None, "ns_pid": None,
        }
    ]  # fmt: skip
    assert query("SELECT * FROM programs") == [
        {
            "id": 3, "recording_id": 1, "process_id": 2, "time_ns": at(2), "pid": 100, "start_ns": at(1),
            "comm": "echo", "uid": 1000, "euid": 1000, "cgroup_id": 1, "carried_rss_kib": 500,
            "command_id": 3, "cwd_device": 8, "cwd_inode": 42, "interpreter": None, "exe_device": None,
            "exe_inode": None, "sid": None, "loginuid": None,
        }
    ]  # fmt: skip
    assert query("SELECT * FROM commands") == [
        {
            "id": 1, "recording_id": 1, "filename": "/sbin/init", "args": "/sbin/init", "argv": b"/sbin/init\0",
            "argv_bytes": 11,
        },
        {
            "id": 3, "recording_id": 1, "filename": "/bin/echo", "args": "/bin/echo 'a b' …[36 bytes cut]",
            "argv": b"/bin/echo\0a b\0", "argv_bytes": 50,
        },
    ]  # fmt: skip
    assert query("SELECT id, execs, command_id FROM snapshot") == [{"id": 1, "execs": 1, "command_id": 1}]
    assert query("SELECT * FROM exits") == [
        {
            "id": 5, "recording_id": 1, "process_id": 2, "time_ns": at(4), "pid": 100, "start_ns": at(1), "ppid": 1,
            "comm": "echo", "status": 256, "max_rss_kib": 2000, "uid": None, "begun": None,
            "sid": None, "loginuid": None,
        }
    ]  # fmt: skip
    assert query("SELECT * FROM frees") == [
        {
            "id": 6, "recording_id": 1, "process_id": 2, "time_ns": at(5), "pid": 100, "start_ns": at(1),
            "status": 256, **COSTS,
        }
    ]  # fmt: skip
    assert query("SELECT * FROM vanished") == [
        {"id": 7, "recording_id": 1, "process_id": 4, "time_ns": at(6), "pid": 101, "start_ns": at(3)}
    ]


def test_all_raw_events_are_in_order(path: Path, query: Query) -> None:
    make_recording(path, ONE_OF_EACH)
    rows = query(f"SELECT id, kind, pid, process_id FROM {RAW_EVENTS} ORDER BY id")
    assert [tuple(row.values()) for row in rows] == [
        (1, "snapshot", 1, 1),
        (2, "fork", 100, 2),
        (3, "exec", 100, 2),
        (4, "fork", 101, 4),
        (5, "exit", 100, 2),
        (6, "free", 100, 2),
        (7, "vanished", 101, 4),
    ]


def test_a_row_of_a_process(path: Path, query: Query) -> None:
    make_recording(path, ONE_OF_EACH)
    assert query("SELECT * FROM processes WHERE pid = 100") == [
        {
            "id": 2, "recording_id": 1, "pid": 100, "ppid": 1, "parent_id": 1, "start_ns": at(1), "end_ns": at(4),
            "exact": 1, "lifetime_ns": 3 * MS, "state": "exited", "comm": "echo", "command_id": 3, "execs": 1,
            "status": 256, "exit_code": 1, "signal": None, "core_dumped": 0, "outcome": "failed", "uid": 1000,
            "cgroup_id": 1, **COSTS, "freed_ns": at(5), "max_rss_kib": 2000, "end_ppid": 1, "kernel": 0,
            "carried_rss_kib": 500, "ns_pid": None, "sid": None, "loginuid": None, "in_scope": None,
        }
    ]  # fmt: skip


def test_a_process_is_one_row_however_often_it_changes(path: Path, query: Query) -> None:
    make_recording(path, ONE_OF_EACH, batch=1)
    assert query("SELECT id, pid, state FROM processes ORDER BY id") == [
        {"id": 1, "pid": 1, "state": "running"},
        {"id": 2, "pid": 100, "state": "exited"},
        {"id": 4, "pid": 101, "state": "lost"},
    ]


def test_a_free_event_of_an_unknown_process(path: Path, query: Query) -> None:
    make_recording(path, [free(5, -9, 1)])
    assert query("SELECT process_id FROM frees") == [{"process_id": None}]
    assert query("SELECT * FROM processes") == []


def test_arguments_that_could_not_be_read_are_null(path: Path, query: Query) -> None:
    make_recording(path, [exec_(100, 1, 2)._replace(argv=None, argv_bytes=70)])
    for table in ("programs", "processes"):
        assert query(f"SELECT filename, args, argv, argv_bytes FROM {with_commands(table)}") == [
            {"filename": "/bin/true", "args": None, "argv": None, "argv_bytes": 70}
        ]


@pytest.mark.parametrize("batch", [1, 31, 32, 33, 64, 200])
def test_many_rows_at_once_keep_their_order(path: Path, query: Query, batch: int) -> None:
    """Each statement inserts 32 rows."""
    events: list[Event] = []
    for i in range(100):
        events += [fork(100 + i, i, comm=f"p{i}"), exit_(100 + i, i, 200 + i, status=i, comm=f"p{i}")]
    make_recording(path, events, batch=batch)
    rows = query("SELECT id, pid, comm, status, lifetime_ns FROM processes ORDER BY id")
    assert rows == [
        {"id": 1 + 2 * i, "pid": 100 + i, "comm": f"p{i}", "status": i, "lifetime_ns": 200 * MS} for i in range(100)
    ]
    assert query(f"SELECT count(*) AS n FROM {RAW_EVENTS}") == [{"n": 200}]


@pytest.mark.parametrize(
    ("status", "exit_code", "signal", "core_dumped", "outcome"),
    [
        (None, None, None, None, "running"),
        (0, 0, None, 0, "ok"),
        (1 << 8, 1, None, 0, "failed"),
        (7 << 8, 7, None, 0, "failed"),
        (255 << 8, 255, None, 0, "failed"),
        (9, None, 9, 0, "signalled"),
        (15, None, 15, 0, "signalled"),
        (11 | 128, None, 11, 1, "signalled"),
        (64, None, 64, 0, "signalled"),
        (6 | 128, None, 6, 1, "signalled"),
    ],
)
def test_columns_derived_from_the_status(
    path: Path,
    query: Query,
    status: int | None,
    exit_code: int | None,
    signal: int | None,
    core_dumped: int | None,
    outcome: str,
) -> None:
    file = RecordingFile(path)
    writer = file.begin(recording_values())
    ended = process(1, status)
    ended.state = RUNNING if status is None else EXITED
    with file.db.atomic():
        writer.write_processes([ended])
    file.close()
    assert query("SELECT exit_code, signal, core_dumped, outcome FROM processes") == [
        {"exit_code": exit_code, "signal": signal, "core_dumped": core_dumped, "outcome": outcome}
    ]
    if status is not None:
        assert os.WIFEXITED(status) == (exit_code is not None)
        assert os.waitstatus_to_exitcode(status) == (exit_code if signal is None else -signal)
        assert os.WCOREDUMP(status) == bool(core_dumped)


def test_a_lifetime_is_known_when_the_end_is(path: Path, query: Query) -> None:
    file = RecordingFile(path)
    writer = file.begin(recording_values())
    with file.db.atomic():
        writer.write_processes([process(1), process(2, end_ms=0), process(3, end_ms=2.5)])
    file.close()
    assert query("SELECT lifetime_ns FROM processes ORDER BY id") == [
        {"lifetime_ns": None}, {"lifetime_ns": 0}, {"lifetime_ns": 2_500_000}
    ]  # fmt: skip


def test_counts(path: Path, query: Query) -> None:
    counts = Counts(attempted=(5, 4, 3, 2), lost=(3, 3, 2, 1))
    make_recording(path, ONE_OF_EACH, counts=counts)
    [row] = query("SELECT * FROM recordings")
    for kind, attempted, written, lost in zip(
        ("fork", "exec", "exit", "free"), (5, 4, 3, 2), (2, 1, 1, 1), (3, 3, 2, 1), strict=True
    ):
        numbers = row[f"{kind}s_attempted"], row[f"{kind}s_written"], row[f"{kind}s_lost"]
        assert numbers == (attempted, written, lost)
        assert attempted == written + lost
    assert row["lost"] == 9


def test_counts_are_unknown_until_they_are_written(path: Path, query: Query) -> None:
    file = RecordingFile(path)
    writer = file.begin(recording_values())
    assert query("SELECT lost, forks_lost FROM recordings") == [{"lost": None, "forks_lost": None}]
    write(writer, ONE_OF_EACH)
    assert writer.written == (2, 1, 1, 1)
    writer.write_counts(Counts(attempted=writer.written), until_ns=at(8))
    assert query("SELECT lost, forks_lost, updated_ns FROM recordings") == [
        {"lost": 0, "forks_lost": 0, "updated_ns": at(8)}
    ]
    file.close()


def test_columns_of_a_recording(path: Path, query: Query) -> None:
    file = RecordingFile(path)
    writer = file.begin(recording_values("first") | {"options": {"duration": 5, "name": "ä"}})
    assert query("SELECT name, status, ended_ns, options, host FROM recordings") == [
        {"name": "first", "status": "recording", "ended_ns": None, "options": '{"duration": 5, "name": "\\u00e4"}',
         "host": "testhost"}
    ]  # fmt: skip
    write(writer, ONE_OF_EACH)
    assert query("SELECT updated_ns FROM recordings") == [{"updated_ns": at(7)}]
    writer.finish("complete", at(9))
    assert query("SELECT status, ended_ns, updated_ns FROM recordings") == [
        {"status": "complete", "ended_ns": at(9), "updated_ns": at(9)}
    ]
    file.close()


def test_cgroups(path: Path, query: Query) -> None:
    file = RecordingFile(path)
    first, second = file.begin(recording_values()), file.begin(recording_values())
    first.write_cgroups({1: "/", 77: "/system.slice/a", 78: None})
    first.write_cgroups({})
    first.write_cgroups({77: "/another", 79: "/b", 80: f"/system.slice/docker-{'a1' * 32}.scope", 81: b"/\xff.service"})
    second.write_cgroups({77: "/of the second"})
    file.close()
    assert [tuple(row.values()) for row in query("SELECT * FROM cgroup_paths ORDER BY 1, 2")] == [
        (1, 1, "/", None, None, None),
        (1, 77, "/system.slice/a", None, None, None),
        (1, 78, None, None, None, None),
        (1, 79, "/b", None, None, None),
        (1, 80, f"/system.slice/docker-{'a1' * 32}.scope", f"docker-{'a1' * 32}.scope", "a1" * 32, None),
        (1, 81, b"/\xff.service", None, None, None),
        (2, 77, "/of the second", None, None, None),
    ]


def test_cgroups_of_a_session_are_looked_up_once(path: Path, query: Query) -> None:
    missing = 2**62  # no cgroup has this number
    events = [fork(pid, pid)._replace(cgroup_id=missing) for pid in range(100, 110)]
    make_recording(path, [*events, fork(200, 200)._replace(cgroup_id=missing + 1)], batch=3)
    assert query("SELECT cgroup_id, path FROM cgroup_paths ORDER BY 1") == [
        {"cgroup_id": missing, "path": None},
        {"cgroup_id": missing + 1, "path": None},
    ]


def test_totals(path: Path) -> None:
    file = RecordingFile(path)
    writer = file.begin(recording_values())
    other = file.begin(recording_values())
    assert writer.totals() == Totals(0, 0, 0, 0, 0, 0, None)
    write(other, [fork(1, 0), exit_(1, 0, 5000, status=9)])
    write(writer, [*ONE_OF_EACH, fork(102, 7), exit_(102, 7, 8), exit_(103, -50, 9, status=9, comm="old")])
    assert writer.totals() == Totals(5, 3, 1, 1, 2, 2, ("old", 103, 59 * MS))
    write(writer, [seen(2, -5000, kernel=1, argv=None), fork(104, -5000, kernel=1), exit_(104, -5000, 9, status=9)])
    assert writer.totals() == Totals(5, 3, 1, 1, 2, 2, ("old", 103, 59 * MS)), "threads of the kernel don't count"
    file.close()


# Constraints


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO processes (id, recording_id, pid, start_ns, state) VALUES (1, 1, 'x', 0, 'running')",
        "INSERT INTO processes (id, recording_id, pid, start_ns, state) VALUES (1, 1, 5, 0.5, 'running')",
        "INSERT INTO processes (id, recording_id, pid, start_ns, state) VALUES (1, 1, NULL, 0, 'running')",
        "INSERT INTO processes (id, recording_id, pid, start_ns) VALUES (1, 1, 5, 0)",
        "INSERT INTO processes (id, recording_id, pid, start_ns, state, command_id) VALUES (1, 1, 5, 0, 'lost', 'x')",
        "INSERT INTO commands (id, recording_id, argv) VALUES (1, 1, 'text')",
        "INSERT INTO commands (id, recording_id, args) VALUES (1, 1, x'00')",
        "INSERT INTO processes (id, recording_id, pid, start_ns, state, lifetime_ns) VALUES (1, 1, 5, 0, 'lost', 1)",
        "INSERT INTO missing VALUES (1, 1, NULL, 0, 5, 0)",
        "INSERT INTO frees VALUES (1, 1, NULL, 'late', 5, 0, 0, 0)",
        "INSERT INTO events VALUES (1, 1, 'fork', 0, 5, 1)",
        "UPDATE recordings SET status = 'done'",
        "UPDATE recordings SET lost = 0",
    ],
)
def test_the_tables_refuse_invalid_values(path: Path, sql: str) -> None:
    make_recording(path, [])
    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.Error):
        connection.execute(sql)
    connection.close()


def test_a_failed_write_changes_nothing(path: Path, query: Query) -> None:
    file = RecordingFile(path)
    writer = file.begin(recording_values())
    write(writer, [fork(100, 0)])
    first_id = writer.reserve_ids(2)
    bad: list[Event] = [fork(101, 1), exit_(101, 1, 2)._replace(status="ended")]  # type: ignore[arg-type]
    with pytest.raises(StorageError, match=r"webpf\.db: .*; what was committed before is kept"):
        writer.write(make_event_rows(bad, first_id, [first_id, first_id], CommandIds()), [process(first_id)], at(9))
    assert query("SELECT pid FROM forks") == [{"pid": 100}]
    assert query("SELECT pid FROM processes") == [{"pid": 100}]
    assert query("SELECT updated_ns FROM recordings") == [{"updated_ns": at(7)}]
    assert writer.written == (1, 0, 0, 0)
    write(writer, [fork(102, 3)])
    assert query("SELECT pid FROM forks ORDER BY id") == [{"pid": 100}, {"pid": 102}]
    file.close()


def test_a_full_disk_is_reported_in_one_sentence(path: Path, query: Query) -> None:
    file = RecordingFile(path)
    writer = file.begin(recording_values())
    write(writer, [fork(100, 0)])
    pages = file.db.execute("PRAGMA page_count").fetchone()[0]
    file.db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError, match="full") as caught:
        for _ in range(200):
            write(writer, [exec_(101, 1, 2, b"a" * 4000)])
    assert caught.value.exit_code == 74
    assert caught.value.hint.endswith(f" --db {Path.home() / path.name}")
    file.close()
    assert query("SELECT pid FROM forks") == [{"pid": 100}]


# Several recorders at the same time


def blocks(query: Query) -> list[tuple[int, int, int]]:
    """Returns the first id, end and recording of each block of event ids."""
    rows = query("SELECT * FROM fact_blocks ORDER BY first_id")
    return [(row["first_id"], row["first_id"] + row["size"], row["recording_id"]) for row in rows]


def test_two_recorders_write_one_file_in_turns(path: Path, query: Query) -> None:
    files = RecordingFile(path), RecordingFile(path)
    writers = [file.begin(recording_values()) for file in files]
    sessions = [Session(MemorySource([]), writer, Machine()) for writer in writers]
    mine: list[list[Event]] = [[], []]
    for turn in range(40):
        which = turn % 3 % 2
        events: list[Event] = [fork(100 + turn, turn), exit_(100 + turn, turn, turn + 1)]
        mine[which] += events
        sessions[which].add_events(events)
    for file, session in zip(files, sessions, strict=True):
        recording_end.finish(session)
        file.close()

    assert [writer.id for writer in writers] == [1, 2]
    for writer, events in zip(writers, mine, strict=True):
        rows = query(f"SELECT pid, kind FROM {RAW_EVENTS} WHERE recording_id = ? ORDER BY id", writer.id)
        assert rows == [{"pid": event.pid, "kind": type(event).__name__.lower()} for event in events]
        assert query("SELECT count(*) AS n FROM processes WHERE recording_id = ?", writer.id) == [
            {"n": len(events) // 2}
        ]
    ids = [row["id"] for row in query(f"SELECT id FROM {RAW_EVENTS}")]
    assert len(set(ids)) == len(ids) == 80
    for before, after in pairwise(blocks(query)):
        assert before[1] <= after[0]
    outside = query(
        f"SELECT * FROM {RAW_EVENTS} AS e WHERE NOT EXISTS (SELECT 1 FROM fact_blocks AS b WHERE"
        " b.recording_id = e.recording_id AND e.id >= b.first_id AND e.id < b.first_id + b.size)"
    )
    assert outside == []
    assert query("PRAGMA foreign_key_check") == []


def test_ids_continue_after_the_recording_before(path: Path, query: Query) -> None:
    make_recording(path, ONE_OF_EACH)
    make_recording(path, ONE_OF_EACH)
    make_recording(path, [])
    assert blocks(query) == [(1, 8, 1), (8, 15, 2)]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([1, 3, 1000, 40_000, 65_535, 65_536, 65_537, 200_000]))))
def test_ids_are_never_reserved_twice(tmp_path_factory: pytest.TempPathFactory, turns: list[Any]) -> None:
    """Three writers reserve ids in turns; then each ends, and a fourth begins."""
    path = tmp_path_factory.mktemp("ids") / "webpf.db"
    files = RecordingFile(path), RecordingFile(path), RecordingFile(path)
    writers = [file.begin(recording_values()) for file in files]
    taken: list[tuple[int, int, int]] = []
    for which, count in turns:
        first = writers[which].reserve_ids(count)
        taken.append((first, first + count, writers[which].id))
    for writer in writers:
        writer.finish("complete", at(1))
    last = files[0].begin(recording_values())
    first = last.reserve_ids(10)
    taken.append((first, first + 10, last.id))
    in_file = files[0].db.execute("SELECT first_id, first_id + size, recording_id FROM fact_blocks").fetchall()
    for file in files:
        file.close()

    assert min(taken)[0] >= 1
    for before, after in pairwise(sorted(taken)):
        assert before[1] <= after[0], "an id was reserved twice"
    for before, after in pairwise(sorted(in_file)):
        assert before[1] <= after[0], "blocks overlap"
    for which in {recording for _, _, recording in taken}:
        own = [(start, end) for start, end, recording in taken if recording == which]
        assert own == sorted(own), "ids of a recording must grow"
        known = sorted((start, end) for start, end, recording in in_file if recording == which)
        for start, end in own:
            while start < end:
                block = next((b for b in known if b[0] <= start < b[1]), None)
                assert block is not None, f"id {start} of recording {which} is in none of its blocks"
                start = block[1]


# The file


def test_the_file_is_one_plain_file_when_closed(path: Path) -> None:
    make_recording(path, ONE_OF_EACH)
    assert [entry.name for entry in path.parent.iterdir()] == ["webpf.db"]
    connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert connection.execute("SELECT count(*) FROM processes").fetchone() == (3,)
    connection.close()


def test_the_last_of_two_recorders_makes_it_a_plain_file(path: Path) -> None:
    first, second = RecordingFile(path), RecordingFile(path)
    write(first.begin(recording_values()), ONE_OF_EACH)
    writer = second.begin(recording_values())
    first.close()
    write(writer, ONE_OF_EACH)
    second.close()
    assert [entry.name for entry in path.parent.iterdir()] == ["webpf.db"]
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert connection.execute("SELECT count(*) FROM processes").fetchone() == (6,)
    connection.close()


def test_a_reader_sees_rows_while_they_are_written(path: Path, query: Query) -> None:
    """The reader doesn't keep the recorder from closing the file."""
    file = RecordingFile(path)
    writer = file.begin(recording_values())
    write(writer, ONE_OF_EACH)
    reader = sqlite3.connect(path)
    assert reader.execute("SELECT count(*) FROM processes").fetchone() == (3,)
    write(writer, [fork(500, 500)])
    assert reader.execute("SELECT count(*) FROM processes").fetchone() == (4,)
    file.close()
    reader.close()
    assert query("SELECT count(*) AS n FROM processes") == [{"n": 4}]


def test_only_the_owner_may_read_it_at_any_time(path: Path) -> None:
    """argv may hold secrets, and so may SQLite's side files."""
    before = os.umask(0)
    try:
        file = RecordingFile(path)
        write(file.begin(recording_values()), ONE_OF_EACH)
        modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()}
        file.close()
    finally:
        os.umask(before)
    assert modes == {"webpf.db": 0o600, "webpf.db-wal": 0o600, "webpf.db-shm": 0o600}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="sudo means root")
def test_under_sudo_the_file_belongs_to_the_invoking_user(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_UID", raising=False)
    make_recording(path, ONE_OF_EACH)
    assert (path.stat().st_uid, path.stat().st_gid) == (os.geteuid(), os.getegid())
    monkeypatch.setenv("SUDO_UID", "12345")
    monkeypatch.setenv("SUDO_GID", "23456")
    make_recording(path, ONE_OF_EACH)
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="sudo means root")
def test_under_sudo_the_file_of_a_third_user_is_not_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_recording(path, [])
    os.chown(path, 11111, 11111)
    monkeypatch.setenv("SUDO_UID", "12345")
    monkeypatch.setenv("SUDO_GID", "23456")
    before = path.read_bytes()
    with pytest.raises(CannotCreate, match="belongs to another user"):
        make_recording(path, ONE_OF_EACH)
    assert (path.stat().st_uid, path.stat().st_gid) == (11111, 11111)
    assert path.read_bytes() == before


def test_a_second_recording_goes_into_the_same_file(path: Path, query: Query) -> None:
    assert (make_recording(path, ONE_OF_EACH), make_recording(path, ONE_OF_EACH)) == (1, 2)
    assert query("SELECT recording_id, count(*) AS n FROM processes GROUP BY 1") == [
        {"recording_id": 1, "n": 3},
        {"recording_id": 2, "n": 3},
    ]


def test_another_programs_file_is_unchanged(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE notes (text)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(DataError):
        RecordingFile(path)
    assert path.read_bytes() == before


def test_no_file_is_made_where_there_is_no_folder(path: Path) -> None:
    with pytest.raises(CannotCreate):
        RecordingFile(path.parent / "none" / "webpf.db")
    assert list(path.parent.iterdir()) == []


# Interrupted recordings


def own_recorder() -> dict[str, object]:
    """Returns columns which say that this process is the recorder."""
    own = procfs.read_stat(os.getpid())
    assert own is not None
    return {"boot_id": liveness.boot_id(), "recorder_pid": os.getpid(), "recorder_start_ns": own.start_ns}


def test_recordings_of_dead_recorders_are_marked(path: Path, query: Query) -> None:
    own = own_recorder()
    file = RecordingFile(path)
    for recorder in (
        own,
        own | {"boot_id": "another boot"},
        own | {"recorder_start_ns": 0},  # its pid was reused
        own | {"recorder_pid": 2**22 + 1},  # larger than any pid
    ):
        file.begin(recording_values() | recorder)
    for status in ("complete", "interrupted"):
        file.begin(recording_values() | {"boot_id": "another boot"}).finish(status, at(1))
    assert file.mark_interrupted() == 1
    assert file.mark_interrupted() == 1
    file.close()
    assert [row["status"] for row in query("SELECT status FROM recordings ORDER BY id")] == [
        "recording", "interrupted", "interrupted", "interrupted", "complete", "interrupted"
    ]  # fmt: skip


def test_an_interrupted_recording_keeps_what_was_committed(path: Path, query: Query) -> None:
    """The recorder died without closing the file; the next recorder opens it in that state."""
    file = RecordingFile(path)
    write(file.begin(recording_values()), ONE_OF_EACH)
    file.connection.close()
    following = RecordingFile(path)
    assert following.mark_interrupted() == 0
    following.close()
    assert query("SELECT status, ended_ns, updated_ns FROM recordings") == [
        {"status": "interrupted", "ended_ns": None, "updated_ns": at(7)}
    ]
    assert query(f"SELECT count(*) AS n FROM {RAW_EVENTS}") == [{"n": 7}]


def test_the_outcome_of_a_lost_process(path: Path, query: Query) -> None:
    """Without its exit event, the status from its free event is known, or nothing."""
    make_recording(path, [fork(100, 1), free(100, 1, 2, status=256), fork(101, 3), vanished(101, 3, 4)])
    assert query("SELECT state, outcome FROM processes ORDER BY id") == [
        {"state": "lost", "outcome": "failed"},
        {"state": "lost", "outcome": "lost"},
    ]


def test_free_pages_of_a_new_file_can_be_given_back(path: Path) -> None:
    make_recording(path, [fork(100 + number, number) for number in range(2000)])
    before = path.stat().st_size
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)  # incremental
        connection.execute("DELETE FROM forks")
        connection.commit()
        connection.executescript("PRAGMA incremental_vacuum")  # execute() stops after one page
    assert path.stat().st_size < before * 0.8
