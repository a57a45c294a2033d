"""The names of the engines."""

from __future__ import annotations

from enum import Enum


class EngineName(str, Enum):
    """The values of --engine."""

    duckdb = "duckdb"
    clickhouse = "clickhouse"
    spark = "spark"
