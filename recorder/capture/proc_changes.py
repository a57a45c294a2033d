"""Processes that have changed without an event: at the end of a recording, /proc shows another name, user or cgroup.

The kernel reports neither a new name nor a new user. So those processes that seem to run are read from /proc just
before the end. If one isn't as its events say, that is one more event, so that its row follows from the events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..host import procfs
from ..model.events import TICK_NS, Event, Exec, Seen
from ..model.process import Process


def find_changed(
    processes: Iterable[Process], read_processes: Callable[[Iterable[int]], Iterable[Seen]], cgroup_ids: dict[str, int]
) -> list[Seen]:
    """Those of these processes that are not as their events say. Threads of the kernel are left out: they rename often.

    read_processes: reads pids from /proc, with a bound for all arguments. cgroup_ids: gets the cgroup v2 paths met.
    """
    # First what is read fast: with many processes, this is the time that the end of a recording takes.
    candidates = {
        process.pid: process
        for process in processes
        if not process.kernel and (_lacks_program(process) or _has_new_owner(process, cgroup_ids))
    }
    read = ((candidates[alive.pid], alive) for alive in read_processes(candidates))
    return [alive for process, alive in read if _is_same(process, alive) and _differs(process, alive)]


def _is_same(process: Process, alive: Seen) -> bool:
    """Whether both are one process, and not two that had the same pid."""
    return 0 <= process.start_ns - alive.start_ns < TICK_NS


def _has_new_owner(process: Process, cgroup_ids: dict[str, int]) -> bool:
    owner = procfs.read_identity(process.pid, cgroup_ids)
    if owner is None:
        return False
    comm, uid, cgroup_id = owner
    return comm != process.comm or uid != process.uid or cgroup_id not in (None, process.cgroup_id)


def _differs(process: Process, alive: Seen) -> bool:
    return (
        alive.comm != process.comm
        or alive.uid != process.uid
        or alive.cgroup_id not in (None, process.cgroup_id)
        or (_lacks_program(process) and alive.filename is not None)
    )


def _lacks_program(process: Process) -> bool:
    """Whether it runs a program of its own that is unknown, because it matched the filters only later."""
    return process.execs != 0 and not process.knows_program


class PendingChanges:
    """Changed processes that are not written yet: an event that came meanwhile may know better."""

    def __init__(self, changed: Iterable[Seen] = ()) -> None:
        self._by_pid = {alive.pid: alive for alive in changed}

    def drop_outdated(self, events: Iterable[Event]) -> None:
        """Drop processes that have executed a program since they were read from /proc."""
        for event in events:
            if type(event) is Exec and event.pid in self._by_pid and event.time_ns >= self._by_pid[event.pid].time_ns:
                del self._by_pid[event.pid]

    def events(self, is_running: Callable[[Seen], bool]) -> list[Event]:
        """The events of those that still ran at the end."""
        return [alive for alive in self._by_pid.values() if is_running(alive)]
