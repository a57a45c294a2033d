"""Reused pids: two processes with the same pid are two rows, each with its own lifetime."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fates import Fate, Query, check, now, run_program
from support import Recorder, wait_until

pytestmark = pytest.mark.kernel

Start = Callable[..., Recorder]


LAST_PID = Path("/proc/sys/kernel/ns_last_pid")


def reuse(pid: int) -> Fate:
    """Runs /bin/false under a free pid. Skips the test if the kernel gives it another pid."""
    if not LAST_PID.exists():
        pytest.skip("this kernel has no /proc/sys/kernel/ns_last_pid")
    for _ in range(200):
        LAST_PID.write_text(str(pid - 1))
        fate = run_program("/bin/false")
        if fate.pid == pid:
            return fate
    pytest.skip("another process took the pid each time")


def children(query: Query, pid: int, since_ns: int = 0) -> list[dict[str, Any]]:
    """Returns the rows of this process's children with a pid. In between, another process can have had it."""
    sql = "SELECT * FROM processes WHERE pid = ? AND ppid = ? AND start_ns > ? ORDER BY start_ns"
    return query(sql, pid, os.getpid(), since_ns)


def test_a_reused_pid_is_another_process(start_recorder: Start, query: Query) -> None:
    """The test makes the kernel give one pid to two processes with different names, one right after the other."""
    recorder = start_recorder()
    first = run_program("/bin/true")
    second = reuse(first.pid)
    recorder.end()
    rows = children(query, first.pid, first.before_ns)
    assert [(row["comm"], row["exit_code"]) for row in rows] == [("true", 0), ("false", 1)]
    for row, fate in zip(rows, (first, second), strict=True):
        check(row, fate)


def test_a_pid_from_before_the_recording_used_again_within(start_recorder: Start, query: Query) -> None:
    """Its owner at the start of the recording dies, and another process gets it."""
    child = subprocess.Popen(["/bin/sh", "-c", "read line; exit 4"], stdin=subprocess.PIPE)
    wait_until(lambda: Path(f"/proc/{child.pid}/comm").read_text() == "sh\n", "sh has not begun")
    recorder = start_recorder()
    begun = now()
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait() == 4
    second = reuse(child.pid)
    recorder.end()
    rows = children(query, child.pid)
    assert [(row["comm"], row["exit_code"]) for row in rows] == [("sh", 4), ("false", 1)]
    assert rows[0]["start_ns"] < begun < rows[0]["end_ns"] <= second.before_ns
    check(rows[1], second)


def test_a_pid_whose_owner_ended_just_before_the_recording(start_recorder: Start, query: Query) -> None:
    """A zombie is reaped during the recording. It ended before, so it has no row. Its pid is reused."""
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    recorder = start_recorder()
    os.waitpid(pid, 0)
    second = reuse(pid)
    recorder.end()
    [row] = children(query, pid)
    check(row, second)
    assert row["comm"] == "false"
