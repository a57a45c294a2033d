"""The tables of older schemas, which `webpf upgrade` makes current.

Schemas 1 to 4 differ only in columns and tables that were added, so the fourth one describes all of them. The fifth
schema has the command lines in a table of their own, see older_commands.py.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping
from functools import cache

from ..model import cgroup_place
from . import data_dictionary, older_commands
from .file_check import SCHEMA_VERSION
from .schema_check import Column, Tables, read_version, schema_columns

OLD_NAMES: Mapping[str, str] = {"snapshot": "found", "vanished": "missing"}
"""Tables that schemas up to the fourth have under another name."""

# Columns are INTEGER without a type; `!` stands for NOT NULL. Without the generated columns.
_FOURTH = {
    "recordings": """
        id!, name TEXT, status TEXT!, started_ns!, updated_ns!, ended_ns, host TEXT, boot_id TEXT, kernel TEXT,
        machine TEXT, cpus, command TEXT, options TEXT!, recorder_pid, recorder_start_ns, clock_offset_ns,
        webpf_version TEXT, bcc_version TEXT, python_version TEXT, sqlite_version TEXT, forks_attempted,
        forks_written, forks_lost, execs_attempted, execs_written, execs_lost, exits_attempted, exits_written,
        exits_lost, frees_attempted, frees_written, frees_lost, kept_short""",
    "processes": """
        id!, recording_id!, pid!, ppid, parent_id, start_ns!, end_ns, state TEXT!, comm TEXT, filename ANY,
        args TEXT, argv BLOB, argv_bytes, execs, status, uid, cgroup_id, cpu_ns, max_rss_kib, end_ppid, kernel""",
    "forks": """
        id!, recording_id!, process_id!, time_ns!, pid!, start_ns!, ppid!, parent_start_ns!, comm TEXT!, uid!,
        euid!, cgroup_id!, kernel!, execs, begun""",
    "programs": """
        id!, recording_id!, process_id!, time_ns!, pid!, start_ns!, comm TEXT!, uid!, euid!, cgroup_id!,
        carried_rss_kib!, filename ANY!, argv BLOB, argv_bytes!, cwd_device, cwd_inode""",
    "exits": """
        id!, recording_id!, process_id!, time_ns!, pid!, start_ns!, ppid!, comm TEXT!, status!, max_rss_kib!, uid,
        begun""",
    "frees": "id!, recording_id!, process_id, time_ns!, pid!, start_ns!, status!, cpu_ns!",
    "found": """
        id!, recording_id!, process_id!, time_ns!, pid!, start_ns!, ppid!, comm TEXT!, uid!, euid!, cgroup_id,
        kernel!, execs!, filename ANY, argv BLOB, argv_bytes""",
    "missing": "id!, recording_id!, process_id!, time_ns!, pid!, start_ns!",
    "cgroup_paths": "recording_id!, cgroup_id!, path ANY",
    "working_directories": "recording_id!, device!, inode!, path ANY!",
    "incidents": "recording_id!, from_ns!, until_ns!, kind TEXT!, detail TEXT!, lost!",
    "fact_blocks": "first_id!, size!, recording_id!",
}

_OPTIONAL_UNTIL = {
    **dict.fromkeys(("working_directories", "programs.cwd_device", "programs.cwd_inode"), 2),
    "incidents": 3,
    **dict.fromkeys(("recordings.kept_short", "forks.execs", "forks.begun", "exits.uid", "exits.begun"), 4),
}
"""Tables and columns of the fourth schema that were added later, each with the last schema whose files may lack it.

The fourth schema grew during its development, so some of its files lack columns too.
"""

# Of the current columns that older schemas don't have under the same name: SQL for their values in an old file.
_VALUES: Mapping[str, Mapping[str, str]] = {
    "recordings": {"compiler": "'BCC ' || bcc_version"},
    **{table: {"command_id": older_commands.ID} for table in ("processes", "programs", "snapshot")},
    "cgroup_paths": {name: f"webpf_cgroup(path, '{name}')" for name in cgroup_place.Place._fields},
}


@cache
def tables_of(version: int) -> Tables:
    """Returns the columns of each table of a schema, without those that a sound file of this schema may lack."""
    if version >= SCHEMA_VERSION:
        return schema_columns()
    optional = {name for name, until in _OPTIONAL_UNTIL.items() if version <= until}
    return {
        table: {name: column for name, column in columns.items() if f"{table}.{name}" not in optional}
        for table, columns in _fourth().items()
        if table not in optional
    }


@cache
def _fourth() -> Tables:
    return {table: dict(map(_column, text.split(","))) for table, text in _FOURTH.items()}


def _column(text: str) -> tuple[str, Column]:
    name, _, type = text.strip().removesuffix("!").partition(" ")
    return name, Column(type or "INTEGER", text.endswith("!"))


def table_names(connection: sqlite3.Connection) -> set[str]:
    """Returns the names of all tables that are webpf's in a file, by its schema."""
    return {*(_FOURTH if is_older(connection) else schema_columns())}


def new_names() -> set[str]:
    """Returns the names of the current tables and views that older files have only from other programs."""
    return {table.name for table in data_dictionary.all_tables()} - {*_FOURTH}


def is_older(connection: sqlite3.Connection) -> bool:
    """True for a file of an older schema."""
    return 0 < read_version(connection) < SCHEMA_VERSION


def values(table: str, existing: Collection[str]) -> dict[str, str]:
    """Returns SQL for the values of a current table's columns, over the older table, which has the columns `existing`.

    The SQL needs add_functions() and older_commands.copy(). Columns that the older file has no value for are left out;
    if it doesn't have the table, the result is empty.
    """
    same = {column.name: column.name for column in data_dictionary.stored_columns(table) if column.name in existing}
    return same and same | dict(_VALUES.get(table, {}))


def add_functions(connection: sqlite3.Connection) -> None:
    """Adds the SQL functions that values() uses to a connection."""
    connection.create_function("webpf_cgroup", 2, _cgroup_part, deterministic=True)


def _cgroup_part(path: str | bytes | None, name: str) -> str | None:
    return getattr(cgroup_place.parse(path), name)  # type: ignore[no-any-return]
