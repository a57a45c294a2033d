"""Saved queries about parents and children: the rows that they must return for the story in story.py."""

from __future__ import annotations

from pathlib import Path

from story import picked, run
from support import at


def test_tree(built: Path) -> None:
    columns = "tree", "pid", "lifetime_ms", "state", "exit_code", "signal", "depth"
    assert picked(run(built, "tree"), *columns) == [
        ("/sbin/init", 1, None, "running", None, None, 0),
        ("  daemon -v", 30, 2250.0, "exited", None, 15, 1),
        ("  server", 31, None, "running", None, None, 1),
        ("  /bin/sh -c make", 100, 130.0, "exited", 0, None, 1),
        ("    /usr/bin/make", 101, 110.0, "exited", 2, None, 2),
        ("      /usr/bin/gcc -c a.c", 102, 20.0, "exited", 0, None, 3),
        ("      /usr/bin/gcc -c a.c", 103, 30.0, "exited", 1, None, 3),
        ("      python a.py", 104, 10.0, "exited", None, 11, 3),
        ("      python b.py", 105, 10.0, "exited", None, 6, 3),
        ("      make", 106, 4.0, "exited", 0, None, 3),
        ("        make", 107, 103.0, "exited", None, 9, 4),
        ("  init", 108, None, "lost", 7, None, 1),
        ("  init", 109, None, "lost", None, None, 1),
        ("  /usr/bin/tail -f '/var/log/a b'", 110, None, "running", None, None, 1),
        ("    tail", 102, 10.0, "exited", 0, None, 2),
    ]


def test_tree_from_a_pid_down(built: Path) -> None:
    columns = "tree", "pid", "depth", "cpu_ms"
    assert picked(run(built, "tree", pid="101", depth="1"), *columns) == [
        ("/usr/bin/make", 101, 0, 5.0),
        ("  /usr/bin/gcc -c a.c", 102, 1, 15.0),
        ("  /usr/bin/gcc -c a.c", 103, 1, 25.0),
        ("  python a.py", 104, 1, 8.0),
        ("  python b.py", 105, 1, 4.0),
        ("  make", 106, 1, 1.0),
    ]


def test_tree_of_a_reused_pid(built: Path) -> None:
    columns = "tree", "id", "depth"
    assert picked(run(built, "tree", pid="102"), *columns) == [("tail", 45, 0)]
    assert picked(run(built, "tree", id="9"), *columns) == [("/usr/bin/gcc -c a.c", 9, 0)]


def test_ancestors(built: Path) -> None:
    """The pid was reused: the latest process that had it by default, or the one with the given id."""
    columns = "of_id", "generation", "pid", "comm", "id"
    assert picked(run(built, "ancestors", pid="102"), *columns) == [
        (45, 0, 102, "tail", 45),
        (45, 1, 110, "tail", 41),
        (45, 2, 1, "init", 1),
    ]
    assert picked(run(built, "ancestors", id="9"), *columns) == [
        (9, 0, 102, "gcc", 9),
        (9, 1, 101, "make", 7),
        (9, 2, 100, "sh", 5),
        (9, 3, 1, "init", 1),
    ]


def test_spawners(built: Path) -> None:
    """Without children that started before the recording."""
    columns = "pid", "comm", "children", "children_per_s", "failed", "total_ms", "cpu_ms", "state"
    assert picked(run(built, "spawners"), *columns) == [
        (101, "make", 5, 45.5, 3, 74.0, 53.0, "exited"),
        (1, "init", 4, 4.0, 1, 130.0, 4.0, "running"),
        (100, "sh", 1, 7.7, 1, 110.0, 5.0, "exited"),
        (106, "make", 1, 250.0, 1, 103.0, 3.0, "exited"),
        (110, "tail", 1, 1.4, 0, 10.0, 1.0, "running"),
    ]


def test_orphans(built: Path) -> None:
    columns = "pid", "comm", "outlived_ms", "state", "parent", "ppid", "end_ppid"
    assert picked(run(built, "orphans"), *columns) == [
        (107, "make", 100.0, "exited", "make", 106, 1),
    ]


def test_zombies(built: Path) -> None:
    """One was reaped late, by init; one was never reaped."""
    columns = "pid", "comm", "zombie_ms", "at_least_ms", "parent", "end_ppid", "end_ns"
    assert picked(run(built, "zombies"), *columns) == [
        (107, "make", 300.0, 300.0, None, 1, at(190)),
        (30, "daemon", None, 750.0, "init", 1, at(250)),
    ]


def test_zombies_with_a_limit(built: Path) -> None:
    columns = "pid", "zombie_ms"
    assert picked(run(built, "zombies", min_ms="20"), *columns) == [
        (107, 300.0),
        (100, 20.0),
        (101, 20.0),
        (102, 20.0),
        (103, 20.0),
        (104, 20.0),
        (105, 20.0),
        (106, 20.0),
        (102, 20.0),
        (30, None),
    ]


def test_environment(built: Path) -> None:
    """Of each program, the latest first; of one process; of one variable."""
    columns = "pid", "comm", "name", "value", "state"
    assert picked(run(built, "environment"), *columns) == [
        (104, "python", "CFLAGS", None, "unset"),
        (104, "python", "MAKELEVEL", "", "set"),
        (104, "env", "CFLAGS", None, "unknown"),
        (104, "env", "MAKELEVEL", b"\xff", "set"),
        (103, "gcc", "CFLAGS", "-O2", "set"),
        (103, "gcc", "MAKELEVEL", "1", "set"),
        (102, "gcc", "CFLAGS", "-O2", "set"),
        (102, "gcc", "MAKELEVEL", "1", "set"),
    ]
    assert picked(run(built, "environment", pid="104", variable="CFLAGS"), "comm", "state", "args", "time_ns") == [
        ("python", "unset", "python a.py", at(72)),
        ("env", "unknown", "env python a.py", at(71)),
    ]
    assert picked(run(built, "environment", id="9", variable="CFLAGS"), "process_id", "value") == [(9, "-O2")]
    assert run(built, "environment", pid="102") == []
    assert run(built, "environment", variable="PATH") == []
