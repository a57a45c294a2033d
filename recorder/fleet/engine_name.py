"""The names of the engines."""

from __future__ import annotations

from enum import Enum


class EngineName(str, Enum):
    """The values of --engine."""

    duckdb = "duckdb"
    clickhouse = "clickhouse"
    spark = "spark"

    @property
    def package(self) -> str:
        """The Python package that is, or starts, the engine."""
        return {"duckdb": "duckdb", "clickhouse": "chdb", "spark": "pyspark"}[self.value]
