"""The events of which a recording consists, as immutable tuples.

Times and starts are in Unix ns. A pid is the kernel's tgid in the first pid namespace. (pid, start_ns) identifies a
process within one boot: start_ns is task_struct.start_boottime of its leader, so a process that reuses a pid has
another pair. Names (comm, at most 15 bytes) are text, with backslash escapes for bytes that aren't UTF-8. A file name
is text, or bytes if it isn't UTF-8. An argv is always bytes.

The fields are in the order of the columns in the tables of raw events (see ddl.py), so that an event can be written as
it is.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple, TypeAlias

from .environment import Environment

PF_KTHREAD, PF_FORKNOEXEC, PF_EXITING = 0x00200000, 0x00000040, 0x00000004  # include/linux/sched.h


class Fork(NamedTuple):
    """A process (not a thread) was created. comm is still the name of its parent.

    With filters the event is written when the process matches, at an exec or at its end; comm is then its latest name.
    execs: number of execs before, if the process matched only at its end; else 0. begun: the kernel's number of
    programs begun, as in Exit; after clone() with CLONE_PARENT it includes those of the caller. ns_pid: its pid in its
    own pid namespace. In a file, execs and begun are NULL if both are 0, and ns_pid is NULL if it is the same as pid.
    Fields with a default are None in recordings of older versions.
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
    kernel: int  # 1: a kernel thread
    sid: int | None = None  # id of its session
    loginuid: int | None = None  # the user who logged in; None: nobody did
    execs: int | None = None
    begun: int | None = None
    ns_pid: int | None = None


class Exec(NamedTuple):
    """A process executed a new program, which also sets a new name. Fields with a default are None in older files."""

    time_ns: int
    pid: int
    start_ns: int
    comm: str
    uid: int
    euid: int
    cgroup_id: int
    carried_rss_kib: int  # peak memory before the exec, which the process's own peak includes
    filename: str | bytes
    argv: bytes | None  # the arguments, each ended by a NUL; None if the kernel could not read them
    argv_bytes: int  # the true length; more than len(argv) if argv was cut
    cwd_device: int | None = None  # file system of the working directory, as the kernel's dev_t,
    cwd_inode: int | None = None  # and its inode number, as a signed number of 64 bits, which SQLite can store
    interpreter: str | bytes | None = None  # path, at most 255 bytes, of what runs the file; None: the file itself
    exe_device: int | None = None  # file system of the executable that runs, as cwd_device,
    exe_inode: int | None = None  # and its inode number: of a script, those of its interpreter
    sid: int | None = None
    loginuid: int | None = None
    environment: Environment | None = None  # the variables that were asked for; None: none was. It has its own tables


class Exit(NamedTuple):
    """The last thread of a process exited.

    Fields with a default are None in recordings of older versions. In a file they are also NULL if no signal ended the
    process, and its uid, sid and loginuid didn't change.
    """

    time_ns: int
    pid: int
    start_ns: int
    ppid: int  # the parent at the end: another than at the fork if that one had ended
    comm: str
    status: int  # as wait4() reports it
    max_rss_kib: int
    uid: int | None = None  # real user id at the end
    begun: int | None = None  # programs begun since the fork, including one whose exec failed and killed the process
    sid: int | None = None
    loginuid: int | None = None


class Free(NamedTuple):
    """The kernel freed a process, some time after it exited and was reaped. Only now is known what it has cost.

    The costs are those of all its threads, without its children, as in the rusage of wait4(). All but cpu_ns are None
    in recordings of older versions; read_bytes, write_bytes and run_delay_ns also if the kernel doesn't count them.
    """

    time_ns: int
    pid: int
    start_ns: int
    status: int
    cpu_ns: int
    user_ns: int | None = None
    system_ns: int | None = None
    minor_faults: int | None = None  # at most 2^32 - 1, as the next three
    major_faults: int | None = None
    voluntary_switches: int | None = None
    involuntary_switches: int | None = None
    read_bytes: int | None = None
    write_bytes: int | None = None
    run_delay_ns: int | None = None  # waiting for a CPU; None if the process is older than the recording


class Seen(NamedTuple):
    """A process was seen in /proc: in the snapshot when the recording began, or later if a filter needs it.

    At the end of the recording, processes that still run are read again; this is an event of those that have changed.
    start_ns is the true start rounded down to a clock tick (10 ms). Or the process goes over from the segment before,
    whose events say more: only then does it have the last fields.
    """

    time_ns: int
    pid: int
    start_ns: int
    ppid: int | None  # None: it goes over, and its fork was lost
    comm: str
    uid: int
    euid: int | None  # None: it goes over
    cgroup_id: int | None
    kernel: int
    execs: int  # 1: it has called execve(); 0: it still runs its parent's program. Of one that goes over, their number
    filename: str | bytes | None
    argv: bytes | None
    argv_bytes: int | None
    ns_pid: int | None = None  # its pid in its own pid namespace; None, as the next two, in older recordings
    sid: int | None = None
    loginuid: int | None = None
    exact: int | None = None  # 1 if start_ns is known to the nanosecond, else 0
    begun: int | None = None  # number of programs that it has begun, as in Exit; None: unknown
    carried_rss_kib: int | None = None  # that of its latest exec

    @property
    def has_command(self) -> bool:
        """Whether something of its command line is known."""
        return (self.filename, self.argv, self.argv_bytes) != (None,) * 3


class Vanished(NamedTuple):
    """A process without an exit event was no longer in /proc when the recording ended."""

    time_ns: int
    pid: int
    start_ns: int


class Usage(NamedTuple):
    """What a process that runs at the end of the recording had cost until then, as far as /proc shows it.

    cpu_ns is exact; user_ns and system_ns are rounded down to a clock tick. The switches, bytes and run_delay_ns are
    those of the threads that are alive: /proc forgets the others. None: /proc doesn't show it.
    """

    time_ns: int
    pid: int
    start_ns: int
    cpu_ns: int
    user_ns: int
    system_ns: int
    minor_faults: int
    major_faults: int
    voluntary_switches: int | None
    involuntary_switches: int | None
    read_bytes: int | None
    write_bytes: int | None
    run_delay_ns: int | None
    max_rss_kib: int | None


Event: TypeAlias = Fork | Exec | Exit | Free | Seen | Vanished | Usage


class Kind(NamedTuple):
    """A kind of event, and its names elsewhere.

    name: in columns of `recordings` (`forks_lost`). table: where its rows are. letter: in lines of JSON. tracepoint:
    of the kernel; None if the event is from /proc.
    """

    name: str
    type: type[Event]
    table: str
    letter: str
    tracepoint: str | None = None

    @property
    def macro(self) -> str:
        """Its name in bpf/process.c, which numbers the kinds in the order of KERNEL_KINDS, from 0 on."""
        return self.name.upper()


ALL_KINDS = (
    Kind("fork", Fork, "forks", "F", "sched_process_fork"),
    Kind("exec", Exec, "programs", "X", "sched_process_exec"),
    Kind("exit", Exit, "exits", "E", "sched_process_exit"),
    Kind("free", Free, "frees", "R", "sched_process_free"),
    Kind("snapshot", Seen, "snapshot", "A"),
    Kind("vanished", Vanished, "vanished", "G"),
    Kind("usage", Usage, "usage", "U"),
)
KERNEL_KINDS = tuple(kind for kind in ALL_KINDS if kind.tracepoint is not None)
"""The kinds that the kernel reports. All counts by kind are in this order, also in bpf/process.c."""
OPTIONAL_KINDS = (Fork, Exit, Free)
"""The kinds that a file can do without (`--events none`, `webpf compact`): `processes` has what they say."""
NUMBERS = {kind.type: number for number, kind in enumerate(KERNEL_KINDS)}
"""The index in KERNEL_KINDS, by type of event."""

GREATEST = 2**62
"""Of a time in Unix ns, which is in the year 2116; and of an id, since those of merged files are added."""

TICK_NS = 10_000_000
"""Resolution of the start times in /proc in ns (USER_HZ is 100 on every architecture that BPF runs on)."""


def decode_escaped(raw: bytes) -> str:
    """Decodes bytes from the kernel, up to the first NUL, with backslash escapes for what isn't UTF-8.

    An escape has four characters for one byte: it is for names, which are short, and for text that is only shown.
    """
    return raw.partition(b"\0")[0].decode("utf-8", "backslashreplace")


def to_storable(value: Any) -> Any:
    """Returns a value for SQLite: text with surrogate escapes, as in paths and arguments, gets backslash escapes."""
    return decode_escaped(os.fsencode(value)) if isinstance(value, str) else value


def decode_exact(raw: bytes) -> str | bytes:
    """Decodes bytes from the kernel, up to the first NUL; returns them as bytes if they aren't UTF-8."""
    raw = raw.partition(b"\0")[0]
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def escape_bytes(value: str | bytes | None) -> str | None:
    """Returns a result of decode_exact() as text, with backslash escapes."""
    return decode_escaped(value) if isinstance(value, bytes) else value
