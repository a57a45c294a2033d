"""Writes a table of one recording as a Parquet file. Reads the rows in batches, and keeps one batch in memory."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import pyarrow
from pyarrow import parquet

from ..model.events import escape_bytes
from ..model.recording import Recording
from ..storage.file_check import SCHEMA_VERSION
from ..storage.safe_open import decode_text
from ..version import __version__
from . import tree
from .tree import Column

GROUP_ROWS = 65_536
"""Rows of a row group."""

METADATA = b"webpf"
"""The key of webpf's metadata in a part: JSON."""

IDENTITY = ("machine_id", "boot_id", "started_ns", "recorder_pid")
"""The columns of `recordings` that tell recordings apart that have the same path. The metadata have them."""

_ARROW = {
    "INTEGER": pyarrow.int64(),
    "TEXT": pyarrow.string(),
    "BLOB": pyarrow.binary(),
    "TIME": pyarrow.timestamp("us", tz="UTC"),
}
Values = Sequence[Any]


def identity(recording: Recording) -> dict[str, Any]:
    """Returns the values that tell a recording apart from others. See IDENTITY."""
    return {name: recording.row[name] for name in IDENTITY}


def write(
    connection: sqlite3.Connection, recording: Recording, table: str, out: BinaryIO, on_rows: Callable[[int], None]
) -> int:
    """Writes the rows of a recording, ordered by their primary key. Returns how many they are.

    on_rows: called after each row group, with the number of rows until then. Raises sqlite3.Error, and pyarrow's errors
    for values of a wrong type.
    """
    before = connection.text_factory
    try:
        connection.text_factory = (
            str  # much faster than safe_open.decode_text(), but it fails for text that isn't UTF-8
        )
        return _write(connection, recording, table, out, on_rows)
    except sqlite3.OperationalError as error:
        if "decode" not in str(error):
            raise
        out.seek(0)
        out.truncate()
        connection.text_factory = decode_text
        return _write(connection, recording, table, out, on_rows)
    finally:
        connection.text_factory = before


def _write(
    connection: sqlite3.Connection, recording: Recording, table: str, out: BinaryIO, on_rows: Callable[[int], None]
) -> int:
    columns = tree.columns(table)
    about: dict[str, Any] = {
        tree.VERSION: SCHEMA_VERSION,
        "table": table,
        "webpf_version": __version__,
        **identity(recording),
    }
    fields = [(column.name, _ARROW[column.type]) for column in columns]
    schema = pyarrow.schema(fields, metadata={METADATA: json.dumps(about)})
    sources = list(dict.fromkeys(column.source for column in columns if column.source))
    written = 0
    with parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        for batch in _batches(connection, recording, table, sources):
            values = dict(zip(sources, zip(*batch, strict=True), strict=True))
            arrays = [_array(column, values, len(batch)) for column in columns]
            writer.write_batch(pyarrow.record_batch(arrays, schema=schema), GROUP_ROWS)
            written += len(batch)
            on_rows(written)
    return written


def _array(column: Column, values: Mapping[str, Values], rows: int) -> Any:
    return pyarrow.array(_values(column, values, rows), _ARROW[column.type])


def _values(column: Column, values: Mapping[str, Values], rows: int) -> Values:
    if column.source is None:
        return [SCHEMA_VERSION] * rows
    found = values[column.source]
    if column.type == "TIME":
        return [None if ns is None else ns // 1000 for ns in found]
    if column.bytes_only:
        return [value if isinstance(value, bytes) else None for value in found]
    if column.type == "TEXT" and bytes in set(map(type, found)):
        return list(map(escape_bytes, found))
    return found


def _batches(
    connection: sqlite3.Connection, recording: Recording, table: str, names: Sequence[str]
) -> Iterator[list[tuple[Any, ...]]]:
    """Yields the rows in lists of at most GROUP_ROWS, none of them empty."""
    select = f"SELECT {', '.join(names)} FROM {table}"
    if table == tree.RECORDINGS:
        # A recording whose recorder was killed is still called `recording` until another recorder opens the file.
        known = {**recording.row, "status": recording.status}
        yield [tuple(known[name] for name in names)]
        return
    for cursor in _cursors(connection, recording, table, select):
        while batch := cursor.fetchmany(GROUP_ROWS):
            yield batch


def _cursors(connection: sqlite3.Connection, recording: Recording, table: str, select: str) -> Iterator[sqlite3.Cursor]:
    key = tree.event_id(table)
    if key is None:
        yield connection.execute(f"{select} WHERE recording_id = ? ORDER BY {tree.ORDERS[table]}", [recording.id])
        return
    for block in blocks_of(connection, recording.id):
        yield connection.execute(f"{select} WHERE {in_block(key)} ORDER BY {key}", block)


def blocks_of(connection: sqlite3.Connection, recording_id: int) -> list[tuple[int, int, int]]:
    """Returns the blocks of event ids of a recording in order: first id, last id and, for in_block(), its number."""
    sql = "SELECT first_id, first_id + size - 1, recording_id FROM fact_blocks WHERE recording_id = ? ORDER BY first_id"
    return connection.execute(sql, [recording_id]).fetchall()


def in_block(key: str) -> str:
    """Returns the condition for the rows of a block, with a ? for each of its values. key: the column of event ids."""
    return f"{key} BETWEEN ? AND ? AND recording_id = ?"
