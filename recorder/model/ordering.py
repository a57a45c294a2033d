"""Orders rows of processes so that each parent comes before its children."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

_Row = TypeVar("_Row")


def parents_first(
    rows: Iterable[_Row], id_of: Callable[[_Row], int], parent_of: Callable[[_Row], int | None]
) -> Iterator[_Row]:
    """Yields all rows in their order, but each after its parent.

    Ordering by id or start is not enough: a parent has the higher id if it became known after its child, and the later
    start if its child's start is known to 10 ms only. Rows whose parent is missing come at the end, and after them rows
    that are their own ancestors (in a damaged file).
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
    # Children of missing parents come first; what is left then are cycles.
    for parent in sorted(waiting, key=held.__contains__):
        for row in waiting.pop(parent, ()):
            yield from _with_descendants(row, waiting, seen, id_of)


def _with_descendants(
    row: _Row, waiting: dict[int, list[_Row]], seen: set[int], id_of: Callable[[_Row], int]
) -> Iterator[_Row]:
    stack = [row]
    while stack:
        each = stack.pop()
        seen.add(id_of(each))
        yield each
        stack += reversed(waiting.pop(id_of(each), []))
