"""Rewrites the texts of a recording while they are copied into a new file. See model/rewriting.py.

Each text is replaced in the statement that copies its row. So what is hidden never gets into the new file, not even
into pages that are freed later.
"""

from __future__ import annotations

import json
import shlex
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from ..model.environment import Variable
from ..model.events import decode_exact
from ..model.rewriting import Rewriting
from .command_ids import args_of

Text: TypeAlias = str | bytes | None

# Columns, each with SQL for its new value; {value} is the old one.
_COMM, _UID = "webpf_new_comm({value})", "webpf_new_uid({value})"
_PATH, _ID = "webpf_new_path({value})", "webpf_new_id({value})"
_ARGV = "(p.argv, p.argv_bytes)"
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "recordings": {
        "name": "webpf_new_text({value})", "host": "webpf_new_host({value})", "zone": "webpf_new_zone({value})",
        "machine_id": _ID, "boot_id": _ID, "command": "webpf_new_command({value})",
        "options": "webpf_new_json({value})",
    },
    "processes": {
        "comm": _COMM, "uid": _UID, "loginuid": _UID,
    },
    "programs": {
        "comm": _COMM, "uid": _UID, "euid": _UID,
        "loginuid": _UID, "interpreter": _PATH,
    },
    "snapshot": {
        "comm": _COMM, "uid": _UID, "euid": _UID,
        "loginuid": _UID,
    },
    "commands": {
        "filename": _PATH, "argv": f"webpf_new_argv{_ARGV}", "argv_bytes": f"webpf_new_argv_bytes{_ARGV}",
        "args": f"webpf_new_args{_ARGV}",
    },
    "working_directories": {"path": _PATH},
    "cgroup_paths": {"path": _PATH, "unit": _PATH, "container": _ID, "pod": _ID},
    "environment_variables": {"value": "webpf_new_variable(p.name, p.state, {value})"},
    "incidents": {"detail": "webpf_new_text({value})"},
}  # fmt: skip
"""All columns that can say something about people, machines and what they did."""


def expression(table: str, column: str, value: str) -> str:
    """Returns SQL for the new value of a column of a table p. value: SQL for the old one."""
    return COLUMNS.get(table, {}).get(column, "{value}").replace("{value}", value)


def add_functions(connection: sqlite3.Connection, rewriting: Rewriting) -> None:
    """Adds the SQL functions of COLUMNS to a connection."""

    def argv(raw: bytes | None, size: int | None) -> tuple[bytes | None, int | None]:
        return (raw, size) if raw is None or size is None else rewriting.argv(raw, size)

    def command(line: str) -> str:
        try:
            words = shlex.split(line)
        except ValueError:
            return rewriting.text(line)
        return rewriting.text(shlex.join(rewriting.words(words)))

    def variable(name: str, state: str, value: Text) -> Text:
        return rewriting.variable(Variable(name, state, value)).value

    functions: dict[str, tuple[int, Callable[..., Any]]] = {
        "text": (1, _known(rewriting.text)),
        "path": (1, _known(lambda path: _exact(rewriting.path(_decoded(path) or "")))),
        "comm": (1, _known(rewriting.comm)),
        "argv": (2, lambda *values: argv(*values)[0]),
        "argv_bytes": (2, lambda *values: argv(*values)[1]),
        "args": (2, lambda *values: args_of(*argv(*values))),
        "command": (1, _known(command)),
        "json": (1, _known(lambda text: json.dumps(rewriting.json(json.loads(text))))),
        "variable": (3, variable),
        "host": (1, _known(rewriting.host)),
        "zone": (1, _known(rewriting.zone)),
        "id": (1, _known(rewriting.id)),
        "uid": (1, _known(rewriting.uid)),
    }
    for name, (arguments, function) in functions.items():
        connection.create_function(f"webpf_new_{name}", arguments, function)


def _known(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Returns the function for values that may be NULL, which stays so."""
    return lambda value: None if value is None else function(value)


def _decoded(value: Text) -> str | None:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _exact(text: str) -> str | bytes:
    return decode_exact(text.encode("utf-8", "surrogateescape"))
