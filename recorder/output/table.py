"""Writes rows as a table that fits the terminal: it cuts long text, and leaves out the last columns if necessary."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import column_kinds
from .escape import safe
from .row_style import RowStyle, failure_test

# Widths in characters
_GAP = 2  # between columns: the padding, and one of the box
_MAX_UNCUT = 18  # text up to this width is never cut
_MIN_CUT = 20  # longer text gets at least this width
_MAX_IN_FILE = 100  # the maximum in a file or a pipe, where all columns are shown
_UNLIMITED = 100_000
_MAX_CELL = 10_000  # wider than any terminal


def write(
    columns: Sequence[str], rows: Iterator[Sequence[Any]], limit: int, output: TextIO, style: RowStyle | None = None
) -> None:
    """Writes up to `limit` rows, and below them the number of rows and the columns that were left out.

    Numbers are written with their units, as people read them; see column_kinds. On a terminal, failed rows are red.
    """
    shown = list(islice(rows, limit))
    total = len(shown) + sum(1 for _ in rows)
    headers = column_kinds.headers(columns)
    formats, numeric = _formats(columns, shown, style or RowStyle())
    cells = [tuple(format(value) for format, value in zip(formats, row, strict=True)) for row in shown]
    is_failed = failure_test(columns)
    left_out = _write_table(headers, cells, numeric, [is_failed(row) for row in shown], output)
    count = f"{total:,} row" + ("" if total == 1 else "s")
    more = "" if total == len(shown) else f"{len(shown):,} of "
    output.write(f"{more}{count}{' (--limit N for more, or --format csv)' if more else ''}\n")
    if left_out:
        output.write(f"No room for {', '.join(left_out)}\n")


def write_heading(text: str, output: TextIO) -> None:
    """Writes a text above a table; on a terminal, in lines that fit into it."""
    text = safe(text)
    if output.isatty():
        text = textwrap.fill(text, Console(file=output, force_terminal=True).width)
    output.write(f"{text}\n\n")


def _write_table(
    headers: list[str], cells: list[tuple[str, ...]], numeric: list[bool], failed: list[bool], output: TextIO
) -> list[str]:
    """Writes the header and the cells; returns the headers of the columns for which there is no room."""
    is_terminal = output.isatty()
    width = None if is_terminal else _UNLIMITED
    console = Console(file=output, width=width, highlight=False, force_terminal=is_terminal)
    widths = _fit(headers, cells, numeric, console.width)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for header, width, is_numeric in zip(headers, widths, numeric, strict=False):
        justify = "right" if is_numeric else "left"
        table.add_column(header, justify=justify, width=width, no_wrap=True, overflow="ellipsis")  # type: ignore[arg-type]
    for row, is_red in zip(cells, failed, strict=True):
        table.add_row(*map(Text, row[: len(widths)]), style="red" if is_red else None)
    with console.capture() as capture:
        console.print(table)
    output.writelines(f"{line.rstrip()}\n" for line in capture.get().splitlines())
    return headers[len(widths) :]


def _formats(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], style: RowStyle
) -> tuple[list[Callable[[Any], str]], list[bool]]:
    """Returns a function for each column that formats its values, and whether the column has numbers alone."""
    formats: list[Callable[[Any], str]] = []
    numeric = []
    for at, column in enumerate(columns):
        kind = column_kinds.kind_of(column, style.zone, style.knows_users)
        is_number = all(isinstance(row[at], int | float | None) for row in rows)
        numeric.append(is_number and (kind is None or kind.is_number))
        formats.append(_text if kind is None else _format_with(kind.format))
    return formats, numeric


def _format_with(format: Callable[[Any], str]) -> Callable[[Any], str]:
    def text(value: Any) -> str:
        if isinstance(value, int | float):
            try:
                return format(value)
            except (ValueError, OverflowError):  # infinite: it comes from someone's own SQL
                return str(value)
        return _text(value)

    return text


def _text(value: Any) -> str:
    if value is None:
        return ""
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
