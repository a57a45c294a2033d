"""A recording as OpenTelemetry spans: one for each process, a trace for each that came from outside of the recording.

The format is OTLP's JSON, a request with some hundred spans on each line: what the Collector's file receiver reads, and
what can be sent, line by line, to any receiver's /v1/traces. Specification: https://opentelemetry.io/docs/specs/otlp/
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from itertools import islice
from operator import itemgetter
from typing import Any, TextIO

from . import __version__, argv
from .events import text
from .ordering import parents_first
from .slices import Row
from .work import UNWATCHED, Work, counted, processes

_SPANS = 500  # of a line
_INTERNAL, _ERROR = 1, 2  # SpanKind, StatusCode

_PROCESSES = """SELECT id, parent_id, pid, ppid, start_ns, end_ns, state, comm, filename, argv, execs,
    exit_code, signal, uid, cpu_ns, max_rss_kib, start_ns < :started AS is_old
FROM processes WHERE recording_id = :id AND kernel IS NOT 1 ORDER BY id"""
_PROGRAMS = "SELECT time_ns, filename, comm FROM programs WHERE process_id = ? ORDER BY id"


def write(connection: sqlite3.Connection, about: Row, out: TextIO, work: Work = UNWATCHED) -> None:
    """Writes all processes of a recording but kernel threads. Who runs on has a span to the end of the recording."""
    spans = counted(_spans(connection, about), work, processes(connection, about["id"]))
    resource = {"attributes": _attributes(_resource(about))}
    scope = {"name": "webpf", "version": __version__}
    while batch := list(islice(spans, _SPANS)):
        request = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": batch}]}]}
        out.write(json.dumps(request, separators=(",", ":")) + "\n")


def _resource(about: Row) -> dict[str, Any]:
    return {
        "service.name": "webpf",
        "service.instance.id": f"{about['boot_id']}/{about['recorder_pid']}",
        "host.name": about["host"],
        "host.arch": about["machine"],
        "os.type": "linux",
        "os.version": about["kernel"],
        "webpf.recording.name": about["name"],
        "webpf.recording.command": about["command"],
        "webpf.recording.lost": about["lost"],
    }


def _spans(connection: sqlite3.Connection, about: Row) -> Iterator[dict[str, Any]]:
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    recorded_until = about["ended_ns"] or about["updated_ns"]
    known: dict[int, tuple[str, str]] = {}  # trace and span of those that started in the recording, by process
    rows = cursor.execute(_PROCESSES, {"id": about["id"], "started": about["started_ns"]})
    for row in parents_first(rows, itemgetter("id"), itemgetter("parent_id")):
        # Who was there before is no part of what happened: else all would be one trace, that of init.
        trace, above = known.get(row["parent_id"], ("", "")) if not row["is_old"] else ("", "")
        trace, own = trace or _identity(about, row, 16), _identity(about, row, 8)
        if not row["is_old"]:
            known[row["id"]] = (trace, own)
        end = row["end_ns"]
        if end is None:
            end = recorded_until if row["state"] == "running" else row["start_ns"]
        yield {
            "traceId": trace,
            "spanId": own,
            **({"parentSpanId": above} if above else {}),
            "name": row["comm"] or "?",
            "kind": _INTERNAL,
            "startTimeUnixNano": str(row["start_ns"]),
            "endTimeUnixNano": str(max(end, row["start_ns"])),
            "attributes": _attributes(_about_process(row)),
            **_events(connection, row),
            **_status(row),
        }


def _identity(about: Row, process: sqlite3.Row, size: int) -> str:
    """The same for the same process whenever it is exported: of boot, pid and start, in hex."""
    name = f"{about['boot_id']}/{process['pid']}/{process['start_ns']}"
    return hashlib.blake2b(name.encode(), digest_size=size).hexdigest()


def _about_process(row: sqlite3.Row) -> dict[str, Any]:
    """Names that begin with process. are OpenTelemetry's: https://opentelemetry.io/docs/specs/semconv/registry/."""
    words = None if row["argv"] is None else [text(word) for word in argv.split(row["argv"][: argv.LONGEST])]
    return {
        "process.pid": row["pid"],
        "process.parent_pid": row["ppid"],
        "process.executable.name": row["comm"],
        "process.executable.path": row["filename"],
        "process.command_args": words,
        "process.exit.code": row["exit_code"],
        "process.real_user.id": row["uid"],
        "webpf.id": row["id"],
        "webpf.state": row["state"],
        "webpf.signal": row["signal"],
        "webpf.cpu_ns": row["cpu_ns"],
        "webpf.max_rss_kib": row["max_rss_kib"],
    }


def _events(connection: sqlite3.Connection, row: sqlite3.Row) -> dict[str, Any]:
    """The programs that it took on one after the other, if it was more than one."""
    if (row["execs"] or 0) < 2:
        return {}
    programs = connection.execute(_PROGRAMS, [row["id"]])
    events = [
        {
            "timeUnixNano": str(time_ns),
            "name": "exec",
            "attributes": _attributes({"process.executable.path": filename, "process.executable.name": comm}),
        }
        for time_ns, filename, comm in programs
    ]
    return {"events": events}


def _status(row: sqlite3.Row) -> dict[str, Any]:
    if row["signal"] is not None:
        return {"status": {"code": _ERROR, "message": f"signal {row['signal']}"}}
    if row["exit_code"]:
        return {"status": {"code": _ERROR, "message": f"exit {row['exit_code']}"}}
    return {}


def _attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Those that are known, as OTLP writes them: 64-bit numbers as text."""
    return [{"key": key, "value": _value(value)} for key, value in values.items() if value is not None]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(each) for each in value]}}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": str(value)}
