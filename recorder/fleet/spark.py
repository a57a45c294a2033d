"""Spark, as an engine for a fleet: by the package pyspark, in this process or on a cluster."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from . import tree
from .engine import Engine, Row, one_pattern
from .sql_text import literal
from .translate import Translated

MASTER = "WEBPF_SPARK_MASTER"
"""The environment variable that names a cluster, such as spark://host:7077. Default: this machine."""

_STORE = "CACHE TABLE "


class Spark(Engine):
    """Spark, with the files where all its workers can read them."""

    name = "spark"
    types: ClassVar[Mapping[str, str]] = {"INTEGER": "BIGINT", "TEXT": "STRING", "BLOB": "BINARY"}
    settings = (
        "SET spark.sql.session.timeZone = UTC",
        "SET spark.sql.ansi.enabled = false",
        # It breaks WITH RECURSIVE.
        "SET spark.sql.optimizer.dynamicPartitionPruning.enabled = false",
        "SET spark.sql.cteRecursionLevelLimit = 1000000",
        "SET spark.sql.cteRecursionRowLimit = -1",
    )

    def __init__(self) -> None:
        self._session: Any = None

    def scan(self, table: str, root: str, folders: Sequence[str], columns: Mapping[str, str], absent: set[str]) -> str:
        # The folder's host hides the column of this name. Spark makes a character of each byte of it.
        host = "nullif(decode(encode(host, 'ISO-8859-1'), 'UTF-8'), 'unknown') AS host"
        values = [host if name == "host" else name for name in columns]
        return f"SELECT {', '.join(values)}, concat(host, '/', recording) AS part\nFROM files_of_{table}"

    def prepare(self, table: str, root: str, folders: Sequence[str], columns: Mapping[str, str]) -> list[str]:
        path = literal(f"{_escape(root)}/{table}/{one_pattern(folders)}/{tree.PART}")
        types = {name: self.types[type] for name, type in columns.items()} | {
            "host": "STRING",
            "recording": "STRING",
        }
        names = ", ".join(f"{name} {type}" for name, type in types.items())
        options = f"path {path}, basePath {literal(f'{root}/{table}')}"
        return [f"CREATE OR REPLACE TEMPORARY VIEW files_of_{table} ({names})\nUSING parquet OPTIONS ({options})"]

    def create(self, name: str, select: str, is_stored: bool = False) -> list[str]:
        made = [f"CREATE OR REPLACE TEMPORARY VIEW {name} AS\n{select}"]
        return [*made, f"{_STORE}{name}"] if is_stored else made

    def open(self) -> None:
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.master(os.environ.get(MASTER) or "local[*]").appName("webpf")
        for key, value in _OPTIONS.items():
            builder = builder.config(key, value)
        self._session = builder.getOrCreate()

    def execute(self, statement: str) -> None:
        name = statement.removeprefix(_STORE)
        if name == statement:
            self._session.sql(statement)
            return
        # A cached view would still be planned with all that is below it, again for each place that reads it.
        self._session.table(name).localCheckpoint().createOrReplaceTempView(name)

    def rows(self, query: Translated) -> tuple[list[str], Iterator[Row]]:
        for statement in query.before:
            self.execute(statement)
        result = self._session.sql(query.sql)
        return result.columns, (tuple(map(_plain, row)) for row in result.toLocalIterator())

    def errors(self) -> tuple[type[Exception], ...]:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        return (PySparkException, Py4JError)

    def close(self) -> None:
        if self._session is not None:
            self._session.stop()


_OPTIONS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "OFF",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "8",
}


def _escape(path: str) -> str:
    """Returns a path as a pattern that only this path matches."""
    return re.sub(r"[\[\]*?{}\\]", r"\\\g<0>", path)


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, bytearray) else value
