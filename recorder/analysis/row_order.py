"""The order and the columns of a result, as --sort and --columns choose them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError
from ..host.invocation import called_command
from ..model import argv
from ..output import column_kinds

_DIRECTIONS = {"": False, "asc": False, "desc": True}
_NEAR = 3  # names that a message offers


@dataclass(frozen=True)
class RowOrder:
    """How rows are sorted, and which columns are shown, in this order. Empty: as the query has them.

    Unknown values (NULL) come last in both directions. Rows with equal values keep the query's order.
    """

    sort: str = ""
    is_descending: bool = False
    columns: tuple[str, ...] = ()

    @property
    def changes_rows(self) -> bool:
        """Whether it is anything else than the query's own."""
        return bool(self.sort or self.columns)

    def resolve(self, known: Sequence[str]) -> RowOrder:
        """Returns the same with the full names of columns; tables show them without units. Raises UsageError."""
        columns = tuple(_find("--columns", each, known) for each in self.columns)
        if not self.sort:
            return RowOrder(columns=columns)
        return RowOrder(_find("--sort", self.sort, known), self.is_descending, columns or tuple(known))

    def apply_to_sql(self, sql: str, limit: int | None = None) -> str:
        """Returns SQL for these rows of a SELECT, at most `limit`. Its names must be resolved."""
        if not self.changes_rows and limit is None:
            return sql
        shown = ", ".join(map(_quoted, self.columns)) or "*"
        ending = "" if limit is None else f"\nLIMIT {limit}"
        if not self.sort:
            return f"SELECT {shown}\nFROM (\n{sql}\n){ending}"
        # A number for each row keeps the query's order among equal values.
        numbered = f"SELECT *, row_number() OVER () AS row_position\nFROM (\n{sql}\n)"
        order = f"{_quoted(self.sort)}{' DESC' if self.is_descending else ''} NULLS LAST, row_position"
        return f"SELECT {shown}\nFROM (\n{numbered}\n)\nORDER BY {order}{ending}"

    def apply_to_rows(
        self, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]
    ) -> tuple[list[str], Iterable[tuple[Any, ...]]]:
        """Returns these columns and rows, all of which are in memory if they are sorted. Raises UsageError."""
        found = self.resolve(columns)
        if found.sort:
            rows = _sorted(rows, list(columns).index(found.sort), self.is_descending)
        if not found.columns:
            return list(columns), rows
        at = [list(columns).index(each) for each in found.columns]
        return list(found.columns), (tuple(row[each] for each in at) for row in rows)


OWN_ORDER = RowOrder()
"""The rows and columns as the query has them."""


def parse(sort: str | None, columns: str | None) -> RowOrder:
    """Parses the values of --sort and --columns. Raises UsageError."""
    name, _, direction = (sort or "").partition(":")
    if sort is not None and (not name or direction not in _DIRECTIONS):
        hint = f"{called_command()} --sort {argv.word(name or 'COLUMN')}:desc"
        raise UsageError(f"--sort takes COLUMN or COLUMN:desc, not {sort!r}", hint)
    shown = [each.strip() for each in (columns or "").split(",")]
    if columns is not None and not all(shown):
        raise UsageError(f"--columns takes names with commas between them, not {columns!r}", "webpf query --help")
    return RowOrder(name, _DIRECTIONS[direction], tuple(each for each in shown if each))


def _find(option: str, name: str, known: Sequence[str]) -> str:
    if name in known:
        return name
    short = dict(zip(column_kinds.headers(known), known, strict=True))
    if name in short:
        return short[name]
    near = difflib.get_close_matches(name, [*known, *short], n=2 * _NEAR, cutoff=0.5)
    offered = list(dict.fromkeys(short.get(each, each) for each in near))[:_NEAR]
    described = f"did you mean {' or '.join(offered)}?" if offered else f"it has {', '.join(known)}"
    raise UsageError(f"{option}: there is no column {name!r}: {described}", f"{called_command()} --help")


def _quoted(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _sorted(rows: Iterable[tuple[Any, ...]], at: int, is_descending: bool) -> Iterator[tuple[Any, ...]]:
    """Sorts as SQLite does: numbers come before text."""
    unknown: list[tuple[Any, ...]] = []
    known: list[tuple[Any, ...]] = []
    for row in rows:
        (unknown if row[at] is None else known).append(row)
    known.sort(key=lambda row: (isinstance(row[at], str), row[at]), reverse=is_descending)
    yield from known
    yield from unknown
