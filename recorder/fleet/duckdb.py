"""DuckDB, as an engine for a fleet."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from . import tree
from .engine import Engine, Row
from .sql_text import literal
from .translate import Translated

_BATCH = 2048  # rows


class DuckDb(Engine):
    """DuckDB within this process."""

    name = "duckdb"
    types: ClassVar[Mapping[str, str]] = {"INTEGER": "BIGINT", "TEXT": "VARCHAR", "BLOB": "BLOB"}
    settings = ("SET preserve_insertion_order = false",)

    def __init__(self) -> None:
        self._connection: Any = None

    def scan(self, table: str, root: str, folders: Sequence[str], columns: Mapping[str, str], absent: set[str]) -> str:
        paths = ", ".join(literal(f"{_escape(root)}/{table}/{folder}/{tree.PART}") for folder in folders)
        values = ", ".join(
            f"CAST(NULL AS {self.types[type]}) AS {name}" if name in absent else name for name, type in columns.items()
        )
        part = "regexp_extract(webpf_path, '(host=[^/]*/recording=[^/]*)/[^/]*$', 1)"
        options = "union_by_name = true, filename = 'webpf_path', hive_partitioning = false"
        return f"SELECT {values}, {part} AS part\nFROM read_parquet([{paths}], {options})"

    def create(self, name: str, select: str, is_stored: bool = False) -> list[str]:
        return [f"CREATE OR REPLACE {'TABLE' if is_stored else 'VIEW'} {name} AS\n{select}"]

    def open(self) -> None:
        import duckdb

        self._connection = duckdb.connect(config={"temp_directory": tempfile.gettempdir()})

    def execute(self, statement: str) -> None:
        self._connection.execute(statement)

    def rows(self, query: Translated) -> tuple[list[str], Iterator[Row]]:
        result = self._connection.execute(query.sql)
        return [column[0] for column in result.description], _fetch(result)

    def errors(self) -> tuple[type[Exception], ...]:
        import duckdb

        return (duckdb.Error,)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


def _escape(path: str) -> str:
    """Returns a path as a pattern that only this path matches."""
    return re.sub(r"[\[*?]", r"[\g<0>]", path)


def _fetch(result: Any) -> Iterator[Row]:
    while rows := result.fetchmany(_BATCH):
        yield from rows
