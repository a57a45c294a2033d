"""Heads of saved queries: valid entries are parsed, and invalid ones are refused."""

from __future__ import annotations

import re
import sqlite3

import pytest

from webpf.analysis import query_header, saved_queries

SOURCE = """\
-- title: Names
-- description: A question? It goes on
--   in the next line.
-- param pid: integer, required unless id; process id
-- param id: integer, optional; its row
-- param share: number, default 0.25; a share
-- param word: text, default it's; a word
-- column a: first
-- column b: second;
--   with more
-- column c: third
-- column d: fourth
-- theme: costs
-- A comment in the SQL would be part of the head here.
"""
SQL = "SELECT param!(pid), param!(id), param!(share), param!(word)"


def source(*replaced: tuple[str, str]) -> str:
    """Returns SOURCE with the comment inserted and texts replaced."""
    text = SOURCE.replace("-- A comment in the SQL would be part of the head here.\n", f"{SQL}\n-- A comment: stays\n")
    for old, new in replaced:
        assert old in text
        text = text.replace(old, new)
    return text


def test_a_query_is_read() -> None:
    query = saved_queries.parse("names", source())
    assert (query.title, query.description) == ("Names", "A question? It goes on in the next line.")
    assert query.theme == "costs"
    assert query.columns == {"a": "first", "b": "second; with more", "c": "third", "d": "fourth"}
    assert [(each.name, each.type, each.required, each.default, each.form) for each in query.parameters] == [
        ("pid", "integer", True, None, "integer, required unless id"),
        ("id", "integer", False, None, "integer, optional"),
        ("share", "number", False, "0.25", "number, default 0.25"),
        ("word", "text", False, "it's", "text, default it's"),
    ]
    assert query.sql.endswith("\n-- A comment: stays")
    assert query.script == f"{source().partition('SELECT')[0]}{query.sql}\n;"


@pytest.mark.parametrize("fleet", ["pooled", "per recording", "no"])
def test_a_head_says_how_it_runs_over_a_fleet(fleet: str) -> None:
    assert saved_queries.parse("names", source(("-- column a:", f"-- fleet: {fleet}\n-- column a:"))).fleet == fleet
    assert saved_queries.parse("names", source()).fleet == "no"


@pytest.mark.parametrize("name", saved_queries.names())
def test_each_saved_query_says_how_it_runs_over_a_fleet(name: str) -> None:
    assert "\n-- fleet: " in saved_queries.load(name).head


def test_a_fleet_has_the_values_in_the_sql() -> None:
    query = saved_queries.parse("names", source())
    given = {"pid": "+7", "share": "2", "word": "it's"}
    assert query.for_fleet(given, "one").startswith("SELECT 7, CAST(NULL AS INTEGER), 2.0, 'it''s'")
    assert query.for_fleet({}, "pooled").startswith(
        "SELECT CAST(NULL AS INTEGER), CAST(NULL AS INTEGER), 0.25, 'it''s'"
    )


@pytest.mark.parametrize(
    ("given", "row"),
    [
        ({}, (None, None, 0.25, "it's")),
        ({"pid": "7", "id": "8", "share": "2", "word": "1"}, (7, 8, 2.0, "1")),
        ({"pid": "+7"}, (7, None, 0.25, "it's")),
    ],
)
def test_values_have_the_type_and_the_default_of_the_head(given: dict[str, str], row: tuple[object, ...]) -> None:
    """Values are passed as text. A parameter that isn't set is '' (from Datasette) or NULL (from sqlite3)."""
    sql = saved_queries.parse("names", source()).sql
    connection = sqlite3.connect(":memory:")
    for blank in ("", None):
        values = dict.fromkeys(("pid", "id", "share", "word"), blank) | given
        assert connection.execute(sql, values).fetchone() == row
    connection.close()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("-- title: Names\n", "", "names: line 1: title is missing"),
        (
            "-- description: A question? It goes on\n--   in the next line.\n",
            "",
            "names: line 1: description is missing",
        ),
        (
            "-- column a:",
            "-- colum a:",
            "names: line 8: 'colum a: first' is no title, description, theme, fleet, scope, param or column",
        ),
        ("-- column a: first", "-- column a:", "names: line 8: 'column a:' is no title"),
        ("-- title: Names\n", "--   Names\n", "names: line 1: '  Names' is no title"),
        ("-- column c:", "-- column a:", "names: line 11: column a appears twice in the head"),
        ("integer, optional;", "int, optional;", "names: line 5: parameter id: 'int, optional; its row' is not"),
        (
            "default 0.25",
            "default a quarter",
            "names: line 6: parameter share: the default 'a quarter' is not of the type number",
        ),
        (
            "-- column a:",
            "-- fleet: alone\n-- column a:",
            "names: line 8: fleet: 'alone' is not one of pooled, per recording, no",
        ),
        ("-- column a:", "-- scope: ends\n-- column a:", "names: line 1: scope: ends goes with ended_in_scope!()"),
        ("-- theme: costs\n", "", "names: line 1: theme is missing"),
        (
            "-- theme: costs",
            "-- theme: cost",
            "names: line 13: theme: 'cost' is not one of recording, failures, costs, processes, relations, own",
        ),
        ("-- column a:", "-- scope: all\n-- column a:", "names: line 8: scope: 'all' is not one of lives, ends"),
        ("param!(share)", "param!(shares)", "names: line 14: there is no parameter 'shares'"),
        ("param!(share)", "parm!(share)", "names: line 14: there is no macro parm!: did you mean param!?"),
        (
            "integer, optional;",
            "integer, default the one before it;",
            "names: line 14: there is no parameter 'recording'",
        ),
    ],
)
def test_what_a_head_cannot_mean_is_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        saved_queries.parse("names", source((old, new)))


def test_a_comment_right_behind_the_head_is_refused() -> None:
    with pytest.raises(ValueError, match="is no title, description, theme, fleet, scope, param or column"):
        query_header.parse(SOURCE)
