"""The tree of a recording's processes, folded where it repeats: siblings that did the same are one line. Pure.

Two processes did the same if their programs have one name, they ended alike, and what they started did the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from .family import Node, shortened
from .terminal import duration

_LEAST = 16  # characters of a command line, however narrow the terminal
_BRANCH, _LAST, _PAST, _UNDER_LAST = "├─ ", "└─ ", "│  ", "   "


class Tree:
    """The processes of a recording; they are given parents before their children."""

    def __init__(self, nodes: Iterable[Node], folds: bool = True) -> None:
        self._nodes = {node.id: node for node in nodes}
        self._children: dict[int | None, list[int]] = {}
        for node in self._nodes.values():
            above = node.parent_id if node.parent_id in self._nodes else None
            self._children.setdefault(above, []).append(node.id)
        self._drop_idle()
        self._shapes = self._find_shapes() if folds else {}

    def _drop_idle(self) -> None:
        """Leaves out who ran all the time and started nothing: on most machines they are many, and say little."""
        for node in reversed(self._nodes.values()):
            children = [id for id in self._children.get(node.id, []) if id in self._children or not self._is_idle(id)]
            if children:
                self._children[node.id] = children
            else:
                self._children.pop(node.id, None)
        roots = self._children.get(None, [])
        self._children[None] = [id for id in roots if id in self._children or not self._is_idle(id)]

    def _is_idle(self, id: int) -> bool:
        return self._nodes[id].is_old and self._nodes[id].outcome == "running"

    def _find_shapes(self) -> dict[int, int]:
        """A number for each process, the same for those that did the same. Children first: they come later."""
        numbers: dict[tuple[str, str, frozenset[int]], int] = {}
        shapes: dict[int, int] = {}
        for node in reversed(self._nodes.values()):
            below = frozenset(shapes[id] for id in self._children.get(node.id, []))
            shapes[node.id] = numbers.setdefault((node.program, node.outcome, below), len(numbers))
        return shapes

    def lines(self, pid: int | None = None, depth: int | None = None, width: int | None = None) -> Iterator[str]:
        """The tree as text, from the roots or from each owner of a pid down.

        depth: at most so many levels below. width: command lines are cut so that a line has so many characters.
        """
        tops = self._children[None] if pid is None else [node.id for node in self._nodes.values() if node.pid == pid]
        todo = [("", "", 0, group) for group in reversed(self._groups(tops))]
        while todo:
            before, below, level, group = todo.pop()
            yield before + self._describe(group, None if width is None else width - len(before))
            if level == depth:
                continue
            groups = self._groups([child for id in group for child in self._children.get(id, [])])
            for number, each in reversed(list(enumerate(groups, 1))):
                is_last = number == len(groups)
                todo.append(
                    (
                        below + (_LAST if is_last else _BRANCH),
                        below + (_UNDER_LAST if is_last else _PAST),
                        level + 1,
                        each,
                    )
                )

    def _groups(self, ids: Sequence[int]) -> list[list[int]]:
        """Those that did the same together, in the order of their first."""
        groups: dict[int, list[int]] = {}
        for id in ids:
            groups.setdefault(self._shapes.get(id, -id), []).append(id)
        return list(groups.values())

    def _describe(self, group: list[int], width: int | None) -> str:
        nodes = [self._nodes[id] for id in group]
        first = nodes[0]
        known = [node.lifetime_ns for node in nodes if node.lifetime_ns is not None]
        parts = []
        if len(nodes) > 1 and known:
            parts += [f"{duration(sum(known) / 1e9)} in all", f"longest {duration(max(known) / 1e9)}"]
        elif known:
            parts.append(duration(known[0] / 1e9))
        cpu = [node.cpu_ns for node in nodes if node.cpu_ns is not None]
        if cpu:
            parts.append(f"CPU {duration(sum(cpu) / 1e9)}")
        if first.outcome != "exit 0":
            parts.append(first.outcome)
        figures = f"  [{', '.join(parts)}]"
        if len(nodes) > 1:
            return f"{len(nodes):,} x {first.program}{figures}"
        return shortened(first.line, None if width is None else max(width - len(figures), _LEAST)) + figures
