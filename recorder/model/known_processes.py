"""The processes that pairing keeps in memory: processes that are alive, or whose last event has not come yet.

For each pid there are at most two: the process that has the pid now, and an earlier process that has ended and is not
freed yet. An ended process whose free event doesn't come is given up. So memory is limited by the number of pids, by
MAX_GIVEN_UP, and by the limits in late_parents.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .events import TICK_NS, Seen
from .late_parents import LateParents
from .process import LOST, RUNNING, Process

MAX_GIVEN_UP: Final = 4096


class KnownProcesses:
    """Finds the process of an event, and collects the processes that change until take_changed().

    is_filtered: whether the recording has filters, so that a process can be reported after its parent was freed.
    """

    def __init__(self, is_filtered: bool = False) -> None:
        self._is_filtered = is_filtered
        self._by_pid: dict[int, Process] = {}
        # By pid: a pid can be reused before the free event of its earlier process. One process is kept for each pid.
        self._replaced: dict[int, Process] = {}
        # By pid and start: processes whose free event will probably not come. It still can, so the latest are kept.
        self._given_up: dict[tuple[int, int], Process] = {}
        self._forgotten: list[int] = []
        self._changed: dict[int, Process] = {}
        self._late_parents = LateParents()
        self._awaited_pids = self._late_parents.by_pid
        self._links: list[tuple[int, int]] = []

    def take_changed(self) -> list[Process]:
        """Returns the processes that are new or have changed since the last call, in the order of their ids."""
        changed = self._changed
        self._changed = {}
        return [changed[id] for id in sorted(changed)]

    def take_links(self) -> list[tuple[int, int]]:
        """Returns pairs of ids since the last call: a process that was already forgotten, and its parent."""
        links, self._links = self._links, []
        return links

    def running(self) -> list[Process]:
        """Returns the processes that are alive, as far as the events say."""
        return [process for process in self._by_pid.values() if process.state == RUNNING]

    def is_running(self, pid: int, start_ns: int) -> bool:
        """Whether the process with this pid and start is alive, as far as the events say."""
        process = self._by_pid.get(pid)
        return process is not None and process.state == RUNNING and process.may_have_started(start_ns)

    def is_known(self, seen: Seen) -> bool:
        """Whether there was an event of this process before."""
        return self._known(seen) is not None

    def is_alive(self, seen: Seen) -> bool:
        """Whether there was an event of this process before, and it is alive as far as the events say."""
        process = self._known(seen)
        return process is not None and process.state == RUNNING

    def _known(self, seen: Seen) -> Process | None:
        process = self._by_pid.get(seen.pid)
        return process if process is not None and 0 <= process.start_ns - seen.start_ns < TICK_NS else None

    def parents_of(self, pids: Iterable[int]) -> list[int]:
        """Returns the pids of the known parents of the processes that have these pids now."""
        return [process.ppid for pid in pids if (process := self._by_pid.get(pid)) and process.ppid]

    def unfreed(self) -> list[Process]:
        """Returns the processes that have ended but were not freed: zombies, and those that ended a moment ago."""
        return [p for p in (*self._by_pid.values(), *self._replaced.values()) if p.state != RUNNING]

    def awaits_free(self, pid: int, start_ns: int) -> bool:
        """Whether there is an ended process with this pid and start that was not freed yet."""
        process = self._search(pid, start_ns) or self._given_up.get((pid, start_ns))
        return process is not None and process.state != RUNNING

    @property
    def awaited_frees(self) -> int:
        """How many ended processes can still be freed."""
        return len(self.unfreed()) + len(self._given_up)

    def forget_running(self) -> None:
        """Forgets the processes that are alive: the next segment of a chain has them."""
        self._by_pid = {pid: process for pid, process in self._by_pid.items() if process.state != RUNNING}

    def give_up(self, process: Process) -> None:
        """Moves an ended process to the last MAX_GIVEN_UP processes whose free event will probably not come."""
        for processes in (self._by_pid, self._replaced):
            if processes.get(process.pid) is process:
                del processes[process.pid]
        self._given_up[process.pid, process.start_ns] = process
        if self._is_filtered:
            self._late_parents.add_ended(process)
        if len(self._given_up) > MAX_GIVEN_UP:
            oldest = next(iter(self._given_up))
            self._forgotten.append(self._given_up.pop(oldest).id)

    def take_forgotten(self) -> list[int]:
        """Returns the ids of the processes that no event can change any more, since the last call."""
        forgotten, self._forgotten = self._forgotten, []
        return forgotten

    def _search(self, pid: int, start_ns: int) -> Process | None:
        """Returns the process of an event from /proc, whose start is that of the process, as pairing knows it."""
        process = self._by_pid.get(pid)
        if process is None or not process.may_have_started(start_ns):
            process = self._replaced.get(pid)
        return process if process is not None and process.may_have_started(start_ns) else None

    def _find(self, pid: int, start_ns: int) -> Process | None:
        """Returns the process of an event from the kernel, which has its exact start."""
        process = self._search(pid, start_ns)
        if process is not None and not process.exact:
            process.start_ns = start_ns
            process.exact = 1
            self._changed[process.id] = process
        return process

    def _find_or_add(self, pid: int, start_ns: int, event_id: int) -> Process:
        before = self._by_pid.get(pid)
        if before is not None and before.start_ns == start_ns and before.exact:  # nearly always
            process = before
        else:
            process = self._find(pid, start_ns) or self._add(Process(event_id, pid, start_ns), before)
            if pid in self._awaited_pids:
                self._link(process)
        self._changed[process.id] = process
        return process

    def _add(self, process: Process, before: Process | None) -> Process:
        if before is not None and before.start_ns > process.start_ns:  # a late event of an earlier process of this pid
            self._replace(process)
            return process
        if before is not None:
            self._replace(before)
        self._by_pid[process.pid] = process
        return process

    def _link(self, parent: Process) -> None:
        """Links a new process to its children that became known before it."""
        children = self._late_parents.take_children(parent)
        # By id, since the start of the child may have become exact after it was added to late_parents.
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
        """Notes that another process has the pid now. Without an exit event, the process is lost."""
        if before.state == RUNNING:
            self._mark_lost(before)
        replaced = self._replaced.get(before.pid)
        if replaced is not None:
            self.give_up(replaced)
        self._replaced[before.pid] = before

    def _mark_lost(self, process: Process) -> None:
        process.state = LOST
        self._changed[process.id] = process
