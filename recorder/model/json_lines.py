"""Lines of JSON, which `webpf stream` prints and `webpf replay` reads."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict
from types import UnionType
from typing import Any, TypeAlias, get_args, get_type_hints

from ..errors import DataError
from . import argv
from .environment import SET, UNKNOWN, UNSET, Environment, Variable, is_name
from .events import ALL_KINDS, GREATEST, Event, Exec, Seen, decode_escaped, escape_bytes
from .host_description import HostDescription
from .stream_metadata import NOTE_LETTERS, Head, Note

Line: TypeAlias = Event | Note

_TYPES: dict[str, type[Line]] = {**{kind.letter: kind.type for kind in ALL_KINDS}, **NOTE_LETTERS}
_LETTERS = {type: letter for letter, type in _TYPES.items()}
_BCC = "BCC "  # what begins HostDescription.compiler
_INTEGER_LIMIT = 1 << 63  # SQLite stores numbers from -_INTEGER_LIMIT to below it


def encode(line: Line) -> dict[str, Any]:
    """Returns a line as a JSON object. The first key is `event`; pid and comm follow, if the line has them.

    `event` is F (fork), X (exec), E (exit), R (free: the task was released), A (alive at the start), G (gone at the
    end) or U (still running at the end, and what it has cost); or H (the machine), C (path of a cgroup), D (path of a
    directory) or N (counts of events). argv is base64, because it can have any bytes; `args` is the same for people. In
    a filename, interpreter or path that is not UTF-8, invalid bytes are escaped, and filename_base64 (or the other with
    _base64) has the exact bytes. `env` has the variables of --env by name, null for one that is not set; env_base64 the
    exact bytes of values that are not UTF-8; env_unknown the names of those of which nothing is known.
    """
    fields = line._asdict()
    for name in _OF_SEGMENTS:
        if isinstance(line, Seen) and fields[name] is None:
            del fields[name]
    head: dict[str, Any] = {"event": _LETTERS[type(line)]}
    head |= {name: fields.pop(name) for name in ("pid", "comm") if name in fields}
    if isinstance(line, Head):
        host = asdict(fields.pop("host"))
        host["bcc_version"] = (host["compiler"] or "").partition(_BCC)[2] or None  # streams had only this at first
        fields = {"started_ns": line.started_ns, **host, **fields}
    if isinstance(line, Exec | Seen) and line.argv is not None and line.argv_bytes is not None:
        head["args"] = argv.quote(line.argv, line.argv_bytes)
        fields["argv"] = base64.b64encode(line.argv).decode()
    for name in ("filename", "interpreter", "path"):
        if isinstance(raw := fields.get(name), bytes):
            fields[f"{name}_base64"] = base64.b64encode(raw).decode()
            fields[name] = decode_escaped(raw)
    if isinstance(line, Exec):
        fields |= _environment_fields(fields.pop("environment"))
    return head | fields


_OF_SEGMENTS = ("exact", "begun", "carried_rss_kib")  # a stream has no segments


def _environment_fields(environment: Environment | None) -> dict[str, Any]:
    if environment is None:
        return {}
    exact = {each.name: base64.b64encode(each.value).decode() for each in environment if isinstance(each.value, bytes)}
    unknown = [each.name for each in environment if each.state == UNKNOWN]
    return {
        "env": {each.name: escape_bytes(each.value) for each in environment if each.state != UNKNOWN},
        **({"env_base64": exact} if exact else {}),
        **({"env_unknown": unknown} if unknown else {}),
    }


def parse(line: bytes) -> Line:
    """Parses one line of JSON. Raises DataError if it is not a line of a stream."""
    try:
        fields = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise DataError(f"not a line of JSON: {line[:80]!r} ({error})") from error
    return decode(fields)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def decode(line: dict[str, Any]) -> Line:
    """Reverses encode(). Raises DataError if encode() can't have made the object, or SQLite can't store its values."""
    try:
        kind = _TYPES[line["event"]]
        if kind is Head:
            if isinstance(line.get("bcc_version"), str):
                line = {"compiler": _BCC + line["bcc_version"]} | line
            host = HostDescription(**_read_fields(HostDescription, line))
            return Head(**_read_fields(Head, line | {"host": host}))
        values = _read_fields(kind, line)
        if kind is Exec:
            values["environment"] = _read_environment(line)
        return kind(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"not an event: {json.dumps(line)[:80]} ({error!r})") from error


_FieldTypes: TypeAlias = dict[str, tuple[type, ...]]


def _field_types(kind: type) -> _FieldTypes:
    """Returns the allowed types of each field, by its name."""
    hints = {name: hint for name, hint in get_type_hints(kind).items() if hint is not type(Any)}
    return {name: get_args(hint) if isinstance(hint, UnionType) else (hint,) for name, hint in hints.items()}


_FIELDS: dict[type, _FieldTypes] = {
    **{kind: _field_types(kind) for kind in (*_LETTERS, HostDescription)},
    Head: _field_types(Head) | {"options": (dict,)},
    Exec: {name: types for name, types in _field_types(Exec).items() if name != "environment"},
}
_OPTIONAL: dict[type, frozenset[str]] = {
    **{kind: frozenset(kind._field_defaults) for kind in _LETTERS},
    HostDescription: frozenset(HostDescription.__dataclass_fields__),
}


def _read_fields(kind: type, line: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of this kind in a line. Ignores unknown fields."""
    optional = _OPTIONAL[kind]
    return {
        name: _read_value(name, line, types)
        for name, types in _FIELDS[kind].items()
        if name in line or name not in optional
    }


def _read_value(name: str, line: Mapping[str, Any], types: tuple[type, ...]) -> Any:
    """Returns the value of a field. Raises TypeError or ValueError if it is not of one of these types."""
    value = line[name]
    if type(value) is int:
        is_time = name.endswith("_ns")
        if not (-GREATEST <= value <= GREATEST if is_time else -_INTEGER_LIMIT <= value < _INTEGER_LIMIT):
            raise ValueError(f"{name} is {value}")
    elif type(value) is str:
        if bytes in types:
            encoded = value if str not in types else line.get(f"{name}_base64")
            if encoded is not None:
                return base64.b64decode(encoded, validate=True)
        value = _escape_surrogates(value)
    if type(value) not in types:
        raise TypeError(f"{name} is {value!r:.40}")
    return value


def _escape_surrogates(text: str) -> str:
    """Returns the text with escapes for lone surrogates, which JSON can have and SQLite can't store."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _read_environment(line: Mapping[str, Any]) -> Environment | None:
    """Returns the variables that a line has. Raises TypeError or ValueError for anything that encode() can't make."""
    if "env" not in line:
        return None
    texts, exact, unknown = line["env"], line.get("env_base64", {}), line.get("env_unknown", [])
    if not (isinstance(texts, dict) and isinstance(exact, dict) and isinstance(unknown, list)):
        raise TypeError("env, env_base64 or env_unknown has another type")
    found = {name: _read_variable(name, text, exact.get(name)) for name, text in texts.items()}
    found |= {name: Variable(name, UNKNOWN) for name in unknown}
    if not all(type(name) is str and is_name(name) for name in found):
        raise ValueError("env has an impossible name")
    return tuple(found[name] for name in sorted(found))


def _read_variable(name: str, text: Any, encoded: Any) -> Variable:
    if encoded is not None:
        return Variable(name, SET, base64.b64decode(encoded, validate=True))
    if text is None:
        return Variable(name, UNSET)
    if type(text) is not str:
        raise TypeError(f"the variable {name} is {text!r:.40}")
    return Variable(name, SET, _escape_surrogates(text))
