"""Sums up a stretch of a timeline: processes, CPU time, cores busy and failures."""

from __future__ import annotations

import sqlite3

from ..model.recording import Recording
from ..storage import reader
from ..storage.sql_macros import expand
from . import process_tree, timeline_rows
from .timeline_rows import ENTRY, WITH_COMMANDS
from .timeline_view import ALIVE, LAST, Row, View

MOST_PROGRAMS = 8
MOST_FAILURES = 20

_OVERLAP = f"(min({LAST}, :to_ns) - max(start_ns, :from_ns))"
_ENDED = "end_ns >= :from_ns AND end_ns <= :to_ns"
_FAILED = f"{_ENDED} AND status <> 0"
# The CPU time of a process is known as a whole. What it used in the stretch is estimated: as if it used it evenly.
_CPU = f"CASE WHEN {LAST} > start_ns THEN 1.0 * cpu_ns * {_OVERLAP} / ({LAST} - start_ns) ELSE cpu_ns END"


def summary(connection: sqlite3.Connection, recording: Recording, view: View) -> Row:
    """Returns the sums over what was alive in the view's stretch and passes its filters, by program and together.

    Times are in ms, from begin_ns(). cores_busy: CPU time by length. unknown: how many processes have no known CPU
    time. The stretch is cut to the recording; if nothing is left, its length_ms is 0.
    """
    begin = process_tree.begin_ns(connection, recording)
    values = view.prepare(connection, recording, begin)
    values["from_ns"] = max(values["from_ns"], min(recording.started_ns, begin))
    values["to_ns"] = min(values["to_ns"], values["now_ns"])
    length = max(values["to_ns"] - values["from_ns"], 0)
    programs = _by_program(connection, view, values) if length else []
    sums = {name: sum(row[name] for row in programs) for name in ("alive", "started", "ended", "failures", "unknown")}
    cpu, overlap = (sum(row[name] for row in programs) for name in ("cpu_ms", "overlap_ms"))
    return sums | {
        "from_ms": (values["from_ns"] - begin) / 1e6,
        "to_ms": (values["from_ns"] + length - begin) / 1e6,
        "length_ms": length / 1e6,
        "cpu_ms": cpu,
        "cores_busy": cpu * 1e6 / length if length else 0,
        "mean_alive": overlap * 1e6 / length if length else 0,
        "cpus": recording.row.get("cpus"),
        "programs": programs[:MOST_PROGRAMS],
        "programs_total": len(programs),
        "failed": _read_failed(connection, view, values, begin) if sums["failures"] else [],
    }


def _by_program(connection: sqlite3.Connection, view: View, values: Row) -> list[Row]:
    """Returns the sums of each program, most CPU time first."""
    sql = f"""SELECT comm, count(*) AS alive, sum(start_ns BETWEEN :from_ns AND :to_ns) AS started,
        total({_ENDED}) AS ended, total({_FAILED}) AS failures, sum(cpu_ns IS NULL) AS unknown,
        total({_CPU}) / 1e6 AS cpu_ms, total({_OVERLAP}) / 1e6 AS overlap_ms
        FROM processes WHERE {view.condition} AND {ALIVE} GROUP BY comm ORDER BY 7 DESC, 2 DESC, 1"""
    cursor = connection.execute(expand(sql), values)
    return [row | {name: int(row[name]) for name in ("ended", "failures")} for row in reader.named_rows(cursor)]


def _read_failed(connection: sqlite3.Connection, view: View, values: Row, begin: int) -> list[Row]:
    """Returns the processes that failed last in the stretch, the last one first: it was often because of the others."""
    sql = f"""SELECT {ENTRY} FROM {WITH_COMMANDS} WHERE processes.id IN (
            SELECT id FROM processes WHERE {view.condition} AND {ALIVE} AND {_FAILED}
            ORDER BY end_ns DESC, id DESC LIMIT {MOST_FAILURES}
        ) ORDER BY end_ns DESC, processes.id DESC"""
    return timeline_rows.read(connection.execute(expand(sql), values), begin)
