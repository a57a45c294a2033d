"""Events in, processes out: which fork, execs, exit and free belong together. Pure: no SQL, no clock, no kernel.

It streams: only processes that are alive, or whose last fact is still to come, are held in memory. Facts of one
process must come in the order in which they happened (the ring buffer keeps it); any of them may be missing.

Why pairing can be exact: every fact carries the start time of its process. A pid that is used again comes with
another start, so an exit can't be taken for that of another process, whatever was lost in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from .events import TICK_NS, Alive, Event, Exec, Exit, Fork, Free, Gone

RUNNING: Final = "running"  # alive at the last fact, or at the end of the recording
EXITED: Final = "exited"
LOST: Final = "lost"  # it is gone, but its exit was not seen


class Process:
    """What is known of one process. None means unknown.

    id: that of the first fact that named it. exact: whether start_ns is known to the nanosecond (what /proc tells is
    rounded down to a clock tick). execs: programs it took on; 0 means that it runs the one of its parent. status,
    end_ppid, cpu_ns and max_rss_kib come with its end; comm, filename, argv, uid and cgroup_id are its latest.
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

    def __init__(self, id: int, pid: int, start_ns: int) -> None:
        self.id = id
        self.pid = pid
        self.start_ns = start_ns


class Pairing:
    """Feeds on events; keeps what is alive, and collects what has changed until it is asked for."""

    def __init__(self) -> None:
        self._by_pid: dict[int, Process] = {}
        # A pid can be used again before the free of its last owner is reported: at most one such owner a pid waits.
        self._replaced: dict[int, Process] = {}
        self._changed: dict[int, Process] = {}
        self._handlers: dict[type, Callable[[Any, int], int]] = {
            Fork: self._fork,
            Exec: self._exec,
            Exit: self._exit,
            Free: self._free,
            Alive: self._alive,
            Gone: self._gone,
        }

    def feed(self, events: Iterable[Event], first_id: int) -> list[int]:
        """Takes in facts; returns for each the id of the process that it belongs to, 0 where that is not known.

        first_id: number of the first; they count up from there, and from call to call. A process takes the number of
        the fact that named it first as its id.
        """
        handlers = self._handlers
        return [handlers[type(event)](event, fact_id) for fact_id, event in enumerate(events, first_id)]

    def take_changed(self) -> Iterable[Process]:
        """The processes that are new or have changed since the last call, by id."""
        changed = self._changed
        self._changed = {}
        return [changed[id] for id in sorted(changed)]

    def running(self) -> list[Process]:
        """Those that are alive as far as is known."""
        return [process for process in self._by_pid.values() if process.state == RUNNING]

    def is_running(self, pid: int, start_ns: int) -> bool:
        """Whether this very process is alive as far as is known."""
        process = self._find(pid, start_ns)
        return process is not None and process.state == RUNNING

    def unfreed(self) -> list[Process]:
        """Those that have exited, but have not been freed: zombies, and those that ended a moment ago."""
        return [p for p in (*self._by_pid.values(), *self._replaced.values()) if p.state == EXITED]

    def forget(self, process: Process) -> None:
        """Lets go of a process of which no fact will come any more."""
        for among in (self._by_pid, self._replaced):
            if among.get(process.pid) is process:
                del among[process.pid]

    def _find(self, pid: int, start_ns: int) -> Process | None:
        process = self._by_pid.get(pid)
        if process is not None and (process.start_ns == start_ns or self._refine(process, start_ns)):
            return process
        process = self._replaced.get(pid)
        if process is not None and (process.start_ns == start_ns or self._refine(process, start_ns)):
            return process
        return None

    def _refine(self, process: Process, start_ns: int) -> bool:
        """Whether this start is the exact one of a process of which /proc told the tick; then it is taken over."""
        if process.exact or not 0 <= start_ns - process.start_ns < TICK_NS:
            return False
        process.start_ns = start_ns
        process.exact = True
        self._changed[process.id] = process
        return True

    def _find_or_add(self, pid: int, start_ns: int, fact_id: int) -> Process:
        before = self._by_pid.get(pid)
        if before is not None and before.start_ns == start_ns:  # as nearly always
            process = before
        else:
            process = self._find(pid, start_ns) or self._add(Process(fact_id, pid, start_ns), before)
        self._changed[process.id] = process
        return process

    def _add(self, process: Process, before: Process | None) -> Process:
        if before is not None:
            self._replace(before)
        self._by_pid[process.pid] = process
        return process

    def _replace(self, before: Process) -> None:
        """Its pid has a new owner, so it is gone; if its exit was not seen, it was lost."""
        if before.state == RUNNING:
            self._mark_lost(before)
        self._replaced[before.pid] = before

    def _mark_lost(self, process: Process) -> None:
        process.state = LOST
        self._changed[process.id] = process

    def _fork(self, event: Fork, fact_id: int) -> int:
        _, pid, start_ns, ppid, parent_start_ns, comm, uid, _, cgroup_id, kernel = event
        if pid in self._by_pid:
            process = self._find_or_add(pid, start_ns, fact_id)
        else:  # as nearly always
            process = self._changed[fact_id] = self._by_pid[pid] = Process(fact_id, pid, start_ns)
        process.ppid = ppid
        parent = self._find(ppid, parent_start_ns)
        if parent is not None:
            process.parent_id = parent.id
        if process.execs is None:  # else a later fact, that came first, knows better
            process.comm = comm
            process.uid = uid
            process.cgroup_id = cgroup_id
            process.execs = 0
        process.kernel = kernel
        return process.id

    def _exec(self, event: Exec, fact_id: int) -> int:
        _, pid, start_ns, comm, uid, _, cgroup_id, _, filename, argv, argv_bytes = event
        process = self._find_or_add(pid, start_ns, fact_id)
        process.comm = comm
        process.filename = filename
        process.argv = argv
        process.argv_bytes = argv_bytes
        process.uid = uid
        process.cgroup_id = cgroup_id
        process.execs = (process.execs or 0) + 1
        process.kernel = 0
        return process.id

    def _exit(self, event: Exit, fact_id: int) -> int:
        time_ns, pid, start_ns, ppid, comm, status, max_rss_kib = event
        process = self._find_or_add(pid, start_ns, fact_id)
        if process.end_ns is None:  # two threads that leave together can both report the end (before Linux 6.16)
            process.state = EXITED
            process.end_ns = time_ns
            process.end_ppid = ppid
            process.comm = comm
            process.status = status
            process.max_rss_kib = max_rss_kib
            if process.ppid is None:
                process.ppid = ppid
        return process.id

    def _free(self, event: Free, fact_id: int) -> int:
        _, pid, start_ns, status, cpu_ns = event
        process = self._find(pid, start_ns)
        if process is None:
            return 0  # it had exited before the recording began
        if process.state != EXITED:
            process.state = LOST
        if process.status is None:
            process.status = status
        process.cpu_ns = cpu_ns
        self._changed[process.id] = process
        among = self._by_pid if self._by_pid.get(pid) is process else self._replaced
        del among[pid]
        return process.id

    def _alive(self, event: Alive, fact_id: int) -> int:
        process = self._find_or_add(event.pid, event.start_ns, fact_id)
        process.exact = False
        process.ppid = event.ppid
        parent = self._by_pid.get(event.ppid)
        if parent is not None and parent is not process and parent.start_ns <= event.start_ns:
            process.parent_id = parent.id
        process.comm = event.comm
        process.uid = event.uid
        process.cgroup_id = event.cgroup_id
        process.kernel = event.kernel
        process.execs = event.execs
        process.filename = event.filename
        process.argv = event.argv
        process.argv_bytes = event.argv_bytes
        return process.id

    def _gone(self, event: Gone, fact_id: int) -> int:
        process = self._find(event.pid, event.start_ns)
        if process is None:
            return 0
        if process.state == RUNNING:
            self._mark_lost(process)
        return process.id
