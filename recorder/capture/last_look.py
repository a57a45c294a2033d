"""What still runs when a recording ends, as /proc shows it: a process may have renamed itself, or changed its user.

The kernel reports neither, so those are looked at that seem to run, just before the end. Who is not as its events tell
gets one more event, so that its row follows from the events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from ..host import procfs
from ..model.events import TICK_NS, Alive, Event, Exec
from ..model.process import Process


class Look(Protocol):
    """Looks at processes; returns those that are not as they are known, and the paths of their cgroups, by id."""

    def __call__(self, processes: Iterable[Process]) -> tuple[list[Alive], dict[int, str | None]]: ...


def look_at_none(processes: Iterable[Process]) -> tuple[list[Alive], dict[int, str | None]]:
    """Where there is no /proc to look at, as in a replay."""
    return [], {}


def changed(
    processes: Iterable[Process], read_all: Callable[[Iterable[int]], Iterable[Alive]], cgroup_ids: dict[str, int]
) -> list[Alive]:
    """Those of these processes that are not as they are known, but threads of the kernel: their names say what they do.

    read_all: of pids, what /proc shows, with a bound for all. cgroup_ids: filled with the cgroup v2 paths met.
    """
    # First what is read fast: with many processes, this is the time that the end of a recording takes.
    others = {
        process.pid: process
        for process in processes
        if not process.kernel and (_lacks_program(process) or _is_other(process, cgroup_ids))
    }
    found = ((others[alive.pid], alive) for alive in read_all(others))
    return [alive for process, alive in found if _is_of(process, alive) and _differs(process, alive)]


def _is_of(process: Process, alive: Alive) -> bool:
    return 0 <= process.start_ns - alive.start_ns < TICK_NS


def _is_other(process: Process, cgroup_ids: dict[str, int]) -> bool:
    told = procfs.read_owner(process.pid, cgroup_ids)
    if told is None:
        return False
    comm, uid, cgroup_id = told
    return comm != process.comm or uid != process.uid or cgroup_id not in (None, process.cgroup_id)


def _differs(process: Process, alive: Alive) -> bool:
    return (
        alive.comm != process.comm
        or alive.uid != process.uid
        or alive.cgroup_id not in (None, process.cgroup_id)
        or (_lacks_program(process) and alive.filename is not None)
    )


def _lacks_program(process: Process) -> bool:
    """Whether it ran a program of its own that isn't known, for it was what is wanted only later."""
    return process.execs != 0 and not process.knows_program


class LastLook:
    """What was found just before the end, less what later events tell better."""

    def __init__(self, found: Iterable[Alive] = ()) -> None:
        self._found = {alive.pid: alive for alive in found}

    def compare(self, events: Iterable[Event]) -> None:
        """Forgets those that have taken on a program since they were looked at."""
        for event in events:
            if type(event) is Exec and event.pid in self._found and event.time_ns >= self._found[event.pid].time_ns:
                del self._found[event.pid]

    def events(self, is_running: Callable[[Alive], bool]) -> list[Event]:
        """Of those that still ran at the end."""
        return [alive for alive in self._found.values() if is_running(alive)]
