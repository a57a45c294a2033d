"""Active time, and waiting in reports, compared with a count of milliseconds in which no child lived."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support import MS, exit_, fork, free, make_recording

from webpf.analysis import active_time
from webpf.model.events import Event

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]


def parents(chance: random.Random, number: int) -> tuple[list[Event], dict[int, int]]:
    """Returns the events of parents with children that also outlive them, and the active time in ms of each by pid."""
    found: list[tuple[int, Event]] = []
    active: dict[int, int] = {}
    for parent in range(100, 100 + number):
        start = chance.randrange(100)
        end = start + chance.randrange(2, 200)
        idle = set(range(start, end))
        for child in range(parent * 100, parent * 100 + chance.randrange(1, 8)):
            begun = chance.randrange(start, end)
            ended = begun + chance.randrange(1, 150)
            idle -= set(range(begun, ended))
            born = fork(child, begun, ppid=parent, parent_ms=start)
            found += [(begun, born), (ended, exit_(child, begun, ended)), (ended, free(child, begun, ended, cpu_ms=0))]
        found += [(start, fork(parent, start)), (end, exit_(parent, start, end))]
        found.append((end, free(parent, start, end, cpu_ms=parent % 7)))
        active[parent] = len(idle)
    return [event for _, event in sorted(found, key=lambda each: each[0])], active


@pytest.mark.parametrize("seed", range(10))
def test_active_time(tmp_path: Path, seed: int) -> None:
    events, expected = parents(random.Random(seed), 30)
    make_recording(tmp_path / "webpf.db", events)
    with closing(sqlite3.connect(tmp_path / "webpf.db")) as connection:
        pids = dict(connection.execute("SELECT id, pid FROM processes"))
        found = {pids[id]: ns / MS for id, ns in active_time.of_parents(connection, 1, None)}
        longer = {pids[id] for id, _ in active_time.of_parents(connection, 1, None, longer_than_ns=100 * MS)}
        long = "SELECT pid FROM processes WHERE pid < 1000 AND end_ns - start_ns > 100000000"
        assert longer == {pid for (pid,) in connection.execute(long)} < set(found)
    assert found == expected


def test_waiting(tmp_path: Path, webpf: Webpf) -> None:
    """A child waits all its life, for it has no CPU time; a parent while no child lives, less its CPU time."""
    events, active = parents(random.Random(1), 30)
    make_recording(tmp_path / "webpf.db", events)
    expected = sum(max(ms - pid % 7, 0) for pid, ms in active.items())
    with closing(sqlite3.connect(tmp_path / "webpf.db")) as connection:
        lives = "SELECT sum(end_ns - start_ns) / 1000000 FROM processes WHERE pid >= 10000"
        expected += connection.execute(lives).fetchone()[0]
    report = json.loads(webpf("report", "--format", "json").stdout)
    assert report["waiting_ns"] / MS == expected


@pytest.mark.kernel
def test_a_script_that_sleeps_after_its_child_waits(webpf: Webpf) -> None:
    script = "import subprocess, time; subprocess.run(['/bin/sleep', '0.3']); time.sleep(0.5)"
    assert webpf("record", "-q", "--", "/usr/bin/python3", "-S", "-c", script).returncode == 0
    report = json.loads(webpf("report", "--format", "json").stdout)
    waiting = {each["activity"]: each["waiting_ns"] / MS for each in report["activities"]}
    (python,) = (ms for activity, ms in waiting.items() if activity.startswith("python3"))
    assert 450 <= python < report["wall_ns"] / MS - 250
