"""What a process cost, as attributes of its span.

OpenTelemetry has metrics for these, and a span has no metrics. So an attribute is named after the metric and after the
value that the metric's own attribute (cpu.mode, disk.io.direction, system.paging.fault.type or
process.context_switch.type) has for it, and it is in the metric's unit. Semantic conventions:
https://opentelemetry.io/docs/specs/semconv/system/process-metrics/
"""

from __future__ import annotations

import sqlite3

_SECONDS = 1e9  # in ns
_METRICS: dict[str, tuple[str, float | None]] = {
    "user_ns": ("process.cpu.time.user", _SECONDS),
    "system_ns": ("process.cpu.time.system", _SECONDS),
    "read_bytes": ("process.disk.io.read", None),
    "write_bytes": ("process.disk.io.write", None),
    "minor_faults": ("process.paging.faults.minor", None),
    "major_faults": ("process.paging.faults.major", None),
    "voluntary_switches": ("process.context_switches.voluntary", None),
    "involuntary_switches": ("process.context_switches.involuntary", None),
}

COLUMNS = frozenset(_METRICS)
"""The columns of processes that cost_attributes() exports."""


def cost_attributes(row: sqlite3.Row) -> dict[str, int | float | None]:
    """Returns the attributes of a row of processes: times in seconds, all else as it is. None: not known."""
    return {name: _in_unit(row[column], unit) for column, (name, unit) in _METRICS.items()}


def _in_unit(value: int | None, unit: float | None) -> int | float | None:
    return value if value is None or unit is None else value / unit
