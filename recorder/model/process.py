"""A process during pairing: its state, and what is known of it so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .events import TICK_NS, Free

RUNNING: Final = "running"  # alive at its last event, or at the end of the recording
EXITED: Final = "exited"
LOST: Final = "lost"  # it has ended, but there was no exit event


COSTS: Final = Free._fields[Free._fields.index("cpu_ns") :]
"""What a process cost: the names of its columns, and the fields of a free event and of Usage, in the same order."""

NO_COSTS: Final = (None,) * len(COSTS)


class Process:
    """What is known of one process. None means unknown.

    id: of its first event. exact: 1 if start_ns is known to the nanosecond, else 0; from /proc it is rounded down to a
    clock tick. execs: number of execs; 0 means that it runs the program of its parent. status, end_ppid and max_rss_kib
    are known at its end, and freed_ns and costs (see COSTS) when it is freed; if it runs at the end of the recording,
    costs and max_rss_kib are those until then. carried_rss_kib: its peak memory before its latest exec. comm, uid, sid,
    loginuid and cgroup_id are the latest ones. ns_pid: its pid in its own pid namespace. command_id: of its latest
    command line; at first the id of the event that has the command line, see resolve_command(). So a process keeps no
    arguments in memory. begun_before: how much more than execs the kernel's number of programs begun (Exit.begun)
    counts.
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
    command_id: int | None = None
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
    has_new_command: bool = False
    knows_program: bool = False
    begun_before: int | None = 0

    def __init__(self, id: int, pid: int, start_ns: int) -> None:
        self.id = id
        self.pid = pid
        self.start_ns = start_ns

    def set_command(self, event_id: int | None, knows_program: bool) -> None:
        """Sets the command line that it has now. event_id: of the event that has it; None if it is unknown.

        knows_program: whether the path of the program is known.
        """
        self.command_id = event_id
        self.has_new_command = True
        self.knows_program = knows_program

    def resolve_command(self, ids: Mapping[int, int | None]) -> None:
        """Replaces the id of the event that set its command line by the id of the command line in the file.

        ids: by the ids of events, of all events since the last call.
        """
        if self.has_new_command:
            self.command_id = None if self.command_id is None else ids[self.command_id]
            self.has_new_command = False

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
