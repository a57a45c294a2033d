"""A process during pairing: its state, and what is known of it so far."""

from __future__ import annotations

from typing import Final, TypeAlias

from .events import TICK_NS, Free

RUNNING: Final = "running"  # alive at its last event, or at the end of the recording
EXITED: Final = "exited"
LOST: Final = "lost"  # it has ended, but there was no exit event

Program: TypeAlias = tuple[str | bytes | None, bytes | None, int | None]
"""filename, argv and argv_bytes of a process."""


COSTS: Final = Free._fields[Free._fields.index("cpu_ns") :]
"""What a process cost: the names of its columns, and the fields of a free event and of Usage, in the same order."""

NO_COSTS: Final = (None,) * len(COSTS)


class Process:
    """What is known of one process. None means unknown.

    id: of its first event. exact: 1 if start_ns is known to the nanosecond, else 0; from /proc it is rounded down to a
    clock tick. execs: number of execs; 0 means that it runs the program of its parent. status, end_ppid and max_rss_kib
    are known at its end, and freed_ns and costs (see COSTS) when it is freed; if it runs at the end of the recording,
    costs and max_rss_kib are those until then. carried_rss_kib: its peak memory before its latest exec. comm, filename,
    argv, uid, sid, loginuid and cgroup_id are the latest ones. ns_pid: its pid in its own pid namespace.
    filename, argv and argv_bytes are dropped by take_program(), so that processes with a long life don't keep them in
    memory.
    begun_before: how much more than execs the kernel's number of programs begun (Exit.begun) counts.
    """

    # Defaults are attributes of the class, so that an instance uses memory only for values that are known.
    exact: int = 1
    state: str = RUNNING
    ppid: int | None = None
    parent_id: int | None = None
    end_ns: int | None = None
    end_ppid: int | None = None
    status: int | None = None
    comm: str | None = None
    filename: str | bytes | None = None
    argv: bytes | None = None
    argv_bytes: int | None = None
    execs: int | None = None
    uid: int | None = None
    ns_pid: int | None = None
    sid: int | None = None
    loginuid: int | None = None
    cgroup_id: int | None = None
    max_rss_kib: int | None = None
    carried_rss_kib: int | None = None
    freed_ns: int | None = None
    costs: tuple[int | None, ...] = NO_COSTS
    kernel: int | None = None
    has_new_program: bool = False
    knows_program: bool = False
    begun_before: int | None = 0

    def __init__(self, id: int, pid: int, start_ns: int) -> None:
        self.id = id
        self.pid = pid
        self.start_ns = start_ns

    def set_program(self, filename: str | bytes | None, argv: bytes | None, argv_bytes: int | None) -> None:
        """Sets the program that it runs now. filename: None if unknown."""
        self.filename = filename
        self.argv = argv
        self.argv_bytes = argv_bytes
        self.has_new_program = True
        self.knows_program = filename is not None

    def take_program(self) -> Program | None:
        """Returns and drops filename, argv and argv_bytes; returns None if they were not set since the last call."""
        if not self.has_new_program:
            return None
        program = (self.filename, self.argv, self.argv_bytes)
        if self.freed_ns is None:  # else it was freed, and pairing no longer holds it
            self.filename = self.argv = self.argv_bytes = None
        self.has_new_program = False
        return program

    def was_killed_within_exec(self, begun: int | None) -> bool:
        """Whether it was killed by an exec that failed late. begun: of its exit event, which must be by a signal.

        It has then begun one program more than it executed, and the kernel has set the name of that program.
        """
        if begun is None or self.begun_before is None or self.execs is None:
            return False
        return begun - self.begun_before > self.execs

    def may_have_started(self, start_ns: int) -> bool:
        """Whether it started then, or may have: the start of a process from /proc is known to a clock tick only."""
        return self.start_ns == start_ns or (not self.exact and 0 <= start_ns - self.start_ns < TICK_NS)
