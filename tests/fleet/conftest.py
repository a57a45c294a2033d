"""Fixtures for the tests of Parquet trees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="the extra webpf[parquet] isn't installed")

from fleets import Fleet, make_odd_recording, make_parts, make_several_machines

from webpf.fleet import engines
from webpf.fleet.engine import Engine
from webpf.fleet.engine_name import EngineName


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A recording with rows in all tables, and with a path that is not UTF-8."""
    make_odd_recording(tmp_path / "webpf.db")
    return tmp_path / "webpf.db"


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Recordings of five machines. Tests only read it."""
    return make_several_machines(tmp_path_factory.mktemp("fleet"))


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Three recordings of a machine, one after the other, and one of another machine meanwhile. Tests only read it."""
    return make_parts(tmp_path_factory.mktemp("parts"))


@pytest.fixture(scope="module", params=["duckdb", "clickhouse"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine that is open."""
    opened = engines.start(EngineName(request.param))
    yield opened
    opened.close()
