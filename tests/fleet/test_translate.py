"""What the same words mean in SQLite and in the engines: each expression gives the same value in all."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

import duckdb
import pytest

from webpf.fleet import clickhouse
from webpf.fleet.translate import translate

SCHEMA = {"numbers": {"a": "BIGINT", "b": "BIGINT", "t": "TEXT"}}
ROWS = [(7, 2, "é"), (-7, 2, "a'b\\"), (1500, 0, ""), (2500, None, None), (-1500, 3, "z"), (4500, 128, "Z")]
EXPRESSIONS = [
    "a / b",
    "a / 2 * 2",
    "a % 4",
    "round(a / 1e6, 3)",
    "round((a + 1) / 1e6, 3)",
    "round(-a / 1e9, 6)",
    "round(100.0 * a / nullif(b, 0), 1)",
    "round(12.25, 1)",
    "CAST(a / 1000.0 AS INTEGER)",
    "CAST(-2.7 AS INTEGER)",
    "a & 5",
    "a >> 1 & 3",
    "a > 2",
    "a IS b",
    "b IS NOT 2",
    "CASE WHEN b THEN 1 ELSE 2 END",
    "CASE WHEN a & 1 THEN 'odd' ELSE 'even' END",
    "CASE t WHEN '' THEN 1 WHEN 'z' THEN 2 END",
    "NOT b",
    "max(a, 2)",
    "min(a, 2000)",
    "coalesce(b, a) + 1",
    "printf('%*s', 3, '') || coalesce(t, '?')",
    "t || 'x'",
    "lpad(CAST(abs(a) AS TEXT), 6, '0')",
    "nullif(b, 2)",
    "'it''s \\ ' || t",
    "substr(t, 1, 1)",
    "b IN (2, 3)",
    "a IS NOT NULL AND b",
    "1.5 * a",
]
AGGREGATES = [
    "sum(b)", "sum(a > 0)", "count(b)", "count(*)", "avg(a)", "max(t)", "coalesce(sum(b <> 0), 0)", "sum(a) / count(*)",
    "count(DISTINCT b)", "1.0 * sum(a) / count(a)",
]  # fmt: skip


def in_sqlite(sql: str) -> list[tuple[object, ...]]:
    """Returns the rows of a query over the table."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.create_function("lpad", 3, lambda text, length, fill: text.rjust(length, fill), deterministic=True)
        connection.execute("CREATE TABLE numbers (a INTEGER, b INTEGER, t TEXT)")
        connection.executemany("INSERT INTO numbers VALUES (?, ?, ?)", ROWS)
        return connection.execute(sql).fetchall()


def in_duckdb(sql: str) -> list[tuple[object, ...]]:
    """The same in DuckDB."""
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE numbers (a BIGINT, b BIGINT, t VARCHAR)")
        connection.executemany("INSERT INTO numbers VALUES (?, ?, ?)", ROWS)
        return connection.execute(translate(sql, "duckdb", SCHEMA).sql).fetchall()


def in_clickhouse(sql: str) -> list[tuple[object, ...]]:
    """The same in ClickHouse."""
    opened = clickhouse.new_session()
    try:
        opened.query("SET join_use_nulls = 1")
        opened.query("CREATE DATABASE d")
        opened.query("USE d")
        columns = "a Nullable(Int64), b Nullable(Int64), t Nullable(String)"
        opened.query(f"CREATE TABLE numbers ({columns}) ENGINE = Memory")
        for row in ROWS:
            values = [
                "NULL" if each is None else repr(each) if isinstance(each, int) else _quoted(each) for each in row
            ]
            opened.query(f"INSERT INTO numbers VALUES ({', '.join(values)})")
        table = opened.query(translate(sql, "clickhouse", SCHEMA).sql, "ArrowTable")
        return list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    finally:
        opened.close()


def _quoted(value: object) -> str:
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"


@pytest.mark.parametrize("engine", [in_duckdb, in_clickhouse])
def test_values_are_the_same(engine: Callable[[str], list[tuple[object, ...]]]) -> None:
    columns = ", ".join(f"{each} AS x{at}" for at, each in enumerate(EXPRESSIONS))
    sql = f"SELECT {columns} FROM numbers ORDER BY a, b"
    for expected, found in zip(in_sqlite(sql), engine(sql), strict=True):
        differ = [
            (expression, want, got)
            for expression, want, got in zip(EXPRESSIONS, expected, found, strict=True)
            if repr(want) != repr(got)
        ]
        assert differ == []


@pytest.mark.parametrize("engine", [in_duckdb, in_clickhouse])
def test_sums_and_orders_are_the_same(engine: Callable[[str], list[tuple[object, ...]]]) -> None:
    """NULL comes first; a descending order has it last."""
    columns = ", ".join(f"{each} AS x{at}" for at, each in enumerate(AGGREGATES))
    for sql in (
        f"SELECT {columns} FROM numbers",
        f"SELECT a % 2 AS odd, {columns} FROM numbers GROUP BY a % 2 ORDER BY 1",
        "SELECT b, t FROM numbers ORDER BY b, t",
        "SELECT b, t FROM numbers ORDER BY t DESC, b DESC",
        "SELECT a, row_number() OVER (ORDER BY b DESC, a) AS place FROM numbers ORDER BY 2",
        "SELECT x.a AS xa, y.a AS ya FROM numbers AS x JOIN numbers AS y ON x.b IS y.b ORDER BY 1, 2",
        "SELECT x.a FROM numbers AS x CROSS JOIN numbers AS y ON y.a = x.a LEFT JOIN numbers AS z ON z.a = x.b"
        " ORDER BY 1",
    ):
        assert [list(map(repr, row)) for row in engine(sql)] == [list(map(repr, row)) for row in in_sqlite(sql)], sql


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT count(*) FROM Numbers", 1),
        ("SELECT NUMBERS.b FROM NUMBERS WHERE numbers.b = 9", 9),
        ("WITH numbers AS (SELECT 3 AS b) SELECT sum(b) FROM numbers", 3),
        ("SELECT b FROM (WITH Numbers AS (SELECT 4 AS b) SELECT b FROM numbers) AS inner_one", 4),
        ("WITH one AS (SELECT b FROM numbers) SELECT sum(one.b) + sum(n.b) FROM one JOIN numbers AS n ON TRUE", 18),
    ],
)
def test_only_tables_get_other_names(sql: str, expected: int) -> None:
    """SQLite says the same if `numbers` has the row of `others`."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE numbers AS SELECT 9 AS b")
        assert connection.execute(sql).fetchall() == [(expected,)]
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE others AS SELECT CAST(9 AS BIGINT) AS b")
        schema = {"numbers": {"b": "BIGINT"}, "others": {"b": "BIGINT"}}
        assert connection.execute(translate(sql, "duckdb", schema, {"numbers": "others"}).sql).fetchall() == [
            (expected,)
        ]


@pytest.mark.parametrize("engine", [in_duckdb, in_clickhouse])
def test_numbers_below(engine: Callable[[str], list[tuple[object, ...]]]) -> None:
    sql = "WITH one AS (SELECT 3 AS n) SELECT CAST(each_below(one.n) AS INTEGER) AS number FROM one ORDER BY 1"
    assert engine(sql) == [(0,), (1,), (2,)]


def test_bytes_are_known() -> None:
    schema = {"commands": {"id": "BIGINT", "argv": "BLOB", "args": "TEXT"}}
    sql = "SELECT c.argv AS args, c.args AS argv, c.id FROM commands AS c"
    assert translate(sql, "clickhouse", schema).blobs == {"args"}
