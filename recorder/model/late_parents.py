"""Parents that become known later than their children, and children later than the ends of their parents. Pure.

That is so with a filter: each of them is reported when it is what is wanted. Those of the last are remembered: at most
MOST_CHILDREN, of 48 bytes and at most 200 for each parent, and MOST_PARENTS, of at most 400 bytes.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator
from typing import Final, TypeAlias

from .process import Process

MOST_CHILDREN: Final = 16_384
MOST_PARENTS: Final = 16_384
_UNKNOWN: Final = -(1 << 63)
_NONE: Final = -1

Child: TypeAlias = tuple[int, int]
"""Id and pid of a process."""


class LateParents:
    """Who waits for the row of its parent, and who has ended.

    Children are numbered, and stand in arrays at their number modulo MOST_CHILDREN, where a later one takes the place
    of the one that has waited longest. Objects that live on, among those of a batch that don't, would cost all of
    them time. by_pid: number of the last child of a parent's pid; to be asked only whether a pid is in it.
    """

    def __init__(self) -> None:
        self.by_pid: dict[int, int] = {}
        self._next = 0
        self._ids, self._pids, self._starts = _numbers(), _numbers(), _numbers()
        self._ppids, self._parent_starts = _numbers(), _numbers()
        self._before = _numbers()  # number of the child before it of the same parent's pid
        self._ended: dict[tuple[int, int], int] = {}  # id by pid and start
        self._ended_in_order: deque[tuple[int, int]] = deque()

    def add(self, child: Process, ppid: int, parent_start_ns: int | None) -> None:
        """This process waits for its parent. parent_start_ns: None where only the parent's pid is known."""
        number = self._next
        at = number % MOST_CHILDREN
        if number >= MOST_CHILDREN and self.by_pid.get(self._ppids[at]) == number - MOST_CHILDREN:
            del self.by_pid[self._ppids[at]]
        self._before[at] = self.by_pid.get(ppid, _NONE)
        self.by_pid[ppid] = number
        self._ids[at], self._pids[at], self._starts[at] = child.id, child.pid, child.start_ns
        self._ppids[at], self._parent_starts[at] = ppid, _UNKNOWN if parent_start_ns is None else parent_start_ns
        self._next = number + 1

    def forget(self, child: Process) -> None:
        """This process waits for its parent no longer."""
        for at in self._children(child.ppid):
            if self._ids[at] == child.id:
                self._ids[at] = _NONE

    def take(self, parent: Process) -> list[Child]:
        """The children of this process, which wait no longer; its start becomes exact if one of them knows it."""
        taken, others = [], 0
        for at in self._children(parent.pid):
            id, start_ns, parent_start_ns = self._ids[at], self._starts[at], self._parent_starts[at]
            if parent_start_ns == _UNKNOWN:
                is_parent = parent.start_ns <= start_ns and parent.id != id
            else:
                is_parent = parent.may_have_started(parent_start_ns)
            if is_parent:
                if parent_start_ns != _UNKNOWN:
                    parent.start_ns, parent.exact = parent_start_ns, True
                taken.append((id, self._pids[at]))
                self._ids[at] = _NONE
            else:
                others += 1
        if not others:
            self.by_pid.pop(parent.pid, None)
        return taken[::-1]

    def _children(self, ppid: int | None) -> Iterator[int]:
        """The places of those that wait for an owner of this pid, the last first."""
        number = _NONE if ppid is None else self.by_pid.get(ppid, _NONE)
        while number >= max(self._next - MOST_CHILDREN, 0):
            at = number % MOST_CHILDREN
            if self._ids[at] != _NONE:
                yield at
            number = self._before[at]

    def remember(self, parent: Process) -> None:
        """This process has ended; a child of it may still be reported."""
        identity = (parent.pid, parent.start_ns)
        self._ended[identity] = parent.id
        self._ended_in_order.append(identity)
        if len(self._ended_in_order) > MOST_PARENTS:
            self._ended.pop(self._ended_in_order.popleft(), None)

    def find_ended(self, pid: int, start_ns: int) -> int | None:
        """The id of this process, if it is remembered."""
        return self._ended.get((pid, start_ns))


def _numbers() -> array[int]:
    return array("q", [0]) * MOST_CHILDREN
