"""Saved queries give the same rows in DuckDB and ClickHouse as in SQLite over the merged recordings: one by one."""

from __future__ import annotations

import pytest
from fleets import CASES, Fleet, compare

from webpf.analysis import saved_queries
from webpf.fleet.engine import Engine

QUERIES = [name for name in saved_queries.names() if saved_queries.load(name).fleet != "no"]


@pytest.mark.parametrize(("name", "given"), [(name, given) for name in QUERIES for given in CASES.get(name, [{}])])
def test_each_recording(fleet: Fleet, engine: Engine, name: str, given: dict[str, str]) -> None:
    compare(fleet, name, engine, given, per_recording=True)
