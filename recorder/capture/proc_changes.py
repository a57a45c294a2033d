"""Processes whose name, user, cgroup or session changed without an event: /proc shows it at the end of a recording.

The BPF programs don't report a new name, user or session. So the recorder reads the processes that are still running
from /proc just before the end. If a process differs from its events, one more event is recorded (`Seen`), so that the
row of the process follows from its events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..host import proc_identity
from ..model.events import TICK_NS, Event, Exec, Seen
from ..model.process import Process


def find_changed(
    processes: Iterable[Process], read_processes: Callable[[Iterable[int]], Iterable[Seen]], cgroup_ids: dict[str, int]
) -> list[Seen]:
    """Returns the processes that differ from what their events say. Leaves out kernel threads, which rename often.

    read_processes: reads pids from /proc, with a limit for the bytes of all arguments. cgroup_ids: the ids of the
    cgroup v2 paths that are read are added to it.
    """
    # First a check that reads little: with many processes, most of the time at the end of a recording is spent here.
    candidates = {
        process.pid: process
        for process in processes
        if not process.kernel and (_lacks_program(process) or _has_new_owner(process, cgroup_ids))
    }
    read = ((candidates[alive.pid], alive) for alive in read_processes(candidates))
    return [alive for process, alive in read if _is_same(process, alive) and _differs(process, alive)]


def _is_same(process: Process, alive: Seen) -> bool:
    """Whether both are the same process, not two processes that had the same pid."""
    return 0 <= process.start_ns - alive.start_ns < TICK_NS


def _has_new_owner(process: Process, cgroup_ids: dict[str, int]) -> bool:
    owner = proc_identity.read_identity(process.pid, cgroup_ids)
    return owner is not None and _has_changed(process, owner)


def _has_changed(process: Process, now: proc_identity.Identity | Seen) -> bool:
    return (
        now.comm != process.comm
        or now.uid != process.uid
        or now.cgroup_id not in (None, process.cgroup_id)
        or now.sid not in (None, process.sid)
        or now.loginuid != process.loginuid
    )


def _differs(process: Process, alive: Seen) -> bool:
    return _has_changed(process, alive) or (_lacks_program(process) and alive.filename is not None)


def _lacks_program(process: Process) -> bool:
    """Whether the process has executed a program that is unknown, because it matched the filters only later."""
    return process.execs != 0 and not process.knows_program


class PendingChanges:
    """Changed processes that are not written yet, because a later exec can outdate them."""

    def __init__(self, changed: Iterable[Seen] = ()) -> None:
        self._by_pid = {alive.pid: alive for alive in changed}

    def add(self, changed: Iterable[Seen]) -> None:
        """Adds processes that were read now."""
        self._by_pid.update((alive.pid, alive) for alive in changed)

    def drop_outdated(self, events: Iterable[Event]) -> None:
        """Drops processes that have executed a program since they were read from /proc."""
        for event in events:
            if type(event) is Exec and event.pid in self._by_pid and event.time_ns >= self._by_pid[event.pid].time_ns:
                del self._by_pid[event.pid]

    def events(self, is_running: Callable[[Seen], bool]) -> list[Event]:
        """Returns the events of the changed processes that were running at the end."""
        return [alive for alive in self._by_pid.values() if is_running(alive)]
