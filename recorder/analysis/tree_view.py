"""The tree of a recording's processes, in which siblings that did the same are folded into one branch. Pure.

Two processes did the same if their programs have the same name, they ended in the same way, and their children did the
same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..model.process import RUNNING
from .process_tree import Node


@dataclass(frozen=True)
class Branch:
    """A process in a tree, or siblings that did the same. level: its depth; the top has level 0.

    parent_id: the first process of the branch above. is_last: it is the last branch below that one.
    hidden: how many processes below it are not shown, because they are too deep.
    """

    nodes: Sequence[Node]
    parent_id: int | None
    level: int
    is_last: bool
    hidden: int

    @property
    def lifetimes_ns(self) -> list[int]:
        """The lifetimes that are known, in ns."""
        return [node.lifetime_ns for node in self.nodes if node.lifetime_ns is not None]

    @property
    def cpu_ns(self) -> int | None:
        """The CPU time of its processes, in ns; None if it isn't known for any of them."""
        known = [node.cpu_ns for node in self.nodes if node.cpu_ns is not None]
        return sum(known) if known else None


class Tree:
    """The tree of some processes. idle: how many are left out because they ran all the time and started nothing."""

    def __init__(self, nodes: Iterable[Node], folds: bool = True) -> None:
        self._nodes = {node.id: node for node in nodes}
        self._children: dict[int | None, list[int]] = {}
        for node in self._nodes.values():
            above = node.parent_id if node.parent_id in self._nodes else None
            self._children.setdefault(above, []).append(node.id)
        self._order = self._parents_first()
        self.idle = self._drop_idle()
        self._shapes = self._find_shapes() if folds else {}

    def __contains__(self, id: int) -> bool:
        return id in self._nodes

    def _parents_first(self) -> list[int]:
        """Returns the ids of all processes, parents before their children."""
        order = self._with_descendants(self._children.setdefault(None, []))
        missing = self._nodes.keys() - order
        while missing:  # a damaged file can make processes ancestors of each other: such a ring is cut open
            top = min(missing)
            self._children[self._nodes[top].parent_id].remove(top)
            self._children[None].append(top)
            below = self._with_descendants([top])
            order += below
            missing.difference_update(below)
        return order

    def _with_descendants(self, ids: Iterable[int]) -> list[int]:
        found = list(ids)
        for id in found:  # the list grows while it is read
            found += self._children.get(id, [])
        return found

    def _drop_idle(self) -> int:
        """Removes processes that ran all the time and started nothing: most machines have many, and they say little.

        Returns how many it removed.
        """
        before = after = 0
        for id in [*reversed(self._order), None]:
            below = self._children.get(id, [])
            children = [child for child in below if child in self._children or not self._is_idle(child)]
            before, after = before + len(below), after + len(children)
            if children or id is None:
                self._children[id] = children
            else:
                self._children.pop(id, None)
        return before - after

    def _is_idle(self, id: int) -> bool:
        return self._nodes[id].is_old and self._nodes[id].state == RUNNING

    def _find_shapes(self) -> dict[int, int]:
        """Returns a number for each process. Processes that did the same have the same number."""
        numbers: dict[tuple[str, str, frozenset[int]], int] = {}
        shapes: dict[int, int] = {}
        for id in reversed(self._order):
            node = self._nodes[id]
            below = frozenset(shapes[child] for child in self._children.get(id, []))
            shapes[id] = numbers.setdefault((node.program, node.outcome, below), len(numbers))
        return shapes

    def branches(self, top: int | None = None, depth: int | None = None) -> Iterator[Branch]:
        """Yields the branches, each followed by the branches below it, from the roots or from the process `top` down.

        depth: the number of levels below the top that are shown; None: all.
        """
        todo: list[tuple[list[int], int | None, int, bool]] = []  # the next one is last

        def push(ids: Sequence[int], parent: int | None, level: int) -> None:
            groups = self._groups(ids)
            todo.extend(
                (group, parent, level, number == len(groups)) for number, group in reversed([*enumerate(groups, 1)])
            )

        push(self._children[None] if top is None else [top], None, 0)
        while todo:
            group, parent, level, is_last = todo.pop()
            hidden = len(self._with_descendants(group)) - len(group) if level == depth else 0
            yield Branch([self._nodes[id] for id in group], parent, level, is_last, hidden)
            if level != depth:
                push([child for id in group for child in self._children.get(id, [])], group[0], level + 1)

    def _groups(self, ids: Sequence[int]) -> list[list[int]]:
        """Returns the ids in groups that did the same, in the order of the first id of each."""
        groups: dict[int, list[int]] = {}
        for id in ids:
            groups.setdefault(self._shapes.get(id, -id), []).append(id)
        return list(groups.values())
