"""ClickHouse, as an engine for a fleet: in one process, by the package chdb."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from ..errors import UsageError
from ..model import argv
from . import tree
from .engine import Engine, Row, one_pattern
from .translate import Translated

_BATCH = 8192  # rows
_COLUMN = {"INTEGER": "Int64", "TEXT": "String", "BLOB": "String"}


class ClickHouse(Engine):
    """ClickHouse within this process."""

    name = "clickhouse"
    types: ClassVar[Mapping[str, str]] = {name: f"Nullable({type})" for name, type in _COLUMN.items()}
    settings = (
        "CREATE DATABASE IF NOT EXISTS webpf",
        "USE webpf",
        "SET output_format_arrow_string_as_string = 0",
        "SET join_use_nulls = 1",
        "SET use_hive_partitioning = 0",
        "SET enable_materialized_cte = 1",
        "SET max_recursive_cte_evaluation_depth = 1000000",
    )
    # Numbers are looked up, and not joined: a filter of a query then reaches the files.
    number = "joinGet('numbers', 'id', t.part)"
    started = "joinGet('numbers', 'started_ns', t.part)"
    join_recordings = f"\nWHERE {number} > 0"

    def __init__(self) -> None:
        self._session: Any = None

    def scan(self, table: str, root: str, folders: Sequence[str], columns: Mapping[str, str], absent: set[str]) -> str:
        if set(root) & set("*?{}"):
            message = f"ClickHouse can't read the folder {root}: in its name, *, ?, {{ and }} stand for other names"
            raise UsageError(message, f"mv {argv.file_word(Path(root))} fleet")
        names = ", ".join(f"{name} {self.types[type]}" for name, type in columns.items())
        part = "extract(toString(_path), '(host=[^/]*/recording=[^/]*)/[^/]*$')"
        path = _literal(f"{root}/{table}/{one_pattern(folders)}/{tree.PART}")
        return f"SELECT {', '.join(columns)}, {part} AS part\nFROM file({path}, 'Parquet', {_literal(names)})"

    def create(self, name: str, select: str, is_stored: bool = False) -> list[str]:
        if not is_stored:
            return [f"CREATE OR REPLACE VIEW {name} AS\n{select}"]
        made = [f"CREATE OR REPLACE TABLE {name} ENGINE = MergeTree ORDER BY tuple() AS\n{select}"]
        if name == "recordings":
            columns = "part String, id Int64, started_ns Int64"
            made += _lookup(
                "numbers", columns, "SELECT part, assumeNotNull(id), assumeNotNull(started_ns) FROM recordings"
            )
        elif name == "continued":
            values = ", ".join(f"assumeNotNull({column})" for column in ("id", "kept_id", "known_from_ns"))
            columns = "id Int64, kept_id Int64, known_from_ns Int64"
            made = _lookup(name, columns, f"SELECT {values}\nFROM (\n{select}\n)")
        return made

    def look_up(self, id: str, column: str, alias: str) -> tuple[str, str]:
        return f"joinGetOrNull('continued', '{column}', assumeNotNull({id}))", ""

    def open(self) -> None:
        self._session = new_session()

    def execute(self, statement: str) -> None:
        self._session.query(statement)

    def rows(self, query: Translated) -> tuple[list[str], Iterator[Row]]:
        reader = self._session.send_query(query.sql, "Arrow").record_batch(_BATCH)
        return reader.schema.names, _fetch(reader, query.blobs)

    def errors(self) -> tuple[type[Exception], ...]:
        from chdb import ChdbError

        return (ChdbError, RuntimeError)

    def close(self) -> None:
        if self._session is not None:
            self._session.close()


def new_session() -> Any:
    """Returns a session of chdb. Raises ImportError if that is not installed.

    When it is imported, chdb blocks SIGPIPE, which would stay so in programs that this process starts.
    """
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        from chdb import session

        return session.Session()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _fetch(reader: Any, blobs: frozenset[str]) -> Iterator[Row]:
    """Yields the rows of a result, in which text is bytes too."""
    for batch in reader:
        columns = [batch.column(index).to_pylist() for index in range(batch.num_columns)]
        texts = [
            column if name in blobs else list(map(_decode, column))
            for name, column in zip(reader.schema.names, columns, strict=True)
        ]
        yield from zip(*texts, strict=True)


def _decode(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _lookup(name: str, columns: str, select: str) -> list[str]:
    key = columns.partition(" ")[0]
    return [
        f"CREATE OR REPLACE TABLE {name} ({columns}) ENGINE = Join(ANY, LEFT, {key})",
        f"INSERT INTO {name}\n{select}",
    ]


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
