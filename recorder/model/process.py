"""A process as pairing knows it: what is known so far, and in which state it is."""

from __future__ import annotations

from typing import Final, TypeAlias

from .events import TICK_NS

RUNNING: Final = "running"  # alive at the last fact, or at the end of the recording
EXITED: Final = "exited"
LOST: Final = "lost"  # it is gone, but its exit was not seen

Program: TypeAlias = tuple[str | bytes | None, bytes | None, int | None]
"""filename, argv and argv_bytes of a process."""


class Process:
    """What is known of one process. None means unknown.

    id: that of the first fact that named it. exact: whether start_ns is known to the nanosecond (what /proc tells is
    rounded down to a clock tick). execs: programs it took on; 0 means that it runs the one of its parent. status,
    end_ppid, cpu_ns and max_rss_kib come with its end; comm, filename, argv, uid and cgroup_id are its latest.
    filename, argv and argv_bytes are there until they are taken: who lives long does not hold them in memory.
    begun_before: what the kernel's number of its programs (Exit.begun) has counted beside execs.
    """

    # Defaults belong to the class: an instance then holds, and costs, only what is known of it.
    exact: bool = True
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
    cgroup_id: int | None = None
    cpu_ns: int | None = None
    max_rss_kib: int | None = None
    kernel: int | None = None
    has_new_program: bool = False
    knows_program: bool = False
    begun_before: int | None = 0

    def __init__(self, id: int, pid: int, start_ns: int) -> None:
        self.id = id
        self.pid = pid
        self.start_ns = start_ns

    def set_program(self, filename: str | bytes | None, argv: bytes | None, argv_bytes: int | None) -> None:
        """It runs this by now; None: what it runs isn't known."""
        self.filename = filename
        self.argv = argv
        self.argv_bytes = argv_bytes
        self.has_new_program = True
        self.knows_program = filename is not None

    def take_program(self) -> Program | None:
        """filename, argv and argv_bytes; None if none was set since the last call. They are then no longer held."""
        if not self.has_new_program:
            return None
        program = (self.filename, self.argv, self.argv_bytes)
        if self.cpu_ns is None:  # else it has been freed, and nobody holds it any longer
            self.filename = self.argv = self.argv_bytes = None
        self.has_new_program = False
        return program

    def was_killed_within_exec(self, begun: int | None) -> bool:
        """Whether it began to run one program more than it ran. begun: of its exit; that it was by a signal is known.

        The kernel has given it the new program's name then.
        """
        if begun is None or self.begun_before is None or self.execs is None:
            return False
        return begun - self.begun_before > self.execs

    def may_have_started(self, start_ns: int) -> bool:
        """Whether this is its start, or could be: of one from before the recording, /proc tells the tick only."""
        return self.start_ns == start_ns or (not self.exact and 0 <= start_ns - self.start_ns < TICK_NS)
