"""Writes a table of one recording as a Parquet file. Reads the rows in batches, and keeps one row group in memory."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, BinaryIO, TypeVar

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
T = TypeVar("T")


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
    with parquet.ParquetWriter(out, schema, compression="zstd", write_page_checksum=True) as writer:
        rows = chain.from_iterable(_rows(connection, recording, table, sources))
        batches = (_record_batch(columns, schema, sources, batch) for batch in _cut(rows, tree.BATCH_ROWS))
        for group in _cut(batches, GROUP_ROWS // tree.BATCH_ROWS):
            writer.write_table(pyarrow.Table.from_batches(group), GROUP_ROWS)
            written += sum(batch.num_rows for batch in group)
            on_rows(written)
    return written


def _cut(items: Iterable[T], length: int) -> Iterator[list[T]]:
    """Yields the items in lists of this length. The last one can be shorter."""
    remaining = iter(items)
    while found := list(islice(remaining, length)):
        yield found


def _record_batch(columns: Sequence[Column], schema: Any, sources: Sequence[str], rows: Sequence[Values]) -> Any:
    """Returns rows with the values of these sources as columns."""
    values = dict(zip(sources, zip(*rows, strict=True), strict=True))
    return pyarrow.record_batch([_array(column, values, len(rows)) for column in columns], schema=schema)


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


def _rows(
    connection: sqlite3.Connection, recording: Recording, table: str, names: Sequence[str]
) -> Iterator[Iterable[Values]]:
    """Yields the rows of a table in order: those of each block of ids."""
    select = f"SELECT {', '.join(names)} FROM {table}"
    if table == tree.RECORDINGS:
        # A recording whose recorder was killed is still called `recording` until another recorder opens the file.
        known = {**recording.row, "status": recording.status}
        yield [tuple(known[name] for name in names)]
    elif (key := tree.event_id(table)) is None:
        yield connection.execute(f"{select} WHERE recording_id = ? ORDER BY {tree.ORDERS[table]}", [recording.id])
    else:
        for block in blocks_of(connection, recording.id):
            yield connection.execute(f"{select} WHERE {in_block(key)} ORDER BY {key}", block)


def blocks_of(connection: sqlite3.Connection, recording_id: int) -> list[tuple[int, int, int]]:
    """Returns the blocks of event ids of a recording in order: first id, last id and, for in_block(), its number."""
    sql = "SELECT first_id, first_id + size - 1, recording_id FROM fact_blocks WHERE recording_id = ? ORDER BY first_id"
    return connection.execute(sql, [recording_id]).fetchall()


def in_block(key: str) -> str:
    """Returns the condition for the rows of a block, with a ? for each of its values. key: the column of event ids."""
    return f"{key} BETWEEN ? AND ? AND recording_id = ?"
