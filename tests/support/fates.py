"""Children whose end is known from wait4(), and the comparison with what webpf recorded of them."""

from __future__ import annotations

import contextlib
import functools
import os
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec

from support import MS, PROCESSES, SLOWNESS, wait_until, with_commands

P = ParamSpec("P")
Query = Callable[..., list[dict[str, Any]]]


def _boot_ns() -> int:
    """Returns the boot clock as any program reads it. In a time namespace it differs from webpf's clock."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def _measure_offset() -> tuple[int, int]:
    before, unix, after = _boot_ns(), time.time_ns(), _boot_ns()
    return after - before, unix - (before + after) // 2


def unix_offset() -> int:
    """Returns the nanoseconds to add to that clock, which act.c reads too, to get Unix time.

    Measured anew each time: NTP moves it by milliseconds while many tests run.
    """
    return min(_measure_offset() for _ in range(32))[1]


@dataclass(frozen=True)
class Fate:
    """What a parent knows of its child: Unix ns before its fork and after its reaping, status, and rusage."""

    pid: int
    before_ns: int
    after_ns: int
    status: int
    cpu_ns: float
    max_rss_kib: int

    @classmethod
    def of_line(cls, line: str) -> Fate:
        """Parses a line that act.c prints."""
        pid, before, after, status, cpu_us, max_rss_kib = map(int, line.split())
        offset = unix_offset()
        return cls(pid, before + offset, after + offset, status, cpu_us * 1e3, max_rss_kib)


def now() -> int:
    """Returns Unix ns by the clock of a recording."""
    return _boot_ns() + unix_offset()


def wait_for_zombie(pid: int) -> None:
    """Waits until a child is a zombie that has left its CPU. Before, wait4() would not say all that it costs."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    # "running", or the system call that a process is in; a zombie that will never run again is in none, which is -1.
    wait_until(lambda: Path(f"/proc/{pid}/syscall").read_text().startswith("-1 "), "the zombie still runs")


def reap(pid: int, before_ns: int) -> Fate:
    """Waits for a child."""
    _, status, usage = os.wait4(pid, 0)
    return _fate(pid, before_ns, status, usage)


def _fate(pid: int, before_ns: int, status: int, usage: resource.struct_rusage) -> Fate:
    return Fate(pid, before_ns, now(), status, (usage.ru_utime + usage.ru_stime) * 1e9, usage.ru_maxrss)


def run_child(action: Callable[[], object]) -> Fate:
    """Forks a child that does something and exits 0, and waits for it."""
    before = now()
    pid = os.fork()
    if pid == 0:
        try:
            action()
        finally:
            os._exit(0)
    return reap(pid, before)


def run_program(
    *arguments: str | bytes, executable: str | None = None, environment: Mapping[str, str] = os.environ
) -> Fate:
    """Starts a program with posix_spawn, and waits for it."""
    before = now()
    pid = os.posix_spawn(executable or arguments[0], arguments, environment)
    return reap(pid, before)


class NotFreed(Exception):
    """The kernel didn't report the free of a process, as for a few of 1,000 on a busy machine (docs/limits.md)."""


def wait_for_free(is_freed: Callable[[], object]) -> None:
    """Waits until the condition is true. Raises NotFreed after the deadline of wait_until()."""
    try:
        wait_until(is_freed, "no free event")
    except AssertionError:
        raise NotFreed from None


def repeated_if_not_freed(test: Callable[P, None]) -> Callable[P, None]:
    """Repeats a test that raises NotFreed, twice at most. Each time, it has the same fixtures."""

    @functools.wraps(test)
    def repeated(*arguments: P.args, **fixtures: P.kwargs) -> None:
        for _ in range(2):
            with contextlib.suppress(NotFreed):
                return test(*arguments, **fixtures)
        return test(*arguments, **fixtures)

    return repeated


def rows_of(query: Query, fate: Fate) -> list[dict[str, Any]]:
    """Returns the rows of the process with this fate. The range is a ms longer at each end: the clocks may drift."""
    return query(
        f"SELECT * FROM {PROCESSES} WHERE pid = ? AND start_ns BETWEEN ? AND ?",
        fate.pid,
        fate.before_ns - MS,
        fate.after_ns + MS,
    )


def row_of(query: Query, fate: Fate) -> dict[str, Any]:
    """Returns the only row of a process.

    While a fork storm goes on elsewhere, another process can have its pid in the same second: the parent tells.
    """
    rows = rows_of(query, fate)
    if len(rows) > 1:
        rows = [row for row in rows if row["ppid"] == os.getpid()]
    assert len(rows) == 1, f"{len(rows)} rows for pid {fate.pid}"
    return rows[0]


def programs_of(query: Query, row: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the programs that a process executed, in order."""
    return query(f"SELECT * FROM {with_commands('programs')} WHERE process_id = ? ORDER BY id", row["id"])


def check(row: dict[str, Any], fate: Fate, ppid: int | None = None) -> None:
    """Compares everything that a parent can know with the row. ppid: of the parent; None: this process.

    CPU time is compared only if it is known: the kernel doesn't report every free when it is busy. It may be a little
    more than wait4() said, because a parent on another CPU can reap a child before that has stopped running. In an
    emulated machine this can last for some time slices of its host, in which the clock goes on.
    """
    assert row["state"] == "exited"
    assert row["status"] == fate.status
    assert row["exit_code"] == (os.WEXITSTATUS(fate.status) if os.WIFEXITED(fate.status) else None)
    assert row["signal"] == (os.WTERMSIG(fate.status) if os.WIFSIGNALED(fate.status) else None)
    assert row["core_dumped"] == int(os.WCOREDUMP(fate.status))
    assert fate.before_ns - MS / 10 <= row["start_ns"] <= row["end_ns"] <= fate.after_ns + MS / 10
    assert row["lifetime_ns"] == row["end_ns"] - row["start_ns"] <= fate.after_ns - fate.before_ns
    if row["cpu_ns"] is not None:
        more = row["cpu_ns"] - fate.cpu_ns
        most = 0.1 * MS if SLOWNESS == 1 else 0.5 * MS * SLOWNESS
        assert -0.1 * MS <= more <= most, f"{more} ns more than the {fate.cpu_ns} of wait4()"
    assert row["max_rss_kib"] == fate.max_rss_kib
    assert row["ppid"] == (os.getpid() if ppid is None else ppid)
