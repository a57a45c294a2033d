"""Reads from /proc what a running process has cost so far."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from ..model.events import TICK_NS, Usage

_CPUCLOCK_SCHED = 2  # include/linux/posix-timers.h
_FAILURES = (OSError, ValueError, IndexError, KeyError)  # it ended meanwhile, or this user may not read it


def read_usage(pid: int, start_ns: int, now_ns: int) -> Usage | None:
    """Returns what the process with this pid has cost so far; None if that can't be read.

    start_ns, now_ns: Unix ns, for the result. The caller checks that the pid still belongs to this process.
    """
    folder = Path(f"/proc/{pid}")
    try:
        fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()  # see proc(5); the first is number 3
        cpu_ns = time.clock_gettime_ns(~pid << 3 | _CPUCLOCK_SCHED)  # of all threads, as clock_getcpuclockid(3)
    except _FAILURES:
        return None
    threads = _ThreadCosts(folder, is_alone=int(fields[17]) == 1)
    return Usage(
        time_ns=now_ns,
        pid=pid,
        start_ns=start_ns,
        cpu_ns=cpu_ns,
        user_ns=int(fields[11]) * TICK_NS,
        system_ns=int(fields[12]) * TICK_NS,
        minor_faults=int(fields[7]),
        major_faults=int(fields[9]),
        voluntary_switches=threads.voluntary_switches,
        involuntary_switches=threads.involuntary_switches,
        read_bytes=threads.read_bytes,
        write_bytes=threads.write_bytes,
        run_delay_ns=threads.run_delay_ns,
        max_rss_kib=threads.max_rss_kib,
    )


class _ThreadCosts:
    """The costs that /proc has only by thread, of the threads that are alive. None: it doesn't show them."""

    def __init__(self, folder: Path, is_alone: bool) -> None:
        self.voluntary_switches: int | None = None
        self.involuntary_switches: int | None = None
        self.read_bytes: int | None = None
        self.write_bytes: int | None = None
        self.run_delay_ns: int | None = None
        self.max_rss_kib: int | None = None
        # /proc/PID/io has also the bytes of children that were waited for, and /proc/PID/task/PID/io has not.
        own = folder / "task" / folder.name
        for thread in (own,) if is_alone else _threads(folder):
            with contextlib.suppress(*_FAILURES):
                self._add_status((thread / "status").read_bytes())
            with contextlib.suppress(*_FAILURES):
                self.run_delay_ns = (self.run_delay_ns or 0) + int((thread / "schedstat").read_bytes().split()[1])
            with contextlib.suppress(*_FAILURES):
                self._add_io((thread / "io").read_bytes())

    def _add_status(self, status: bytes) -> None:
        values = dict(line.split(b":\t", 1) for line in status.splitlines() if b":\t" in line)
        voluntary, involuntary = (int(values[b"%svoluntary_ctxt_switches" % prefix]) for prefix in (b"", b"non"))
        self.voluntary_switches = (self.voluntary_switches or 0) + voluntary
        self.involuntary_switches = (self.involuntary_switches or 0) + involuntary
        if b"VmHWM" in values:  # not in the status of a leader that has exited
            self.max_rss_kib = int(values[b"VmHWM"].split()[0])

    def _add_io(self, io: bytes) -> None:
        values = dict(line.split(b": ") for line in io.splitlines())
        self.read_bytes = (self.read_bytes or 0) + int(values[b"read_bytes"])
        self.write_bytes = (self.write_bytes or 0) + int(values[b"write_bytes"])


def _threads(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(*_FAILURES):
        yield from (folder / "task").iterdir()
