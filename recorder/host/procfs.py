"""Reads processes from /proc: the ones that are alive when a recording begins, and their states when it ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from ..model.bounded_cache import MIB
from ..model.events import (
    PF_EXITING,
    PF_FORKNOEXEC,
    PF_KTHREAD,
    TICK_NS,
    Event,
    Exec,
    Fork,
    Seen,
    decode_escaped,
    decode_exact,
)
from . import clock, proc_identity, process_titles

ALL_ARGS, SHORT_ARGS = 64 * MIB, 256  # bytes of argv: in total, and of each process once the total is used up

State: TypeAlias = Literal["alive", "zombie", "gone"]
"""zombie: the process has ended, but its parent has not waited for it yet."""


class Stat(NamedTuple):
    """Some fields of /proc/PID/stat (see proc(5)).

    start_ns: boot ns by the kernel's clock, rounded down to a clock tick. (In a time namespace the result is not a
    multiple of a tick.)
    """

    comm: bytes
    state: str
    ppid: int
    sid: int
    flags: int
    threads: int
    start_ns: int


def read_stat(pid: int) -> Stat | None:
    """Returns None if there is no such process, or if /proc hides it from this user (hidepid)."""
    try:
        raw = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    head, _, tail = raw.rpartition(b")")  # the name may contain any byte, also ")"
    fields = tail.split()
    return Stat(
        comm=head.partition(b"(")[2],
        state=fields[0].decode(),
        ppid=int(fields[1]),
        sid=int(fields[3]),
        flags=int(fields[6]),
        threads=int(fields[17]),
        start_ns=clock.to_kernel_clock(int(fields[19]) * TICK_NS),
    )


def has_ended(stat: Stat) -> bool:
    """Whether the process is a zombie without other threads. While these run, its leader can have state Z or X too."""
    return stat.state in "ZX" and stat.threads <= 1


def is_leaving(stat: Stat) -> bool:
    """Whether the last thread is exiting, so that its exit event was written already or will be in a moment."""
    return bool(stat.flags & PF_EXITING) and stat.threads <= 1


def scan(clock_offset: int, max_args: int, cgroup_ids: dict[str, int]) -> list[Seen]:
    """Returns the processes that are alive now, oldest first, so that parents come before their children.

    clock_offset: ns from boot time to Unix time. max_args: bytes of argv to keep of each process. cgroup_ids: a dict
    to which the ids of the processes' cgroup v2 paths are added.
    """
    pids = [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]
    processes = read_processes(pids, clock_offset, max_args, cgroup_ids)
    return sorted(processes, key=lambda process: (process.start_ns, process.pid))


ReadProcess: TypeAlias = Callable[[int, int, int, dict[str, int]], Seen | None]
"""The type of read_process()."""


def read_processes(
    pids: Iterable[int],
    clock_offset: int,
    max_args: int,
    cgroup_ids: dict[str, int],
    read: ReadProcess | None = None,
) -> Iterator[Seen]:
    """Yields the processes with these pids that are alive now. Parameters as in scan(). read: default: read_process().

    Once the kept arguments of all processes exceed ALL_ARGS, only SHORT_ARGS bytes of each further process are kept.
    """
    room, read = ALL_ARGS, read or read_process
    for pid in pids:
        process = read(pid, clock_offset, max_args if room > 0 else min(max_args, SHORT_ARGS), cgroup_ids)
        if process is not None:
            room -= len(process.argv or b"")
            yield process


def state_of(pid: int, start_ns: int, clock_offset: int) -> State:
    """Returns the state of the process with this pid and start (Unix ns). If another process has the pid: gone."""
    stat = read_stat(pid)
    if stat is None or not 0 <= start_ns - clock_offset - stat.start_ns < TICK_NS:
        return "gone"
    return "zombie" if has_ended(stat) else "alive"


def drop_duplicates(alive: Collection[Seen], events: Iterable[Event]) -> list[Seen]:
    """Returns the processes of a scan without what the first events say better.

    The BPF programs are attached before the scan, so a process that starts in between is in both: the scan's is left
    out. If a process calls execve() in between, the scan has its program before or after that: the scan's is left out.
    """
    forked: dict[int, list[int]] = {}  # starts by pid
    execed: dict[int, list[int]] = {}
    for event in events:
        if isinstance(event, Fork | Exec):
            (forked if isinstance(event, Fork) else execed).setdefault(event.pid, []).append(event.start_ns)

    def is_in(starts: dict[int, list[int]], process: Seen) -> bool:
        return any(0 <= start - process.start_ns < TICK_NS for start in starts.get(process.pid, ()))

    return [
        process._replace(execs=0, filename=None, argv=None, argv_bytes=None) if is_in(execed, process) else process
        for process in alive
        if not is_in(forked, process)
    ]


def read_process(pid: int, clock_offset: int, max_args: int, cgroup_ids: dict[str, int]) -> Seen | None:
    """Returns the process with this pid; None if there is none or it has ended. Parameters as in scan()."""
    folder = Path(f"/proc/{pid}")
    stat = read_stat(pid)
    # The exit of a leaving process may be from before the recording, and then no event would ever say that it ended.
    if stat is None or has_ended(stat) or is_leaving(stat):
        return None
    try:
        status = (folder / "status").read_text(errors="replace")
        values = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        uid, euid, *_ = values["Uid"].split()
        cgroup = proc_identity.read_cgroup(folder)
        kernel = bool(stat.flags & PF_KTHREAD)
        execed = not kernel and not stat.flags & PF_FORKNOEXEC
        living = _living_thread(folder, stat)
        argv, argv_bytes = _read_argv(living, max_args) if execed else (None, None)
        filename = _read_exe(living) if execed else None
    except (FileNotFoundError, ProcessLookupError, KeyError):
        return None  # it ended meanwhile; its exit is among the first events
    return Seen(
        time_ns=clock.boot_ns() + clock_offset,
        pid=pid,
        start_ns=stat.start_ns + clock_offset,
        ppid=stat.ppid,
        comm=decode_escaped(stat.comm),
        uid=int(uid),
        euid=int(euid),
        cgroup_id=proc_identity.cgroup_id(cgroup, cgroup_ids),
        kernel=int(kernel),
        execs=int(execed),
        filename=filename,
        argv=argv,
        argv_bytes=argv_bytes,
        ns_pid=int(values.get("NSpid", str(pid)).split()[-1]),  # without CONFIG_PID_NS there is none
        sid=stat.sid,
        loginuid=proc_identity.read_loginuid(folder),
    )


def _living_thread(folder: Path, stat: Stat) -> Path:
    """Returns the folder with the exe and cmdline to read: the leader's, or if it has left, that of another thread."""
    if stat.state not in "ZX":
        return folder
    for thread in (folder / "task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if (thread / "stat").read_bytes().rpartition(b") ")[2][:1] not in b"ZX":
                return thread
    raise ProcessLookupError


def _read_argv(folder: Path, max_args: int) -> tuple[bytes, int]:
    argv = process_titles.read_argv(folder)
    return argv[:max_args], len(argv)


def _read_exe(folder: Path) -> str | bytes | None:
    with proc_identity.unreadable_ignored():
        return decode_exact(os.fsencode((folder / "exe").readlink()).removesuffix(b" (deleted)"))
    return None
