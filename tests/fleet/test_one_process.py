"""A process that lived through several recordings is one row, where all recordings are one base."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cut_stream import cut, record_part
from fleets import Fleet, make_fleet
from story import run
from support import MS, T0, at, exit_, fork, free, seen

from tools.bench import million
from webpf.analysis import saved_queries
from webpf.fleet import engines, fleet_query
from webpf.fleet.engine import Engine
from webpf.fleet.engine_name import EngineName
from webpf.model.events import Event, Exit

BOOT = million.BEGIN - 2 * 10**13


@pytest.fixture(scope="module", params=["duckdb", "clickhouse"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine that is open."""
    opened = engines.start(EngineName(request.param))
    yield opened
    opened.close()


def ask(fleet: Fleet, engine: Engine, name: str, **given: str) -> list[dict[str, Any]]:
    """Returns the rows of a saved query over all recordings."""
    wanted = fleet_query.FleetQuery(saved_queries.load(name), fleet.root, given, EngineName(engine.name))
    with fleet_query.run(wanted, engine) as result:
        return [dict(zip(result.columns, row, strict=True)) for row in result.rows]


@pytest.fixture(scope="module")
def uncut_and_cut(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Fleet]:
    """A recording of 1,500 processes, and three recordings of the same events, one after the other."""
    folder = tmp_path_factory.mktemp("cut")
    events = list(million.events(1500))
    end = max(event.time_ns for event in events) + MS
    third = (end - million.BEGIN) // 3
    times = [million.BEGIN, million.BEGIN + third, million.BEGIN + 2 * third, end]
    parts = cut(events, times[1:3])
    files = [
        record_part(folder / f"{number}.db", part, times[number], times[number + 1], BOOT)
        for number, part in enumerate(parts)
    ]
    return record_part(folder / "uncut.db", events, million.BEGIN, end, BOOT), make_fleet(folder, files)


def test_the_streams_are_cut_through_processes(uncut_and_cut: tuple[Path, Fleet]) -> None:
    uncut, fleet = uncut_and_cut
    with closing(sqlite3.connect(uncut)) as one, closing(sqlite3.connect(fleet.merged)) as three:
        [[wanted]] = one.execute("SELECT count(*) FROM processes").fetchall()
        assert wanted + 90 < three.execute("SELECT count(*) FROM processes").fetchone()[0]
        in_two = "SELECT pid FROM processes WHERE start_ns > ? GROUP BY pid HAVING count(DISTINCT recording_id) > 1"
        assert len(three.execute(in_two, [million.BEGIN]).fetchall()) > 5  # started in one, and ended in the next


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("summary", "comm processes exited failed total_ms median_ms p95_ms max_ms cpu_ms max_rss_kib read_bytes"),
        ("users", "uid processes running failed cpu_ms total_ms max_rss_kib write_bytes"),
        ("short_lived", "comm processes of_all mean_ms max_ms total_ms cpu_ms failed"),
        ("lifetimes", "pid comm lifetime_ms state exit_code signal cpu_ms args"),
        ("failures", "pid comm exit_code signal lifetime_ms args end_ns"),
        ("crashes", "pid comm signal core_dumped lifetime_ms end_ns"),
        ("signals", "signal comm processes core_dumped median_age_ms last_ns"),
        ("busiest", "pid comm cpu_ms lifetime_ms user_ms system_ms max_rss_kib"),
        ("survival", "comm survival time_ms at_risk median_ms processes late running"),
    ],
)
def test_three_recordings_answer_as_one(
    uncut_and_cut: tuple[Path, Fleet], engine: Engine, name: str, columns: str
) -> None:
    uncut, fleet = uncut_and_cut
    found = [tuple(row[column] for column in columns.split()) for row in ask(fleet, engine, name)]
    expected = [tuple(row[column] for column in columns.split()) for row in run(uncut, name)]
    assert len(expected) > 3
    assert sorted(found, key=repr) == sorted(expected, key=repr)


def test_children_in_all_recordings_are_of_one_parent(uncut_and_cut: tuple[Path, Fleet], engine: Engine) -> None:
    """A parent that runs on has all its children, as the events say."""
    uncut, fleet = uncut_and_cut
    services = {f"service{pid}" for pid in range(2, 42)}
    found = {row["comm"]: row["children"] for row in ask(fleet, engine, "spawners") if row["comm"] in services}
    expected = {row["comm"]: row["children"] for row in run(uncut, "spawners") if row["comm"] in services}
    assert found == expected and sum(expected.values()) > 200


def two_recordings(folder: Path, first: Sequence[Event], second: Sequence[Event], boot: str = "a boot") -> Fleet:
    """Two recordings, of the seconds 0 to 1 and 1 to 2. boot: of the second; the first is of `a boot`."""
    boot_ns = T0 - 10**10
    files = [
        record_part(folder / "1.db", first, T0, at(1000), boot_ns),
        record_part(folder / "2.db", second, at(1000), at(2000), boot_ns, boot),
    ]
    return make_fleet(folder, files)


def starts_and_ends(rows: list[dict[str, Any]]) -> list[tuple[object, ...]]:
    """Returns what tells processes apart."""
    return sorted((row["pid"], row["recording"][-8:], row["state"], row["lifetime_ms"]) for row in rows)


FIRST: list[Event] = [seen(1, -5000, ppid=0), fork(100, 23.5, parent_ms=-5000)]
SECOND: list[Event] = [seen(1, -5000, ppid=0), seen(100, 20), exit_(100, 23.5, 1500)]


def test_the_latest_row_is_kept(tmp_path: Path, engine: Engine) -> None:
    fleet = two_recordings(tmp_path, FIRST, SECOND)
    assert starts_and_ends(ask(fleet, engine, "lifetimes")) == [
        (1, ".000000Z", "running", None),
        (100, ".000000Z", "exited", 1476.5),
    ]
    assert {row["recording"] for row in ask(fleet, engine, "lifetimes")} == {fleet.names[1][1]}


def test_another_boot_is_another_process(tmp_path: Path, engine: Engine) -> None:
    rows = ask(two_recordings(tmp_path, FIRST, SECOND, "another boot"), engine, "lifetimes")
    assert sorted(row["pid"] for row in rows) == [1, 1, 100, 100]


def test_two_processes_of_one_recording_stay_two(tmp_path: Path, engine: Engine) -> None:
    """They have one pid, and started within 10 ms: one is older than its recording and ends in it, one runs on."""
    first = [*FIRST, fork(200, 995, parent_ms=-5000)]
    both: list[Event] = [seen(200, 990), exit_(200, 995, 1002), fork(200, 1003, parent_ms=-5000)]
    rows = ask(two_recordings(tmp_path, first, [*SECOND, *both]), engine, "lifetimes")
    assert [(row["state"], row["lifetime_ms"]) for row in rows if row["pid"] == 200] == [
        ("exited", 7.0),
        ("running", None),
    ]


def test_a_reused_pid_within_a_tick_is_not_the_same(tmp_path: Path, engine: Engine) -> None:
    """The first process with the pid ended in the first recording, so only the second one goes on."""
    quick: list[Event] = [
        fork(300, 501, parent_ms=-5000), exit_(300, 501, 503), free(300, 501, 504), fork(300, 506, parent_ms=-5000),
    ]  # fmt: skip
    fleet = two_recordings(tmp_path, [*FIRST, *quick], [*SECOND, seen(300, 500), exit_(300, 506, 1100)])
    rows = [row for row in ask(fleet, engine, "lifetimes") if row["pid"] == 300]
    assert [row["lifetime_ms"] for row in rows] == [594.0, 2.0]


def test_it_started_in_the_first_recording(tmp_path: Path, engine: Engine) -> None:
    """So it counts as a process that started while it was recorded, though not in the recording of its row."""
    fleet = two_recordings(tmp_path, FIRST, SECOND[:2])
    rows = {row["pid"]: row["started_within"] for row in ask(fleet, engine, "running")}
    assert rows == {1: 0, 100: 1}
    [spawner] = ask(fleet, engine, "spawners")
    assert (spawner["pid"], spawner["children"]) == (1, 1)


def test_each_recording_has_its_own_row(tmp_path: Path, engine: Engine) -> None:
    fleet = two_recordings(tmp_path, FIRST, SECOND)
    wanted = fleet_query.FleetQuery(
        saved_queries.load("lifetimes"), fleet.root, {}, EngineName(engine.name), per_recording=True
    )
    with fleet_query.run(wanted, engine) as result:
        assert sorted(row[3] for row in result.rows) == [1, 1, 100, 100]
    assert isinstance(SECOND[-1], Exit)
