"""SQL macros: what they expand to, what stays unchanged, and what SQLite says of a macro that is not expanded."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
from support import make_recording

from webpf.storage.macro import Macro
from webpf.storage.sql_macros import MACROS, expand

ARGUMENTS = {
    "time_ns": "processes.start_ns",
    "number": "2", "r": "recordings", "name": "of", "column": "pid", "p": "processes", "shows_kernel": "1",
    "recording": "1", "steps": "7", "pid": "100", "until_ns": "1", "ns": "5000",
    "id": "recordings.id", "value": "processes.cpu_ns", "counted": "processes", "c": "cgroup_paths", "depth": "2",
    "source": "made", "count": "depth", "falls": "made", "tops": "made", "family": "made",
}  # fmt: skip
"""A value for each argument of a macro."""

MADE = """made AS (
    SELECT 1 AS id, 'sh' AS comm, 0 AS start_ns, 1 AS number, 2 AS age, 3 AS at_risk, 0.5 AS factor, 4 AS depth
)"""
PLACES = {
    "blocks_of": "SELECT 1 FROM recordings {}",
    "in_block": "SELECT 1 FROM recordings, fact_blocks AS block WHERE {}",
    "in_order": "SELECT 1 {}",
    "each_cgroup": "SELECT 1 FROM processes GROUP BY {}",
    "same_cgroup": "SELECT 1 FROM processes, cgroup_paths GROUP BY {}",
    "below": f"WITH {MADE} SELECT {{}} FROM made",
} | dict.fromkeys(("numbers_below", "curve_of", "family_of"), f"WITH RECURSIVE {MADE}, of AS ({{}}) SELECT * FROM of")
"""Where a macro stands, if it is no value, table or whole SELECT. Macros of a CTE have its name as an argument."""


@pytest.mark.parametrize(
    ("sql", "expanded"),
    [
        ("is_counted!(p)", "p.kernel IS NOT 1 AND p.in_scope IS NOT 0"),
        ("is_counted!( p )AND 1", "p.kernel IS NOT 1 AND p.in_scope IS NOT 0AND 1"),
        ("until_ns!(r)+until_ns!(s)", "coalesce(r.ended_ns, r.updated_ns)+coalesce(s.ended_ns, s.updated_ns)"),
        ("latest_recording!( )", "(SELECT max(id) FROM recordings)"),
        ("is_counted_or_kernel!(p, max(1, 2))", "(p.kernel IS NOT 1 OR max(1, 2)) AND p.in_scope IS NOT 0"),
        ("is_counted_or_kernel!(p, ')' = \",\")", "(p.kernel IS NOT 1 OR ')' = \",\") AND p.in_scope IS NOT 0"),
        (
            "is_counted_or_kernel!(p, is_counted!(q))",
            "(p.kernel IS NOT 1 OR q.kernel IS NOT 1 AND q.in_scope IS NOT 0) AND p.in_scope IS NOT 0",
        ),
        ("is_counted_or_kernel!(p, '{r}')", "(p.kernel IS NOT 1 OR '{r}') AND p.in_scope IS NOT 0"),
        ("option!(r, of)", "CASE WHEN json_valid(r.options) THEN json_extract(r.options, '$.of') END"),
        ("param!(low) < param!(high)", ":low < (SELECT max(id) FROM recordings)"),
        ("param!(brace)", "'{} {0} {name}'"),
        # The lines of a macro get the indentation of its call.
        (
            "  x = latest_owner!(1, :pid)\n  y",
            "  x = (\n      SELECT id\n      FROM processes\n      WHERE recording_id = 1\n          AND pid = :pid\n"
            "          AND processes.in_scope IS NOT 0\n      ORDER BY start_ns DESC, id DESC\n      LIMIT 1\n  )\n  y",
        ),
    ],
)
def test_a_macro_is_replaced_by_its_text(sql: str, expanded: str) -> None:
    values = {"low": ":low", "high": "latest_recording!()", "brace": "'{} {0} {name}'"}
    assert expand(sql, values) == expanded


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SELECT a != b, a!=(b), a <> b",
        "SELECT 'is_counted!(p)', 'it''s is_counted!(p)', '--' ",
        'SELECT "is_counted!(p)", `is_counted!(p)`, [is_counted!(p)]',
        "SELECT 1 -- is_counted!(p), it's a comment\n, 2",
        "SELECT 1 /* is_counted!(p) ' */, 2 /* nosuch!(",
        "SELECT 'nosuch!('",
    ],
)
def test_strings_names_and_comments_are_unchanged(sql: str) -> None:
    assert expand(sql) == sql


def test_what_follows_a_string_or_a_comment_is_expanded() -> None:
    assert (
        expand("'is_counted!(p)' -- '\nis_counted!(p)")
        == "'is_counted!(p)' -- '\np.kernel IS NOT 1 AND p.in_scope IS NOT 0"
    )


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT 1\nWHERE is_conted!(p)", "line 2: there is no macro is_conted!: did you mean is_counted!?"),
        ("xyzzy!()", "line 1: there is no macro xyzzy!"),
        ("is_counted!()", "line 1: is_counted! is called as is_counted!(p): 0 given"),
        ("is_counted!(p, q)", "line 1: is_counted! is called as is_counted!(p): 2 given"),
        ("is_counted_or_kernel!(p,)", "line 1: is_counted_or_kernel! is called as"),
        ("latest_recording!(1)", "line 1: latest_recording! is called as latest_recording!(): 1 given"),
        ("\n\nis_counted!(p", "line 3: is_counted!( is not closed"),
        ("is_counted!(p')'", "line 1: is_counted!( is not closed"),
        ("is_counted! (p)", "line 1: a macro is written name!(...), not 'is_counted!'"),
        ("is_counted!", "line 1: a macro is written name!(...), not 'is_counted!'"),
        ("NOT !(p)", "line 1: a macro is written name!(...), not '!('"),
        ("is_counted_or_kernel!(p,\nnosuch!(q))", "line 1: there is no macro nosuch!"),
        ("param!(x)", "line 1: there is no parameter 'x'"),
        ("param!(known, 2)", "line 1: param! is called as param!(name): 2 given"),
    ],
)
def test_a_wrong_call_is_refused_with_its_line(sql: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        expand(sql, {"known": "1"})


@pytest.mark.parametrize(
    ("sql", "of_file", "of_one", "pooled"),
    [
        ("is_chosen!(p.id)", "p.id = :n", "p.id = :n", "TRUE"),
        ("by_blocks!(p, 2)", None, "(SELECT * FROM processes WHERE recording_id = 2) AS p", "processes AS p"),
        ("SELECT a\n    in_order!(a)\nLIMIT 1", "SELECT a\nLIMIT 1", "SELECT a\n    ORDER BY a\nLIMIT 1", None),
        ("same_cgroup!(p, c)", "c.path, p.cgroup_id", "c.path, p.cgroup_id", "c.path"),
        ("known_from_ns!(p, r)", "r.started_ns", "r.started_ns", "p.known_from_ns"),
        ("in_scope!(p)", "p.in_scope IS NOT 0", "p.in_scope IS NOT 0", "p.in_scope IS NOT 0"),
    ],
)  # fmt: skip
def test_the_text_depends_on_what_is_read(sql: str, of_file: str | None, of_one: str, pooled: str | None) -> None:
    values = {"recording": ":n"}
    assert of_file is None or expand(sql, values) == of_file
    assert expand(sql, values, base="one") == of_one
    assert expand(sql, values, base="pooled") == (of_one if pooled is None else pooled)


@pytest.mark.parametrize("macro", MACROS.values(), ids=MACROS)
def test_sqlite_accepts_each_macro_only_when_expanded(tmp_path: Path, macro: Macro) -> None:
    """In any place: as a value, a condition or a table."""
    make_recording(tmp_path / "webpf.db", [])
    call = f"{macro.name}!({', '.join(ARGUMENTS[argument] for argument in macro.arguments)})"
    connection = sqlite3.connect(tmp_path / "webpf.db")
    for place in ("SELECT {}", "SELECT 1 WHERE {}", "SELECT * FROM {}", "{}", "SELECT 1 LIMIT {}", "SELECT 1 IN {}"):
        with pytest.raises(sqlite3.OperationalError, match=r'unrecognized token: "!"|syntax error'):
            connection.execute(place.format(call))
    expanded = expand(call, {"recording": "1"})
    if macro.name in PLACES:
        statement = PLACES[macro.name].format(expanded)
    elif expanded.startswith(("SELECT", "VALUES")):
        statement = expanded
    elif " JOIN " in expanded.partition("(")[0]:
        statement = f"SELECT 1 FROM {expanded}"
    else:
        statement = f"SELECT {expanded} FROM recordings, processes"
    connection.execute(statement).fetchall()
    connection.close()
