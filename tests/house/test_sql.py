"""The SQL of the saved queries and of their macros: how it is written."""

from __future__ import annotations

import re

import pytest
import sqlglot
from support import PROJECT

from webpf.analysis import saved_queries
from webpf.storage.sql_macros import MACROS

NAMES = saved_queries.names()


@pytest.mark.parametrize("name", NAMES)
def test_parameters_enter_through_their_macro_alone(name: str) -> None:
    """So each parameter has exactly the type and default that the head states."""
    source = (PROJECT / "queries" / f"{name}.sql").read_text(encoding="utf-8")
    body = re.sub(r"--.*|'[^']*'", "", source)
    assert re.findall(r"[:@$]\w+", body) == []
    assert set(re.findall(r"param!\((\w+)\)", body)) <= {each.name for each in saved_queries.load(name).parameters}


@pytest.mark.parametrize("name", NAMES)
def test_each_query_states_its_order(name: str) -> None:
    """At its end, or as the position in its first table, `ordered`, so that only rows that are read are looked up."""
    last = saved_queries.load(name).sql.rpartition("\nSELECT\n")[2]
    states = (
        re.search(r"^ORDER BY ", last, re.MULTILINE),
        re.search(r"^FROM (ordered|family)\nCROSS JOIN ", last, re.MULTILINE),
    )
    assert sum(map(bool, states)) == 1
    if states[1] and states[1][1] == "ordered":
        assert re.search(
            r"ordered (AS \([^;]*row_number\(\) OVER \(ORDER BY [^;]+ AS position|AS \(\s+SELECT 0 AS position)",
            saved_queries.load(name).sql,
        )


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_rounded_to_few_digits(name: str) -> None:
    """With more, SQLite's round() isn't exact: it rounds to 64 binary digits first. Integers can be divided instead."""
    rounded = list(sqlglot.parse_one(saved_queries.load(name).sql, read="sqlite").find_all(sqlglot.exp.Round))
    assert all(int(each.args["decimals"].name) <= 4 for each in rounded)


@pytest.mark.parametrize(
    ("text", "module"),
    [
        ("kernel IS NOT 1", "macro_texts.py"),
        ("max(id) FROM recordings", "macro_texts.py"),
        ("json_extract(", "macro_texts.py"),
        ("'USR1'", "macro_texts.py"),
        ("start_ns DESC, id DESC", "macro_texts.py"),
        ("BETWEEN block.", "base_macros.py"),
    ],
)
def test_the_text_of_a_macro_is_written_nowhere_else(text: str, module: str) -> None:
    assert any(text in macro.text for macro in MACROS.values())
    paths = [*(PROJECT / "queries").glob("*.sql"), *(PROJECT / "recorder").rglob("*.py")]
    assert len(paths) > 100
    assert [path.name for path in paths if text in path.read_text(encoding="utf-8")] == [module]
