"""Writes rows as a table that fits the terminal: it cuts long text, and leaves out the last columns if necessary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .escape import safe
from .units import short_moment

# Widths in characters
_GAP = 2  # between columns: the padding, and one of the box
_MAX_UNCUT = 18  # text up to this width is never cut
_MIN_CUT = 20  # longer text gets at least this width
_MAX_IN_FILE = 100  # the maximum in a file or a pipe, where all columns are shown
_UNLIMITED = 100_000
_MAX_CELL = 10_000  # wider than any terminal


def write(columns: Sequence[str], rows: Iterator[tuple[Any, ...]], limit: int, output: TextIO) -> None:
    """Writes up to `limit` rows, and below them the number of rows and the columns that were left out.

    Columns in Unix ns are shown as local time, and their names without `_ns`.
    """
    shown = list(islice(rows, limit))
    total = len(shown) + sum(1 for _ in rows)
    console = Console(file=output, width=None if output.isatty() else _UNLIMITED, highlight=False)
    times = [column.endswith("_ns") for column in columns]
    cells = [tuple(map(_cell, row, times)) for row in shown]
    headers = [column.removesuffix("_ns") for column in columns]
    numeric = [all(isinstance(row[i], int | float | None) for row in shown) for i in range(len(columns))]
    widths = _fit(headers, cells, numeric, console.width)

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for header, width, is_numeric in zip(headers, widths, numeric, strict=False):
        justify = "right" if is_numeric else "left"
        table.add_column(header, justify=justify, width=width, no_wrap=True, overflow="ellipsis")  # type: ignore[arg-type]
    for row in cells:
        table.add_row(*map(Text, row[: len(widths)]))
    with console.capture() as capture:
        console.print(table)
    output.writelines(f"{line.rstrip()}\n" for line in capture.get().splitlines())
    count = f"{total:,} row" + ("" if total == 1 else "s")
    more = "" if total == len(shown) else f"{len(shown):,} of "
    output.write(f"{more}{count}{' (--limit N for more, or --format csv)' if more else ''}\n")
    if len(widths) < len(headers):
        output.write(f"No room for {', '.join(headers[len(widths) :])}\n")


def _cell(value: Any, is_time: bool) -> str:
    if value is None:
        return ""
    if is_time and isinstance(value, int):
        return short_moment(value)
    if isinstance(value, float):
        return f"{value:.3f}"
    return safe(str(value)[:_MAX_CELL])


def _fit(headers: list[str], cells: list[tuple[str, ...]], numeric: list[bool], width: int) -> list[int]:
    """Returns the widths of the first columns, as many as fit. Numbers and short text are never cut."""
    natural = [max(map(cell_len, (header, *(row[i] for row in cells)))) for i, header in enumerate(headers)]
    if width == _UNLIMITED:
        natural = [min(each, _MAX_IN_FILE) for each in natural]
    widths = [
        each if is_numeric or each <= _MAX_UNCUT else min(each, _MIN_CUT)
        for each, is_numeric in zip(natural, numeric, strict=True)
    ]
    while len(widths) > 1 and sum(widths) + _GAP * len(widths) > width:
        widths.pop()
    spare = width - sum(widths) - _GAP * len(widths)
    for i in sorted(range(len(widths)), key=lambda i: natural[i] - widths[i]):
        # The column that is cut least comes first, so that the space it doesn't need goes to the others.
        cut = [j for j in range(len(widths)) if natural[j] > widths[j]]
        if i in cut:
            extra = max(0, min(natural[i] - widths[i], spare // len(cut)))
            widths[i] += extra
            spare -= extra
    return widths
