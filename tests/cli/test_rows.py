"""Rows as people read them, and --sort, --columns, --sql: the expected order is that of Python's sorted()."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from story import BUILD
from support import T0, at, make_recording

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]
Rows = list[dict[str, Any]]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A recording of the story, made in India."""
    path = tmp_path / "webpf.db"
    make_recording(path, BUILD)
    change(path, "UPDATE recordings SET utc_offset_s = 19800")
    return path


def change(db: Path, sql: str, *values: object) -> None:
    """Changes rows."""
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute(sql, values)


def rows_of(webpf: Webpf, *arguments: str) -> Rows:
    """Returns the rows of a query."""
    answer = webpf("query", *arguments, "--format", "json")
    assert answer.returncode == 0, answer.stderr
    found: Rows = json.loads(answer.stdout)
    return found


def by(column: str, rows: Rows, is_descending: bool) -> Rows:
    """Sorts as documented: unknown values last, equal values in the order that they had."""
    known = [row for row in rows if row[column] is not None]
    return [
        *sorted(known, key=lambda row: row[column], reverse=is_descending),
        *(row for row in rows if row[column] is None),
    ]


@pytest.mark.parametrize("is_descending", [False, True])
@pytest.mark.parametrize(
    ("query", "column"),
    [("lifetimes", "lifetime_ms"), ("lifetimes", "comm"), ("lifetimes", "exit_code"), ("failures", "signal"),
     ("summary", "failed"), ("users", "uid")],
)  # fmt: skip
def test_sort(query: str, column: str, is_descending: bool, db: Path, webpf: Webpf) -> None:
    rows = rows_of(webpf, query)
    found = rows_of(webpf, query, "--sort", column + (":desc" if is_descending else ""))
    assert found == by(column, rows, is_descending)
    assert len({str(row[column]) for row in rows}) > 1


def test_columns_in_their_order_with_the_names_of_tables_too(db: Path, webpf: Webpf) -> None:
    rows = rows_of(webpf, "failures")
    found = rows_of(webpf, "failures", "--columns", "args, exit,lifetime_ms", "--sort", "lifetime")
    assert [list(row) for row in found] == [["args", "exit_code", "lifetime_ms"]] * len(rows)
    assert found == [{name: row[name] for name in found[0]} for row in by("lifetime_ms", rows, False)]
    assert [row["pid"] for row in rows_of(webpf, "failures", "--columns", "pid")] == [row["pid"] for row in rows]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sort", "lifetme"], "--sort: there is no column 'lifetme': did you mean lifetime_ms?"),
        (["--columns", "pid,exitcode"], "--columns: there is no column 'exitcode': did you mean exit_code?"),
        (["--sort", "pid:up"], "--sort takes COLUMN or COLUMN:desc, not 'pid:up'"),
        (["--columns", "pid,,comm"], "--columns takes names with commas between them, not 'pid,,comm'"),
    ],
)
def test_bad_names(options: list[str], message: str, db: Path, webpf: Webpf) -> None:
    for more in ([], ["--sql"]):
        ended = webpf("query", "failures", *options, *more)
        assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (64, "", 1)
        assert ended.stderr.startswith(f"webpf: {message}; try: ")


def test_the_sql_that_runs(db: Path, webpf: Webpf) -> None:
    """With the values, the order and the number of rows in it: SQLite alone gives the rows of webpf."""
    make_recording(db, BUILD[:20], name="later")
    options = ["-p", "min_ms=5", "--recording", "1", "--sort", "comm:desc", "--columns", "comm,pid"]
    sql = webpf("query", "long_lived", *options, "--limit", "3", "--sql").stdout
    assert ":" not in re.sub("--.*", "", sql)
    with closing(sqlite3.connect(db)) as connection:
        rows = connection.execute(sql).fetchall()
    assert rows == [(row["comm"], row["pid"]) for row in rows_of(webpf, "long_lived", *options)[:3]]
    assert len(rows) == 3
    named = webpf("query", "failures", "--recording", "later", "--sql").stdout
    assert "recording_id = 2" in named


def test_sql_of_a_scope_is_refused(db: Path, webpf: Webpf) -> None:
    ended = webpf("query", "failures", "--sql", "--comm", "sh")
    assert (ended.returncode, ended.stdout) == (64, "")
    assert ended.stderr.endswith("webpf extract --comm sh -o part.db\n")


@pytest.mark.parametrize("query", ["failures", "crashes"])
def test_what_ended_last_comes_first(query: str, db: Path, webpf: Webpf) -> None:
    ends = [row["end_ns"] for row in rows_of(webpf, query)]
    known = [end for end in ends if end is not None]
    assert len(known) > 1
    assert ends == [*sorted(known, reverse=True), *[None] * (len(ends) - len(known))]


def test_times_are_text_too_beside_the_numbers(db: Path, webpf: Webpf) -> None:
    """In the time of the machine that was recorded."""
    row = rows_of(webpf, "failures", "--columns", "pid,end_ns,lifetime_ms", "--sort", "end:desc")[0]
    assert list(row) == ["pid", "end_ns", "end", "lifetime_ms"]
    assert row["end_ns"] == at(250)
    written = datetime.fromisoformat(row["end"])
    assert written == datetime.fromtimestamp(T0 / 1e9, timezone.utc) + timedelta(milliseconds=250)
    assert written.utcoffset() == timedelta(hours=5, minutes=30)
    lines = webpf("query", "failures", "--format", "csv").stdout
    table = list(csv.DictReader(io.StringIO(lines)))
    assert {(each["end_ns"], each["end"]) for each in table} >= {(str(at(250)), row["end"]), ("", "")}
    assert " ".join(row["end"].split()[1:])[:12] in webpf("query", "failures").stdout


def test_exports_have_the_columns_of_the_table_alone(db: Path, webpf: Webpf) -> None:
    header = webpf("export", "--to", "csv").stdout.splitlines()[0].split(",")
    assert "end_ns" in header and "end" not in header


def test_a_table_for_people(db: Path, webpf: Webpf) -> None:
    change(db, "UPDATE processes SET start_ns = end_ns - 6780000000000, max_rss_kib = 83968 WHERE pid = 107")
    change(db, "UPDATE processes SET uid = 0 WHERE pid = 107")
    _, _, header, _, *lines = webpf(
        "query", "lifetimes", "--columns", "pid,lifetime,signal,max_rss,uid"
    ).stdout.splitlines()
    assert header.split() == ["pid", "lifetime", "signal", "max_rss", "user"]
    (line,) = (line for line in lines if line.split()[0] == "107")
    assert re.split("  +", line.strip()) == ["107", "1 h 53 min", "KILL", "82.0 MiB", "root"]
