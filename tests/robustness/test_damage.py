"""Damaged and malicious files: every command that reads ends soon, without a traceback, and reports the problem."""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from damage import DAMAGES, good
from forked_commands import MAX_OUTPUT, SECONDS, Ended, run
from support import PROCESSES

from webpf.analysis import saved_queries
from webpf.export.formats import FORMATS
from webpf.storage import file_check

MAX_KIB = 300 * 1024  # plus ten times the file size: the csv module needs four bytes per character, twice
CODES = {0, 1, 64, 65, 66}

QUERY_VALUES = {"execs": {"pid": "102"}, "ancestors": {"pid": "102"}, "compare": {"against": "1"}}


def commands() -> dict[str, list[str]]:
    """Returns every command that reads a file; DB stands for the file."""
    found: dict[str, list[str]] = {
        f"query {name}": [
            *("query", name, "--db", "DB", "--format", ("table", "csv", "json", "ndjson")[number % 4]),
            *(word for key, value in QUERY_VALUES.get(name, {}).items() for word in ("-p", f"{key}={value}")),
        ]
        for number, name in enumerate(saved_queries.names())
    }
    for format in FORMATS:
        place = "TREE" if format == "parquet" else "OUT"
        found[f"export {format}"] = ["export", "DB", "--to", format, "--force", "-o", place]
    return found | {
        "recordings": ["recordings", "--db", "DB"],
        "tree": ["tree", "DB"],
        "tree --pid": ["tree", "DB", "--pid", "102", "--no-fold"],
        "tree JSON": ["tree", "DB", "--format", "json"],
        "report": ["report", "DB"],
        "report JSON": ["report", "DB", "--format", "json"],
        "report Markdown": ["report", "DB", "--format", "markdown"],
        "diff": ["diff", "--db", "DB", "1", "2"],
        "diff JSON": ["diff", "--db", "DB", "1", "2", "--format", "json"],
        "diff Markdown": ["diff", "--db", "DB", "1", "2", "--format", "markdown"],
        "export folded to stdout": ["export", "DB", "--to", "folded", "--weight", "count"],
        "merge": ["merge", "DB", "--force", "-o", "OUT"],
        "verify": ["verify", "DB"],
        "verify JSON": ["verify", "DB", "--format", "json"],
        "browse": ["browse", "DB", "--no-open", "--port", "0"],  # an impossible port: the file is checked first
        "datasette-config": ["datasette-config", "DB"],
        "rebuild": ["rebuild", "--db", "DB"],  # the last two write
        "compact": ["compact", "DB"],
    }


def is_whole(document: str, code: int) -> bool:
    """Whether this is JSON, or, of a command that failed, nothing."""
    if code and not document:
        return True
    try:
        json.loads(document, parse_constant=int)  # which NaN and Infinity are not
    except ValueError:
        return False
    return True


def faults(what: str, ended: Ended, size: int) -> Iterator[str]:
    """Returns what is wrong with the way in which a command ended."""
    said = ended.stderr.splitlines()
    if "Traceback" in ended.stderr + ended.stdout or ended.code not in CODES | ({69} if what == "doctor" else set()):
        yield f"{what}: {ended.code} {ended.stderr[-600:]}"
    if ended.code in (64, 65, 66) and len(said) != 1:
        yield f"{what}: {len(said)} lines: {ended.stderr[:600]}"
    if any("\x1b" in line or not line.startswith("webpf: ") for line in said):
        yield f"{what}: {ended.stderr[:600]!r}"
    if what.endswith("JSON") and len(ended.stdout) < MAX_OUTPUT and not is_whole(ended.stdout, ended.code):
        yield f"{what}: {ended.code} {ended.stdout[-600:]}"
    if ended.seconds > SECONDS:
        yield f"{what}: {ended.seconds:.0f} s"
    if ended.peak_kib > MAX_KIB + 10 * size // 1024:
        yield f"{what}: {ended.peak_kib:,} KiB"


def check(damage: str, folder: Path, wanted: Iterable[str]) -> list[str]:
    """Returns the faults of some commands on a file with this damage."""
    db = good(folder / "webpf.db")
    DAMAGES[damage](db)
    found: list[str] = []
    for what in wanted:
        ended = run(commands()[what], db)
        found += faults(f"{damage}: {what}", ended, db.stat().st_size)
    return found


SAMPLE = {
    "its own parent": ("tree", "report", "query ancestors", "query tree", "export folded"),
    "no strict and text": ("rebuild",),
    "processes.pid 'init'": ("query lifetimes", "tree", "tree JSON", "export perfetto", "diff", "verify"),
    "recordings.started_ns 9.4670856e+21": ("recordings", "query rate", "export parquet", "report"),
    "nulls in recordings": ("recordings", "query concurrency", "export otlp"),
    "column of recordings missing": ("recordings", "tree"),
    "args that are no text": ("query failures", "export csv", "verify"),
    "options no object": ("report", "diff", "diff Markdown"),
    "latest end": ("query rate", "query timeline", "export chrome"),
    "100 MB of empty arguments": ("query lifetimes", "export ndjson", "export chrome", "tree"),
    "rows of no recording": ("rebuild",),
    "column that is no text": ("tree",),
    "nulls in processes": ("tree", "report JSON", "report Markdown", "diff JSON"),
    "options deep": ("verify",),
    "endless view": ("recordings", "verify", "browse"),
    "triggers": ("verify", "rebuild"),
    "absurd block": ("merge",),
    "log of another program": ("verify", "rebuild"),
    "log of another recording": ("verify", "rebuild"),
    "pages swapped": ("export ndjson", "merge", "verify", "verify JSON", "report JSON", "rebuild"),
}
"""Damage that was once fatal, one of each kind."""


@pytest.mark.parametrize("damage", SAMPLE)
def test_a_sample(damage: str, tmp_path: Path) -> None:
    assert not check(damage, tmp_path, SAMPLE[damage])


@pytest.mark.matrix
@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_with_every_command(damage: str, tmp_path: Path) -> None:
    assert not check(damage, tmp_path, commands())


def test_a_good_file_with_every_command(tmp_path: Path) -> None:
    """A correct file is not refused. Without this test, a webpf that refuses everything would pass."""
    db = good(tmp_path / "webpf.db")
    ended = {what: run(arguments, db) for what, arguments in commands().items()}
    assert ended.pop("browse").code == 64
    assert {what: each for what, each in ended.items() if each.code or len(each.stderr.splitlines()) > 2} == {}


NAMED = {
    "cycle of two": "pairing: ",
    "no blocks": "ids that don't belong to this recording",
    "absurd block": "fact_blocks: ",
    "overlapping blocks": "fact_blocks: ",
    "ids beyond all": "values: processes has ids",
    "column missing": "malformed database schema",
    "column dropped": "schema: processes has no column max_rss_kib",
    "columns more": "which is not webpf's",
    "not strict": "schema: processes is not STRICT",
    "no strict and text": "values: 8 of exits.status are not of the type INTEGER, or NULL",
    "forks missing": "schema: there is no table forks",
    "triggers": "schema: there is a trigger spoil",
    "processes.pid 'init'": "non-INTEGER value in processes.pid",
    "nulls in forks": "NULL value in forks.pid",
    "text that is none": "values: some text is not UTF-8",
    "events' names no text": "values: some text is not UTF-8",
    "options no object": "values: the options of recording 1 are not JSON",
    "latest start": "values: 2 of recordings.started_ns are not of the type INTEGER, or NULL, or an impossible time",
    "version 0": "schema: its version is",
    "pages swapped": "malformed",
    "page 13 of zeros": "SQLite: ",
    "processes a view": "processes is a view and not a table",
    "virtual table": "forks is a virtual table and not a table",
    "log of another program": "the log beside it belongs to another database",
}


@pytest.mark.parametrize("damage", NAMED)
def test_verify_reports_the_damage(damage: str, tmp_path: Path) -> None:
    db = good(tmp_path / "webpf.db")
    DAMAGES[damage](db)
    ended = run(commands()["verify"], db)
    assert (ended.code, NAMED[damage] in ended.stdout + ended.stderr) == (65, True), ended


def test_readable_rows_are_listed(tmp_path: Path) -> None:
    """A recording without a host, and names that are not UTF-8, are listed."""
    db = good(tmp_path / "webpf.db")
    DAMAGES["nulls in recordings"](db)
    DAMAGES["args that are no text"](db)
    ended = run(["recordings", "--db", "DB", "--format", "csv"], db)
    assert [line.split(",")[:2] for line in ended.stdout.splitlines()] == [
        ["id", "name"],
        ["1", "first"],
        ["2", "second"],
    ]
    with closing(sqlite3.connect(db)) as connection:
        connection.text_factory = bytes
        written = connection.execute(f"SELECT args FROM {PROCESSES} WHERE recording_id = 2 ORDER BY id").fetchall()
    ended = run(["export", "DB", "--to", "ndjson"], db)
    read = [json.loads(line)["args"] for line in ended.stdout.splitlines()]
    assert read == [args and args.decode(errors="backslashreplace") for (args,) in written]


ROWS = "SELECT (SELECT count(*) FROM processes), (SELECT count(*) FROM forks), (SELECT count(*) FROM programs)"


@pytest.mark.parametrize("damage", ["no blocks", "overlapping blocks", "not strict", "columns more", "no index"])
def test_merge_copies_all_rows(damage: str, tmp_path: Path) -> None:
    """Compared with counts by sqlite3, alone and behind another file."""
    db = good(tmp_path / "webpf.db")
    with closing(sqlite3.connect(db)) as connection:
        [expected] = connection.execute(ROWS)
        [comms] = connection.execute("SELECT group_concat(comm) FROM processes")
    other = good(tmp_path / "other.db")
    DAMAGES[damage](db)
    ended = run(["merge", str(other), "DB", "-o", "OUT"], db)
    if damage == "overlapping blocks":
        assert (ended.code, "fact_blocks" in ended.stderr) == (65, True)
        return
    assert ended.code == 0, ended
    with closing(sqlite3.connect(tmp_path / "out")) as connection:
        [merged] = connection.execute(ROWS)
        [names] = connection.execute("SELECT group_concat(comm) FROM processes WHERE recording_id > 2")
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert (merged, names) == (tuple(2 * number for number in expected), comms)


def test_triggers_do_nothing(tmp_path: Path) -> None:
    """Neither when a file is read, nor in a rebuild, which is refused with a hint."""
    db = good(tmp_path / "webpf.db")
    DAMAGES["triggers"](db)
    with closing(sqlite3.connect(db)) as connection:
        before = list(connection.iterdump())
    for _ in range(2):
        ended = run(["rebuild", "--db", "DB"], db)
        assert ended.code == 65
        with closing(sqlite3.connect(db)) as connection:
            assert list(connection.iterdump()) == before
            [name] = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger' LIMIT 1").fetchone()
        hint = ended.stderr.rpartition("try: ")[2].strip()
        assert shlex.split(hint)[:2] == ["sqlite3", str(db)]
        with closing(sqlite3.connect(db)) as connection, connection:
            connection.execute(shlex.split(hint)[2])
            before = list(connection.iterdump())
            assert name not in {row[0] for row in connection.execute("SELECT name FROM sqlite_schema")}
    assert run(["rebuild", "--db", "DB"], db).code == 0


def test_a_damaged_file_is_unchanged(tmp_path: Path) -> None:
    """A log of another file would be applied to this one by any process that opens it for writing."""
    db = good(tmp_path / "webpf.db")
    DAMAGES["log of another recording"](db)
    before = db.read_bytes()
    for what in ("verify", "merge", "rebuild"):
        assert run(commands()[what], db).code == 65, what
    assert db.read_bytes() == before


def test_pipes_and_devices_do_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        for words in (["recordings", "--db"], ["verify"], ["tree"], ["rebuild", "--db"]):
            ended = run([*words, str(path)], tmp_path / "none.db")
            assert (ended.code, ended.stderr.count("\n"), "record" in ended.stderr) == (65, 1, False), ended
    assert not file_check.is_recording(tmp_path / "pipe")
