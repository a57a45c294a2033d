"""Saved queries about costs and users: the rows that they must return for the story in story.py."""

from __future__ import annotations

from pathlib import Path

from story import picked, run


def test_busiest(built: Path) -> None:
    columns = "pid", "comm", "cpu_ms", "cpu_percent", "lifetime_ms"
    assert picked(run(built, "busiest"), *columns) == [
        (103, "gcc", 25.0, 83.3, 30.0),
        (102, "gcc", 15.0, 75.0, 20.0),
        (104, "python", 8.0, 80.0, 10.0),
        (101, "make", 5.0, 4.5, 110.0),
        (105, "python", 4.0, 40.0, 10.0),
        (107, "make", 3.0, 2.9, 103.0),
        (100, "sh", 2.0, 1.5, 130.0),
        (108, "init", 2.0, None, None),
        (106, "make", 1.0, 25.0, 4.0),
        (102, "tail", 1.0, 10.0, 10.0),
    ]


def test_memory(built: Path) -> None:
    """104 shows the peak from before its last exec."""
    columns = "pid", "comm", "max_rss_kib", "carried_rss_kib", "own_peak"
    assert picked(run(built, "memory", limit="3"), *columns) == [
        (105, "python", 9000, 500, 1),
        (104, "python", 3000, 3000, 0),
        (30, "daemon", 2000, None, 1),
    ]


def test_users(built: Path) -> None:
    columns = "uid", "processes", "running", "failed", "cpu_ms", "total_ms", "max_rss_kib", "programs"
    assert picked(run(built, "users"), *columns) == [
        (1000, 8, 0, 5, 61.0, 310.0, 9000, 8),
        (33, 4, 1, 1, 5.0, 117.0, 2000, 1),
        (0, 3, 2, 1, None, 2250.0, 2000, 3),
    ]


def test_cgroups(built: Path) -> None:
    columns = "cgroup_id", "processes", "running", "failed", "cpu_ms", "total_ms", "max_rss_kib", "programs"
    assert picked(run(built, "cgroups"), *columns) == [
        (1, 14, 2, 7, 66.0, 2677.0, 9000, 11),
        (7, 1, 1, 0, None, None, None, 1),
    ]


def test_duplicates(built: Path) -> None:
    columns = "runs", "args", "total_ms", "again_ms", "cpu_ms", "mean_ms", "failed", "parents"
    assert picked(run(built, "duplicates"), *columns) == [
        (2, "/usr/bin/gcc -c a.c", 50.0, 25.0, 40.0, 25.0, 1, 1),
    ]


def test_exec_chains(built: Path) -> None:
    columns = "chain", "processes", "programs", "mean_ms", "cpu_ms", "failed", "example"
    assert picked(run(built, "exec_chains"), *columns) == [
        ("env > python", 2, 2, 10.0, 12.0, 2, "python a.py"),
    ]
