"""The tree of a recording's processes, folded where it repeats: siblings that did the same are one line. Pure.

Two processes did the same if their programs have one name, they ended alike, and what they started did the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..output.command_label import cut
from ..output.units import duration
from .process_tree import Node

DEPTH = 100
"""How many levels are drawn as branches before a line. Levels below that have "…" before it, and the last branches."""

_LEAST = 16  # characters of a command line, however narrow the terminal
_BRANCH, _LAST, _PAST, _UNDER_LAST = "├─ ", "└─ ", "│  ", "   "
_WIDEST = DEPTH * len(_PAST)


class Tree:
    """The processes of a recording."""

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
        """All processes, parents before their children: mostly, but not always, in the order of their ids."""
        order = self._with_those_below(self._children.setdefault(None, []))
        missing = self._nodes.keys() - order
        while missing:  # each other's ancestors, in a file that no recorder wrote
            top = min(missing)
            self._children[self._nodes[top].parent_id].remove(top)
            self._children[None].append(top)
            below = self._with_those_below([top])
            order += below
            missing.difference_update(below)
        return order

    def _with_those_below(self, ids: Iterable[int]) -> list[int]:
        found = list(ids)
        for id in found:  # which grows meanwhile
            found += self._children.get(id, [])
        return found

    def _drop_idle(self) -> int:
        """Leaves out processes that ran all the time and started nothing: most machines have many, and they say little.

        Returns how many.
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
        return self._nodes[id].is_old and self._nodes[id].outcome == "running"

    def _find_shapes(self) -> dict[int, int]:
        """A number for each process, the same for those that did the same."""
        numbers: dict[tuple[str, str, frozenset[int]], int] = {}
        shapes: dict[int, int] = {}
        for id in reversed(self._order):
            node = self._nodes[id]
            below = frozenset(shapes[child] for child in self._children.get(id, []))
            shapes[id] = numbers.setdefault((node.program, node.outcome, below), len(numbers))
        return shapes

    def lines(self, top: int | None = None, depth: int | None = None, width: int | None = None) -> Iterator[str]:
        """The tree as text, from the roots or from the process with the id `top` down.

        depth: at most so many levels below; a line says how many processes are below it that aren't shown.
        width: command lines are cut so that a line has so many characters.
        """
        tops = self._children[None] if top is None else [top]
        todo = [("", "", 0, group) for group in reversed(self._groups(tops))]
        while todo:
            before, below, level, group = todo.pop()
            if level > DEPTH:  # else a chain of n processes would take n * n characters
                before = f"… {before}"
            yield before + self._describe(group, level == depth, None if width is None else width - len(before))
            if level == depth:
                continue
            groups = self._groups([child for id in group for child in self._children.get(id, [])])
            for number, each in reversed(list(enumerate(groups, 1))):
                is_last = number == len(groups)
                branch, under = (_LAST, _UNDER_LAST) if is_last else (_BRANCH, _PAST)
                todo.append(((below + branch)[-_WIDEST:], (below + under)[-_WIDEST:], level + 1, each))

    def _groups(self, ids: Sequence[int]) -> list[list[int]]:
        """Those that did the same together, in the order of their first."""
        groups: dict[int, list[int]] = {}
        for id in ids:
            groups.setdefault(self._shapes.get(id, -id), []).append(id)
        return list(groups.values())

    def _describe(self, group: list[int], is_cut: bool, width: int | None) -> str:
        nodes = [self._nodes[id] for id in group]
        figures = f"  [{', '.join(_figures(nodes))}]"
        hidden = len(self._with_those_below(group)) - len(group) if is_cut else 0
        if hidden:
            figures += f" … {hidden:,} more process{'' if hidden == 1 else 'es'} below"
        if len(nodes) > 1:
            return f"{len(nodes):,} x {nodes[0].program}{figures}"
        return cut(nodes[0].line, None if width is None else max(width - len(figures), _LEAST)) + figures


def _figures(nodes: list[Node]) -> Iterator[str]:
    """Times of processes that did the same, and how they ended."""
    known = [node.lifetime_ns for node in nodes if node.lifetime_ns is not None]
    if len(nodes) > 1 and known:
        yield f"{duration(sum(known))} in all"
        yield f"longest {duration(max(known))}"
    elif known:
        yield duration(known[0])
    cpu = [node.cpu_ns for node in nodes if node.cpu_ns is not None]
    if cpu:
        yield f"CPU {duration(sum(cpu))}"
    if nodes[0].outcome != "exit 0":
        yield nodes[0].outcome
