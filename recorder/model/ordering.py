"""Rows of processes in an order in which each parent comes before its children."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

_Row = TypeVar("_Row")


def parents_first(
    rows: Iterable[_Row], id_of: Callable[[_Row], int], parent_of: Callable[[_Row], int | None]
) -> Iterator[_Row]:
    """The rows in the order in which they are given, but each behind its parent; none is left out.

    A parent can have the higher id, if it was known only after its child, and the later start, if that of its child is
    known to 10 ms only. Those whose parent is not among the rows, or in a ring (in a damaged file), come at the end.
    """
    waiting: dict[int, list[_Row]] = {}  # by the id of the parent
    seen: set[int] = set()
    for row in rows:
        parent = parent_of(row)
        if parent is None or parent in seen:
            yield from _with_descendants(row, waiting, seen, id_of)
        else:
            waiting.setdefault(parent, []).append(row)
    held = {id_of(row) for children in waiting.values() for row in children}
    # First below those that are not there; what is left then is in rings.
    for parent in sorted(waiting, key=held.__contains__):
        for row in waiting.pop(parent, ()):
            yield from _with_descendants(row, waiting, seen, id_of)


def _with_descendants(
    row: _Row, waiting: dict[int, list[_Row]], seen: set[int], id_of: Callable[[_Row], int]
) -> Iterator[_Row]:
    todo = [row]
    while todo:
        each = todo.pop()
        seen.add(id_of(each))
        yield each
        todo += reversed(waiting.pop(id_of(each), []))
