"""The saved queries: the rows that they return for known events, and whether their heads describe them."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from story import BUILD, MADE, needed, picked, run
from support import at, exec_, exit_, fork, free, make_recording, seen, vanished

from webpf.analysis import saved_queries
from webpf.model.events import Event
from webpf.storage.recording_file import RecordingFile

NAMES = saved_queries.names()

STORY: list[Event] = [
    # From before the recording: init, a kernel thread, a daemon that ends.
    seen(1, -5000, ppid=0),
    seen(2, -5000, ppid=0, comm="kthreadd", argv=None, kernel=1),
    seen(30, -2000, comm="daemon", argv=b"daemon\0-v\0"),
    # A shell that runs two programs.
    fork(100, 0, parent_ms=-5000, comm="init"),
    exec_(100, 0, 1, b"/bin/sh\0-c\0make all\0", "sh"),
    fork(101, 10, ppid=100, parent_ms=0),
    exec_(101, 10, 11, b"/usr/bin/make\0all\0", "make"),
    exit_(101, 10, 60.5, 256 * 2, "make", ppid=100),
    fork(102, 61, ppid=100, parent_ms=0),
    exit_(102, 61, 63, 9, "sh", ppid=100),
    free(101, 10, 64, cpu_ms=30.25, status=256 * 2),
    free(102, 61, 65, cpu_ms=0.5, status=9),
    exit_(100, 0, 70, 0, "sh"),
    free(100, 0, 80, cpu_ms=4),
    exit_(30, -2000, 90, 139, "daemon"),
    # Its exit was lost: one with a free event that has the exit code, one without.
    fork(103, 100, parent_ms=-5000, comm="init"),
    free(103, 100, 120, cpu_ms=2, status=256 * 7),
    fork(104, 130, parent_ms=-5000, comm="init"),
    # Running at the end.
    fork(105, 200, parent_ms=-5000, comm="init", uid=33),
    exec_(105, 200, 201, b"/usr/bin/tail\0-f\0/var/log/a b\0", "tail"),
    fork(106, 300, ppid=2, parent_ms=-5000, comm="kworker/0:1", kernel=1),
    vanished(104, 130, 900),
]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A file with a recording of the story, one second long."""
    path = tmp_path / "webpf.db"
    make_recording(path, STORY)
    return path


def parameters(name: str) -> set[str]:
    """Returns the names of the parameters of a saved query."""
    return {parameter.name for parameter in saved_queries.load(name).parameters}


# lifetimes


def test_lifetimes(db: Path) -> None:
    columns = "pid", "comm", "lifetime_ms", "state", "exit_code", "signal", "cpu_ms", "age_ms"
    assert picked(run(db, "lifetimes"), *columns) == [
        (30, "daemon", 2090.0, "exited", None, 11, None, None),
        (100, "sh", 70.0, "exited", 0, None, 4.0, None),
        (101, "make", 50.5, "exited", 2, None, 30.25, None),
        (102, "sh", 2.0, "exited", None, 9, 0.5, None),
        (1, "init", None, "running", None, None, None, 6000.0),
        (103, "init", None, "lost", 7, None, 2.0, None),
        (104, "init", None, "lost", None, None, None, None),
        (105, "tail", None, "running", None, None, None, 800.0),
    ]


def test_lifetimes_with_all_columns(db: Path) -> None:
    rows = run(db, "lifetimes")
    assert rows[2] == {
        "pid": 101, "comm": "make", "lifetime_ms": 50.5, "state": "exited", "exit_code": 2,
        "args": "/usr/bin/make all", "signal": None, "cpu_ms": 30.25, "max_rss_kib": 2000, "age_ms": None,
        "ppid": 100, "start_ns": at(10), "filename": "/usr/bin/make", "uid": 1000, "id": 6,
    }  # fmt: skip
    assert rows[-1] == {
        "pid": 105, "comm": "tail", "lifetime_ms": None, "state": "running", "exit_code": None,
        "args": "/usr/bin/tail -f '/var/log/a b'", "signal": None, "cpu_ms": None, "max_rss_kib": None,
        "age_ms": 800.0, "ppid": 1, "start_ns": at(200), "filename": "/usr/bin/tail", "uid": 1000, "id": 19,
    }  # fmt: skip


def test_lifetimes_of_a_process_without_a_program_of_its_own(db: Path) -> None:
    [row] = [row for row in run(db, "lifetimes") if row["pid"] == 102]
    assert (row["args"], row["filename"], row["comm"]) == (None, None, "sh")


@pytest.mark.parametrize(("kernel", "shown"), [("", []), ("0", []), ("1", [2, 106])], ids=["blank", "0", "1"])
def test_lifetimes_shows_kernel_threads_on_request(db: Path, kernel: str, shown: list[int]) -> None:
    """Values are passed as Datasette passes them: as text, '' for a blank field."""
    assert [row["pid"] for row in run(db, "lifetimes", kernel=kernel) if row["pid"] in (2, 106)] == shown
    assert len(run(db, "lifetimes", kernel=kernel)) == 8 + len(shown)


def test_during_a_recording_ages_are_as_of_the_last_commit(db: Path) -> None:
    with sqlite3.connect(db) as connection:
        connection.execute("UPDATE recordings SET ended_ns = NULL, updated_ns = ?", [at(500)])
    connection.close()
    assert [row["age_ms"] for row in run(db, "lifetimes") if row["pid"] == 105] == [300.0]
    assert [row["age_ms"] for row in run(db, "running") if row["pid"] == 105] == [300.0]


# running


def test_running(db: Path) -> None:
    rows = run(db, "running")
    cgroups = [row.pop("cgroup") for row in rows]
    assert cgroups[0] == cgroups[1]  # the cgroup of this machine with the id 1
    assert rows == [
        {
            "pid": 1, "comm": "init", "age_ms": 6000.0, "args": "/sbin/init", "started_within": 0, "uid": 0,
            "ppid": 0, "start_ns": at(-5000), "id": 1,
        },
        {
            "pid": 105, "comm": "tail", "age_ms": 800.0, "args": "/usr/bin/tail -f '/var/log/a b'",
            "started_within": 1, "uid": 1000, "ppid": 1, "start_ns": at(200), "id": 19,
        },
    ]  # fmt: skip


def test_running_shows_the_path_of_the_cgroup_in_this_recording(db: Path) -> None:
    second = make_recording(db, STORY)
    with sqlite3.connect(db) as connection:
        connection.execute("DELETE FROM cgroup_paths")
        connection.executemany(
            "INSERT INTO cgroup_paths (recording_id, cgroup_id, path) VALUES (?, 1, ?)",
            [(1, "/system.slice/a"), (second, "/system.slice/b")],
        )
    connection.close()
    assert picked(run(db, "running", recording="1"), "cgroup") == [("/system.slice/a",)] * 2
    assert picked(run(db, "running"), "cgroup") == [("/system.slice/b",)] * 2


@pytest.mark.parametrize(("kernel", "pids"), [("", [1, 105]), ("0", [1, 105]), ("1", [1, 2, 105, 106])])
def test_running_shows_kernel_threads_on_request(db: Path, kernel: str, pids: list[int]) -> None:
    assert [row["pid"] for row in run(db, "running", kernel=kernel)] == pids


# failures


def test_failures(db: Path) -> None:
    *latest_first, unknown_end = run(db, "failures")
    assert [*reversed(latest_first), unknown_end] == [
        {
            "pid": 101, "comm": "make", "exit_code": 2, "signal": None, "args": "/usr/bin/make all",
            "lifetime_ms": 50.5, "parent": "sh", "core_dumped": 0, "ppid": 100, "end_ns": at(60.5), "id": 6,
        },
        {
            "pid": 102, "comm": "sh", "exit_code": None, "signal": 9, "args": None, "lifetime_ms": 2.0,
            "parent": "sh", "core_dumped": 0, "ppid": 100, "end_ns": at(63), "id": 9,
        },
        {
            "pid": 30, "comm": "daemon", "exit_code": None, "signal": 11, "args": "daemon -v",
            "lifetime_ms": 2090.0, "parent": "init", "core_dumped": 1, "ppid": 1, "end_ns": at(90), "id": 3,
        },
        {
            "pid": 103, "comm": "init", "exit_code": 7, "signal": None, "args": None, "lifetime_ms": None,
            "parent": "init", "core_dumped": 0, "ppid": 1, "end_ns": None, "id": 16,
        },
    ]  # fmt: skip


def test_failures_of_processes_with_unknown_parents(tmp_path: Path) -> None:
    db = tmp_path / "webpf.db"
    make_recording(db, [exit_(7, 0, 1, status=256, ppid=6)])
    assert picked(run(db, "failures"), "pid", "parent", "ppid") == [(7, None, 6)]


# execs


def test_execs(db: Path) -> None:
    assert run(db, "execs", pid="101") == [
        {
            "step": 1, "comm": "make", "args": b"/usr/bin/make\0all\0", "filename": "/usr/bin/make",
            "time_ns": at(11), "after_ms": 1.0, "uid": 1000, "euid": 1000, "argv_bytes": 18, "process_id": 6,
        }
    ]  # fmt: skip


def test_execs_of_a_chain_and_of_a_reused_pid(tmp_path: Path) -> None:
    db = tmp_path / "webpf.db"
    events: list[Event] = [
        seen(100, -50, comm="login", argv=b"login\0"),
        exec_(100, -47, 3, b"/bin/bash\0", "bash"),
        exec_(101, 0, 3.5, b"/bin/other\0", "other"),
        exec_(100, -47, 4, b"/bin/ls\0-l\0", "ls", argv_bytes=300),
        exit_(100, -47, 5),
        fork(100, 6),
        exec_(100, 6, 6.25, b"/bin/true\0", "true"),
    ]
    make_recording(db, events)
    columns = "step", "comm", "time_ns", "after_ms", "argv_bytes", "process_id"
    assert picked(run(db, "execs", pid="100"), *columns) == [(1, "true", at(6.25), 0.25, 10, 6)]
    assert picked(run(db, "execs", id="1"), *columns) == [
        (1, "login", None, None, 6, 1),
        (2, "bash", at(3), 50.0, 10, 1),
        (3, "ls", at(4), 51.0, 300, 1),
    ]


@pytest.mark.parametrize("pid", ["2", "102", "103", "99999", "0"])
def test_execs_of_a_process_without_a_program_of_its_own(db: Path, pid: str) -> None:
    assert run(db, "execs", pid=pid) == []


def test_execs_of_the_chosen_recording(db: Path) -> None:
    make_recording(db, [exec_(101, 0, 1, comm="second")])
    assert picked(run(db, "execs", pid="101"), "comm") == [("second",)]
    assert picked(run(db, "execs", pid="101", recording="1"), "comm") == [("make",)]


# summary


def test_summary(db: Path) -> None:
    """init: three processes, none of which exited; one is known to have failed. Other costs: test_sums_of_costs."""
    rows = run(db, "summary")
    for row in rows:
        for name in ("user_ms", "system_ms", "run_delay_ms", "read_bytes", "write_bytes"):
            del row[name]
    assert rows == [
        {
            "comm": "daemon", "processes": 1, "exited": 1, "failed": 1, "total_ms": 2090.0, "median_ms": 2090.0,
            "p95_ms": 2090.0, "max_ms": 2090.0, "cpu_ms": None, "max_rss_kib": 2000,
        },
        {
            "comm": "sh", "processes": 2, "exited": 2, "failed": 1, "total_ms": 72.0, "median_ms": 36.0,
            "p95_ms": 70.0, "max_ms": 70.0, "cpu_ms": 4.5, "max_rss_kib": 2000,
        },
        {
            "comm": "make", "processes": 1, "exited": 1, "failed": 1, "total_ms": 50.5, "median_ms": 50.5,
            "p95_ms": 50.5, "max_ms": 50.5, "cpu_ms": 30.25, "max_rss_kib": 2000,
        },
        {
            "comm": "init", "processes": 3, "exited": 0, "failed": 1, "total_ms": None, "median_ms": None,
            "p95_ms": None, "max_ms": None, "cpu_ms": 2.0, "max_rss_kib": None,
        },
        {
            "comm": "tail", "processes": 1, "exited": 0, "failed": 0, "total_ms": None, "median_ms": None,
            "p95_ms": None, "max_ms": None, "cpu_ms": None, "max_rss_kib": None,
        },
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lifetimes", "median", "p95"),
    [
        ([7], 7, 7),
        ([1, 2], 1.5, 2),
        ([5, 1, 3], 3, 5),
        ([4, 1, 2, 30], 3, 30),
        (range(1, 20), 10, 19),
        (range(1, 21), 10.5, 19),
        (range(1, 101), 50.5, 95),
    ],
    ids=str,
)
def test_median_and_95th_percentile(tmp_path: Path, lifetimes: Iterable[float], median: float, p95: float) -> None:
    """p95 is the nearest rank: the smallest lifetime that 95 of 100 don't exceed. Running processes don't count."""
    db = tmp_path / "webpf.db"
    events: list[Event] = [fork(9000, 0, comm="true")]
    make_recording(db, [*events, *(exit_(100 + i, 0, ms) for i, ms in enumerate(lifetimes))], batch=200)
    [row] = run(db, "summary")
    assert (row["median_ms"], row["p95_ms"]) == (median, p95)
    assert row["processes"] == row["exited"] + 1


# All queries


@pytest.mark.parametrize("name", [name for name in NAMES if "against" not in parameters(name)])
def test_the_latest_recording_is_the_default(tmp_path: Path, name: str) -> None:
    both, first, second = tmp_path / "both.db", tmp_path / "first.db", tmp_path / "second.db"
    other = BUILD[:12]
    for db in (both, first):
        make_recording(db, BUILD)
    for db in (both, second):
        make_recording(db, other)
    arguments = needed(name, "100")
    ids = "id", "process_id", "of_id"  # these differ: event ids count through the whole file

    def same(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{key: value for key, value in row.items() if key not in ids} for row in rows]

    assert same(run(both, name, **arguments, recording="1")) == same(run(first, name, **arguments))
    assert same(run(both, name, **arguments, recording="2")) == same(run(second, name, **arguments))
    assert run(both, name, **arguments) == run(both, name, **arguments, recording="2")
    assert run(both, name, **arguments, recording="") == run(both, name, **arguments, recording="2")
    assert run(both, name, **arguments) != run(both, name, **arguments, recording="1")


def similar_events(pid: int) -> list[Event]:
    """Events of a short process that fails. Those for other pids differ only in names."""
    parent, kind = 50 + pid % 2, pid % 2
    born = fork(pid, 0, ppid=parent, parent_ms=0, uid=kind)._replace(cgroup_id=1 + kind)
    names = f"a{kind}", f"b{kind}"
    own: dict[str, Any] = {"cgroup_id": 1 + kind, "uid": kind, "environment": MADE}
    programs = [exec_(pid, 0, 1, b"%d\0" % kind, name)._replace(**own) for name in names]
    return [born, *programs, exit_(pid, 0, 5, (139, 134)[kind], f"b{kind}"), free(pid, 0, 206, 1, (139, 134)[kind])]


ALIKE: list[Event] = [
    fork(50, 0, ppid=1),
    fork(51, 0, ppid=1),
    *(event for pid in range(100, 140) for event in similar_events(pid)),
    exit_(50, 0, 3),
    exit_(51, 0, 3),
    fork(140, 7, ppid=50, parent_ms=0),
    fork(141, 7, ppid=51, parent_ms=0),
]


@pytest.mark.parametrize("name", NAMES)
def test_the_order_does_not_depend_on_the_query_plan(tmp_path: Path, name: str) -> None:
    """With many equal rows, other indexes, and SQLite's PRAGMA that reverses unordered results."""
    db = tmp_path / "webpf.db"
    make_recording(db, ALIKE[:9])
    make_recording(db, ALIKE, end_ms=3000, batch=200)
    connection = sqlite3.connect(db)
    with connection:
        connection.executemany(
            "REPLACE INTO cgroup_paths (recording_id, cgroup_id, unit) VALUES (2, ?, ?)", [(1, "a"), (2, "b")]
        )
    query, arguments = saved_queries.load(name), needed(name, "100")
    before = run(db, name, **arguments)
    assert len(before) >= 2
    connection.execute("CREATE INDEX a ON processes (recording_id, id DESC)")
    connection.execute("CREATE INDEX b ON processes (recording_id, comm DESC, pid DESC)")
    connection.execute("CREATE INDEX c ON processes (recording_id, state, pid DESC)")
    connection.execute("CREATE INDEX d ON programs (process_id, id DESC)")
    connection.execute("PRAGMA reverse_unordered_selects = ON")
    after = connection.execute(query.sql, saved_queries.bind(query, arguments)).fetchall()
    connection.close()
    assert after == [tuple(row.values()) for row in before]


@pytest.mark.parametrize(
    ("name", "key"), [("lifetimes", "id"), ("running", "id"), ("failures", "id"), ("summary", "comm")]
)
def test_equal_rows_are_sorted_by_id_or_name(tmp_path: Path, name: str, key: str) -> None:
    db = tmp_path / "webpf.db"
    events: list[Event] = [fork(pid, 0, comm=str(pid)) for pid in range(109, 99, -1)]
    if name in ("lifetimes", "failures"):
        events += [exit_(pid, 0, 5, 256, comm="a") for pid in range(100, 110)]
    make_recording(db, events, batch=4)
    keys = [row[key] for row in run(db, name)]
    assert len(keys) == 10
    assert keys == sorted(keys, reverse=name == "failures")


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_recording_has_no_rows_of_processes(tmp_path: Path, name: str) -> None:
    db = tmp_path / "webpf.db"
    make_recording(db, [])
    rows = run(db, name, **needed(name, "100"))
    with_processes = tmp_path / "other.db"
    make_recording(with_processes, STORY)
    # Except rows that are time steps or kinds of events: any recording of this length has as many of them.
    assert rows == [] or len(rows) == len(run(with_processes, name, **needed(name, "100")))


@pytest.mark.parametrize("name", NAMES)
def test_the_head_describes_all_columns(db: Path, name: str) -> None:
    query = saved_queries.load(name)
    with saved_queries.run(db, query, needed(name, "100")) as result:
        assert result.columns == list(query.columns)
    assert all(query.columns.values())


@pytest.mark.parametrize("name", NAMES)
def test_the_head_declares_all_parameters(name: str) -> None:
    query = saved_queries.load(name)
    declared = [parameter.name for parameter in query.parameters]
    assert len(set(declared)) == len(declared)
    assert set(re.findall(r"[:@$](\w+)", query.sql)) == set(declared)


@pytest.mark.parametrize("name", NAMES)
def test_a_blank_parameter_means_its_default(db: Path, name: str) -> None:
    """'' gives the same rows as the default that the head states."""
    query = saved_queries.load(name)
    arguments = needed(name, "100")
    values = {"latest": "1", "the one before it": ""}
    defaults = {p.name: values.get(p.default, p.default) for p in query.parameters if p.default is not None}
    optional = {p.name for p in query.parameters if not p.required and p.default is None}
    assert set(defaults) | set(arguments) | optional == {parameter.name for parameter in query.parameters}
    assert run(db, name, **arguments) == run(db, name, **arguments, **dict.fromkeys(defaults, ""))
    assert run(db, name, **arguments) == run(db, name, **arguments, **defaults)


@pytest.mark.parametrize("name", NAMES)
def test_a_query_is_one_read_only_select(db: Path, name: str) -> None:
    query = saved_queries.load(name)
    assert re.match(r"(?i)(SELECT|WITH)\b", query.sql)
    assert ";" not in query.sql
    asked: set[int] = set()

    def note(action: int, table: str | None, *_: str | None) -> int:
        if table != "sqlite_master":  # SQLite reads it when it sets up json_each()
            asked.add(action)
        return sqlite3.SQLITE_OK

    connection = sqlite3.connect(db)
    connection.set_authorizer(note)
    connection.execute(query.sql, saved_queries.bind(query, needed(name, "100"))).fetchall()
    connection.close()
    assert asked <= {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}


def test_no_table_has_the_name_of_a_query(tmp_path: Path) -> None:
    """Datasette would give both the same address."""
    file = RecordingFile(tmp_path / "webpf.db")
    named = {name for (name,) in file.db.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")}
    file.close()
    assert {"processes", "event_list", "programs"} <= named
    assert not named & set(NAMES)
