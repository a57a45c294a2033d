"""What decided how long a recording took: concurrency, serial sections and the critical path. Pure.

A process is active while it has no living child. A process that has a living child may be waiting for it. An active
process works or sleeps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..model.process import RUNNING
from .process_tree import Node

_NEVER = 2**63


@dataclass(frozen=True)
class Section:
    """A stretch of time attributed to one process. Times in Unix ns."""

    node: Node
    start_ns: int
    end_ns: int

    @property
    def duration_ns(self) -> int:
        """Its length in ns."""
        return self.end_ns - self.start_ns


@dataclass(frozen=True)
class _Interval:
    """A stretch of time in which the set of active processes doesn't change.

    active: how many there are. only: the id of the active process if there is exactly one.
    """

    start_ns: int
    end_ns: int
    active: int
    only: int | None


class Schedule:
    """The lifetimes of processes between two times in Unix ns. nodes: parents before their children."""

    def __init__(self, nodes: Sequence[Node], start_ns: int, end_ns: int) -> None:
        self.start_ns, self.end_ns = start_ns, max(end_ns, start_ns + 1)
        self.nodes = {node.id: node for node in nodes}
        self._lives = {node.id: self._life(node) for node in nodes}
        self._intervals = list(self._find_intervals())

    def _life(self, node: Node) -> tuple[int, int]:
        """Returns start and end, cut to the times of the schedule."""
        start = max(node.start_ns, self.start_ns)
        return start, max(start, min(_end(node), self.end_ns))

    def _find_intervals(self) -> Iterator[_Interval]:
        """Yields all intervals in order of time, by a sweep over starts and ends."""
        # At the same time, ends come before starts, and parents start before their children.
        changes = sorted(
            change
            for id, (start, end) in self._lives.items()
            if end > start
            for change in ((start, 1, id), (end, 0, id))
        )
        alive: set[int] = set()
        children: Counter[int] = Counter()  # how many living children each parent has
        active: set[int] = set()
        since = self.start_ns
        for time, begins, id in changes:
            if time > since:
                yield _Interval(since, time, len(active), next(iter(active)) if len(active) == 1 else None)
                since = time
            above = self.nodes[id].parent_id
            if begins:
                alive.add(id)
                active.add(id)
                if above in alive:
                    children[above] += 1
                    active.discard(above)
            else:
                alive.discard(id)
                active.discard(id)
                if above in alive:
                    children[above] -= 1
                    if not children[above]:
                        active.add(above)
        if self.end_ns > since:
            yield _Interval(since, self.end_ns, len(active), next(iter(active)) if len(active) == 1 else None)

    def concurrency(self, steps: int) -> list[float]:
        """Returns the average number of active processes in each of `steps` equal steps."""
        step = (self.end_ns - self.start_ns) / steps
        sums = [0.0] * steps
        for each in self._intervals:
            first, last = (each.start_ns - self.start_ns) / step, (each.end_ns - self.start_ns) / step
            for number in range(int(first), min(int(last) + 1, steps)):
                sums[number] += each.active * max(min(last, number + 1) - max(first, number), 0)
        return sums

    def most_active(self) -> int:
        """Returns the highest number of processes that were active at the same time."""
        return max((each.active for each in self._intervals), default=0)

    def serial_sections(self) -> list[Section]:
        """Returns the sections in which only one process was active, longest first.

        Adjacent sections of one process are joined.
        """
        found: list[Section] = []
        for each in self._intervals:
            if each.only is None:
                continue
            node = self.nodes[each.only]
            if found and found[-1].node is node and found[-1].end_ns == each.start_ns:
                found[-1] = Section(node, found[-1].start_ns, each.end_ns)
            else:
                found.append(Section(node, each.start_ns, each.end_ns))
        return sorted(found, key=lambda section: (-section.duration_ns, section.start_ns))

    def critical_path(self) -> list[Section]:
        """Returns the sections that decided the total time, without gaps, in order of time.

        The path is followed backwards from the end. It always goes to the child that ended last before this point; the
        time between two children belongs to the parent, which worked or slept. Within the life of a child, the same
        rule holds. A child that was still alive at this point is not on the path: nothing waited for its end.
        """
        children: dict[int | None, list[int]] = {}
        ends = {id: _end(node) for id, node in self.nodes.items()}
        for id in sorted(ends, key=lambda id: ends[id]):
            parent = self.nodes[id].parent_id
            children.setdefault(parent if parent in self.nodes else None, []).append(id)
        found: list[Section] = []
        # (process, since, until): the stretches that are still to be divided, latest last. None stands above all roots.
        todo: list[tuple[int | None, int, int]] = [(None, self.start_ns, self.end_ns)]
        while todo:
            above, since, until = todo.pop()
            below = children.get(above, [])
            while below and ends[below[-1]] > until:
                below.pop()
            if not below or ends[below[-1]] <= since:
                self._record_section(found, above, since, until)
                continue
            child = below.pop()
            start = max(self._lives[child][0], since)
            self._record_section(found, above, ends[child], until)
            todo += [(above, since, start), (child, start, ends[child])]
        return found[::-1]

    def _record_section(self, found: list[Section], id: int | None, since: int, until: int) -> None:
        if id is not None and until > since:
            found.append(Section(self.nodes[id], since, until))


def _end(node: Node) -> int:
    """Returns when it ended, uncut. A lost process counts as ended at its start, because its end isn't known."""
    if node.end_ns is not None:
        return node.end_ns
    return _NEVER if node.state == RUNNING else node.start_ns
