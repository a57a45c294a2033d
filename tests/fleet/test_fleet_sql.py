"""The SQL that `webpf fleet sql` and `webpf query --on --sql` print runs as it is, where webpf is not."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from fleet_scripts import run_in_duckdb, statements
from fleets import Fleet

from webpf.analysis import saved_queries
from webpf.fleet import clickhouse

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]
QUERIES = [name for name in saved_queries.names() if saved_queries.load(name).fleet != "no"]


def run_in_clickhouse(script: str) -> list[int]:
    """Returns how many rows each query of a script has, in a fresh ClickHouse."""
    opened = clickhouse.new_session()
    try:
        made = [(each, opened.query(each, "TabSeparated")) for each in statements(script)]
        queries = [
            result for each, result in made if "SELECT" in each and "CREATE" not in each and "INSERT" not in each
        ]
        return [result.rows_read() if result.has_error() else len(result.bytes().splitlines()) for result in queries]
    finally:
        opened.close()


def test_duckdb_runs_it(webpf: Webpf, fleet: Fleet, tmp_path: Path) -> None:
    printed = webpf("fleet", "sql", "--on", fleet.root)
    assert (printed.returncode, printed.stderr) == (0, "")
    results = run_in_duckdb(printed.stdout, tmp_path)
    assert len(results) == len(QUERIES)
    assert results[QUERIES.index("users")]
    answer = webpf("query", "users", "--on", fleet.root, "--format", "csv").stdout
    assert len(results[QUERIES.index("users")]) == len(answer.splitlines()) - 1


def test_without_a_folder_it_is_fleet(webpf: Webpf, fleet: Fleet) -> None:
    printed = webpf("fleet", "sql")
    assert run_in_duckdb(printed.stdout, fleet.root.parent)[QUERIES.index("users")]


def test_clickhouse_runs_it(webpf: Webpf, fleet: Fleet) -> None:
    printed = webpf("fleet", "sql", "--engine", "clickhouse", "--on", fleet.root)
    results = run_in_clickhouse(printed.stdout)
    assert len(results) == len(QUERIES)
    answer = webpf("query", "users", "--on", fleet.root, "--format", "csv").stdout
    assert results[QUERIES.index("users")] == len(answer.splitlines()) - 1


def test_spark_is_written_too(webpf: Webpf, fleet: Fleet) -> None:
    printed = webpf("fleet", "sql", "--engine", "spark", "--on", fleet.root)
    assert (printed.returncode, printed.stderr) == (0, "")
    assert all(f"-- {name}: " in printed.stdout for name in QUERIES)
    assert "USING parquet OPTIONS" in printed.stdout


@pytest.mark.parametrize("name", ["lifetimes", "summary", "rate"])
def test_the_sql_of_one_query_is_whole(webpf: Webpf, fleet: Fleet, tmp_path: Path, name: str) -> None:
    printed = webpf("query", name, "--on", fleet.root, "--sql")
    [rows] = run_in_duckdb(printed.stdout, tmp_path)
    arguments = [] if name != "rate" else ["--host", "many"]  # it runs for the latest recording
    answer = webpf("query", name, "--on", fleet.root, *arguments, "--format", "ndjson").stdout
    assert len(rows) == len(answer.splitlines()) > 4
