"""A process as pairing knows it: what is known so far, and in which state it is."""

from __future__ import annotations

from typing import Final

from .events import TICK_NS

RUNNING: Final = "running"  # alive at the last fact, or at the end of the recording
EXITED: Final = "exited"
LOST: Final = "lost"  # it is gone, but its exit was not seen


class Process:
    """What is known of one process. None means unknown.

    id: that of the first fact that named it. exact: whether start_ns is known to the nanosecond (what /proc tells is
    rounded down to a clock tick). execs: programs it took on; 0 means that it runs the one of its parent. status,
    end_ppid, cpu_ns and max_rss_kib come with its end; comm, filename, argv, uid and cgroup_id are its latest.
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
    filename: str | None = None
    argv: bytes | None = None
    argv_bytes: int | None = None
    execs: int | None = None
    uid: int | None = None
    cgroup_id: int | None = None
    cpu_ns: int | None = None
    max_rss_kib: int | None = None
    kernel: int | None = None
    begun_before: int | None = 0

    def __init__(self, id: int, pid: int, start_ns: int) -> None:
        self.id = id
        self.pid = pid
        self.start_ns = start_ns

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
