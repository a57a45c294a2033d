"""Saved queries about costs and users: the rows that they must return for the story in story.py."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from story import DOCKER, MIB, POD, make_costly_recording, picked, run
from support import SLOWNESS, wait_until

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]


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


SUMS = "user_ms", "system_ms", "run_delay_ms", "read_bytes", "write_bytes"


@pytest.mark.parametrize("name", ["users", "cgroups", "summary"])
def test_sums_of_costs(built: Path, name: str) -> None:
    """An eleventh of a process's nanoseconds is rounded; unknown costs are null, not 0."""
    rows = picked(run(built, name), "cpu_ms", *SUMS)
    assert {
        "users": (61.0, 45.75, 15.25, 0.0, 7 * 512, 7 * 4096),
        "cgroups": (66.0, 49.5, 16.5, 0.0, 10 * 512, 10 * 4096),
        "summary": (40.0, 30.0, 10.0, 0.0, 2 * 512, 2 * 4096),  # gcc
    }[name] in rows
    assert (None,) * 6 in rows


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


@pytest.fixture
def costly(tmp_path: Path) -> Path:
    """A file with the recording of COSTLY."""
    make_costly_recording(tmp_path / "costly.db")
    return tmp_path / "costly.db"


def test_io(costly: Path) -> None:
    """204 and 202 have no reads; 205's are not known; 206 is running."""
    columns = "pid", "read_bytes", "write_bytes", "total_bytes", "args", "major_faults", "lifetime_ms"
    assert picked(run(costly, "io"), *columns) == [
        (203, 5 * MIB, 0, 5 * MIB, "job 203", 0, 100.0),
        (201, 3 * MIB, MIB, 4 * MIB, "job 201", 9, 100.0),
        (204, 0, 2 * MIB, 2 * MIB, "job 204", 0, 100.0),
        (206, 5120, 8192, 13312, None, 30, None),
    ]
    assert picked(run(costly, "io", limit="1"), "pid") == [(203,)]


def test_waiting(costly: Path) -> None:
    """Two threads of 205 waited at the same time. 206 has lived for 250 ms."""
    columns = "pid", "run_delay_ms", "run_delay_percent", "cpu_ms", "lifetime_ms", "involuntary_switches"
    assert picked(run(costly, "waiting"), *columns) == [
        (205, 150.0, 150.0, 1.0, 100.0, 0),
        (202, 55.0, 55.0, 5.0, 100.0, 0),
        (201, 20.0, 20.0, 40.0, 100.0, 6),
        (206, 0.0, 0.0, 2.0, None, 70),
    ]
    assert picked(run(costly, "waiting", limit="2"), "pid") == [(205,), (202,)]


def test_costs_beside_others(costly: Path) -> None:
    columns = "pid", "cpu_ms", "user_ms", "system_ms", "run_delay_ms"
    assert picked(run(costly, "busiest", limit="2"), *columns) == [
        (201, 40.0, 30.0, 10.0, 20.0),
        (203, 20.0, 20.0, 0.0, None),
    ]
    assert picked(run(costly, "memory", limit="2"), "pid", "minor_faults", "major_faults") == [
        (206, 20, 30),
        (201, 100, 9),
    ]


def test_containers(costly: Path) -> None:
    """A container with two cgroups is one row; a unit has the row of its name; all others are one row."""
    columns = (
        "name", "processes", "failed", "cpu_ms", "max_rss_kib", "read_bytes", "write_bytes", "run_delay_ms", "user_ms",
        "system_ms", "known", "running", "container", "pod", "unit",
    )  # fmt: skip
    rows = run(costly, "containers")
    assert tuple(rows[0]) == columns
    assert [tuple(row.values()) for row in rows] == [
        ("d0d0d0d0d0d0", 2, 1, 45.0, 900, 3 * MIB, MIB, 75.0, 34.0, 11.0, 2, 0, DOCKER, None, None),
        ("c1c1c1c1c1c1", 1, 0, 20.0, 0, 5 * MIB, 0, None, 20.0, 0.0, 1, 0, "c1" * 32, POD, None),
        ("ssh.service", 1, 0, 9.0, 700, 0, 2 * MIB, 0.0, 2.0, 7.0, 1, 0, None, None, "ssh.service"),
        (None, 3, 0, 3.0, 3000, 5120, 8192, 150.0, 1.0, 2.0, 2, 2, None, None, None),
    ]


@pytest.mark.kernel
def test_dd_wrote_what_it_was_told_to(tmp_path: Path, webpf: Webpf) -> None:
    """dd writes 10 MiB to the disk, and nothing but these. On a tmpfs it writes nothing to storage."""
    dd = ["dd", "if=/dev/zero", f"of={tmp_path / 'file'}", "bs=64k", "count=160", "conv=fsync", "status=none"]
    assert webpf("record", "-q", "--", *dd).returncode == 0
    rows = [row for row in run(tmp_path / "webpf.db", "io") if row["comm"] == "dd"]
    if os.statvfs(tmp_path).f_fsid:
        assert [10 * MIB <= row["write_bytes"] < 11 * MIB for row in rows] == [True]
        assert rows[0]["total_bytes"] == rows[0]["read_bytes"] + rows[0]["write_bytes"]


@pytest.mark.kernel
def test_two_on_one_processor_wait_for_each_other(tmp_path: Path, webpf: Webpf) -> None:
    """Each prints what /proc says of it when it is about to end."""
    spin = "import os, time\nwhile time.process_time() < 0.2: pass\n"
    spin += "print(os.getpid(), open('/proc/self/schedstat').read(), flush=True); os._exit(0)"
    cpu = min(os.sched_getaffinity(0))
    script = f'taskset -c {cpu} python3 -c "$0" & taskset -c {cpu} python3 -c "$0"; wait'
    printed: list[list[int]] = []
    rows: dict[int, dict[str, Any]] = {}

    def costs_are_known() -> bool:
        """The kernel doesn't report every free when it is busy."""
        ended = webpf("record", "-q", "--", "sh", "-c", script, spin)
        printed[:] = [list(map(int, line.split())) for line in ended.stdout.splitlines() if line]
        rows.update((row["pid"], row) for row in run(tmp_path / "webpf.db", "waiting"))
        assert len(printed) == 2
        return {pid for pid, *_ in printed} <= set(rows)

    wait_until(costs_are_known, "what they cost isn't known")
    for pid, _, waited_ns, _ in printed:
        waited_ms = waited_ns / 1e6
        assert waited_ms > 50
        assert -0.001 <= rows[pid]["run_delay_ms"] - waited_ms <= (20 + waited_ms / 10) * SLOWNESS
        assert rows[pid]["involuntary_switches"] > 0
        assert 0 < rows[pid]["run_delay_percent"] < 100
