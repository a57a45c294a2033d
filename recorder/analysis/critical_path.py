"""What decided how long a recording took: who worked side by side, who alone, and who one after another. Pure.

At any moment those processes are at the front that have no living child: the others wait for them, or could.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .process_tree import Node

_NEVER = 2**63


@dataclass(frozen=True)
class Stretch:
    """A time in which one process was alone at the front. In Unix ns."""

    node: Node
    start_ns: int
    end_ns: int

    @property
    def ns(self) -> int:
        """How long it was."""
        return self.end_ns - self.start_ns


@dataclass(frozen=True)
class _Front:
    """From start_ns to end_ns, so many were at the front; alone: the only one, if there was but one."""

    start_ns: int
    end_ns: int
    size: int
    alone: int | None


class Analysis:
    """Processes (parents before their children) between two moments, in Unix ns."""

    def __init__(self, nodes: Sequence[Node], start_ns: int, end_ns: int) -> None:
        self.start_ns, self.end_ns = start_ns, max(end_ns, start_ns + 1)
        self.nodes = {node.id: node for node in nodes}
        self._lives = {node.id: self._life(node) for node in nodes}
        self._fronts = list(self._sweep())

    def _life(self, node: Node) -> tuple[int, int]:
        """Start and end as far as they are between the two moments."""
        start = max(node.start_ns, self.start_ns)
        return start, max(start, min(_end(node), self.end_ns))

    def _sweep(self) -> Iterator[_Front]:
        """The front from change to change, in order."""
        # At one moment ends come first, and of the starts those of parents.
        changes = sorted(
            change
            for id, (start, end) in self._lives.items()
            if end > start
            for change in ((start, 1, id), (end, 0, id))
        )
        alive: set[int] = set()
        children: Counter[int] = Counter()  # living ones, by parent
        front: set[int] = set()
        since = self.start_ns
        for time, begins, id in changes:
            if time > since:
                yield _Front(since, time, len(front), next(iter(front)) if len(front) == 1 else None)
                since = time
            above = self.nodes[id].parent_id
            if begins:
                alive.add(id)
                front.add(id)
                if above in alive:
                    children[above] += 1
                    front.discard(above)
            else:
                alive.discard(id)
                front.discard(id)
                if above in alive:
                    children[above] -= 1
                    if not children[above]:
                        front.add(above)
        if self.end_ns > since:
            yield _Front(since, self.end_ns, len(front), next(iter(front)) if len(front) == 1 else None)

    def parallelism(self, steps: int) -> list[float]:
        """How many were at the front, on average over each of so many equal steps."""
        step = (self.end_ns - self.start_ns) / steps
        sums = [0.0] * steps
        for front in self._fronts:
            first, last = (front.start_ns - self.start_ns) / step, (front.end_ns - self.start_ns) / step
            for number in range(int(first), min(int(last) + 1, steps)):
                sums[number] += front.size * max(min(last, number + 1) - max(first, number), 0)
        return sums

    def alone(self) -> list[Stretch]:
        """When one was alone at the front, longest first. Stretches of one process that follow each other are one."""
        found: list[Stretch] = []
        for front in self._fronts:
            if front.alone is None:
                continue
            node = self.nodes[front.alone]
            if found and found[-1].node is node and found[-1].end_ns == front.start_ns:
                found[-1] = Stretch(node, found[-1].start_ns, front.end_ns)
            else:
                found.append(Stretch(node, front.start_ns, front.end_ns))
        return sorted(found, key=lambda stretch: (-stretch.ns, stretch.start_ns))

    def chain(self) -> list[Stretch]:
        """Who, one after another, decided the time, in its order: the critical chain.

        From the end back it is always the child that ended last; in between its parent, which then worked itself or
        slept; and within a child's life the same again. A child that outlived its parent, or whatever came after it,
        has kept nobody waiting.
        """
        children: dict[int | None, list[int]] = {}
        ends = {id: _end(node) for id, node in self.nodes.items()}
        for id in sorted(ends, key=lambda id: ends[id]):
            above = self.nodes[id].parent_id
            children.setdefault(above if above in self.nodes else None, []).append(id)
        found: list[Stretch] = []
        # Who, from when, until when, and what was there before it on the way back.
        todo: list[tuple[int | None, int, int]] = [(None, self.start_ns, self.end_ns)]
        while todo:
            who, since, until = todo.pop()
            below = children.get(who, [])
            while below and ends[below[-1]] > until:
                below.pop()
            if not below or ends[below[-1]] <= since:
                self._add(found, who, since, until)
                continue
            child = below.pop()
            start = max(self._lives[child][0], since)
            self._add(found, who, ends[child], until)
            todo += [(who, since, start), (child, start, ends[child])]
        return found[::-1]

    def _add(self, found: list[Stretch], id: int | None, since: int, until: int) -> None:
        if id is not None and until > since:
            found.append(Stretch(self.nodes[id], since, until))


def _end(node: Node) -> int:
    """When it ended, also if that was later than what is looked at; of one that is lost, at once."""
    if node.end_ns is not None:
        return node.end_ns
    return _NEVER if node.outcome == "running" else node.start_ns
