"""Exports a recording in Chrome's Trace Event Format (JSON), which Perfetto, chrome://tracing and speedscope read.

https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any, TextIO

from ..model.argv import UNPRINTABLE
from ..model.recording import Recording
from ..progress import NO_PROGRESS, Progress
from . import tracks

_ENCODER = json.JSONEncoder(ensure_ascii=False)
_COLOURS = {"failed": "bad", "signalled": "terrible"}  # for chrome://tracing; Perfetto derives colours from names


def write(connection: sqlite3.Connection, recording: Recording, out: TextIO, progress: Progress = NO_PROGRESS) -> None:
    """Writes the trace: a trace `process` for each track, a `thread` for each lane, an event for each process.

    A process that was still running at the end has a begin event (B) without an end event. Times are in us since the
    boot, with ns as decimals.
    """
    separator = '{"traceEvents": [\n'
    for event in _events(connection, recording, progress):
        out.write(separator + _json(event))
        separator = ",\n"
    head = {"host": recording.host, "kernel": recording.kernel, "recording": recording.id}
    if separator.startswith("{"):  # there were no events
        out.write(separator)
    out.write(f'\n], "displayTimeUnit": "ms", "otherData": {_json(head)}}}\n')


def _json(value: dict[str, Any]) -> str:
    """Returns JSON with UTF-8 unescaped, because Perfetto doesn't decode \\u2717 in a name.

    Only characters that a terminal would interpret are escaped.
    """
    return UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", _ENCODER.encode(value))


def _events(connection: sqlite3.Connection, recording: Recording, progress: Progress) -> Iterator[dict[str, Any]]:
    numbers: dict[str, int] = {}
    zero_ns = tracks.trace_zero_ns(connection, recording)
    for each in tracks.read_slices(connection, recording.id, progress=progress):
        track = numbers.setdefault(each.track, len(numbers) + 1)
        if each.is_first:
            metadata = {"ph": "M", "pid": track, "tid": each.lane + 1}
            yield metadata | {"name": "process_name", "args": {"name": each.track}}
            yield metadata | {"name": "thread_name", "args": {"name": each.track}}
        args = {name: value for name, value in zip(tracks.ARGUMENTS, each.values, strict=True) if value is not None}
        args |= each.environment
        event = {"name": each.title, "cat": each.outcome, "pid": track, "tid": each.lane + 1, "args": args}
        if each.outcome in _COLOURS:
            event["cname"] = _COLOURS[each.outcome]
        event["ts"] = (each.start_ns - zero_ns) / 1000
        if each.end_ns is None:
            yield event | {"ph": "B"}
        else:
            yield event | {"ph": "X", "dur": (each.end_ns - each.start_ns) / 1000}
