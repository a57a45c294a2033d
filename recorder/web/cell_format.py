"""Formats the cells of tables: readable times, durations and sizes, and links to related rows. Pure.

All text in HTML goes through escape(), because any user can choose the names and arguments of processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from html import escape
from typing import Any, NamedTuple

from ..model import argv
from ..output import row_style, units

TIMELINE = "timeline"
"""Link.page of a link to a recording's timeline."""

_DURATIONS = {"lifetime_ns", "cpu_ns", "user_ns", "system_ns", "run_delay_ns", "step_ns"}
_SIZES = {"read_bytes", "write_bytes", "total_bytes"}
_OFFSETS = {"clock_offset_ns", "recorder_start_ns"}
_PROCESS_IDS = {"id", "of_id"}  # in saved queries; in tables and custom SQL they can be ids of anything
_ENDS = {"exit_code", "signal", "outcome"}
_PROCESS_REFERENCES = {"process_id", "parent_id"}


class Link(NamedTuple):
    """A link in a cell.

    page: a table, a saved query, or TIMELINE. rest: the end of the URL, after the page's. shown: the text of the link.
    before: text in front of the link.
    """

    page: str
    rest: str
    shown: str
    before: str = ""

    def html(self, address: str) -> str:
        """Returns the link as HTML. address: the full URL."""
        return f'{escape(self.before)}<a href="{escape(address)}">{escape(self.shown)}</a>'


def find_link(
    column: str, value: Any, in_table: str | None, is_saved_query: bool, row: Mapping[str, Any]
) -> Link | None:
    """Returns the link for a value; None if it has none.

    in_table: the table that is shown, None for a query. row: the values of the row by column; it may be incomplete.
    """
    if in_table == "recordings" and column == "status" and "id" in row:
        return Link(TIMELINE, f"/{_raw_value(row['id'])}", "timeline", f"{value} ")
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    if column in _PROCESS_REFERENCES or (column in _PROCESS_IDS and is_saved_query):
        return Link("processes", f"/{value}", str(value))
    if in_table == "processes" and column == "pid" and "id" in row:
        return Link("tree", f"?id={_raw_value(row['id'])}", str(value))
    if in_table == "processes" and column == "execs" and "id" in row:
        return Link("programs", f"?process_id={_raw_value(row['id'])}", str(value))
    return None


def is_moment(column: str, value: Any) -> bool:
    """Returns whether a value is a time in Unix ns, for format_moment()."""
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    return column.endswith("_ns") and column not in _OFFSETS and column not in _DURATIONS


def format_moment(value: int, zone: tzinfo) -> str:
    """Returns HTML for a time in Unix ns: in a time zone, with its offset from UTC."""
    return _with_raw_title(units.zoned_moment(value, zone, "microseconds") or str(value), value)


def format_value(column: str, value: Any) -> str | None:
    """Returns HTML for a value without a link that isn't a time; None to leave it to Datasette."""
    if isinstance(value, bytes) and column in ("args", "argv", "filename", "path", "cgroup"):
        return escape(argv.quote(value, len(value)))
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    if column in _DURATIONS:
        return _with_raw_title(units.duration(value), value)
    if column.removesuffix("_before").endswith("_rss_kib"):
        return _with_raw_title(units.size(value), value)
    if column in _SIZES:
        return _with_raw_title(units.byte_size(value), value)
    if column == "signal":
        return _with_raw_title(units.signal_name(value), value)
    return None


def mark_failure(column: str, value: Any, row: Mapping[str, Any], html: str | None) -> str | None:
    """Returns the HTML of a value with a mark if it says that the row's process failed: then a row is red.

    row: as in find_link(). html: of the value; None: as text.
    """
    if column not in _ENDS or "pid" not in row or not row_style.failure_test(("pid", column))((0, value)):
        return html
    return f'<span class="webpf-failed">{escape(str(value)) if html is None else html}</span>'


def _raw_value(value: Any) -> Any:
    """Returns the value itself where Datasette passes it together with a label."""
    return value["value"] if isinstance(value, Mapping) else value


def _with_raw_title(shown: str, value: int) -> str:
    return f'<span title="{value}">{escape(shown)}</span>'
