"""How and when processes end, compared with wait4(), its rusage and the parent's clock."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fates import Fate, Query, check, now, reap, row_of, rows_of, run_child, run_program
from support import MS, SLOWNESS, Recorder, wait_until

pytestmark = pytest.mark.kernel

Start = Callable[..., Recorder]


def burn() -> None:
    """Uses some 30 ms of CPU time."""
    end = time.process_time() + 0.03
    while time.process_time() < end:
        pass


def test_fates_are_what_the_parent_saw(
    start_recorder: Start, query: Query, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compares exit code, signal, core flag, CPU time, memory and name of each of many processes."""
    monkeypatch.chdir(tmp_path)  # where the core dump goes
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    recorder = start_recorder()
    fates = {
        "plain": run_child(lambda: None),
        "seven": run_child(lambda: os._exit(7)),
        "most": run_child(lambda: os._exit(255)),
        "burns": run_child(burn),
        "hungry": run_child(lambda: bytearray(60_000_000)),
        "killed": run_child(lambda: os.kill(os.getpid(), signal.SIGKILL)),
        "terminated": run_child(lambda: os.kill(os.getpid(), signal.SIGTERM)),
        "aborts": run_child(os.abort),
        "true": run_program("/bin/true"),
        "false": run_program("/bin/false"),
        "shell": run_program("/bin/sh", "-c", "exit 3"),
    }
    assert recorder.end()[0] == 0
    for name, fate in fates.items():
        row = row_of(query, fate)
        check(row, fate)
        assert (row["execs"] > 0) == (name in ("true", "false", "shell")), name
    assert sum(row_of(query, fate)["cpu_ns"] is not None for fate in fates.values()) > len(fates) / 2
    codes = {name: (row_of(query, fate)["exit_code"], row_of(query, fate)["signal"]) for name, fate in fates.items()}
    assert codes["plain"] == (0, None)
    assert codes["seven"] == (7, None)
    assert codes["most"] == (255, None)
    assert codes["killed"] == (None, signal.SIGKILL)
    assert codes["aborts"] == (None, signal.SIGABRT)
    assert codes["shell"] == (3, None)
    assert row_of(query, fates["aborts"])["core_dumped"] == os.WCOREDUMP(fates["aborts"].status)
    assert row_of(query, fates["true"])["comm"] == "true"
    assert row_of(query, fates["plain"])["filename"] is None
    assert row_of(query, fates["plain"])["args"] is None


FATAL = [
    number
    for number in [*range(1, 32), signal.SIGRTMIN, signal.SIGRTMAX]
    if number not in (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
    and number not in (signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH)
]
"""Every signal that ends a process which doesn't handle it."""


def test_every_fatal_signal(
    act: str, start_recorder: Start, query: Query, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each signal is sent to a process that may dump core, and to one that may not."""
    monkeypatch.chdir(tmp_path)
    recorder = start_recorder()
    fates = {
        (number, core): run_program(act, "die", str(int(number)), *["core"] * core)
        for number in FATAL
        for core in (False, True)
    }
    recorder.end()
    for (number, _), fate in fates.items():
        check(row_of(query, fate), fate)
        assert row_of(query, fate)["signal"] == number
    assert not any(os.WCOREDUMP(fate.status) for (_, core), fate in fates.items() if not core)


def test_lifetimes_are_those_of_the_parents_clock(act: str, start_recorder: Start, query: Query) -> None:
    """No lifetime is longer than the time from before the fork to after the wait. Most are less than 1 ms shorter.

    Half of the 100 may differ by more, because the parent has to wait for a processor on a busy machine.
    """
    recorder = start_recorder()
    output = subprocess.run([act, "family", "100"], check=True, capture_output=True, text=True).stdout
    recorder.end()
    fates = [Fate.of_line(line) for line in output.splitlines()]
    gaps = []
    for number, fate in enumerate(fates):
        [row] = rows_of(query, fate)
        check(row, fate, row["ppid"])
        assert (row["comm"], row["execs"], row["exit_code"]) == ("act", 0, number)
        gaps.append(fate.after_ns - fate.before_ns - row["lifetime_ns"])
    assert len(gaps) == 100
    assert min(gaps) >= 0
    assert sorted(gaps)[50] < MS * SLOWNESS, sorted(gaps)


def test_a_zombie_has_ended(start_recorder: Start, query: Query) -> None:
    """The lifetime ends at the exit, not when the parent calls wait()."""
    recorder = start_recorder()
    before = now()
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    dead = now()
    wait_until(lambda: now() - dead > 300 * MS, "time stands still")
    fate = reap(pid, before)
    recorder.end()
    row = row_of(query, fate)
    check(row, fate)
    assert row["end_ns"] <= dead + MS / 10


@pytest.mark.parametrize("threads", [2, 8])
def test_threads_that_leave_together(threads: int, act: str, start_recorder: Start, query: Query) -> None:
    """Any thread can be the last, and before Linux 6.16 two can look like the last. There is one end, the right one."""
    recorder = start_recorder()
    fates = [run_program(act, "together", str(threads)) for _ in range(100)]
    recorder.end()
    for fate in fates:
        check(row_of(query, fate), fate)
        assert row_of(query, fate)["exit_code"] == 0
