"""Links parents to children if a parent is reported after its child, or has ended before its child is reported. Pure.

Both happen with filters, because each process is reported when it matches. Only the latest are kept:
MAX_WAITING_CHILDREN children, with 48 bytes each and at most 200 bytes for each of their parents, and
MAX_ENDED_PARENTS ended parents, with at most 400 bytes each.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator
from typing import Final, TypeAlias

from .process import Process

MAX_WAITING_CHILDREN: Final = 16_384
MAX_ENDED_PARENTS: Final = 16_384
_UNKNOWN: Final = -(1 << 63)
_NONE: Final = -1

Child: TypeAlias = tuple[int, int]
"""Id and pid of a process."""


class LateParents:
    """The children that wait for their parent to be reported, and the parents that have ended.

    Each child has a number, and its data is in arrays at the index number % MAX_WAITING_CHILDREN, so that a new child
    replaces the one that has waited longest. Arrays, because long-lived objects among the short-lived ones of a batch
    make the garbage collector slower. by_pid: number of the last child that waits for a parent with this pid; outside
    of this class, use it only to test whether a pid is in it.
    """

    def __init__(self) -> None:
        self.by_pid: dict[int, int] = {}
        self._next = 0
        self._ids, self._pids, self._starts = _numbers(), _numbers(), _numbers()
        self._ppids, self._parent_starts = _numbers(), _numbers()
        self._before = _numbers()  # number of the child before that waits for the same pid
        self._ended: dict[tuple[int, int], int] = {}  # id by pid and start
        self._ended_in_order: deque[tuple[int, int]] = deque()

    def add_child(self, child: Process, ppid: int, parent_start_ns: int | None) -> None:
        """Adds a process that waits for its parent. parent_start_ns: None if only the parent's pid is known."""
        number = self._next
        index = number % MAX_WAITING_CHILDREN
        if number >= MAX_WAITING_CHILDREN and self.by_pid.get(self._ppids[index]) == number - MAX_WAITING_CHILDREN:
            del self.by_pid[self._ppids[index]]
        self._before[index] = self.by_pid.get(ppid, _NONE)
        self.by_pid[ppid] = number
        self._ids[index], self._pids[index], self._starts[index] = child.id, child.pid, child.start_ns
        self._ppids[index], self._parent_starts[index] = ppid, _UNKNOWN if parent_start_ns is None else parent_start_ns
        self._next = number + 1

    def remove_child(self, child: Process) -> None:
        """Removes a process that no longer waits for its parent."""
        for index in self._children(child.ppid):
            if self._ids[index] == child.id:
                self._ids[index] = _NONE

    def take_children(self, parent: Process) -> list[Child]:
        """Removes and returns the waiting children of a process. If one knows the parent's exact start, it is set."""
        taken, others = [], 0
        for index in self._children(parent.pid):
            id, start_ns, parent_start_ns = self._ids[index], self._starts[index], self._parent_starts[index]
            if parent_start_ns == _UNKNOWN:
                is_parent = parent.start_ns <= start_ns and parent.id != id
            else:
                is_parent = parent.may_have_started(parent_start_ns)
            if is_parent:
                if parent_start_ns != _UNKNOWN:
                    parent.start_ns, parent.exact = parent_start_ns, True
                taken.append((id, self._pids[index]))
                self._ids[index] = _NONE
            else:
                others += 1
        if not others:
            self.by_pid.pop(parent.pid, None)
        return taken[::-1]

    def _children(self, ppid: int | None) -> Iterator[int]:
        """Yields the indexes of the children that wait for a parent with this pid, the last first."""
        number = _NONE if ppid is None else self.by_pid.get(ppid, _NONE)
        while number >= max(self._next - MAX_WAITING_CHILDREN, 0):
            index = number % MAX_WAITING_CHILDREN
            if self._ids[index] != _NONE:
                yield index
            number = self._before[index]

    def add_ended(self, parent: Process) -> None:
        """Keeps the id of a process that has ended, because a child of it may still be reported."""
        identity = (parent.pid, parent.start_ns)
        self._ended[identity] = parent.id
        self._ended_in_order.append(identity)
        if len(self._ended_in_order) > MAX_ENDED_PARENTS:
            self._ended.pop(self._ended_in_order.popleft(), None)

    def find_ended(self, pid: int, start_ns: int) -> int | None:
        """Returns the id of an ended process; None if it isn't kept."""
        return self._ended.get((pid, start_ns))


def _numbers() -> array[int]:
    return array("q", [0]) * MAX_WAITING_CHILDREN
