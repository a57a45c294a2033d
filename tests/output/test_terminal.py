"""Output of rows (tables and CSV with control characters escaped, exact JSON), durations, and messages of one line."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support import fork, make_recording, webpf_command

from webpf.model import argv
from webpf.output.escape import safe
from webpf.output.messages import say
from webpf.output.row_formats import TABLE_ROWS, write_rows
from webpf.output.units import duration

COLUMNS = ["pid", "comm", "lifetime_ms", "args"]
ROWS: list[tuple[Any, ...]] = [(7, "true", 1.5, "true 'a b'"), (8, "sh", None, None), (9, 'x"y,z', 0.25, "é\n")]
CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")
BIDI_MARKS = set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

Run = Callable[..., Any]


def written(
    format: str, rows: Iterable[Sequence[Any]], columns: Sequence[str] = COLUMNS, limit: int | None = None
) -> str:
    """Returns what is written to a file or a pipe."""
    output = io.StringIO()
    write_rows(columns, rows, format, limit, output)
    return output.getvalue()


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Returns a function that writes rows to a terminal of some width, and returns what it gets, without bold type."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def run(format: str, rows: Iterable[Sequence[Any]], columns: Sequence[str] = COLUMNS, width: int = 80) -> str:
        monkeypatch.setenv("COLUMNS", str(width))
        screen, line = os.openpty()
        with os.fdopen(line, "w") as output:
            write_rows(columns, rows, format, None, output)
        sent = b""
        with contextlib.suppress(OSError):  # the end of the output
            while chunk := os.read(screen, 65536):
                sent += chunk
        os.close(screen)
        return re.sub(r"\x1b\[[01]?m", "", sent.decode()).replace("\r\n", "\n")

    return run


# CSV, JSON, JSON lines


def test_csv() -> None:
    assert written("csv", ROWS) == (
        "pid,comm,lifetime_ms,args\n"
        "7,true,1.5,true 'a b'\n"
        "8,sh,,\n"
        '9,"x""y,z",0.25,é\\n\n'
    )  # fmt: skip


def test_json() -> None:
    assert written("json", ROWS) == (
        "[\n"
        '  {"pid": 7, "comm": "true", "lifetime_ms": 1.5, "args": "true \'a b\'"},\n'
        '  {"pid": 8, "comm": "sh", "lifetime_ms": null, "args": null},\n'
        '  {"pid": 9, "comm": "x\\"y,z", "lifetime_ms": 0.25, "args": "\\u00e9\\n"}\n'
        "]\n"
    )


def test_ndjson() -> None:
    assert written("ndjson", ROWS) == (
        '{"pid": 7, "comm": "true", "lifetime_ms": 1.5, "args": "true \'a b\'"}\n'
        '{"pid": 8, "comm": "sh", "lifetime_ms": null, "args": null}\n'
        '{"pid": 9, "comm": "x\\"y,z", "lifetime_ms": 0.25, "args": "\\u00e9\\n"}\n'
    )


@pytest.mark.parametrize(
    ("format", "expected"), [("csv", "pid,comm,lifetime_ms,args\n"), ("json", "[]\n"), ("ndjson", "")]
)
def test_no_rows(format: str, expected: str) -> None:
    assert written(format, []) == expected


VALUES = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), st.text()
)


@settings(max_examples=60)
@given(st.lists(st.tuples(VALUES, VALUES), max_size=5))
def test_json_is_ascii_and_comes_back(rows: list[tuple[Any, Any]]) -> None:
    whole, lines = written("json", rows, ["a", "b"]), written("ndjson", rows, ["a", "b"])
    expected = [{"a": a, "b": b} for a, b in rows]
    assert json.loads(whole) == expected
    assert [json.loads(line) for line in lines.splitlines()] == expected
    assert whole.isascii() and lines.isascii()
    assert "\x1b" not in whole + lines


WIDE = "\uff1d\uff0b\uff0d\uff20"  # the same four in the width of Chinese characters
TRIGGERS = "=+-@\t\r" + WIDE
SPREADSHEET = st.text(st.sampled_from(TRIGGERS + "'\"a1,;|!\\\x1b\u202eé\n") | st.characters())


@settings(max_examples=100)
@given(st.lists(st.tuples(SPREADSHEET, st.integers())))
@example([("a\rb", 1), ("a\nb", 2), ("a,b", 3), ('"', 4)])
def test_csv_comes_back_as_a_table_shows_it(rows: list[tuple[str, int]]) -> None:
    """Each row is one line, control characters are escaped, and a quote is before what a spreadsheet would compute."""
    text = written("csv", rows, ["a", "b"])
    assert not CONTROLS.search(text) and not set(text) & BIDI_MARKS
    assert len(text.split("\n")) == len(rows) + 2
    back = list(csv.reader(io.StringIO(text, newline="")))
    assert back[0] == ["a", "b"]
    for (shown, number), (name, original) in zip(back[1:], rows, strict=True):
        assert number == str(original), "numbers stay numbers, also below 0"
        assert not shown.startswith(tuple(TRIGGERS))
        assert re.sub(f"^'(?='*[=+@{WIDE}-])", "", shown) == safe(name), "taking one quote away gives the text again"


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=cmd|'/C calc'!A0", "'=cmd|'/C calc'!A0"),
        ("+1", "'+1"),
        ("-bash", "'-bash"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", r"\t=1"),
        ("\r=1", r"\r=1"),
        ("\n=1", r"\n=1"),
        ("\uff1d1", "'\uff1d1"),
        ("'=1", "''=1"),
        ("'a b'", "'a b'"),
        ("a=1", "a=1"),
        ("", ""),
    ],
)
def test_csv_has_no_formula(name: str, cell: str, on_terminal: Run) -> None:
    assert list(csv.reader(io.StringIO(written("csv", [(name, -1, -0.5)], ["a", "b", "c"])))) == [
        ["a", "b", "c"],
        [cell, "-1", "-0.5"],
    ]
    assert on_terminal("csv", [(name,)], ["a"]) == written("csv", [(name,)], ["a"]), "the same on a terminal"
    for format in ("json", "ndjson"):
        assert json.dumps(name) in written(format, [(name,)], ["a"]), "exact"


@pytest.mark.parametrize("format", ["csv", "json", "ndjson"])
@pytest.mark.parametrize(("limit", "shown"), [(None, 200), (0, 0), (1, 1), (60, 60), (1000, 200)])
def test_all_rows_unless_there_is_a_limit(format: str, limit: int | None, shown: int) -> None:
    text = written(format, [(i,) for i in range(200)], ["pid"], limit)
    found = [int(number) for number in re.findall(r"\d+", text)]
    assert found == list(range(shown))


def test_rows_are_written_as_they_come() -> None:
    """A million rows are not kept in memory."""
    output = io.StringIO()
    lengths = []

    def rows() -> Iterator[tuple[int]]:
        for i in range(3):
            lengths.append(len(output.getvalue()))
            yield (i,)

    write_rows(["pid"], rows(), "ndjson", None, output)
    assert lengths == [0, 11, 22]


@pytest.mark.parametrize("format", ["csv", "json", "ndjson", "table"])
def test_bytes_are_shown_as_a_quoted_command_line(format: str) -> None:
    text = written(format, [(b"echo\0a b\0\xff\x1b\0",)], ["args"])
    line = r"echo 'a b' $'\xff\x1b'"
    assert (json.dumps(line) if "json" in format else line) in text


# Tables


def test_a_table() -> None:
    header, rule, *rows, count = written("table", ROWS).splitlines()
    assert header.split() == ["pid", "comm", "lifetime", "args"]
    assert set(rule.strip()) == {"─"}
    assert [re.split("  +", row.strip()) for row in rows] == [
        ["7", "true", "1.50 ms", "true 'a b'"], ["8", "sh"], ["9", 'x"y,z', "250 us", "é\\n"],
    ]  # fmt: skip
    assert count == "3 rows"
    ends = {header.index("lifetime") + len("lifetime"), rows[0].index(" ms") + 3, rows[2].index(" us") + 3}
    assert len(ends) == 1, "numbers are right-aligned"
    assert header.index("comm") == rows[0].index("true") == rows[1].index("sh"), "text is left-aligned"


@pytest.mark.parametrize(
    ("total", "limit", "shown", "expected"),
    [
        (0, None, 0, "0 rows"),
        (1, None, 1, "1 row"),
        (50, None, 50, "50 rows"),
        (51, None, 50, "50 of 51 rows (--limit N for more, or --format csv)"),
        (1234, None, 50, "50 of 1,234 rows (--limit N for more, or --format csv)"),
        (51, 51, 51, "51 rows"),
        (51, 1000, 51, "51 rows"),
        (51, 2, 2, "2 of 51 rows (--limit N for more, or --format csv)"),
        (3, 0, 0, "0 of 3 rows (--limit N for more, or --format csv)"),
    ],
)
def test_a_table_says_how_many_rows_there_are(total: int, limit: int | None, shown: int, expected: str) -> None:
    assert TABLE_ROWS == 50
    header, _, *rows, count = written("table", [(f"n{i}",) for i in range(total)], ["name"], limit).splitlines()
    assert header.strip() == "name"
    assert [row.strip() for row in rows] == [f"n{i}" for i in range(shown)]
    assert count == expected


def test_unknown_values_are_blank() -> None:
    [_, _, row, count] = written("table", [(None, "a", None)], ["x", "y", "z"]).splitlines()
    assert (row.split(), count) == (["a"], "1 row")


def test_a_row_of_unknown_values_only_is_still_a_row() -> None:
    assert [line.strip() for line in written("table", [(None,), (5,), (None,)], ["x"]).splitlines()[2:]] == [
        "",
        "5",
        "",
        "3 rows",
    ]


def test_times_are_shown_in_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        lines = written("table", [(1_700_000_000_123_456_789,), (None,)], ["start_ns"]).splitlines()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert lines[0].strip() == "start"
    assert lines[2].strip() == "11-15 03:43:20.123"


NAUGHTY = (
    "\x1b[31mred", "\x1b]0;title\x07", "\x9b2J", "a\rb", "a\nb", "a\tb", "\x08\x08", "\u202eexe.txt", "\u2066x\u2069",
    "[bold]x[/bold]", "[red", ":smile:", "\\[x]", "[/]", "é", "好", "\ufeff", "\x7f", "\u2028",
)  # fmt: skip


@pytest.mark.parametrize("name", NAUGHTY, ids=repr)
def test_control_characters_in_names_are_escaped(name: str, on_terminal: Run) -> None:
    for text in (written("table", [(name,)], ["comm"]), on_terminal("table", [(name,)], ["comm"])):
        lines = text.splitlines()
        assert lines[2].strip() == safe(name)
        assert lines[3:] == ["1 row"]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=200)), max_size=4))
def test_a_table_has_no_control_characters(rows: list[tuple[str, str]]) -> None:
    text = written("table", rows, ["comm", "args"])
    assert not CONTROLS.search(text)
    assert not set(text) & BIDI_MARKS


def test_csv_on_a_terminal_has_no_control_characters(on_terminal: Run) -> None:
    text = on_terminal("csv", [(7, "\x1b[31mred\u202e", b"\x1b\0", None)], ["pid", "comm", "args", "x"])
    assert text == "pid,comm,args,x\n7,\\x1b[31mred\\u202e,$'\\x1b',\n"


def test_long_text_is_cut_in_a_table_and_nowhere_else() -> None:
    args = "x" * 32768
    table = written("table", [(1, args)], ["pid", "args"])
    assert "…" in table and len(table) < 1000
    for format in ("csv", "json", "ndjson"):
        assert args in written(format, [(1, args)], ["pid", "args"])


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_table_fits_the_terminal(width: int, on_terminal: Run) -> None:
    rows = [(12345, "name" + "好" * 5, 1234.5, "argument " * 30, "z" * 100) for _ in range(3)]
    lines = on_terminal("table", rows, [*COLUMNS, "filename"], width).splitlines()
    assert lines[5] == "3 rows"
    assert max(len(line) + line.count("好") for line in lines[:5]) <= width
    for line in lines[2:5]:
        assert line.split()[:3] == ["12345", "name好好好好好", "1.23"], "numbers and short names are never cut"
        assert line.endswith("…") == (width > 40)


def test_columns_without_room_are_named(on_terminal: Run) -> None:
    row = (1_234_567_890, "sixteen letters.", 1_234_567_890.5, "x")
    assert re.search(r"(?i)no room for lifetime, args$", on_terminal("table", [row], width=35).strip())
    assert "no room" not in on_terminal("table", [row], width=80).lower()


# Units and messages


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 us"),
        (0.000812, "812 us"),
        (0.0032, "3.20 ms"),
        (0.9, "900.00 ms"),
        (1, "1.00 s"),
        (1.5249, "1.52 s"),
        (59.5, "59.50 s"),
        (60, "1 min 0 s"),
        (125.2, "2 min 5 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 0 min"),
        (11520, "3 h 12 min"),
        (1000 * 3600 + 61, "1,000 h 1 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds * 1e9) == text


@pytest.mark.parametrize("seconds", [0.0009999, 0.999999, 59.9999])
def test_durations_are_rounded_into_the_next_unit(seconds: float) -> None:
    """It is never 1000 us, 1000 ms or 60 s."""
    number, unit = duration(seconds * 1e9).split()[:2]
    assert float(number) < {"us": 1000, "ms": 1000, "s": 60, "min": 60}[unit]


def test_a_message_is_one_line_on_stderr_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    say("no \x1b[31mred\nsecond line é")
    captured = capsys.readouterr()
    assert captured.err == "webpf: no \\x1b[31mred\\nsecond line é\n"
    assert captured.out == ""


def test_a_message_never_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """It doesn't fail if stderr is closed or full."""
    closed = io.StringIO()
    closed.close()
    full = io.TextIOWrapper(io.FileIO("/dev/full", "w"), write_through=True)
    for stream in (closed, full):
        monkeypatch.setattr("sys.stderr", stream)
        say("still there?")
        with pytest.raises((OSError, ValueError)):
            stream.write("really broken")


@given(st.text())
def test_safe_text_has_no_control_characters(text: str) -> None:
    harmless = safe(text)
    assert not argv.UNPRINTABLE.search(harmless)
    assert safe(harmless) == harmless


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_safe_does_not_change_plain_text(text: str) -> None:
    assert safe(text) == text


def test_a_recording_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    db = tmp_path / "webpf.db"
    make_recording(db, [fork(1, 0), fork(2, 0)], end_ms=1234, name="first")
    make_recording(db, [fork(3, 0)], end_ms=5000)
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute(
            """UPDATE recordings SET ended_ns = NULL, updated_ns = started_ns + 5000000000, status = 'interrupted'
            WHERE id = 2"""
        )
    monkeypatch.setenv("TZ", "UTC")
    first, second = json.loads(
        subprocess.check_output([*webpf_command(), "recordings", "--db", db, "--format", "json"])
    )
    known = ("first", "complete", "2023-11-14 22:13:20.000+00:00", 1.2, 2, 0)
    assert tuple(first[each] for each in ("name", "status", "started", "seconds", "processes", "lost")) == known
    assert (second["name"], second["status"], second["seconds"]) == (None, "interrupted", 5.0)
