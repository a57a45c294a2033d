"""How commands choose the file and the recording: FILE or --db, FILE:N or --recording N|NAME."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from support import exec_, exit_, fork, make_recording

from webpf.model.events import Event

Webpf: TypeAlias = Callable[..., Any]

NAMES = ["base", "pr", "base", "2"]  # of recordings 1 to 4
READERS = ["query lifetimes", "report", "tree", "export --to csv", "verify", "recordings", "rebuild", "compact"]
"""Commands that read one recording if told which."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four recordings, in each of which one process has run: prog-1 to prog-4."""
    file = tmp_path_factory.mktemp("builds") / "builds.db"
    for number, name in enumerate(NAMES, 1):
        program = f"prog-{number}"
        events: list[Event] = [
            fork(100, 0),
            exec_(100, 0, 1, program.encode() + b"\0", program),
            exit_(100, 0, 5, comm=program),
        ]
        make_recording(file, events, name=name)
    return file


@pytest.fixture
def db(recorded: Path, tmp_path: Path) -> Path:
    """A copy of this file for each test, in the current folder of its commands."""
    return Path(shutil.copyfile(recorded, tmp_path / "builds.db"))


def number_of(webpf: Webpf, *arguments: str, env: dict[str, str] | None = None) -> str:
    """Returns which of the four programs a query shows."""
    ended = webpf("query", "lifetimes", *arguments, "--format", "ndjson", env=env or {})
    assert ended.returncode == 0, ended.stderr
    [row] = map(json.loads, ended.stdout.splitlines())
    return str(row["comm"].removeprefix("prog-"))


@pytest.mark.parametrize(
    ("arguments", "number"),
    [
        (["builds.db"], "4"),
        (["--db", "builds.db"], "4"),
        (["builds.db", "--db", "builds.db"], "4"),
        (["builds.db:1"], "1"),
        (["--db", "builds.db:1"], "1"),
        (["builds.db", "--recording", "1"], "1"),
        (["builds.db", "--recording", "pr"], "2"),
        (["builds.db:pr"], "2"),
        (["builds.db", "--recording", "base"], "3"),  # the latest of that name
        (["builds.db", "--recording", "2"], "2"),  # a number goes before a name
        (["builds.db:2", "--recording", "2"], "2"),
        (["builds.db", "-p", "recording=pr"], "2"),
    ],
)
def test_ways_to_choose(webpf: Webpf, db: Path, arguments: list[str], number: str) -> None:
    assert number_of(webpf, *arguments) == number


def test_an_existing_file_wins(webpf: Webpf, db: Path, tmp_path: Path) -> None:
    other = tmp_path / "builds.db:1"
    make_recording(other, [fork(7, 0), exec_(7, 0, 1, b"prog-9\0", "prog-9"), exit_(7, 0, 2, comm="prog-9")])
    assert number_of(webpf, "builds.db:1") == "9"
    assert number_of(webpf, "builds.db:2") == "2"


def test_the_default_file(webpf: Webpf, db: Path, tmp_path: Path) -> None:
    assert number_of(webpf, env={"WEBPF_DB": "builds.db"}) == "4"
    assert number_of(webpf, env={"WEBPF_DB": "builds.db:1"}) == "1"
    assert number_of(webpf, "builds.db:2", env={"WEBPF_DB": "nosuch.db"}) == "2"
    db.rename(tmp_path / "webpf.db")
    assert number_of(webpf) == "4"
    assert number_of(webpf, "--recording", "pr") == "2"


@pytest.mark.parametrize("command", READERS)
def test_every_reader_takes_them_all(webpf: Webpf, db: Path, command: str) -> None:
    outputs = {
        webpf(*command.split(), *arguments).stdout
        for arguments in (
            ["builds.db:pr"],
            ["builds.db", "--recording", "2"],
            ["--recording", "pr", "--db", "builds.db"],
        )
    }
    assert len(outputs) == 1
    ended = webpf(*command.split(), "builds.db:pr")
    assert ended.returncode == 0, ended.stderr
    text = ended.stdout + ended.stderr
    assert "prog-2" in text or "recording 2" in text or "pr" in text
    assert not {"prog-1", "prog-3", "prog-4"} & set(text.replace(",", " ").split())


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["builds.db:9"], 66, "builds.db has no recording 9: the latest is 4"),
        (["builds.db", "--recording", "nosuch"], 66, "builds.db has no recording nosuch: the latest is 4"),
        (["builds.db:1", "--recording", "2"], 64, "two recordings are named, 1 and 2"),
        (["builds.db", "--db", "other.db"], 64, "two files are named, builds.db and other.db"),
        (["nosuch.db:1"], 66, "nosuch.db"),
    ],
)
def test_bad_choices(webpf: Webpf, db: Path, command: str, arguments: list[str], code: int, said: str) -> None:
    before = db.read_bytes()
    ended = webpf(*command.split(), *arguments)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert len(ended.stderr.splitlines()) == 1
    assert said in ended.stderr
    assert db.read_bytes() == before


@pytest.mark.parametrize("command", ["doctor", "datasette-config"])
def test_commands_about_whole_files(webpf: Webpf, db: Path, command: str) -> None:
    ended = webpf(command, "builds.db:1")
    assert ended.returncode == 64
    assert "about a whole file" in ended.stderr
    named, given = webpf(command, "builds.db"), webpf(command, "--db", "builds.db")
    assert named.returncode == given.returncode
    assert len(named.stdout.splitlines()) == len(given.stdout.splitlines()) > 5


@pytest.mark.parametrize(
    ("arguments", "compared"),
    [
        (["builds.db"], "before: builds.db:3 (base); after: builds.db:4 (2)\n"),
        (["--db", "builds.db"], "before: builds.db:3 (base); after: builds.db:4 (2)\n"),
        (["base", "pr", "builds.db"], "before: builds.db:base (2 runs); after: builds.db:2 (pr)\n"),
        (["1", "pr", "--db", "builds.db"], "before: builds.db:1 (base); after: builds.db:2 (pr)\n"),
        (["builds.db:base", "builds.db:pr"], "before: builds.db:base (2 runs); after: builds.db:2 (pr)\n"),
        (["builds.db:1", "builds.db"], "before: builds.db:1 (base); after: builds.db:4 (2)\n"),
    ],
)
def test_diff(webpf: Webpf, db: Path, arguments: list[str], compared: str) -> None:
    ended = webpf("diff", *arguments)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(compared)


def test_names_of_any_bytes(webpf: Webpf, db: Path) -> None:
    """A name that is not UTF-8 is stored escaped, and can be chosen in this form."""
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE recordings SET name = ? WHERE id = 2", ["a:b \\xff"])
    assert number_of(webpf, "builds.db", "--recording", "a:b \\xff") == "2"
    ended = webpf("query", "lifetimes", "builds.db", "--recording", os.fsdecode(b"\xfe"))
    assert (ended.returncode, len(ended.stderr.splitlines())) == (66, 1)


@pytest.mark.parametrize("command", READERS)
def test_a_name_that_no_file_can_have(webpf: Webpf, command: str) -> None:
    """It is refused by what checks files, like any other path."""
    for arguments in (["x" * 300], ["--db", "x" * 300]):
        ended = webpf(*command.split(), *arguments)
        assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (65, "", 1), ended


def test_hints_quote_names(webpf: Webpf) -> None:
    assert "doctor --db 'a b.db'" in webpf("doctor", "a b.db:1").stderr
    assert "tree --recording 'b c'" in webpf("tree", "a.db:1", "--recording", "b c").stderr
    assert "query lifetimes -p 'comm=a b'" in webpf("query", "lifetimes", "comm=a b").stderr


def test_both_recordings_of_a_comparison_have_caveats(webpf: Webpf, db: Path) -> None:
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE recordings SET exits_lost = 7 WHERE id IN (2, 4)")
    ended = webpf("query", "compare", "builds.db", "-p", "against=pr")
    assert [line.split()[2:5] for line in ended.stderr.splitlines()] == [["4", "lost", "7"], ["2", "lost", "7"]]
