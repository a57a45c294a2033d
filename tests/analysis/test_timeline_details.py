"""What the timeline says of one process, of a stretch of time, of a search and of the critical path: as SQL says it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support import MS, exit_, fork, make_recording

from webpf.analysis import timeline_path, timeline_process, timeline_search, timeline_stretch
from webpf.analysis.timeline_view import View
from webpf.errors import UsageError
from webpf.model.recording import Recording
from webpf.storage import reader

WHOLE = View(0, 1000, 1000, residents=True)


@pytest.fixture
def connection(built: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(built)) as connection:
        yield connection


@pytest.fixture
def recording(connection: sqlite3.Connection) -> Recording:
    return reader.recordings(connection, 1)[0]


def id_of(connection: sqlite3.Connection, pid: int) -> int:
    return int(connection.execute("SELECT id FROM processes WHERE pid = ? ORDER BY start_ns", [pid]).fetchone()[0])


def details(connection: sqlite3.Connection, recording: Recording, pid: int) -> dict[str, Any]:
    found = timeline_process.details(connection, recording, id_of(connection, pid), True, True)
    assert found is not None
    return found


def test_a_process_with_its_family_and_programs(connection: sqlite3.Connection, recording: Recording) -> None:
    make = details(connection, recording, 101)
    assert (make["args"], make["exit_code"], make["start_ms"], make["end_ms"]) == ("/usr/bin/make", 2, 10.0, 120.0)
    assert make["parent"]["pid"] == 100
    sql = "SELECT pid FROM processes WHERE parent_id = ? ORDER BY start_ns, id"
    assert [child["pid"] for child in make["children"]] == [pid for (pid,) in connection.execute(sql, [make["id"]])]
    assert make["children_total"] == len(make["children"]) > 3
    wrapper = details(connection, recording, 104)
    assert [program["line"] for program in wrapper["programs"]] == ["env python a.py", "python a.py"]
    assert [program["after_ms"] for program in wrapper["programs"]] == [1.0, 2.0]
    assert wrapper["carried_rss_kib"] == wrapper["max_rss_kib"] == 3000


def test_asleep_is_neither_running_nor_waiting_nor_with_a_child(
    connection: sqlite3.Connection, recording: Recording
) -> None:
    """Counted in steps of a tenth of a millisecond, over the lives of the process and of its children."""
    sql = """SELECT p.id, p.start_ns, p.end_ns, p.cpu_ns + p.run_delay_ns FROM processes AS p
        JOIN recordings AS r ON r.id = p.recording_id
        WHERE p.start_ns >= r.started_ns AND p.state = 'exited' AND p.cpu_ns + p.run_delay_ns NOT NULL"""
    known, step = connection.execute(sql).fetchall(), MS // 10
    for id, start, end, spent in known:
        children = connection.execute("SELECT start_ns, end_ns FROM processes WHERE parent_id = ?", [id]).fetchall()
        times = range(start + step // 2, end, step)
        alone = sum(not any(since <= time <= (until or end) for since, until in children) for time in times) * step
        found = timeline_process.details(connection, recording, id, False, False)
        assert found is not None
        assert found["asleep_ms"] == pytest.approx(max(alone - spent, 0) / 1e6, abs=0.1), id
    assert len(known) > 3
    assert details(connection, recording, 1)["asleep_ms"] is None  # it ran before


def test_what_has_no_parent_or_is_not_there(connection: sqlite3.Connection, recording: Recording) -> None:
    assert details(connection, recording, 1)["parent"] is None
    assert timeline_process.details(connection, recording, 10**15, True, True) is None
    plain = timeline_process.details(connection, recording, id_of(connection, 101), False, False)
    assert plain is not None and (plain["programs"], plain["directory"]) == (None, None)


def test_the_tree_of_a_process(connection: sqlite3.Connection, recording: Recording) -> None:
    """Also with what ran all the time, if it is at the top."""
    from webpf.analysis import timeline

    top = id_of(connection, 101)
    sql = """WITH RECURSIVE t (id) AS (VALUES (?) UNION SELECT p.id FROM t JOIN processes AS p ON p.parent_id = t.id)
        SELECT count(*) FROM t"""
    (expected,) = connection.execute(sql, [top]).fetchone()
    found = timeline.window(connection, recording, View(0, 1000, 1000, tree=top))
    assert len(found["bars"]) + sum(count for _, _, count in found["short"]) == expected > 5
    assert found["bars"][0]["id"] == top


def test_a_search_steps_through_all_matches(connection: sqlite3.Connection, recording: Recording) -> None:
    """At 50 ms a pixel none of them has a bar. After the last comes the first, and before the first the last."""
    sql = """SELECT p.id FROM processes AS p LEFT JOIN commands AS c ON c.id = p.command_id
        WHERE p.comm LIKE '%gcc%' OR c.args LIKE '%gcc%' ORDER BY p.start_ns, p.id"""
    expected = [id for (id,) in connection.execute(sql)]
    view = View(0, 1000, 20, search="GCC")
    seen, after = [], None
    for number in range(1, len(expected) + 1):
        step = timeline_search.step(connection, recording, view, after, False)
        assert (step["number"], step["total"]) == (number, len(expected))
        after = step["id"]
        seen.append(after)
    assert seen == expected
    assert timeline_search.step(connection, recording, view, after, False)["id"] == expected[0]
    assert timeline_search.step(connection, recording, view, expected[0], True)["id"] == expected[-1]
    nothing = timeline_search.step(connection, recording, View(0, 1, 1, search="no such"), None, False)
    assert nothing == {"id": None, "number": 0, "total": 0}


def test_a_stretch_is_summed_up(connection: sqlite3.Connection, recording: Recording) -> None:
    """From 30 to 80 ms; the expected numbers come from the rows, one by one."""
    begin, end = (recording.started_ns + ms * MS for ms in (30, 80))
    sql = """SELECT start_ns, coalesce(end_ns, iif(state = 'running', r.ended_ns, start_ns)), cpu_ns, p.end_ns, p.status
        FROM processes AS p JOIN recordings AS r ON r.id = recording_id WHERE NOT p.kernel"""
    rows = connection.execute(sql).fetchall()
    alive = [row for row in rows if row[0] <= end and row[1] >= begin]
    cpu = sum((row[2] or 0) * (min(row[1], end) - max(row[0], begin)) / (row[1] - row[0]) for row in alive)
    failed = [row for row in alive if row[3] and begin <= row[3] <= end and row[4]]
    sums = timeline_stretch.summary(connection, recording, View(30, 80, 1, residents=True))
    assert (sums["alive"], sums["failures"], sums["length_ms"]) == (len(alive), len(failed), 50.0)
    assert sums["started"] == sum(begin <= row[0] <= end for row in alive)
    assert sums["cpu_ms"] == pytest.approx(cpu / 1e6)
    assert sums["cores_busy"] == pytest.approx(cpu / 50 / MS)
    assert sums["unknown"] == sum(row[2] is None for row in alive)
    assert [each["end_ms"] for each in sums["failed"]] == sorted(
        ((row[3] - recording.started_ns) / MS for row in failed), reverse=True
    )
    assert len(failed) > 1


@pytest.mark.parametrize(("from_ms", "to_ms"), [(5000, 6000), (-9000, -8000)])
def test_an_empty_stretch(connection: sqlite3.Connection, recording: Recording, from_ms: float, to_ms: float) -> None:
    sums = timeline_stretch.summary(connection, recording, View(from_ms, to_ms, 1))
    assert (sums["length_ms"], sums["alive"], sums["cores_busy"], sums["programs"]) == (0, 0, 0, [])


def test_the_critical_path_is_that_of_the_report(
    connection: sqlite3.Connection, recording: Recording, built: Path, webpf: Callable[..., Any]
) -> None:
    sections = timeline_path.critical_path(connection, recording)["sections"]
    report = json.loads(webpf("report", built, "--format", "json").stdout)
    lengths = [(each["process_id"], each["duration_ns"] / 1e6) for each in report["critical_path"]]
    assert [(each["id"], pytest.approx(each["end_ms"] - each["start_ms"])) for each in sections] == lengths
    assert len(lengths) > 3


def test_a_path_of_too_many_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline_path, "MOST_PROCESSES", 2)
    make_recording(
        tmp_path / "webpf.db", [event for i in range(3) for event in (fork(100 + i, i), exit_(100 + i, i, 9))]
    )
    with closing(sqlite3.connect(tmp_path / "webpf.db")) as connection, pytest.raises(UsageError, match="too many"):
        timeline_path.critical_path(connection, reader.recordings(connection)[0])
