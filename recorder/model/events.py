"""The facts that a recording is made of: one immutable tuple for each thing that happened to a process.

Times and starts are Unix nanoseconds. A pid is the kernel's tgid in the first pid namespace. (pid, start_ns) is the
identity of a process within one boot: start_ns is task_struct.start_boottime of its leader, so a reused pid never
has the same pair. Names (comm, at most 15 bytes) are UTF-8 with anything else backslash-escaped. A file name is exact:
text, or bytes where it is no UTF-8. So is argv, which is always bytes.

The order of the fields is that of the columns in the tables of raw facts (see ddl.py), so that a fact can be
written as it is.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple, TypeAlias

PF_KTHREAD = 0x00200000  # include/linux/sched.h
PF_FORKNOEXEC = 0x00000040
PF_EXITING = 0x00000004


class Fork(NamedTuple):
    """A process was created (not a thread). comm is still its parent's.

    With filters it may be reported only later; then comm is the name that its latest program gave it. execs: how many
    programs it had taken on, if it is reported at its end; at an exec that one is the first that counts. begun: the
    kernel's own number of programs by then, as in Exit; it is more where clone() was called with CLONE_PARENT. Both
    are None in a file where both are 0, and in what older versions recorded.
    """

    time_ns: int
    pid: int
    start_ns: int
    ppid: int
    parent_start_ns: int
    comm: str
    uid: int
    euid: int
    cgroup_id: int
    kernel: int  # 1: a thread of the kernel
    execs: int | None = None
    begun: int | None = None


class Exec(NamedTuple):
    """A process took on a new program, and with it a new name."""

    time_ns: int
    pid: int
    start_ns: int
    comm: str
    uid: int
    euid: int
    cgroup_id: int
    carried_rss_kib: int  # peak memory of the image before, which stays in the process's own peak
    filename: str | bytes
    argv: bytes | None  # the arguments, each ended by a NUL; None if they could not be read
    argv_bytes: int  # true length; more than len(argv) where argv was cut
    cwd_device: int | None = None  # of the working directory: the kernel's number of its file system,
    cwd_inode: int | None = None  # and its own there; None in what older versions recorded


class Exit(NamedTuple):
    """The last thread of a process left.

    uid and begun are None in what older versions recorded, and in a file where no signal came and uid is as before.
    """

    time_ns: int
    pid: int
    start_ns: int
    ppid: int  # the parent at the end: another than at the fork if that one had died
    comm: str
    status: int  # as wait4() reports it
    max_rss_kib: int
    uid: int | None = None  # real user id at the end
    begun: int | None = None  # programs that it began to run since its fork: with one that killed it before it ran


class Free(NamedTuple):
    """The kernel let go of a process that had exited and been reaped. Only now is its CPU time known exactly."""

    time_ns: int
    pid: int
    start_ns: int
    status: int
    cpu_ns: int


class Alive(NamedTuple):
    """A process was found in /proc: when the recording began, or later with a filter; or at its end, known already.

    At the end those are looked at that still run; this is an event if their name, user or cgroup is another than the
    events before tell. start_ns is less than a clock tick (10 ms) before the true start.
    """

    time_ns: int
    pid: int
    start_ns: int
    ppid: int
    comm: str
    uid: int
    euid: int
    cgroup_id: int | None
    kernel: int
    execs: int  # 1: runs a program of its own; 0: still its parent's
    filename: str | bytes | None
    argv: bytes | None
    argv_bytes: int | None


class Gone(NamedTuple):
    """A process whose exit was not seen was not in /proc when the recording ended."""

    time_ns: int
    pid: int
    start_ns: int


Event: TypeAlias = Fork | Exec | Exit | Free | Alive | Gone


class Kind(NamedTuple):
    """A kind of event, and what it is called elsewhere.

    name: in the view `events`, and in front of `s_lost` in `recordings`. table: where its rows are. letter: in lines of
    JSON. tracepoint: where the kernel reports it; None for what is looked up in /proc.
    """

    name: str
    type: type[Event]
    table: str
    letter: str
    tracepoint: str | None = None

    @property
    def macro(self) -> str:
        """Its name in bpf/process.c, which numbers the kinds in the order of KERNEL_KINDS."""
        return self.name.upper()


ALL_KINDS = (
    Kind("fork", Fork, "forks", "F", "sched_process_fork"),
    Kind("exec", Exec, "programs", "X", "sched_process_exec"),
    Kind("exit", Exit, "exits", "E", "sched_process_exit"),
    Kind("free", Free, "frees", "R", "sched_process_free"),
    Kind("found", Alive, "found", "A"),
    Kind("missing", Gone, "missing", "G"),
)
KERNEL_KINDS = tuple(kind for kind in ALL_KINDS if kind.tracepoint is not None)
"""The kinds that the kernel reports. Whatever is counted by kind is in this order, also in the kernel."""
NUMBERS = {kind.type: number for number, kind in enumerate(KERNEL_KINDS)}
"""By type of event, the place of its kind among KERNEL_KINDS."""

GREATEST = 2**62
"""Of a time in Unix ns, which is in the year 2116; and of an id, since those of merged files are added."""

TICK_NS = 10_000_000
"""Resolution of the start times in /proc (USER_HZ is 100 on every architecture that BPF runs on)."""


def text(raw: bytes) -> str:
    """Bytes from the kernel as text that can be stored and shown whatever they are; ends at the first NUL.

    A byte that is no UTF-8 takes four: for names, which are short, and for what is only shown.
    """
    return raw.partition(b"\0")[0].decode("utf-8", "backslashreplace")


def storable(value: Any) -> Any:
    """Text from the system, of which any bytes may be part (a name that was given, a path), as SQLite takes it."""
    return text(os.fsencode(value)) if isinstance(value, str) else value


def exact(raw: bytes) -> str | bytes:
    """Bytes from the kernel as text if they are UTF-8, else as they are; ends at the first NUL. Never longer."""
    raw = raw.partition(b"\0")[0]
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def as_text(value: str | bytes | None) -> str | None:
    """What exact() made as text for formats that know no bytes: what is no UTF-8 is backslash-escaped."""
    return text(value) if isinstance(value, bytes) else value
