"""A recording as OpenTelemetry spans: one for each process, a trace for each that came from outside of the recording.

The format is OTLP's JSON, a request with some hundred spans on each line: what the Collector's file receiver reads, and
what can be sent, line by line, to any receiver's /v1/traces. Specification: https://opentelemetry.io/docs/specs/otlp/
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from typing import Any, TextIO

from ..model import argv
from ..model.events import as_text, text
from ..model.recording import Recording
from ..output import command_label
from ..progress import UNWATCHED, Work, counted, processes
from ..storage import data_dictionary
from ..storage.sql_macros import expand
from ..version import __version__

LINE_BYTES = 1_000_000
"""A line is shorter than this: the Collector's file receiver takes 1 MiB (max_log_size) unless told otherwise."""

_SPANS_PER_LINE = 500  # of a line
_ARGUMENTS_BYTES, _EVENTS_BYTES = 400_000, 400_000  # of a span's arguments, and of its events
_TEXT_BYTES = 20_000  # of any other text: a path has at most 4,096 bytes, which are up to four times that with escapes
_ENCODER = json.JSONEncoder(separators=(",", ":"))
_INTERNAL, _ERROR = 1, 2  # SpanKind, StatusCode

_PROCESSES = expand("SELECT * FROM processes WHERE recording_id = :id AND is_counted!(processes) ORDER BY id")
# Those that have no name in OpenTelemetry, nor a place of their own in a span.
_OTHERWISE_EXPORTED = {
    "recording_id", "parent_id", "pid", "ppid", "start_ns", "end_ns", "lifetime_ns", "comm", "filename", "args", "argv",
    "argv_bytes", "execs", "status", "exit_code", "core_dumped", "uid", "cgroup_id", "end_ppid", "kernel",
}  # fmt: skip
_WEBPF_ATTRIBUTES = [
    column.name for column in data_dictionary.columns("processes") if column.name not in _OTHERWISE_EXPORTED
]
_STARTED_IN_RECORDING = expand(
    """SELECT id, parent_id, pid, start_ns FROM processes
WHERE recording_id = :id AND is_counted!(processes) AND start_ns >= :started"""
)
_PROGRAMS = "SELECT time_ns, filename, comm FROM programs WHERE process_id = ? ORDER BY id"


def write(connection: sqlite3.Connection, recording: Recording, out: TextIO, work: Work = UNWATCHED) -> None:
    """Writes all processes of a recording but kernel threads. Who runs on has a span to the end of the recording.

    What makes a span too long for a line is cut, and says so: arguments, paths, and the programs of a process.
    """
    spans = counted(_spans(connection, recording), work, processes(connection, recording.id))
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
    """All of it ASCII, so that its length is the number of its bytes."""
    return _ENCODER.encode(value)


def _resource(recording: Recording) -> dict[str, Any]:
    return {
        "service.name": "webpf",
        "service.instance.id": f"{recording.boot_id}/{recording.recorder_pid}",
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
    # Who was there before is no part of what happened: else all would be one trace, that of init.
    new = {id: (parent, pid, start) for id, parent, pid, start in connection.execute(_STARTED_IN_RECORDING, values)}
    roots: dict[int, int] = {}
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
            "name": command_label.name(row["argv"], row["comm"]),
            "kind": _INTERNAL,
            "startTimeUnixNano": str(row["start_ns"]),
            "endTimeUnixNano": str(max(end, row["start_ns"])),
            "attributes": _attributes(_process_attributes(row)),
            **_events(connection, row),
            **_status(row),
        }


def _trace_root(id: int, new: dict[int, tuple[int | None, int, int]], roots: dict[int, int]) -> int:
    """The first of its ancestors that started in the recording, or itself. roots: those found so far."""
    line = [id]
    while line[-1] not in roots:
        roots[line[-1]] = line[-1]  # so that it ends where somebody is their own ancestor
        parent = new[line[-1]][0] if line[-1] in new else None
        if parent not in new or parent is None:
            break
        line.append(parent)
    root = roots[line[-1]]
    for each in line:
        roots[each] = root
    return root


def _hash_id(recording: Recording, pid: int, start_ns: int, size: int) -> str:
    """The same for the same process whenever it is exported: of boot, pid and start, in hex."""
    name = f"{recording.boot_id}/{pid}/{start_ns}"
    return hashlib.blake2b(name.encode(), digest_size=size).hexdigest()


def _process_attributes(row: sqlite3.Row) -> dict[str, Any]:
    """Names that begin with process. are OpenTelemetry's: https://opentelemetry.io/docs/specs/semconv/registry/."""
    arguments = None
    if row["argv"] is not None:
        arguments = _truncate_arguments([text(argument) for argument in argv.split(row["argv"][: argv.LONGEST])])
    return {
        "process.pid": row["pid"],
        "process.parent_pid": row["ppid"],
        "process.executable.name": row["comm"],
        "process.executable.path": as_text(row["filename"]),
        "process.command_args": arguments,
        "process.exit.code": row["exit_code"],
        "process.real_user.id": row["uid"],
        **{f"webpf.{name}": row[name] for name in _WEBPF_ATTRIBUTES},
    }


def _events(connection: sqlite3.Connection, row: sqlite3.Row) -> dict[str, Any]:
    """The programs that it took on one after the other, if it was more than one."""
    if (row["execs"] or 0) < 2:
        return {}
    events, size, dropped = [], 0, 0
    for time_ns, filename, comm in connection.execute(_PROGRAMS, [row["id"]]):
        if size > _EVENTS_BYTES:
            dropped += 1
            continue
        about = _attributes({"process.executable.path": as_text(filename), "process.executable.name": comm})
        events.append({"timeUnixNano": str(time_ns), "name": "exec", "attributes": about})
        size += len(_json(events[-1])) + 1
    return {"events": events, **({"droppedEventsCount": dropped} if dropped else {})}


def _status(row: sqlite3.Row) -> dict[str, Any]:
    if row["signal"] is not None:
        return {"status": {"code": _ERROR, "message": f"signal {row['signal']}"}}
    if row["exit_code"]:
        return {"status": {"code": _ERROR, "message": f"exit {row['exit_code']}"}}
    return {}


def _attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Those that are known, as OTLP writes them: 64-bit numbers as text."""
    return [{"key": key, "value": _value(value)} for key, value in values.items() if value is not None]


def _value(value: Any, limit: int = _TEXT_BYTES) -> dict[str, Any]:
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(each, _ARGUMENTS_BYTES) for each in value]}}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": _truncate(str(value), limit)}


def _truncate_arguments(arguments: list[str]) -> list[str]:
    """As many of them as a span has room for; says so where some are omitted."""
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
    """A text that has about so many bytes in JSON; says so where it is cut."""
    size = len(_json(text))
    if size <= limit:
        return text
    length = len(text) * limit // size
    while length and len(_json(text[:length])) > limit:
        length = length * 9 // 10
    return f"{text[:length]}…[{len(text) - length:,} characters cut]"
