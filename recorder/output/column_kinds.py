"""What the values of a column are, by the unit in its name, and how people read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from . import units

_MOMENTS = frozenset(["time", "start", "end", "started", "ended", "updated", "freed", "from", "until", "first", "last"])
_OFFSETS = frozenset({"clock_offset_ns", "recorder_start_ns"})  # neither Unix time nor a length
_SUFFIX_BEFORE = "_before"  # the query compare has such columns
_SHORT_NAMES = {
    "exit_code": "exit", "uid": "user", "euid": "euser", "loginuid": "login",
    "user_ms": "user_cpu", "system_ms": "system_cpu", "user_ns": "user_cpu", "system_ns": "system_cpu",
}  # fmt: skip
"""Names in tables that don't follow from the unit. user alone is the user whose process it is."""

MOMENT = "moment"
"""Kind.name of columns in Unix ns."""


@dataclass(frozen=True)
class Kind:
    """What the numbers of a column are. header: the name of the column in a table. format: returns a number as text.

    is_number: whether the text is a quantity, which tables align at the right.
    """

    name: str
    header: str
    format: Callable[[Any], str]
    is_number: bool = True


def kind_of(column: str, zone: tzinfo | None = None, knows_users: bool = False) -> Kind | None:
    """Returns the kind of a column; None if its numbers are shown as they are.

    zone: of the times; None: local time. knows_users: whether the users of this machine are the recorded ones.
    """
    base = column.removesuffix(_SUFFIX_BEFORE)
    after = column[len(base) :]
    stem, _, unit = base.rpartition("_")
    if unit == "ns" and stem and base not in _OFFSETS:
        if is_moment(base):
            return Kind(MOMENT, stem + after, lambda value: units.short_moment(int(value), zone))
        return Kind("duration", stem + after, units.duration)
    if unit == "ms" and stem:
        return Kind("duration", stem + after, lambda value: units.duration(value * 1e6))
    if column == "seconds":
        return Kind("duration", column, lambda value: units.duration(value * 1e9))
    if unit == "kib" and stem:
        return Kind("size", stem + after, lambda value: units.size(round(value)))
    if unit == "bytes" and stem:
        return Kind("size", stem + after, lambda value: units.byte_size(round(value)))
    if unit == "percent" and stem:
        return Kind("percent", column, lambda value: f"{value:,.1f}")
    return _kind_of_name(column, knows_users)


def _kind_of_name(column: str, knows_users: bool) -> Kind | None:
    if column == "signal":
        return Kind("signal", column, lambda value: units.short_signal_name(int(value)), False)
    if column in ("uid", "euid", "loginuid"):
        return Kind("user", _SHORT_NAMES[column], lambda value: units.user_name(int(value), knows_users), False)
    return None


def is_moment(column: str) -> bool:
    """Returns whether the values of a column are Unix ns; all other columns in ns are durations."""
    if not column.endswith("_ns") or column in _OFFSETS:
        return False
    return column.removesuffix("_ns").rpartition("_")[2] in _MOMENTS


def headers(columns: Sequence[str]) -> list[str]:
    """Returns the names of columns in a table: without units, unless two columns would have the same name."""
    short = [header(column) for column in columns]
    return [name if short.count(name) == 1 else column for name, column in zip(short, columns, strict=True)]


def header(column: str) -> str:
    """Returns the name of a column in a table."""
    kind = kind_of(column)
    return _SHORT_NAMES.get(column) or (kind.header if kind else column)
