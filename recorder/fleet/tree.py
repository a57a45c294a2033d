"""The layout of a tree of Parquet files: DIR/TABLE/host=NAME/recording=START/part.parquet.

The tables are folders at the top, because Spark reads all files below a folder as one table. The path depends on the
recording only, not on the number that it has in its file, so the recordings of many machines lie side by side.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from urllib.parse import quote

from ..model.recording import Recording
from ..storage.schema_check import schema_columns

RECORDINGS = "recordings"
TABLES = (
    "processes", "commands", "programs", "snapshot", "usage", "program_environments", "environment_variables",
    "cgroup_paths", "working_directories", "incidents", RECORDINGS,
)  # fmt: skip
"""The tables of a tree. The part of `recordings` is written last: where it is, the others are complete."""

PART = "part.parquet"
"""The name of each file."""

BATCH_ROWS = 4_096
"""Rows that are Python objects at a time: more of them don't fit into a processor's cache (measured: 30 % slower)."""

VERSION = "schema_version"
"""The column with the schema version of the recording file."""

BYTES = "_bytes"
"""Ending of the column beside each column of the type ANY, with the value if it is not UTF-8."""

TIMES = {"started": "start_ns", "ended": "end_ns"}
"""Columns of `processes` with a time in ns again, as a timestamp: for people, and for programs without ns."""

ORDERS = {"cgroup_paths": "cgroup_id", "working_directories": "device, inode", "incidents": "from_ns"}
"""Those tables whose rows have no event id, with the columns by which the rows of a recording are ordered."""

_EVENT_IDS = {"environment_variables": "environment_id"}  # the others: id
_PARTITION = "recording_id"  # the path says it
_LONGEST_NAME = 200  # bytes of a folder's name, of 255
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"  # what the readers of such trees take for no value


@dataclass(frozen=True)
class Column:
    """A column of a part. type: INTEGER, TEXT or BLOB as in SQLite, or TIME (timestamp in us, UTC).

    source: the column of the recording file that it comes from; None for VERSION. bytes_only: it has those values of
    its source that are not UTF-8, and the column before it has them with escapes.
    """

    name: str
    type: str
    source: str | None
    bytes_only: bool = False


def event_id(table: str) -> str | None:
    """Returns the column of a table that is an event id, and orders its rows; None if it has none."""
    return None if table == RECORDINGS or table in ORDERS else _EVENT_IDS.get(table, "id")


@cache
def tables_by_event_id() -> dict[str, str]:
    """Returns the tables whose rows have an event id, each with the column of it."""
    keys = {table: event_id(table) for table in TABLES}
    return {table: key for table, key in keys.items() if key is not None}


@cache
def columns(table: str) -> tuple[Column, ...]:
    """Returns the columns of a table's parts in order: those of the recording file, also generated ones, and more."""
    return tuple(_columns(table))


def _columns(table: str) -> list[Column]:
    found = []
    for name, column in schema_columns()[table].items():
        if name == _PARTITION:
            continue
        if column.type == "ANY":
            found += [Column(name, "TEXT", name), Column(name + BYTES, "BLOB", name, bytes_only=True)]
        else:
            found.append(Column(name, column.type, name))
    if table == "processes":
        found += [Column(name, "TIME", source) for name, source in TIMES.items()]
    return [*found, Column(VERSION, "INTEGER", None)]


@cache
def stored_columns(table: str) -> dict[str, str]:
    """Returns those columns of a table's parts that the recording file has too, with their types."""
    return {
        column.name: column.type for column in columns(table) if column.name == column.source and column.type != "TIME"
    }


def partition(recording: Recording) -> Path:
    """Returns host=NAME/recording=START. START is in UTC, with microseconds."""
    started = datetime.fromtimestamp(recording.started_ns // 1000 / 1e6, timezone.utc)
    return Path(f"host={_folder_name(recording.host or 'unknown')}") / f"recording={started:%Y%m%dT%H%M%S.%fZ}"


def _folder_name(host: str) -> str:
    """Returns the name of a host, with % and hexadecimal digits for characters that a folder's name can't have."""
    name = quote(host.encode("utf-8", "surrogateescape"), safe="")
    if set(name) == {"."}:
        return name.replace(".", "%2E")
    if name == _HIVE_NULL:
        return name.replace("_", "%5F", 1)
    if len(name) > _LONGEST_NAME:
        cut = name[:_LONGEST_NAME].rpartition("%")[0] if "%" in name[_LONGEST_NAME - 2 : _LONGEST_NAME] else None
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        return f"{cut or name[:_LONGEST_NAME]}~{digest}"
    return name


def part_path(folder: Path, table: str, place: Path) -> Path:
    """Returns the path of a part. folder: the tree. place: a result of partition()."""
    return folder / table / place / PART
