"""Saved queries about lifetimes and times: the rows that they must return for the story in story.py."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from story import picked, run
from support import at


def test_short_lived(built: Path) -> None:
    """Ten lifetimes are known."""
    columns = "comm", "processes", "of_all", "mean_ms", "max_ms", "total_ms", "cpu_ms", "failed", "programs"
    assert picked(run(built, "short_lived"), *columns) == [
        ("gcc", 2, 20.0, 25.0, 30.0, 50.0, 40.0, 1, 2),
        ("python", 2, 20.0, 10.0, 10.0, 20.0, 12.0, 2, 4),
        ("make", 1, 10.0, 4.0, 4.0, 4.0, 1.0, 0, 0),
        ("tail", 1, 10.0, 10.0, 10.0, 10.0, 1.0, 0, 0),
    ]


def test_short_lived_with_a_limit(built: Path) -> None:
    """A lifetime equal to the limit is included."""
    columns = "comm", "processes", "of_all"
    assert picked(run(built, "short_lived", max_ms="10"), *columns) == [
        ("python", 2, 20.0),
        ("make", 1, 10.0),
        ("tail", 1, 10.0),
    ]


def test_long_lived(built: Path) -> None:
    columns = "pid", "comm", "lived_ms", "state", "cpu_ms", "cpu_percent", "args"
    assert picked(run(built, "long_lived"), *columns) == [
        (1, "init", 6000.0, "running", None, None, "/sbin/init"),
        (30, "daemon", 2250.0, "exited", None, None, "daemon -v"),
        (31, "server", 2000.0, "running", None, None, "server"),
    ]


def test_long_lived_with_a_limit(built: Path) -> None:
    """Without 108 and 109, whose ends are unknown."""
    columns = "pid", "lived_ms", "state", "cpu_ms", "cpu_percent"
    assert picked(run(built, "long_lived", min_ms="100"), *columns) == [
        (1, 6000.0, "running", None, None),
        (30, 2250.0, "exited", None, None),
        (31, 2000.0, "running", None, None),
        (110, 700.0, "running", None, None),
        (100, 130.0, "exited", 2.0, 1.5),
        (101, 110.0, "exited", 5.0, 4.5),
        (107, 103.0, "exited", 3.0, 2.9),
    ]


def test_rate(built: Path) -> None:
    """Without kernel threads. A start counts even if the end was lost."""
    columns = "time_ns", "seconds", "starts", "ends", "failures"
    assert picked(run(built, "rate", step_ms="100"), *columns) == [
        (at(0), 0.0, 8, 5, 3),
        (at(100), 0.1, 0, 3, 2),
        (at(200), 0.2, 2, 1, 1),
        (at(300), 0.3, 1, 0, 0),
        (at(400), 0.4, 0, 0, 0),
        (at(500), 0.5, 1, 1, 0),
        (at(600), 0.6, 0, 0, 0),
        (at(700), 0.7, 0, 0, 0),
        (at(800), 0.8, 0, 0, 0),
        (at(900), 0.9, 0, 0, 0),
    ]


def test_cores(built: Path) -> None:
    """Each step has the share of each life that is in it, of the CPU time that the process used."""
    with closing(sqlite3.connect(built)) as connection:
        sql = "SELECT start_ns, end_ns, cpu_ns FROM processes WHERE cpu_ns AND end_ns AND kernel IS NOT 1"
        lives = connection.execute(sql).fetchall()
    assert len(lives) > 5
    rows = run(built, "cores", steps="20")
    for row in rows:
        begin, end = row["time_ns"], row["time_ns"] + 50_000_000
        used = sum(cpu * max(min(end, until) - max(begin, start), 0) / (until - start) for start, until, cpu in lives)
        assert row["cores"] == pytest.approx(used / 50_000_000, abs=0.001)
    assert [row["seconds"] for row in rows] == pytest.approx([step * 0.05 for step in range(20)])


@pytest.mark.parametrize("name", ["concurrency", "cores"])
def test_seconds_have_six_digits(name: str, built: Path) -> None:
    """SQLite's own round() gives 0.024420999999999998 for 0.024420753, as it rounds twice: once to 64 binary digits."""
    with closing(sqlite3.connect(built)) as connection, connection:
        connection.execute("UPDATE recordings SET ended_ns = started_ns + 1000 * 24420753")
    rows = run(built, name, steps="1000")
    micro = Decimal("0.000001")
    expected = [(Decimal(24420753 * step) / 10**9).quantize(micro, ROUND_HALF_UP) for step in range(1000)]
    assert [row["seconds"] for row in rows] == [float(each) for each in expected]


def test_concurrency(built: Path) -> None:
    """Three are from before. In the first step, others are alive for 100, 90, 20, 30, 10, 10, 4 and 13 of 100 ms."""
    columns = "time_ns", "seconds", "alive", "mean_alive", "starts", "ends"
    assert picked(run(built, "concurrency", steps="10"), *columns) == [
        (at(0), 0.0, 3, 5.77, 8, 5),
        (at(100), 0.1, 6, 4.4, 0, 3),
        (at(200), 0.2, 3, 2.5, 0, 1),
        (at(300), 0.3, 2, 3.0, 1, 0),
        (at(400), 0.4, 3, 3.0, 0, 0),
        (at(500), 0.5, 3, 3.1, 1, 1),
        (at(600), 0.6, 3, 3.0, 0, 0),
        (at(700), 0.7, 3, 3.0, 0, 0),
        (at(800), 0.8, 3, 3.0, 0, 0),
        (at(900), 0.9, 3, 3.0, 0, 0),
    ]


def test_timeline(built: Path) -> None:
    """No two bars of a lane overlap; one may begin where another ends."""
    columns = "lane", "start_ms", "end_ms", "comm", "pid", "outcome"
    assert picked(run(built, "timeline"), *columns) == [
        (0, -5000.0, 1000.0, "init", 1, "running"),
        (1, -2000.0, 250.0, "daemon", 30, "signalled"),
        (2, -1000.0, 1000.0, "server", 31, "running"),
        (3, 0.0, 130.0, "sh", 100, "ok"),
        (4, 10.0, 120.0, "make", 101, "failed"),
        (5, 20.0, 40.0, "gcc", 102, "ok"),
        (5, 45.0, 75.0, "gcc", 103, "failed"),
        (6, 70.0, 80.0, "python", 104, "signalled"),
        (5, 75.0, 85.0, "python", 105, "signalled"),
        (5, 86.0, 90.0, "make", 106, "ok"),
        (6, 87.0, 190.0, "make", 107, "signalled"),
        (1, 300.0, 1000.0, "tail", 110, "running"),
        (3, 500.0, 510.0, "tail", 102, "ok"),
    ]


def test_timeline_of_a_stretch(built: Path) -> None:
    """Of the bars that fill the stretch, the first ones."""
    columns = "lane", "start_ms", "end_ms", "pid"
    assert picked(run(built, "timeline", from_ms="70", to_ms="80", limit="4"), *columns) == [
        (0, -5000.0, 1000.0, 1),
        (1, -2000.0, 250.0, 30),
        (2, -1000.0, 1000.0, 31),
        (3, 0.0, 130.0, 100),
    ]


def test_survival(built: Path) -> None:
    """One of the processes named tail is still running."""
    columns = "comm", "survival", "time_ms", "at_risk", "median_ms", "naive_median_ms", "processes", "late", "running"
    assert picked(run(built, "survival"), *columns) == [
        ("make", 0.6667, 4.0, 3, 103.0, 103.0, 3, 0, 0),
        ("make", 0.3333, 103.0, 2, 103.0, 103.0, 3, 0, 0),
        ("make", 0.0, 110.0, 1, 103.0, 103.0, 3, 0, 0),
        ("gcc", 0.5, 20.0, 2, 20.0, 20.0, 2, 0, 0),
        ("gcc", 0.0, 30.0, 1, 20.0, 20.0, 2, 0, 0),
        ("python", 0.0, 10.0, 2, 10.0, 10.0, 2, 0, 0),
        ("tail", 0.5, 10.0, 2, 10.0, 10.0, 2, 0, 1),
        ("daemon", 0.0, 2250.0, 1, 2250.0, 2250.0, 1, 1, 0),
        ("sh", 0.0, 130.0, 1, 130.0, 130.0, 1, 0, 0),
    ]
