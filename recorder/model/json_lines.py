"""Events as JSON lines: what `webpf stream` prints, and files that can be replayed."""

from __future__ import annotations

import base64
import json
from typing import Any

from ..errors import DataError
from . import argv
from .events import ALL_KINDS, Event, Exec, Seen, decode_escaped

_LETTERS: dict[type[Event], str] = {kind.type: kind.letter for kind in ALL_KINDS}
_TYPES = {kind.letter: kind.type for kind in ALL_KINDS}


def encode(event: Event) -> dict[str, Any]:
    """One event as a JSON object that begins with event, pid and comm.

    `event` is F (fork), X (exec), E (exit), R (free: the task was released), A (alive at the start) or G (gone at
    the end). argv is base64, for it may hold any bytes; `args` is the same for people. A filename that is no UTF-8 has
    what isn't escaped, and is there as filename_base64 too.
    """
    fields = event._asdict()
    line: dict[str, Any] = {"event": _LETTERS[type(event)], "pid": fields.pop("pid")}
    if "comm" in fields:
        line["comm"] = fields.pop("comm")
    if isinstance(event, Exec | Seen) and event.argv is not None and event.argv_bytes is not None:
        line["args"] = argv.quote(event.argv, event.argv_bytes)
        fields["argv"] = base64.b64encode(event.argv).decode()
    if isinstance(fields.get("filename"), bytes):
        fields["filename_base64"] = base64.b64encode(fields["filename"]).decode()
        fields["filename"] = decode_escaped(fields["filename"])
    return line | fields


def parse(line: bytes) -> Event:
    """The event of one line of JSON. Raises DataError if it holds none."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"not a line of JSON: {line[:80]!r} ({error})") from error
    return decode(fields)


def decode(line: dict[str, Any]) -> Event:
    """The event of which encode() made this object. Raises DataError if it is none."""
    try:
        kind = _TYPES[line["event"]]
        fields = {name: line[name] for name in kind._fields if name in line or name not in kind._field_defaults}
        if fields.get("argv") is not None:
            fields["argv"] = base64.b64decode(fields["argv"], validate=True)
        if "filename_base64" in line:
            fields["filename"] = base64.b64decode(line["filename_base64"], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"not an event: {json.dumps(line)[:80]} ({error!r})") from error
    return kind(**fields)
