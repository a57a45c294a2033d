"""The processes that pairing knows: those that are alive, or whose last event is still to come. Pure.

A pid belongs to one process at a time, and to one more that has ended and waits for its free; who waits too long is
given up. Whatever is held is bounded by the number of pids, by MOST_GIVEN_UP, or by what late_parents.py remembers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .events import TICK_NS, Alive
from .late_parents import LateParents
from .process import LOST, RUNNING, Process

MOST_GIVEN_UP: Final = 4096


class KnownProcesses:
    """Finds the process of an event; collects what has changed until it is asked for.

    is_filtered: whether a process can be reported later than its fork; then also its parent may have been freed.
    """

    def __init__(self, is_filtered: bool = False) -> None:
        self._is_filtered = is_filtered
        self._by_pid: dict[int, Process] = {}
        # A pid can be used again before the free of its last owner is reported: at most one such owner a pid waits.
        self._replaced: dict[int, Process] = {}
        # By pid and start: those whose free seems never to come. It might still, so the latest are kept.
        self._given_up: dict[tuple[int, int], Process] = {}
        self._forgotten: list[int] = []
        self._changed: dict[int, Process] = {}
        self._late_parents = LateParents()
        self._awaited_pids = self._late_parents.by_pid
        self._links: list[tuple[int, int]] = []

    def take_changed(self) -> Iterable[Process]:
        """The processes that are new or have changed since the last call, by id."""
        changed = self._changed
        self._changed = {}
        return [changed[id] for id in sorted(changed)]

    def take_links(self) -> list[tuple[int, int]]:
        """Rows, and those of their parents, that became known after all else of a process; since the last call."""
        links, self._links = self._links, []
        return links

    def running(self) -> list[Process]:
        """Those that are alive as far as is known."""
        return [process for process in self._by_pid.values() if process.state == RUNNING]

    def is_running(self, pid: int, start_ns: int) -> bool:
        """Whether this very process is alive as far as is known."""
        process = self._by_pid.get(pid)
        return process is not None and process.state == RUNNING and process.may_have_started(start_ns)

    def is_known(self, found: Alive) -> bool:
        """Whether facts of this process have come already."""
        return self._known(found) is not None

    def is_alive(self, found: Alive) -> bool:
        """Whether this one is known, and alive as far as is known."""
        process = self._known(found)
        return process is not None and process.state == RUNNING

    def _known(self, found: Alive) -> Process | None:
        process = self._by_pid.get(found.pid)
        return process if process is not None and 0 <= process.start_ns - found.start_ns < TICK_NS else None

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
        if self._is_filtered:
            self._late_parents.remember(process)
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
            if pid in self._awaited_pids:
                self._link(process)
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

    def _link(self, parent: Process) -> None:
        """To its children that came before it."""
        children = self._late_parents.take(parent)
        # By id: the start may have become exact since the child began to wait.
        given_up = {process.id: process for process in self._given_up.values()} if children else {}
        for child_id, pid in children:
            rows = (
                self._changed.get(child_id),
                self._by_pid.get(pid),
                self._replaced.get(pid),
                given_up.get(child_id),
            )
            process = next((row for row in rows if row is not None and row.id == child_id), None)
            if process is None:
                self._links.append((child_id, parent.id))
            else:
                process.parent_id = parent.id
                self._changed[process.id] = process
            self._changed[parent.id] = parent

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
