"""Own queries and `webpf sql`: found, listed, run, completed, refused with file and line, not read from strangers."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from private_folder import private_folder
from support import webpf_command

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]

PROGRAM = Path(sys.executable).parent / "webpf"
MINE = """\
-- title: My query
-- description: What I ask each morning.
-- param recording: integer, default latest; number of the recording
-- param least: integer, default 2; how many
-- column comm: name
-- column runs: how many
SELECT comm, count(*) AS runs
FROM processes
WHERE is_chosen!(recording_id)
GROUP BY comm
HAVING count(*) >= param!(least) -- a comment;
ORDER BY runs DESC, comm;
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that root trusts, which is $WEBPF_QUERIES."""
    with private_folder() as path:
        yield path


@pytest.fixture
def run(built: Path, folder: Path, webpf: Webpf) -> Webpf:
    """Calls webpf with this folder."""
    return lambda *arguments: webpf(*arguments, env={"WEBPF_QUERIES": str(folder), "XDG_CONFIG_HOME": "/nowhere"})


def expected(db: Path, least: int) -> list[dict[str, object]]:
    """Returns what the query must give, by plain SQL."""
    sql = "SELECT comm, count(*) AS n FROM processes GROUP BY 1 HAVING n >= ? ORDER BY 2 DESC, 1"
    with closing(sqlite3.connect(db)) as connection:
        return [{"comm": comm, "runs": runs} for comm, runs in connection.execute(sql, [least])]


def test_it_is_used_as_those_of_webpf(run: Webpf, folder: Path, built: Path) -> None:
    (folder / "mine.sql").write_text(MINE)
    (folder / "notes.txt").write_text("no query")
    for name in ("mine", str(folder / "mine.sql")):
        for least in (1, 2):
            answer = run("query", name, "-p", f"least={least}", "--format", "json")
            assert json.loads(answer.stdout) == expected(built, least), answer.stderr
    rows = expected(built, 1)
    answer = run("query", "mine", "-p", "least=1", "--format", "json", "--sort", "comm")
    assert json.loads(answer.stdout) == sorted(rows, key=lambda row: (row["comm"] is None, str(row["comm"])))
    listed = {each["name"]: each for each in json.loads(run("query", "--format", "json").stdout)}
    assert listed["mine"]["title"] == "My query" and "lifetimes" in listed and "notes" not in listed
    assert "What I ask each morning." in run("query", "mine", "--help").stdout
    assert "param!" not in run("query", "mine", "--sql").stdout
    ended = run("query", "mien")
    assert (ended.returncode, "did you mean mine?" in ended.stderr) == (64, True)
    ended = run("query", "mine", "--on", "fleet")
    assert "the query mine runs in SQLite only" in ended.stderr


def test_the_folder_of_the_configuration(built: Path, folder: Path, webpf: Webpf) -> None:
    own = folder / "webpf" / "queries"
    own.mkdir(parents=True)
    (own / "mine.sql").write_text("SELECT 7 AS seven")
    for variables in ({"XDG_CONFIG_HOME": str(folder)}, {"XDG_CONFIG_HOME": "", "HOME": str(folder)}):
        if not variables["XDG_CONFIG_HOME"]:
            (folder / ".config").symlink_to(folder)
        assert json.loads(webpf("query", "mine", "--format", "json", env=variables).stdout) == [{"seven": 7}]


def test_completion(built: Path, folder: Path) -> None:
    (folder / "mine.sql").write_text(MINE)
    for line, count, values in (
        ("webpf query mi", "2", ["mine"]),
        ("webpf query mine -p ", "4", ["recording=", "least="]),
    ):
        variables = {"_WEBPF_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": count}
        environment = os.environ | variables | {"WEBPF_QUERIES": str(folder)}
        assert subprocess.check_output([PROGRAM], env=environment, text=True).split() == values


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("-- titel: x\nSELECT 1", "1: 'titel: x' is no title, description, theme, fleet, scope, param or column"),
        ("-- title: x\n-- param n: int; y\nSELECT 1", "2: parameter n: 'int; y' is not "),
        ("-- title: x\n-- title: y\nSELECT 1", "2: title appears twice in the head"),
        ("-- title: x\nSELECT 1\nWHERE nosuch!(x)", "3: there is no macro nosuch!"),
        ("-- title: x\nSELECT pid\nFORM processes\nLIMIT 1", '3: near "processes": syntax error'),
        ("SELECT pid\nFROM processes\nWHERE (pid > 1\n", "3: incomplete input"),
        ("SELECT pid\nFROM processes -- colour\nWHERE colour", "3: no such column: colour"),
        ("\n\nSELECT * FROM prozesses", "3: no such table: prozesses"),
        ("SELECT pid\nFROM processes\nWHERE pid = :n", "3: the parameter :n has no value"),
        ("DELETE FROM processes", "1: only statements that read are run"),
        ("ATTACH 'other.db' AS other", "1: only statements that read are run"),
        ("SELECT 1; SELECT 2", "1: only one statement is run"),
        ("", "1: there is no statement that returns rows"),
        ("SELECT abs(-9223372036854775808)", "1: integer overflow"),
        ("-- title: \xff", "1: this is no UTF-8 text"),
    ],
)
def test_errors_name_file_and_line(source: str, message: str, run: Webpf, folder: Path, built: Path) -> None:
    before = built.read_bytes()
    path = folder / "mine.sql"
    path.write_bytes(source.encode("latin-1"))
    for name in ("mine", str(path)):
        ended = run("query", name)
        assert (ended.returncode, len(ended.stderr.splitlines())) == (65, 1)
        assert ended.stderr.startswith(f"webpf: {path}:{message}")
    assert built.read_bytes() == before
    assert run("query").returncode == 0, "the others are listed"


def test_a_file_that_is_not_there(run: Webpf) -> None:
    ended = run("query", "nosuch.sql")
    assert (ended.returncode, ended.stderr.split(";")[0]) == (66, "webpf: there is no file nosuch.sql")


def test_names_of_others_are_not_taken(run: Webpf, folder: Path) -> None:
    (folder / "failures.sql").write_text("SELECT 1 AS mine")
    (folder / "processes.sql").write_text("SELECT 1 AS mine")
    ended = run("query", "failures", "--format", "json")
    assert "mine" not in ended.stdout
    assert f"{folder}/failures.sql has the name of a query of webpf, which is used; try: " in ended.stderr
    listed = run("query")
    assert f"{folder}/processes.sql has the name of a table" in listed.stderr
    assert run("query", "lifetimes").stderr == ""
    assert json.loads(run("query", str(folder / "failures.sql"), "--format", "json").stdout) == [{"mine": 1}]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must not trust others")
def test_root_reads_no_folder_of_others(run: Webpf, folder: Path) -> None:
    (folder / "mine.sql").write_text("SELECT 1 AS mine")
    os.chown(folder, 12345, 12345)
    ended = run("query", "mine")
    assert ended.returncode == 64 and "mine" not in ended.stdout
    assert "belongs to another user (uid 12345)" in run("query").stderr
    os.chown(folder, 0, 0)
    os.chown(folder / "mine.sql", 12345, 12345)
    ended = run("query", "mine")
    assert ended.returncode == 65 and "belongs to another user (uid 12345)" in ended.stderr
    os.chown(folder / "mine.sql", 0, 0)
    assert run("query", "mine").returncode == 0


def test_in_datasette(folder: Path, built: Path) -> None:
    (folder / "mine.sql").write_text(MINE)
    (folder / "broken.sql").write_text("-- titel: x")
    environment = os.environ | {"WEBPF_QUERIES": str(folder)}
    command = [*webpf_command(), "datasette-config", str(built)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "My query" in ended.stdout and "broken.sql:1: " in ended.stderr


# webpf sql


def test_sql(built: Path, webpf: Webpf) -> None:
    sql = "SELECT comm, count(*) AS runs FROM processes GROUP BY comm HAVING runs >= 2 ORDER BY runs DESC, comm"
    answer = webpf("sql", sql, built, "--format", "json")
    assert json.loads(answer.stdout) == expected(built, 2)
    assert len(json.loads(webpf("sql", sql, "--format", "json", "--limit", "1").stdout)) == 1
    table = webpf("sql", "SELECT 6780000.0 AS wait_ms, 9 AS signal, 85983232 AS seen_bytes").stdout.splitlines()
    assert [line.split() for line in table[:3:2]] == [
        ["wait", "signal", "seen"],
        ["1", "h", "53", "min", "KILL", "82.0", "MiB"],
    ]


def test_sql_of_standard_input(built: Path) -> None:
    command = [*webpf_command(), "sql", "-", str(built), "--format", "csv"]
    assert subprocess.check_output(command, input="SELECT 7\nAS seven", text=True) == "seven\n7\n"


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("DROP TABLE processes", "SQL:1: only statements that read are run"),
        ("PRAGMA journal_mode = OFF", "SQL:1: only statements that read are run"),
        ("SELECT\nnosuch FROM processes", "SQL:2: no such column: nosuch"),
    ],
)
def test_sql_only_reads(sql: str, message: str, built: Path, webpf: Webpf) -> None:
    before = built.read_bytes()
    ended = webpf("sql", sql)
    assert (ended.returncode, ended.stdout, ended.stderr.startswith(f"webpf: {message}; try: ")) == (65, "", True)
    assert built.read_bytes() == before
