"""How values are shown in tables: times, durations and sizes that can be read, and links to what belongs to them. Pure.

A cell becomes HTML only by way of escape(): names and arguments are anybody's text.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from datetime import datetime
from html import escape
from typing import Any

from .. import argv

_DURATIONS = {"lifetime_ns", "cpu_ns", "step_ns"}
_OFFSETS = {"clock_offset_ns", "recorder_start_ns"}
_PROCESS_IDS = {"id", "of_id"}  # in queries; tables have ids of other things
_POINTERS = {"process_id", "parent_id"}
_UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"))


def html(
    column: str,
    value: Any,
    in_table: str | None,
    path: Callable[[str], str],
    timeline: Callable[[int], str],
    row: Mapping[str, Any],
) -> str | None:
    """HTML for a value, or None where Datasette's own way is right.

    in_table: the table that is shown, None for a query. path: makes a path within the database one of the site.
    timeline: where that of a recording is. row: the values beside it, by column; not all need be there.
    """
    if isinstance(value, bytes) and column in ("args", "argv"):
        return escape(argv.quote(value, len(value)))
    if in_table == "recordings" and column == "status" and "id" in row:
        return f"{escape(str(value))} {_link(timeline(_plain(row['id'])), 'timeline')}"
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    if column in _DURATIONS:
        return _titled(duration(value), value)
    if column.endswith("_ns") and column not in _OFFSETS:
        return _titled(moment(value), value)
    if column.removesuffix("_before").endswith("_rss_kib"):
        return _titled(size(value), value)
    if column == "signal":
        return _titled(signal_name(value), value)
    if column in _POINTERS or (column in _PROCESS_IDS and in_table is None):
        return _link(path(f"/processes/{value}"), str(value))
    if in_table == "processes" and column == "pid" and "id" in row:
        return _link(path(f"/tree?id={_plain(row['id'])}"), str(value))
    if in_table == "processes" and column == "execs" and "id" in row:
        return _link(path(f"/programs?process_id={_plain(row['id'])}"), str(value))
    return None


def duration(ns: int) -> str:
    """Nanoseconds in the unit that suits them."""
    for unit, name in _UNITS:
        if abs(ns) >= unit:
            return f"{ns / unit:,.3f} {name}"
    return f"{ns} ns"


def moment(ns: int) -> str:
    """Unix ns as local time, to the microsecond."""
    seconds, rest = divmod(ns, 1_000_000_000)
    try:
        return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M:%S}.{rest // 1000:06d}"
    except (ValueError, OverflowError, OSError):
        return str(ns)


def size(kib: int) -> str:
    """KiB in the unit that suits them."""
    if kib < 1024:
        return f"{kib:,} KiB"
    return f"{kib / 1024:,.1f} MiB" if kib < 1024 * 1024 else f"{kib / 1024 / 1024:,.2f} GiB"


def signal_name(number: int) -> str:
    """Number and name of a signal."""
    try:
        return f"{number} {signal.Signals(number).name.removeprefix('SIG')}"
    except ValueError:
        return str(number)


def _plain(value: Any) -> Any:
    """What is in the database, where Datasette has put a label beside it."""
    return value["value"] if isinstance(value, Mapping) else value


def _titled(shown: str, value: int) -> str:
    return f'<span title="{value}">{escape(shown)}</span>'


def _link(target: str, shown: str) -> str:
    return f'<a href="{escape(target)}">{escape(shown)}</a>'
