"""A recording as a Parquet file in a tree that holds many: host=NAME/recording=START/. Only this imports pyarrow.

DuckDB, ClickHouse, Spark and pyarrow read such a tree as one table with the columns host and recording (Hive's
partitions), and skip what a query doesn't ask for. A recording's place is the same whatever file it comes from.
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

from ..model.events import as_text
from ..model.recording import Recording
from ..progress import UNWATCHED, Work, counted, processes
from ..storage import soundness

_ROWS = 65_536  # of a row group, which is what is in memory at a time
_TYPES = {"INTEGER": pyarrow.int64(), "TEXT": pyarrow.string(), "BLOB": pyarrow.binary(), "ANY": pyarrow.string()}
_LEFT_OUT = {"recording_id"}  # its number in the file that it comes from; the partitions say more
# For people and spreadsheets: the same as the columns in ns, which every reader takes as numbers. Spark knows no ns.
_TIMES = {"started": "start_ns", "ended": "end_ns"}
_TIME = pyarrow.timestamp("us", tz="UTC")


def path_in_folder(recording: Recording) -> Path:
    """Where in the tree a recording's file is. Its start (UTC) tells it from others of its host."""
    started = datetime.fromtimestamp(recording.started_ns // 1000 / 1e6, timezone.utc)
    name = recording.host or "unknown"
    host = quote(name, safe="").replace(".", "%2E" if set(name) == {"."} else ".")
    return Path(f"host={host}") / f"recording={started:%Y%m%dT%H%M%S.%fZ}" / "processes.parquet"


def write(connection: sqlite3.Connection, recording: Recording, out: BinaryIO, work: Work = UNWATCHED) -> None:
    """Writes all processes of a recording, kernel threads too. What is said of the recording goes into the metadata."""
    columns = {name: _TYPES[column.type] for name, column in soundness.columns()["processes"].items()}
    names = [name for name in columns if name not in _LEFT_OUT]
    metadata = {"webpf": json.dumps(dict(recording.row), default=str)}
    fields = [(name, columns[name]) for name in names] + [(name, _TIME) for name in _TIMES]
    schema = pyarrow.schema(fields, metadata=metadata)
    rows = connection.execute(
        f"SELECT {', '.join(names)} FROM processes WHERE recording_id = ? ORDER BY id", [recording.id]
    )
    with parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        remaining = counted(rows, work, processes(connection, recording.id))
        while batch := list(islice(remaining, _ROWS)):
            values: dict[str, Any] = dict(zip(names, zip(*batch, strict=True), strict=True))
            for name, source in _TIMES.items():
                values[name] = [None if ns is None else ns // 1000 for ns in values[source]]
            values["filename"] = list(map(as_text, values["filename"]))
            writer.write_batch(pyarrow.record_batch(values, schema=schema))
