"""The options of a scope: every reading command takes them, says what it is about, and refuses what can't be read."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from cut_chains import make_chain
from story import BUILD
from support import make_recording

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]

STRETCH = ("--since", "2023-11-14T22:13:20.042Z", "--until", "2023-11-14T22:13:20.044Z")
ABOUT = "webpf: testhost, 2023-11-14 23:13:20.042+01:00 to 2023-11-14 23:13:20.044+01:00, recording 1: 6 processes"


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A recording of a machine in Berlin."""
    make_recording(tmp_path / "webpf.db", BUILD)
    with closing(sqlite3.connect(tmp_path / "webpf.db")) as connection, connection:
        connection.execute("UPDATE recordings SET zone = 'Europe/Berlin', utc_offset_s = 3600")
    return tmp_path / "webpf.db"


@pytest.mark.parametrize(
    "command",
    [
        ("query", "lifetimes"),
        ("query", "tree", "--format", "csv"),
        ("tree",),
        ("report",),
        ("report", "--format", "markdown"),
        ("export",),
        ("export", "--to", "folded"),
    ],
)
def test_a_command_says_what_it_is_about(db: Path, webpf: Webpf, command: tuple[str, ...]) -> None:
    ended = webpf(*command, *STRETCH)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout
    is_table = command[0] == "query" and "--format" not in command  # then it is above the rows
    about = f"{ABOUT}; sums are of whole processes"
    assert (about.removeprefix("webpf: ") if is_table else about) in (
        ended.stdout if is_table else ended.stderr
    ).splitlines()
    assert ABOUT not in webpf(*command).stderr


def test_every_command_is_limited(db: Path, webpf: Webpf) -> None:
    only = ("--comm", "gcc")
    assert [each["pid"] for each in json.loads(webpf("query", "lifetimes", *only, "--format", "json").stdout)] == [
        103,
        102,
    ]
    assert webpf("tree", *only, "--no-fold").stdout.count("\n") == 2
    assert json.loads(webpf("report", *only, "--format", "json").stdout)["processes"] == 2
    slices = [each for each in json.loads(webpf("export", *only).stdout)["traceEvents"] if each["ph"] == "X"]
    assert sorted(each["args"]["pid"] for each in slices) == [102, 103]
    spans = [json.loads(line) for line in webpf("export", "--to", "otlp", *only).stdout.splitlines()]
    assert [len(each["resourceSpans"][0]["scopeSpans"][0]["spans"]) for each in spans] == [2]
    assert webpf("diff", "1", "1", *only, "--format", "json").stdout.count('"activity"') == 1


@pytest.mark.parametrize(
    ("only", "pids", "last"),
    [
        ((), {101, 102, 103, 104, 105, 106, 107}, [105]),
        (("--failed",), {101, 103, 104, 105, 107}, [105]),
        (("--comm", "gcc"), {102, 103}, []),
        (("--comm", "make"), {101, 106, 107}, []),
        (("--under", "27"), {106, 107}, []),
    ],
)
def test_a_command_counts_what_is_in_the_scope(
    db: Path, webpf: Webpf, only: tuple[str, ...], pids: set[int], last: list[int]
) -> None:
    """Also if the command itself, or a process between, isn't in it."""
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("""UPDATE recordings SET options = '{"of": "command"}', recorder_pid = 100""")
        values = ", ".join(map(str, pids))
        ((cpu_ns,),) = connection.execute(f"SELECT sum(cpu_ns) FROM processes WHERE pid IN ({values}) AND id < 40")
    report = json.loads(webpf("report", *only, "--format", "json").stdout)
    assert (report["command"]["pid"], report["processes"], report["cpu_ns"]) == (101, len(pids), cpu_ns)
    assert [each["pid"] for each in report["last_failures"]] == last
    assert sum(each["processes"] for each in report["activities"]) == len(pids)


def test_the_tree_starts_at_processes_whose_parent_is_outside(db: Path, webpf: Webpf) -> None:
    assert webpf("tree", "--pid", "101", "--under", "7", "--depth", "0").returncode == 0
    assert webpf("tree", "--pid", "100", "--under", "7").returncode == 66
    ended = webpf("tree", "--comm", "python")
    assert (ended.returncode, len(ended.stdout.splitlines())) == (0, 2)


def test_times_are_in_the_zone_of_the_recording(db: Path, webpf: Webpf) -> None:
    for since, options, code in (
        ("2023-11-14 23:13:20", (), 0),
        ("2023-11-14 22:13:20", ("--utc",), 0),
        ("2023-11-14 23:13:22", (), 66),
        ("2023-11-14 23:13:20", ("--utc",), 66),
    ):
        assert webpf("tree", "--since", since, *options).returncode == code, (since, options)
    local = webpf("tree", "--since", "2023-11-14 17:13:20", "--local", env={"TZ": "America/New_York"})
    assert (local.returncode, "17:13:20.000-05:00" in local.stderr) == (0, True)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--since", "3 am"), 64, "--since takes a time, such as 03:00"),
        (("--until", "25:00"), 64, "--until takes a time"),
        (
            ("--since", "2023-11-14 04:00", "--until", "2023-11-14 03:00"),
            64,
            "--until 2023-11-14 03:00:00+01:00 is before",
        ),
        (("--since", "2023-03-26 02:30"), 64, "there is no 2023-03-26 02:30:00 in Europe/Berlin"),
        (("--since", "-1h"), 66, "has nothing since"),
        (("--utc", "--local"), 64, "--utc and --local"),
        (("--user", "no such user"), 64, "there is no such user"),
        (("--signal", "NOTHING"), 64, "there is no such signal"),
        (("--args", "("), 64, "not a regular expression"),
        (("--min-lifetime", "long"), 64, "--min-lifetime takes a time"),
        (("--comm", "nothing"), 66, "none with --comm nothing"),
        (("--under", "4711"), 66, "none with --under 4711"),
    ],
)
def test_bad_input(db: Path, webpf: Webpf, options: tuple[str, ...], code: int, message: str) -> None:
    for command in (("query", "lifetimes"), ("tree",)):
        ended = webpf(*command, *options)
        assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (code, "", 1), ended
        assert message in ended.stderr


def test_what_takes_no_scope(db: Path, webpf: Webpf, tmp_path: Path) -> None:
    assert webpf("query", "compare", "--failed").returncode == 64
    assert webpf("export", "--to", "parquet", "-o", "all", "--failed").returncode == 64
    assert not (tmp_path / "all").exists()


SECOND = "testhost, 2023-11-14 22:13:20.050+00:00 to 2023-11-14 22:13:20.350+00:00"


def test_a_chain(tmp_path: Path, webpf: Webpf) -> None:
    db = tmp_path / "webpf.db"
    make_chain(db, BUILD, (50, 350))
    ended = webpf("query", "failures", "--format", "ndjson")
    shown = [json.loads(line)["pid"] for line in ended.stdout.splitlines()]
    assert shown == [30, 107, 101, 105, 104, 103, 108]  # newest first; it isn't known when 108 ended
    assert "recordings 1 to 3 (the last 24 hours of a chain, by default)" in ended.stderr
    assert "shown are those that ended in this time" in ended.stderr
    table = webpf("query", "failures", "--recording", "2")
    assert (table.stdout.splitlines()[:2], table.stderr) == ([f"{SECOND}, recording 2", ""], "")
    assert "recordings 1 to 3 (the last 24 hours of a chain, by default)" in webpf("query", "failures").stdout
    listed = [json.loads(line) for line in webpf("query", "tree", "--format", "ndjson").stdout.splitlines()]
    make = next(row for row in listed if row["pid"] == 101)
    assert webpf("tree", "--id", str(make["id"]), "--depth", "0").stdout.startswith("make")
    with closing(sqlite3.connect(db)) as connection:
        sql = "SELECT min(id), max(id) FROM processes WHERE pid = 101"
        earlier, latest = connection.execute(sql).fetchone()
    assert (earlier < latest, make["id"]) == (True, latest)
    assert webpf("tree", "--id", str(earlier), "--depth", "0").stdout.startswith("make")
    assert len(webpf("query", "execs", "-p", f"id={earlier}", "--format", "ndjson").stdout.splitlines()) == 1
    ended = webpf("query", "failures", "--recording", "3", "--format", "ndjson")
    assert (ended.stdout, ended.stderr) == ("", "")
