"""Saved queries give the same rows in DuckDB and ClickHouse as in SQLite over the merged recordings: as one base."""

from __future__ import annotations

import pytest
from fleets import CASES, Fleet, compare

from webpf.analysis import saved_queries
from webpf.fleet.engine import Engine

QUERIES = [name for name in saved_queries.names() if saved_queries.load(name).fleet != "no"]
POOLED = [name for name in QUERIES if saved_queries.load(name).fleet == "pooled"]


@pytest.mark.parametrize("name", POOLED)
def test_all_recordings_as_one_base(fleet: Fleet, engine: Engine, name: str) -> None:
    for given in CASES.get(name, [{}]):
        compare(fleet, name, engine, given)


def test_there_is_a_query_of_each_kind() -> None:
    assert len(POOLED) == 21 and len(QUERIES) == 30
    assert not set(CASES) - set(QUERIES)
