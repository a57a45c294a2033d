"""What /proc says of a process: the ones alive when a recording begins, and whether one is alive when it ends."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from ..model.bounded import MIB
from ..model.events import PF_EXITING, PF_FORKNOEXEC, PF_KTHREAD, TICK_NS, Alive, Event, Exec, Fork, exact, text
from . import cgroups, clock, titles

ALL_ARGS, SHORT_ARGS = 64 * MIB, 256  # bytes of argv that a look at /proc keeps of all processes, then of each

State: TypeAlias = Literal["alive", "zombie", "gone"]
"""zombie: it has ended, but nobody has waited for it yet."""


class Stat(NamedTuple):
    """Some fields of /proc/PID/stat (see proc(5)).

    start_ns: boot ns by the kernel's own clock, less than a clock tick before the true start. (In a time namespace it
    is no multiple of a tick.)
    """

    comm: bytes
    state: str
    ppid: int
    flags: int
    threads: int
    start_ns: int


def read_stat(pid: int) -> Stat | None:
    """None if the process is gone, or hidden from this user (where /proc is mounted with hidepid)."""
    try:
        raw = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    head, _, tail = raw.rpartition(b")")  # the name may hold anything, also ")"
    fields = tail.split()
    return Stat(
        comm=head.partition(b"(")[2],
        state=fields[0].decode(),
        ppid=int(fields[1]),
        flags=int(fields[6]),
        threads=int(fields[17]),
        start_ns=clock.kernels_own(int(fields[19]) * TICK_NS),
    )


def has_ended(stat: Stat) -> bool:
    """A zombie whose last thread has left. The leader's own state is Z or X while other threads still run."""
    return stat.state in "ZX" and stat.threads <= 1


def is_leaving(stat: Stat) -> bool:
    """Whether its last thread leaves: its exit has been reported by now, or will be in a moment."""
    return bool(stat.flags & PF_EXITING) and stat.threads <= 1


def scan(clock_offset: int, max_args: int, cgroup_ids: dict[str, int]) -> list[Alive]:
    """Every process that is alive now, oldest first, so that parents come before their children.

    clock_offset: ns from boot time to Unix time. cgroup_ids: filled with the cgroup v2 paths that were met.
    """
    pids = [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]
    found = read_all(pids, clock_offset, max_args, cgroup_ids)
    return sorted(found, key=lambda alive: (alive.start_ns, alive.pid))


def read_all(pids: Iterable[int], clock_offset: int, max_args: int, cgroup_ids: dict[str, int]) -> Iterator[Alive]:
    """Those of these processes that are there, as they are now. Arguments as for scan().

    When their arguments have filled ALL_ARGS, only the first SHORT_ARGS bytes of each other process's are kept.
    """
    room = ALL_ARGS
    for pid in pids:
        alive = read_alive(pid, clock_offset, max_args if room > 0 else min(max_args, SHORT_ARGS), cgroup_ids)
        if alive is not None:
            room -= len(alive.argv or b"")
            yield alive


def state_of(pid: int, start_ns: int, clock_offset: int) -> State:
    """How this very process (start_ns: Unix ns) stands now; another one with its pid means that it is gone."""
    stat = read_stat(pid)
    if stat is None or not 0 <= start_ns - clock_offset - stat.start_ns < TICK_NS:
        return "gone"
    return "zombie" if has_ended(stat) else "alive"


def without_doubles(alive: Collection[Alive], events: Iterable[Event]) -> list[Alive]:
    """What the scan found, less what the first events tell better.

    The programs were attached before the scan, so a process born between the two is in both: its fork counts. And of
    one that took on a new program meanwhile, the scan may have seen the program before or after: the exec counts.
    """
    forked: dict[int, list[int]] = {}
    execed: dict[int, list[int]] = {}
    for event in events:
        if isinstance(event, Fork | Exec):
            (forked if isinstance(event, Fork) else execed).setdefault(event.pid, []).append(event.start_ns)

    def named(among: dict[int, list[int]], process: Alive) -> bool:
        return any(0 <= start - process.start_ns < TICK_NS for start in among.get(process.pid, ()))

    return [
        process._replace(execs=0, filename=None, argv=None, argv_bytes=None) if named(execed, process) else process
        for process in alive
        if not named(forked, process)
    ]


def read_alive(pid: int, clock_offset: int, max_args: int, cgroup_ids: dict[str, int]) -> Alive | None:
    """A process as it is now; None if it isn't there or has ended. Arguments as for scan()."""
    folder = Path(f"/proc/{pid}")
    stat = read_stat(pid)
    # What leaves might have been reported before the recording began, and then nothing would tell its end.
    if stat is None or has_ended(stat) or is_leaving(stat):
        return None
    try:
        status = (folder / "status").read_text(errors="replace")
        _, uid, euid, *_ = next(line for line in status.splitlines() if line.startswith("Uid:")).split()
        cgroup = _read_cgroup(folder)
        kernel = bool(stat.flags & PF_KTHREAD)
        execed = not kernel and not stat.flags & PF_FORKNOEXEC
        living = _living_thread(folder, stat)
        argv, argv_bytes = _read_argv(living, max_args) if execed else (None, None)
        filename = _read_exe(living) if execed else None
    except (FileNotFoundError, ProcessLookupError, StopIteration):
        return None  # it ended while it was read: its exit is among the first events
    return Alive(
        time_ns=clock.boot_ns() + clock_offset,
        pid=pid,
        start_ns=stat.start_ns + clock_offset,
        ppid=stat.ppid,
        comm=text(stat.comm),
        uid=int(uid),
        euid=int(euid),
        cgroup_id=_cgroup_id(cgroup, cgroup_ids),
        kernel=int(kernel),
        execs=int(execed),
        filename=filename,
        argv=argv,
        argv_bytes=argv_bytes,
    )


def read_owner(pid: int, cgroup_ids: dict[str, int]) -> tuple[str, int, int | None] | None:
    """Name, real user id and cgroup of this process, which are read fast; None if it isn't there. As for scan()."""
    folder = Path(f"/proc/{pid}")
    try:
        name = (folder / "comm").read_bytes().removesuffix(b"\n")
        lines = (folder / "status").read_bytes()
        cgroup = _read_cgroup(folder)
    except (FileNotFoundError, ProcessLookupError):
        return None
    uid = int(lines.partition(b"\nUid:")[2].split(None, 1)[0])
    return text(name), uid, _cgroup_id(cgroup, cgroup_ids)


def _living_thread(folder: Path, stat: Stat) -> Path:
    """Where to read of the program: of a leader that has left while other threads go on, nothing can be read there."""
    if stat.state not in "ZX":
        return folder
    for thread in (folder / "task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if (thread / "stat").read_bytes().rpartition(b") ")[2][:1] not in b"ZX":
                return thread
    raise ProcessLookupError


def _read_argv(folder: Path, max_args: int) -> tuple[bytes, int]:
    argv = titles.read_argv(folder)
    return argv[:max_args], len(argv)


def _read_exe(folder: Path) -> str | bytes | None:
    with _what_can_be_told():
        return exact(os.fsencode((folder / "exe").readlink()).removesuffix(b" (deleted)"))
    return None


def _read_cgroup(folder: Path) -> bytes:
    with _what_can_be_told():
        return (folder / "cgroup").read_bytes()
    return b""


@contextlib.contextmanager
def _what_can_be_told() -> Iterator[None]:
    """Passes over what this user may not read, and over a path of more than a page, which the kernel can't tell."""
    try:
        yield
    except PermissionError:
        pass
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise


def _cgroup_id(lines: bytes, known: dict[str, int]) -> int | None:
    for line in lines.splitlines():
        if line.startswith(b"0::"):
            path = os.fsdecode(line[3:])
            if path not in known:
                number = cgroups.id_of(path)
                if number is None:
                    return None
                known[path] = number
            return known[path]
    return None
