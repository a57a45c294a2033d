"""Fixtures for the tests of Parquet trees."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support import A_MIXED_LOT, make_recording, usage

pytest.importorskip("pyarrow", reason="the extra webpf[parquet] isn't installed")

from fleets import Fleet, make_parts, make_several_machines

from webpf.fleet import engines
from webpf.fleet.engine import Engine
from webpf.fleet.engine_name import EngineName

ODD = b"/\xff\xfe dir"


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A recording with rows in all tables, and with a path that is not UTF-8."""
    file = tmp_path / "webpf.db"
    make_recording(file, [*A_MIXED_LOT, usage(1, -5000, 990)])
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("INSERT INTO cgroup_paths (recording_id, cgroup_id, path) VALUES (1, 2, ?)", [ODD])
        connection.execute("INSERT INTO working_directories VALUES (1, 5, 6, '/home'), (1, 5, 7, ?)", [ODD])
        connection.execute("INSERT INTO incidents VALUES (1, 10, 20, 'full', 'no room', 3)")
        connection.execute("UPDATE programs SET interpreter = ?, cwd_device = 5, cwd_inode = 7", [ODD])
    return file


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
