"""Scopes: which processes they have, and that a chain of segments is one recording."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cut_chains import make_chain
from scopes import CUTS, between, rows
from story import BUILD, make_costly_recording, needed
from support import at, exec_, fork, make_recording

from webpf.analysis import saved_queries
from webpf.errors import NotFound, UsageError
from webpf.model.scope import EVERYTHING, Scope
from webpf.storage import reader, scoped


def pids(db: Path, scope: Scope, wanted: int | None = None) -> list[int]:
    """Returns the pids of the processes that are counted, by plain SQL."""
    with reader.reading(db) as connection:
        found = scoped.find(connection, db, wanted, scope).recording
        sql = "SELECT pid FROM processes WHERE recording_id = ? AND in_scope IS NOT 0 ORDER BY start_ns, id"
        rows = connection.execute(sql, [found.id])
        return [pid for (pid,) in rows]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the story of a build, which no test may change."""
    db = tmp_path_factory.mktemp("build") / "build.db"
    make_recording(db, BUILD)
    return db


@pytest.fixture
def db(build: Path, tmp_path: Path) -> Path:
    """A copy of this file."""
    return Path(shutil.copy(build, tmp_path / "webpf.db"))


OLD = [1, 2, 30, 31]


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (42, 44, [*OLD, 100, 101]),  # between the two compilers
        (40, 45, [*OLD, 100, 101, 102, 103]),  # to the ns
        (None, 9, [*OLD, 100]),
        (600, None, [1, 2, 31, 110]),  # 109 vanished: its end isn't known
        (100, 130, [*OLD, 100, 101, 107]),
        (255, 300, [1, 2, 31, 108, 109, 110]),  # the exit of 108 was lost: it was freed at 280
        (281, 290, [1, 2, 31]),
    ],
)
def test_what_was_alive_in_a_stretch(db: Path, since: float | None, until: float | None, expected: list[int]) -> None:
    assert pids(db, between(since, until)) == expected


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"uids": (33,)}, [106, 107, 110, 102]),
        ({"comms": ("gcc",)}, [102, 103]),
        ({"comms": ("g*", "pytho?")}, [102, 103, 104, 105]),
        ({"failed": True}, [30, 101, 103, 104, 105, 107, 108]),
        ({"exit_codes": (1, 7)}, [103, 108]),
        ({"exit_codes": (2,), "signals": (9,)}, [101, 107]),
        ({"signals": (11, 6)}, [104, 105]),
        ({"args": ("-c (a|b)\\.c",)}, [102, 103]),
        ({"args": ("^python", "tail")}, [104, 105, 110]),
        ({"min_lifetime_ns": 100_000_000}, [*OLD, 100, 101, 107, 110]),
        ({"under": 7}, [101, 102, 103, 104, 105, 106, 107]),
        ({"under": 7, "failed": True}, [101, 103, 104, 105, 107]),
        ({"uids": (33,), "failed": True}, [107]),
    ],
)
def test_filters(db: Path, filters: dict[str, Any], expected: list[int]) -> None:
    assert pids(db, Scope(**filters)) == expected


def test_filters_and_times_hold_together(db: Path) -> None:
    assert pids(db, between(50, 74, failed=True)) == [30, 101, 103, 104]
    assert pids(db, between(50, 74, under=7, args=("gcc",))) == [103]


def test_filters_of_places(tmp_path: Path) -> None:
    db = tmp_path / "webpf.db"
    make_costly_recording(db)
    cases: list[tuple[dict[str, Any], list[int]]] = [
        ({"units": ("ssh",)}, [202, 204]),
        ({"units": ("docker-*.scope",)}, [201]),
        ({"containers": ("d0d0",)}, [201, 202]),
        ({"containers": ("c1" * 32,)}, [203]),
        ({"cgroups": ("/system.slice",)}, [201, 202, 204]),
        ({"cgroups": ("/system.slice/ssh.service",)}, [204]),
        ({"cgroups": ("*ssh.service",)}, [202, 204]),
        ({"cgroups": ("/user.slice/",)}, []),
        ({"cgroups": ("/user.slice",), "units": ("ssh",)}, []),
    ]
    for filters, expected in cases:
        if expected:
            assert pids(db, Scope(**filters)) == expected, filters
        else:
            with pytest.raises(NotFound):
                pids(db, Scope(**filters))


def test_parents_outside_are_named_but_not_counted(db: Path) -> None:
    compilers = Scope(comms=("gcc",))
    assert [(row["pid"], row["parent"]) for row in rows(db, "failures", compilers)] == [(103, "make")]
    assert [(row["comm"], row["processes"]) for row in rows(db, "summary", compilers)] == [("gcc", 2)]
    assert [(row["depth"], row["pid"]) for row in rows(db, "tree", compilers)] == [(0, 102), (0, 103)]
    assert [row["pid"] for row in rows(db, "ancestors", compilers, pid="103")] == [103, 101, 100, 1]
    assert [row["pid"] for row in rows(db, "spawners", compilers)] == [101]
    assert rows(db, "execs", compilers, pid="101") == []
    for name in saved_queries.names():
        if name not in ("ancestors", "compare", "spawners"):
            named = {row.get("comm") for row in rows(db, name, compilers, **needed(name, "103"))}
            assert named <= {"gcc", None}, name


def test_queries_of_ends_show_what_ended_in_the_stretch(db: Path) -> None:
    """103 failed at 75 ms and 104 at 80 ms: both were alive at 74 ms."""
    assert [row["pid"] for row in rows(db, "failures", between(74, 76))] == [103]
    assert [row["pid"] for row in rows(db, "failures", between(76, 82))] == [104]
    assert [row["pid"] for row in rows(db, "crashes", between(76, 90))] == [105, 104]  # newest first
    assert [row["signal"] for row in rows(db, "signals", between(81, 90))] == [6]
    assert [row["pid"] for row in rows(db, "failures", between(281, 300))] == []
    assert [row["pid"] for row in rows(db, "failures", between(275, 300))] == [108]
    assert [row["pid"] for row in rows(db, "lifetimes", between(74, 74)) if row["exit_code"] or row["signal"]]


def test_running_is_what_was_alive_at_the_end_of_the_stretch(db: Path) -> None:
    assert [row["pid"] for row in rows(db, "running", between(60, 74))] == [1, 30, 31, 100, 101, 103, 104]
    assert [row["age_ms"] for row in rows(db, "running", between(60, 74))][-2:] == [29, 4]


def test_the_connection_only_reads_and_shows_one_recording(db: Path) -> None:
    make_recording(db, [fork(500, 5)], name="later")
    with reader.reading(db) as connection:
        found = scoped.find(connection, db, 1, between(10, 50))
        assert found.recording.id == 1 and (found.recording.started_ns, found.recording.until_ns) == (at(10), at(50))
        assert connection.execute("SELECT id FROM recordings").fetchall() == [(1,)]
        assert not connection.in_transaction  # so that a pager doesn't hold the log of a recorder
        for sql in ("DELETE FROM processes", "CREATE TEMP TABLE more (x)", "DELETE FROM main.processes"):
            with pytest.raises(sqlite3.OperationalError):
                connection.execute(sql)
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute("SELECT count(*) FROM processes").fetchone()[0] > 15


def test_the_latest_recording_that_has_the_stretch_is_shown(db: Path) -> None:
    make_recording(db, [fork(500, 2000), exec_(500, 2000, 2001)], end_ms=3000)
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE recordings SET started_ns = ? WHERE id = 2", [at(1900)])
    assert pids(db, between(42, 44)) == [*OLD, 100, 101]
    assert pids(db, between(1950, 2500)) == [500]
    assert pids(db, between(500, 2500)) == [500]
    with pytest.raises(NotFound, match=r"recording 2 of testhost is from .* to .*; recording 1 of testhost is from"):
        pids(db, between(1200, 1800))
    with pytest.raises(NotFound, match="has nothing from"):
        pids(db, between(42, 44), wanted=2)


def test_the_recordings_of_a_chain_are_named(tmp_path: Path) -> None:
    make_chain(tmp_path / "chain.db", BUILD, (50, 350))
    with pytest.raises(NotFound, match=r"has nothing from .*: recordings 1 to 3 of testhost are from"):
        pids(tmp_path / "chain.db", between(1200, 1800))


def test_nothing_in_the_scope(db: Path) -> None:
    with pytest.raises(NotFound, match=r": 6 processes, none with --comm nothing$"):
        pids(db, between(42, 44, comms=("nothing",)))
    with pytest.raises(NotFound, match="none with --under 4711"):
        pids(db, Scope(under=4711))
    with pytest.raises(UsageError, match=r"--until .* is before --since"):
        pids(db, between(44, 42))
    with pytest.raises(UsageError, match="not a regular expression"):
        pids(db, Scope(args=("(",)))
    with pytest.raises(UsageError, match="reads two recordings"):
        rows(db, "compare", between(42, 44))


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the story of a build in three segments."""
    db = tmp_path_factory.mktemp("chain") / "chain.db"
    make_chain(db, BUILD, CUTS)
    return db


def test_the_segments_have_a_row_each_for_a_process_that_goes_on(chain: Path) -> None:
    with closing(sqlite3.connect(chain)) as connection:
        sql = "SELECT recording_id FROM processes WHERE pid = ? ORDER BY 1"
        assert [connection.execute(sql, [pid]).fetchall() for pid in (31, 101, 102)] == [
            [(1,), (2,), (3,)], [(1,), (2,)], [(1,), (3,)],
        ]  # fmt: skip


TIED = ("io", "memory", "waiting")  # with equal costs, the order is that of the ids
IDS = {"id", "of_id", "process_id"}


def without_ids(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns rows without ids: they differ."""
    return [{name: value for name, value in row.items() if name not in IDS} for row in found]


@pytest.mark.parametrize("name", sorted({*saved_queries.names()} - {"compare", "losses"}))
def test_a_chain_answers_as_one_recording(name: str, build: Path, chain: Path) -> None:
    for scope in (EVERYTHING, between(42, 44), between(30, 420), between(5, 80, failed=True), Scope(comms=("make",))):
        whole = between(0, 1000) if scope is EVERYTHING else scope
        given = needed(name, "101")
        found, expected = without_ids(rows(chain, name, scope, **given)), without_ids(rows(build, name, whole, **given))
        if name in TIED:
            found, expected = sorted(found, key=repr), sorted(expected, key=repr)
        assert found == expected, scope


def test_one_segment_only_by_its_number(chain: Path) -> None:
    assert pids(chain, EVERYTHING, wanted=1) == [*OLD, 100, 101, 102, 103]
    assert pids(chain, between(46, None), wanted=1) == [*OLD, 100, 101, 103]
    failed = rows(chain, "failures", EVERYTHING, recording="1")
    assert failed == []  # 103 failed in the second segment


def test_rows_of_a_clock_that_was_set_are_of_one_process(tmp_path: Path) -> None:
    """The clock is set forward by 5 ms at each cut. pid and the time since the boot stay the same."""
    db = tmp_path / "chain.db"
    make_chain(db, BUILD, CUTS, shift_ns=5_000_000)
    assert sorted(pids(db, EVERYTHING)) == sorted(
        [*OLD, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 102]
    )
    assert [row["lifetime_ms"] for row in rows(db, "lifetimes", Scope(comms=("make",)))] == [110, 103, 4]
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE recordings SET boot_id = 'another' WHERE id = 3")
    assert len(pids(db, EVERYTHING)) == 17 + 5  # after a boot, the same pid is another process


def test_cgroups_of_another_boot_are_others(tmp_path: Path) -> None:
    db = tmp_path / "chain.db"
    make_chain(db, BUILD, CUTS)
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("DELETE FROM cgroup_paths")
        for segment, path in ((1, "/first"), (2, "/second"), (3, "/third")):
            connection.execute("INSERT INTO cgroup_paths VALUES (?, 1, ?, NULL, NULL, NULL)", [segment, path])
    assert {row["cgroup"] for row in rows(db, "cgroups", EVERYTHING)} == {"/third", None}
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE recordings SET boot_id = 'boot ' || id")
    found = {row["cgroup"]: row["processes"] for row in rows(db, "cgroups", EVERYTHING)}
    assert found.keys() == {"/first", "/second", "/third", None}


def test_the_default_is_the_last_day_of_a_chain(tmp_path: Path) -> None:
    db = tmp_path / "chain.db"
    make_chain(db, BUILD, CUTS)
    day = 24 * 3600 * 1000
    with closing(sqlite3.connect(db)) as connection, connection:  # the last segment goes on for a day
        connection.execute("UPDATE recordings SET ended_ns = ?1, updated_ns = ?1 WHERE id = 3", [at(day + 200)])
    assert 30 in pids(db, EVERYTHING) and 102 in pids(db, EVERYTHING)
    with reader.reading(db) as connection:
        about = scoped.find(connection, db).about
    assert about is not None and "recordings 2 to 3 (the last 24 hours of a chain, by default)" in about
    assert pids(db, EVERYTHING, wanted=3) == [1, 2, 31, 109, 110, 111, 102]
    assert 100 not in pids(db, EVERYTHING) and 100 in pids(db, between(0, None))
    assert pids(db, Scope(whole_chain=True)) == pids(db, between(0, None))
    assert pids(db, Scope(whole_chain=True, comms=("gcc",))) == [102, 103]
