"""Exports a recording as a Parquet file in a partitioned folder: host=NAME/recording=START/processes.parquet.

DuckDB, ClickHouse, Spark and pyarrow read the folder as one table with the columns host and recording (Hive
partitions), and skip partitions that a query doesn't need. The path depends on the recording only, not on the number
that it has in its file. This is the only module that imports pyarrow.
"""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import pyarrow
from pyarrow import parquet

from ..model.events import escape_bytes
from ..model.recording import Recording
from ..progress import NO_PROGRESS, Progress, count_processes, report_rows
from ..storage import process_select

_GROUP_ROWS = 65_536  # rows per row group; one group at a time is in memory
_TYPES = {"INTEGER": pyarrow.int64(), "TEXT": pyarrow.string(), "BLOB": pyarrow.binary(), "ANY": pyarrow.string()}
_LEFT_OUT = {"recording_id"}  # only has a meaning in the original file; the partition identifies the recording
# For people and spreadsheets: the columns in ns again, as timestamps in us, because Spark doesn't support ns.
_TIMES = {"started": "start_ns", "ended": "end_ns"}
_TIME = pyarrow.timestamp("us", tz="UTC")


def path_in_folder(recording: Recording) -> Path:
    """Returns the path of the file within the folder; the start time (UTC) identifies the recording of a host."""
    started = datetime.fromtimestamp(recording.started_ns // 1000 / 1e6, timezone.utc)
    name = recording.host or "unknown"
    host = quote(name, safe="").replace(".", "%2E" if set(name) == {"."} else ".")
    return Path(f"host={host}") / f"recording={started:%Y%m%dT%H%M%S.%fZ}" / "processes.parquet"


def write(
    connection: sqlite3.Connection, recording: Recording, out: BinaryIO, progress: Progress = NO_PROGRESS
) -> None:
    """Writes all processes, including kernel threads, with the row of the recording in the file's metadata."""
    columns = {column.name: _TYPES[column.type] for column in process_select.columns()}
    names = [name for name in columns if name not in _LEFT_OUT]
    metadata = {"webpf": json.dumps(dict(recording.row), default=str)}
    fields = [(name, columns[name]) for name in names] + [(name, _TIME) for name in _TIMES]
    schema = pyarrow.schema(fields, metadata=metadata)
    sql = f"{process_select.select(names)} WHERE p.recording_id = ? ORDER BY p.id"
    rows = connection.execute(sql, [recording.id])
    with parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        remaining = report_rows(rows, progress, count_processes(connection, recording.id))
        while batch := list(islice(remaining, _GROUP_ROWS)):
            values: dict[str, Any] = dict(zip(names, zip(*batch, strict=True), strict=True))
            for name, source in _TIMES.items():
                values[name] = [None if ns is None else ns // 1000 for ns in values[source]]
            values["filename"] = list(map(escape_bytes, values["filename"]))
            writer.write_batch(pyarrow.record_batch(values, schema=schema))
