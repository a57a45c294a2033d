"""Exports a recording as OpenTelemetry spans: one span per process.

A process whose parent is not part of the recording starts a new trace. The format is OTLP as JSON lines; each line is
a request with up to 500 spans. The Collector's file receiver reads such a file, and each line can be sent to the
/v1/traces endpoint of any receiver. Specification: https://opentelemetry.io/docs/specs/otlp/
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from typing import Any, TextIO

from ..model import argv
from ..model.events import decode_escaped, escape_bytes
from ..model.recording import Recording
from ..output import command_label
from ..progress import NO_PROGRESS, Progress, count_processes, report_rows
from ..storage import process_select
from ..storage.sql_macros import expand
from ..version import __version__
from . import otlp_costs
from .environments import ProcessEnvironments

LINE_BYTES = 1_000_000
"""Maximum length of a line. The Collector's file receiver reads 1 MiB by default (max_log_size)."""

_SPANS_PER_LINE = 500
_ARGUMENTS_BYTES, _EVENTS_BYTES = 400_000, 400_000  # limits for the arguments and for the events of a span
_TEXT_BYTES = 20_000  # limit for any other text: a path has at most 4,096 bytes, up to four times that when escaped
_ENCODER = json.JSONEncoder(separators=(",", ":"))
_INTERNAL, _ERROR = 1, 2  # SpanKind, StatusCode

_PROCESSES = expand(f"{process_select.select()} WHERE p.recording_id = :id AND is_counted!(p) ORDER BY p.id")
# Columns that OpenTelemetry has a name or a span field for, or that mean nothing outside of the file.
_OTHERWISE_EXPORTED = {
    "recording_id", "parent_id", "pid", "ppid", "start_ns", "end_ns", "lifetime_ns", "comm", "filename", "args", "argv",
    "argv_bytes", "execs", "status", "exit_code", "core_dumped", "uid", "cgroup_id", "end_ppid", "kernel",
    "in_scope",
}  # fmt: skip
_WEBPF_ATTRIBUTES = [
    column.name for column in process_select.columns() if column.name not in _OTHERWISE_EXPORTED | otlp_costs.COLUMNS
]
_STARTED_IN_RECORDING = expand(
    """SELECT id, parent_id, pid, start_ns FROM processes
WHERE recording_id = :id AND is_counted!(processes) AND start_ns >= :started"""
)
_PROGRAMS = """SELECT e.time_ns, c.filename, e.comm FROM programs AS e LEFT JOIN commands AS c ON c.id = e.command_id
WHERE e.process_id = ? ORDER BY e.id"""


def write(connection: sqlite3.Connection, recording: Recording, out: TextIO, progress: Progress = NO_PROGRESS) -> None:
    """Writes the spans of all processes except kernel threads.

    The span of a process that was still running ends with the recording. Arguments, paths and program lists that are
    too long for a line are truncated, with a note of how much was cut.
    """
    spans = report_rows(_spans(connection, recording), progress, count_processes(connection, recording.id))
    resource = {"attributes": _attributes(_resource(recording))}
    scope = {"name": "webpf", "version": __version__}
    frame = _json({"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": []}]}]})
    head, tail = frame[: -len("]}]}]}")], "]}]}]}\n"
    batch: list[str] = []
    size = room = LINE_BYTES - len(head) - len(tail)
    for span in spans:
        line = _json(span)
        if batch and (len(batch) == _SPANS_PER_LINE or len(line) + 1 > size):
            out.write(head + ",".join(batch) + tail)
            batch, size = [], room
        batch.append(line)
        size -= len(line) + 1
    if batch:
        out.write(head + ",".join(batch) + tail)


def _json(value: Any) -> str:
    """Returns JSON as ASCII, so that its length is its number of bytes."""
    return _ENCODER.encode(value)


def _resource(recording: Recording) -> dict[str, Any]:
    return {
        "service.name": "webpf",
        "service.instance.id": f"{_boot(recording)}/{recording.recorder_pid or recording.started_ns}",
        "host.name": recording.host,
        "host.arch": recording.machine,
        "os.type": "linux",
        "os.version": recording.kernel,
        "webpf.recording.name": recording.name,
        "webpf.recording.command": recording.command,
        "webpf.recording.lost": recording.lost,
    }


def _spans(connection: sqlite3.Connection, recording: Recording) -> Iterator[dict[str, Any]]:
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    values = {"id": recording.id, "started": recording.started_ns}
    # Processes that started before the recording have no children here; otherwise all spans would be one trace of init.
    new = {id: (parent, pid, start) for id, parent, pid, start in connection.execute(_STARTED_IN_RECORDING, values)}
    roots: dict[int, int] = {}
    environments = ProcessEnvironments(connection, recording.id)
    for row in cursor.execute(_PROCESSES, values):
        root = _trace_root(row["id"], new, roots)
        _, pid, start = new.get(root, (None, row["pid"], row["start_ns"]))
        parent = new.get(row["parent_id"]) if row["id"] in new and row["id"] != root else None
        end = row["end_ns"]
        if end is None:
            end = recording.until_ns if row["state"] == "running" else row["start_ns"]
        yield {
            "traceId": _hash_id(recording, pid, start, 16),
            "spanId": _hash_id(recording, row["pid"], row["start_ns"], 8),
            **({"parentSpanId": _hash_id(recording, *parent[1:], 8)} if parent else {}),
            "name": command_label.display_name(row["argv"], row["comm"]),
            "kind": _INTERNAL,
            "startTimeUnixNano": str(row["start_ns"]),
            "endTimeUnixNano": str(max(end, row["start_ns"])),
            "attributes": _attributes(_process_attributes(row) | _environment_attributes(environments, row["id"])),
            **_events(connection, row),
            **_status(row),
        }


def _trace_root(id: int, new: dict[int, tuple[int | None, int, int]], roots: dict[int, int]) -> int:
    """Returns the oldest ancestor that started during the recording, or the process itself.

    roots: the results so far, which this function adds to.
    """
    path = [id]
    while path[-1] not in roots:
        roots[path[-1]] = path[-1]  # ends the loop if a damaged file makes a process its own ancestor
        parent = new[path[-1]][0] if path[-1] in new else None
        if parent not in new or parent is None:
            break
        path.append(parent)
    root = roots[path[-1]]
    for each in path:
        roots[each] = root
    return root


def _hash_id(recording: Recording, pid: int, start_ns: int, size: int) -> str:
    """Returns an id in hex, made from boot id, pid and start time: every export gives a process the same id."""
    name = f"{_boot(recording)}/{pid}/{start_ns}"
    return hashlib.blake2b(name.encode(), digest_size=size).hexdigest()


def _boot(recording: Recording) -> str:
    return recording.boot_id or "unknown"


def _process_attributes(row: sqlite3.Row) -> dict[str, Any]:
    """Names with the prefix process. are OpenTelemetry's: https://opentelemetry.io/docs/specs/semconv/registry/."""
    arguments = None
    if row["argv"] is not None:
        arguments = _truncate_arguments(
            [decode_escaped(argument) for argument in argv.split(row["argv"][: argv.MAX_ARGV_BYTES])]
        )
    return {
        "process.pid": row["pid"],
        "process.parent_pid": row["ppid"],
        "process.executable.name": row["comm"],
        "process.executable.path": escape_bytes(row["filename"]),
        "process.command_args": arguments,
        "process.exit.code": row["exit_code"],
        "process.real_user.id": row["uid"],
        **otlp_costs.cost_attributes(row),
        **{f"webpf.{name}": row[name] for name in _WEBPF_ATTRIBUTES},
    }


def _environment_attributes(environments: ProcessEnvironments, process_id: int) -> dict[str, Any]:
    values, unknown = environments.of_process(process_id)
    found: dict[str, Any] = {f"process.environment_variable.{name}": value for name, value in values.items()}
    return found | {"webpf.environment_unknown": unknown or None}


def _events(connection: sqlite3.Connection, row: sqlite3.Row) -> dict[str, Any]:
    """Returns the execs of a process as span events, if there was more than one."""
    if (row["execs"] or 0) < 2:
        return {}
    events, size, dropped = [], 0, 0
    for time_ns, filename, comm in connection.execute(_PROGRAMS, [row["id"]]):
        if size > _EVENTS_BYTES:
            dropped += 1
            continue
        program = _attributes({"process.executable.path": escape_bytes(filename), "process.executable.name": comm})
        events.append({"timeUnixNano": str(time_ns), "name": "exec", "attributes": program})
        size += len(_json(events[-1])) + 1
    return {"events": events, **({"droppedEventsCount": dropped} if dropped else {})}


def _status(row: sqlite3.Row) -> dict[str, Any]:
    if row["signal"] is not None:
        return {"status": {"code": _ERROR, "message": f"signal {row['signal']}"}}
    if row["exit_code"]:
        return {"status": {"code": _ERROR, "message": f"exit {row['exit_code']}"}}
    return {}


def _attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the values that are known in OTLP's form, where 64-bit numbers are text."""
    return [{"key": key, "value": _value(value)} for key, value in values.items() if value is not None]


def _value(value: Any, limit: int = _TEXT_BYTES) -> dict[str, Any]:
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(each, _ARGUMENTS_BYTES) for each in value]}}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": _truncate(str(value), limit)}


def _truncate_arguments(arguments: list[str]) -> list[str]:
    """Returns as many arguments as fit into a span; the last one says how many were omitted."""
    room = _ARGUMENTS_BYTES
    for number, argument in enumerate(arguments):
        size = len(_json(_value(argument, _ARGUMENTS_BYTES))) + 1
        if size > room:
            omitted = len(arguments) - number - 1
            return [
                *arguments[:number],
                _truncate(argument, room),
                *([f"…[{omitted:,} arguments cut]"] if omitted else []),
            ]
        room -= size
    return arguments


def _truncate(text: str, limit: int) -> str:
    """Shortens a text to about `limit` bytes of JSON, and adds how many characters were cut."""
    size = len(_json(text))
    if size <= limit:
        return text
    length = len(text) * limit // size
    while length and len(_json(text[:length])) > limit:
        length = length * 9 // 10
    return f"{text[:length]}…[{len(text) - length:,} characters cut]"
