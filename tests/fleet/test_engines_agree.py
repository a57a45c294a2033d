"""Each saved query gives the same rows in DuckDB and ClickHouse as in SQLite over the merged recordings."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fleets import CASES, Fleet, compare, make_several_machines

from webpf.analysis import saved_queries
from webpf.fleet import engines
from webpf.fleet.engine import Engine
from webpf.fleet.engine_name import EngineName

QUERIES = [name for name in saved_queries.names() if saved_queries.load(name).fleet != "no"]
POOLED = [name for name in QUERIES if saved_queries.load(name).fleet == "pooled"]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Recordings of four machines."""
    return make_several_machines(tmp_path_factory.mktemp("fleet"))


@pytest.fixture(scope="module", params=["duckdb", "clickhouse"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine that is open."""
    opened = engines.start(EngineName(request.param))
    yield opened
    opened.close()


@pytest.mark.parametrize("name", POOLED)
def test_all_recordings_as_one_base(fleet: Fleet, engine: Engine, name: str) -> None:
    for given in CASES.get(name, [{}]):
        compare(fleet, name, engine, given)


@pytest.mark.parametrize("name", QUERIES)
def test_each_recording(fleet: Fleet, engine: Engine, name: str) -> None:
    for given in CASES.get(name, [{}]):
        compare(fleet, name, engine, given, per_recording=True)


def test_there_is_a_query_of_each_kind() -> None:
    assert len(POOLED) == 21 and len(QUERIES) == 29
    assert not set(CASES) - set(QUERIES)
