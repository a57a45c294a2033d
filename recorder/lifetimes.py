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
from .process import EXITED, LOST, RUNNING, Process

MOST_GIVEN_UP: Final = 4096


class Pairing:
    """Feeds on events; keeps what is alive, and collects what has changed until it is asked for."""

    def __init__(self) -> None:
        self._by_pid: dict[int, Process] = {}
        # A pid can be used again before the free of its last owner is reported: at most one such owner a pid waits.
        self._replaced: dict[int, Process] = {}
        # By pid and start: those whose free seems never to come. It might still, so the latest are kept.
        self._given_up: dict[tuple[int, int], Process] = {}
        self._forgotten: list[int] = []
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
        process = self._by_pid.get(pid)
        return process is not None and process.state == RUNNING and process.may_have_started(start_ns)

    def is_known(self, found: Alive) -> bool:
        """Whether facts of this process have come already."""
        process = self._by_pid.get(found.pid)
        return process is not None and 0 <= process.start_ns - found.start_ns < TICK_NS

    def parents_of(self, pids: Iterable[int]) -> list[int]:
        """Pids of the parents of the latest owners of these pids, as far as they are known."""
        return [process.ppid for pid in pids if (process := self._by_pid.get(pid)) and process.ppid]

    def unfreed(self) -> list[Process]:
        """Those that are gone, but have not been freed: zombies, and those that ended a moment ago."""
        return [p for p in (*self._by_pid.values(), *self._replaced.values()) if p.state != RUNNING]

    def give_up(self, process: Process) -> None:
        """Holds this process no longer for sure: nothing but its free can come, and probably it won't."""
        for among in (self._by_pid, self._replaced):
            if among.get(process.pid) is process:
                del among[process.pid]
        self._given_up[process.pid, process.start_ns] = process
        if len(self._given_up) > MOST_GIVEN_UP:
            oldest = next(iter(self._given_up))
            self._forgotten.append(self._given_up.pop(oldest).id)

    def take_forgotten(self) -> list[int]:
        """Ids of processes that will not change any more whatever comes, since the last call."""
        forgotten, self._forgotten = self._forgotten, []
        return forgotten

    def _find(self, pid: int, start_ns: int) -> Process | None:
        process = self._by_pid.get(pid)
        if process is None or not process.may_have_started(start_ns):
            process = self._replaced.get(pid)
        if process is None or not process.may_have_started(start_ns):
            return None
        if not process.exact:
            process.start_ns = start_ns
            process.exact = True
            self._changed[process.id] = process
        return process

    def _find_or_add(self, pid: int, start_ns: int, fact_id: int) -> Process:
        before = self._by_pid.get(pid)
        if before is not None and before.start_ns == start_ns:  # as nearly always
            process = before
        else:
            process = self._find(pid, start_ns) or self._add(Process(fact_id, pid, start_ns), before)
        self._changed[process.id] = process
        return process

    def _add(self, process: Process, before: Process | None) -> Process:
        if before is not None and before.start_ns > process.start_ns:  # a late fact of an earlier owner of its pid
            self._replace(process)
            return process
        if before is not None:
            self._replace(before)
        self._by_pid[process.pid] = process
        return process

    def _replace(self, before: Process) -> None:
        """Its pid has a new owner, so it is gone; if its exit was not seen, it was lost."""
        if before.state == RUNNING:
            self._mark_lost(before)
        replaced = self._replaced.get(before.pid)
        if replaced is not None:
            self.give_up(replaced)
        self._replaced[before.pid] = before

    def _mark_lost(self, process: Process) -> None:
        process.state = LOST
        self._changed[process.id] = process

    def _fork(self, event: Fork, fact_id: int) -> int:
        _, pid, start_ns, ppid, parent_start_ns, comm, uid, _, cgroup_id, kernel = event
        before = self._by_pid.get(pid)
        if before is not None:
            is_found = not before.exact
            process = self._find_or_add(pid, start_ns, fact_id)
            if is_found and process is before:
                # Its fork was still being written when /proc was read: all that it did since is yet to come.
                process.execs = None
                process.set_program(None, None, None)
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
        _, pid, start_ns, comm, uid, _, cgroup_id, _, filename, argv, argv_bytes, *_ = event
        process = self._find_or_add(pid, start_ns, fact_id)
        process.comm = comm
        process.filename = filename  # as set_program() does, without the call
        process.argv = argv
        process.argv_bytes = argv_bytes
        process.has_new_program = True
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
        process = self._find(pid, start_ns) or self._given_up.get((pid, start_ns))
        if process is None:
            return 0  # it had exited before the recording began
        if process.state != EXITED:
            process.state = LOST
        if process.status is None:
            process.status = status
        process.cpu_ns = cpu_ns
        self._changed[process.id] = process
        if self._by_pid.get(pid) is process:
            del self._by_pid[pid]
        elif self._replaced.get(pid) is process:
            del self._replaced[pid]
        else:
            del self._given_up[pid, start_ns]
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
        process.set_program(event.filename, event.argv, event.argv_bytes)
        return process.id

    def _gone(self, event: Gone, fact_id: int) -> int:
        process = self._find(event.pid, event.start_ns)
        if process is None:
            return 0
        if process.state == RUNNING:
            self._mark_lost(process)
        return process.id
