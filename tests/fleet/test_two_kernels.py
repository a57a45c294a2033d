"""Recordings of two kernels in one tree: of this machine, and of Linux 6.1 in qemu (tools/compat/record.py)."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from fleets import CASES, Fleet, compare, make_fleet
from support import PROJECT

from webpf.analysis import saved_queries
from webpf.fleet import engines
from webpf.fleet.engine_name import EngineName
from webpf.storage import upgrade

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.kernel


@pytest.fixture
def fleet(webpf: Webpf, tmp_path: Path) -> Fleet:
    """A recording of this kernel, and one of Linux 6.1."""
    older, here = tmp_path / "6.1.db", tmp_path / "here.db"
    shutil.copyfile(PROJECT / "tests" / "fleet" / "data" / "linux-6.1.db", older)
    upgrade.upgrade(older)
    program = "true; false; sh -c 'exit 3'; sh -c 'kill -9 $$'; sleep 0.05"
    assert webpf("record", "--db", here, "--", "sh", "-c", program).returncode != 66
    return make_fleet(tmp_path, sorted((older, here), key=_start))


def _start(db: Path) -> int:
    with closing(sqlite3.connect(db)) as connection:
        return int(connection.execute("SELECT started_ns FROM recordings").fetchone()[0])


def test_answers_are_those_of_sqlite(fleet: Fleet) -> None:
    engine = engines.start(EngineName.duckdb)
    try:
        queries = [saved_queries.load(name) for name in saved_queries.names()]
        wanted = [query for query in queries if query.fleet != "no"]
        assert len(wanted) == 30
        for query in wanted:
            compare(fleet, query.name, engine, CASES.get(query.name, [{}])[0])
    finally:
        engine.close()


def test_the_words_that_users_type(fleet: Fleet, webpf: Webpf) -> None:
    answer = webpf("query", "losses", "--on", fleet.root, "--format", "csv")
    assert (answer.returncode, answer.stderr, len(answer.stdout.splitlines())) == (0, "", 1 + 2 * 4)
    for engine in ("duckdb", "clickhouse"):
        answer = webpf(
            "query", "lifetimes", "--on", fleet.root, "--host", "gue*", "--engine", engine, "--format", "csv"
        )
        assert (answer.returncode, answer.stderr) == (0, ""), engine
        lines = answer.stdout.splitlines()[1:]
        assert len(lines) == 8 and all(line.startswith("guest,") for line in lines), answer.stdout
