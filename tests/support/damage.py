"""Makes damaged recording files from a good one, with SQL or by writing bytes."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeAlias

from story import BUILD
from support import make_recording

Damage: TypeAlias = Callable[[Path], None]

PAGE = 4096
YEAR_300_000_NS = 300_000 * 31_556_952 * 1e9  # more than 64 bits hold
HUGE_ARGV = 100_000_000


def good(path: Path) -> Path:
    """Writes a good file with two recordings, the second of a command."""
    make_recording(path, BUILD, name="first")
    make_recording(path, BUILD, name="second")
    change(path, 'UPDATE recordings SET options = \'{"of": "command"}\' WHERE id = 2')
    return path


def change(path: Path, *statements: str) -> None:
    """Runs SQL on a file."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def loose(path: Path) -> None:
    """Makes all tables non-STRICT, so that columns can have values of any type, as in a copy by another tool."""
    _edit_schema(path, "replace(replace(sql, ') STRICT, ', ') '), ') STRICT', ')')")


def strict(path: Path) -> None:
    """Makes all tables STRICT again, without changing their values."""
    _edit_schema(path, "CASE WHEN sql LIKE '%WITHOUT ROWID%' THEN sql || ', STRICT' ELSE sql || ' STRICT' END")


def _edit_schema(path: Path, sql: str, which: str = "sql LIKE 'CREATE TABLE%' AND name NOT LIKE '%sqlite%'") -> None:
    change(
        path,
        "PRAGMA writable_schema = ON",
        f"UPDATE sqlite_schema SET sql = {sql} WHERE {which}",
    )


def set_value(path: Path, table: str, column: str, value: object, in_strict: bool = False) -> None:
    """Sets a column to a value of any type in every third row."""
    loose(path)
    without_id = ("fact_blocks", "cgroup_paths", "working_directories", "environment_variables")
    rowid = "id" if table not in without_id else column
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        where = f"{rowid} % 3 = 1" if rowid == "id" else "1"
        text = "CAST(? AS TEXT)" if isinstance(value, bytes) and value == b"\xff\xfe" else "?"
        connection.execute(f"UPDATE OR IGNORE {table} SET {column} = {text} WHERE {where}", [value])
    if in_strict:
        strict(path)


def _without_not_null(path: Path) -> None:
    _edit_schema(path, "replace(sql, ' NOT NULL', '')")


def nulls(path: Path, table: str, columns: tuple[str, ...]) -> None:
    """Sets NOT NULL columns to NULL."""
    with closing(sqlite3.connect(path)) as connection:
        [(before,)] = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", [table]).fetchall()
    _without_not_null(path)
    change(path, *(f"UPDATE {table} SET {column} = NULL" for column in columns))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", [before, table])


def cut(path: Path, share: float) -> None:
    """Keeps only the first part of the file."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(int(size * share))


def overwrite(path: Path, number: int, content: bytes) -> None:
    """Overwrites a page, counted from 0."""
    pages = path.stat().st_size // PAGE
    with path.open("r+b") as file:
        file.seek(number % pages * PAGE)
        file.write(content)


def shuffle(path: Path) -> None:
    """Copies every third page over the page two after it."""
    content = path.read_bytes()
    pages = [content[first : first + PAGE] for first in range(0, len(content), PAGE)]
    for number in range(3, len(pages) - 2, 3):
        pages[number + 2] = pages[number]
    path.write_bytes(b"".join(pages))


def header(path: Path, at: int, content: bytes) -> None:
    """Writes into SQLite's header: https://www.sqlite.org/fileformat.html."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def foreign_log(path: Path) -> None:
    """Puts the WAL file of another program's database beside the file."""
    other = path.with_name("other.db")
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript("CREATE TABLE notes (text); INSERT INTO notes VALUES ('mine')")
        shutil.copy(f"{other}-wal", f"{path}-wal")


def foreign_recordings_log(path: Path) -> None:
    """Puts the WAL file of another recording file beside the file."""
    other = path.with_name("other.db")
    make_recording(other, BUILD * 3)
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        with connection:
            connection.execute("UPDATE processes SET comm = 'other'")
            connection.execute("UPDATE recordings SET name = 'other'")
        shutil.copy(f"{other}-wal", f"{path}-wal")


def log_of_noise(path: Path) -> None:
    """Puts a WAL file with a valid first word and noise beside the file."""
    Path(f"{path}-wal").write_bytes(b"\x37\x7f\x06\x82" + b"\xa7" * 40_000)


def masked(path: Path, table: str, sql: str) -> None:
    """Renames a table to `old`, and creates something else under its name."""
    change(path, "PRAGMA legacy_alter_table = ON", f"ALTER TABLE {table} RENAME TO old", sql)


def _view(table: str) -> Damage:
    return partial(masked, table=table, sql=f"CREATE VIEW {table} AS SELECT * FROM old")


def endless(path: Path) -> None:
    """Replaces `processes` by a view with endless rows."""
    sql = "WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT n.id AS endless, old.* FROM n, old"
    masked(path, "processes", f"CREATE VIEW processes AS {sql}")


def triggers(path: Path) -> None:
    """Adds triggers that delete rows at every write."""
    change(
        path,
        "CREATE TRIGGER spoil AFTER DELETE ON processes BEGIN DELETE FROM forks; END",
        'CREATE TRIGGER "sp\'oil" AFTER INSERT ON processes BEGIN DELETE FROM exits; END',
    )


def huge(path: Path, content: str) -> None:
    """Gives one process 100 MB of arguments."""
    change(
        path,
        f"UPDATE commands SET argv = {content}, argv_bytes = {HUGE_ARGV}, args = hex(zeroblob({HUGE_ARGV // 2}))"
        " WHERE id = (SELECT max(command_id) FROM processes)",
    )


def blown_up(path: Path) -> None:
    """Adds generated columns with huge values."""
    _edit_schema(
        path,
        "replace(sql, 'forks_lost + execs_lost + exits_lost + frees_lost', 'length(zeroblob(999999999)) + 0')",
        "name = 'recordings'",
    )
    change(path, "ALTER TABLE processes ADD COLUMN extra TEXT AS (printf('%.*c', 900000000, 'x')) VIRTUAL")


def _sql(*statements: str) -> Damage:
    return lambda path: change(path, *statements)


def _renamed(table: str, column: str, other: str) -> Damage:
    return lambda path: _edit_schema(path, f"replace(sql, '{column}', '{other}')", f"name = '{table}'")


def _values(table: str, values: Mapping[str, object], in_strict: bool) -> dict[str, Damage]:
    return {
        f"{table}.{column} {value!r}": partial(set_value, table=table, column=column, value=value, in_strict=in_strict)
        for column, value in values.items()
    }


PROCESS_VALUES = {
    "pid": "init", "ppid": 1.5, "parent_id": "x", "start_ns": "now", "end_ns": 1.5, "state": 7, "comm": b"\0\xff",
    "command_id": "x", "execs": "x", "status": "ok", "uid": b"x",
    "cgroup_id": "x", "cpu_ns": "x", "max_rss_kib": 0.5, "end_ppid": "x", "kernel": "no",
}  # fmt: skip
RECORDING_VALUES = {
    "name": b"\xff", "status": "gone", "started_ns": YEAR_300_000_NS, "updated_ns": "x", "ended_ns": YEAR_300_000_NS,
    "host": None, "boot_id": 5, "kernel": b"\1", "options": "{", "recorder_pid": "x", "recorder_start_ns": None,
    "clock_offset_ns": "x", "forks_lost": "x", "forks_written": None, "forks_attempted": 1.5,
}  # fmt: skip

OTHERS: dict[str, dict[str, object]] = {
    "forks": {"pid": "x", "start_ns": 1.5},
    "commands": {"filename": 12, "args": b"ls", "argv": "ls", "argv_bytes": "many", "recording_id": "x"},
    "program_environments": {"environment_id": "x", "recording_id": 1.5},
    "environment_variables": {"state": "gone", "value": 1.5, "recording_id": "x"},
    "programs": {"cwd_inode": "x", "carried_rss_kib": "x", "process_id": "x", "command_id": 1.5},
    "exits": {"time_ns": b"x"},
    "frees": {"cpu_ns": "x"},
    "snapshot": {"command_id": "init"},
    "vanished": {"pid": "x"},
    "cgroup_paths": {"path": b"\xff"},
    "fact_blocks": {"size": "x", "recording_id": 1.5},
    "processes": {"recording_id": "x"},
}  # fmt: skip
_ODD = '"a\'b""; DROP TABLE c\n\x1b[31m"'
_BEFORE = "coalesce((SELECT max(p.id) FROM processes AS p WHERE p.id < processes.id), 60)"

DAMAGES: dict[str, Damage] = {
    "cycle of two": _sql(
        "UPDATE processes SET parent_id = 7 WHERE id = 5", "UPDATE processes SET parent_id = 5 WHERE id = 7"
    ),
    "all in a ring": _sql(f"UPDATE processes SET parent_id = {_BEFORE}"),
    "command lines of other events": _sql(
        "UPDATE processes SET command_id = id", "UPDATE programs SET command_id = id"
    ),
    "its own parent": _sql("UPDATE processes SET parent_id = id"),
    "child before its parent": _sql("UPDATE processes SET parent_id = id + 2"),
    "parent in another recording": _sql("UPDATE processes SET parent_id = 65541 WHERE recording_id = 1"),
    "parent beyond all": _sql("UPDATE processes SET parent_id = 9223372036854775807"),
    "absurd block": _sql("UPDATE fact_blocks SET size = 9000000000000000000"),
    "large block": _sql("UPDATE fact_blocks SET size = 1 << 61"),
    "negative block": _sql("UPDATE fact_blocks SET size = -5"),
    "environments of other programs": _sql("UPDATE program_environments SET id = id + 100000"),
    "environments of nothing": _sql("DELETE FROM environment_variables"),
    "values of what is not set": _sql("UPDATE environment_variables SET state = 'unset'"),
    "no blocks": _sql("DELETE FROM fact_blocks"),
    "overlapping blocks": _sql("UPDATE fact_blocks SET size = 1000000"),
    "ids beyond all": _sql(*(f"UPDATE {table} SET id = id + 9223372036854770000" for table in ("processes", "forks"))),
    "negative ids": _sql(*(f"UPDATE {table} SET id = -id" for table in ("processes", "exits", "recordings"))),
    "recording beyond all": _sql("UPDATE recordings SET id = 9223372036854775807 WHERE id = 2"),
    "rows of no recording": _sql(
        "UPDATE processes SET recording_id = 9 WHERE id % 2", "UPDATE forks SET recording_id = 9"
    ),
    "no recordings": _sql("DELETE FROM recordings"),
    "column in quotes": _renamed("processes", " comm TEXT", ' "co""m\nm" TEXT'),
    "column dropped": _sql("ALTER TABLE processes DROP COLUMN max_rss_kib"),
    "column missing": _renamed("processes", "kernel INTEGER", "kernal INTEGER"),
    "column of recordings missing": _renamed("recordings", "host TEXT", "hast TEXT"),
    "columns more": _sql(
        *(f"ALTER TABLE {table} ADD COLUMN {_ODD} TEXT DEFAULT 'x'" for table in ("processes", "forks", "recordings"))
    ),
    "column that is no text": lambda path: _edit_schema(
        path,
        "CAST(replace(sql, 'compiler TEXT', CAST(x'22fffe2220' AS TEXT) || 'TEXT') AS TEXT)",
        "name = 'recordings'",
    ),
    "not strict": loose,
    "no strict and text": partial(set_value, table="exits", column="status", value="x"),
    **{
        f"{table} missing": _sql("PRAGMA foreign_keys = OFF", f"DROP TABLE {table}")
        for table in (
            "recordings",
            "processes",
            "commands",
            "programs",
            "program_environments",
            "environment_variables",
            "forks",
            "vanished",
            "cgroup_paths",
            "fact_blocks",
        )
    },
    "no index": _sql("DROP INDEX processes_by_time", "DROP INDEX programs_of_process"),
    "no views": _sql("DROP VIEW process_list", "DROP VIEW event_list"),
    **{f"{table} a view": _view(table) for table in ("recordings", "processes", "commands", "programs", "fact_blocks")},
    "endless view": endless,
    "virtual table": partial(
        masked, table="forks", sql="CREATE VIRTUAL TABLE forks USING fts5(id, recording_id, comm)"
    ),
    "triggers": triggers,
    "blown up": blown_up,
    "100 MB of arguments": partial(huge, content=f"CAST(hex(zeroblob({HUGE_ARGV // 2})) AS BLOB)"),
    "100 MB of empty arguments": partial(huge, content=f"zeroblob({HUGE_ARGV})"),
    "text that is none": partial(set_value, table="processes", column="comm", value=b"\xff\xfe", in_strict=True),
    "args that are no text": partial(set_value, table="commands", column="args", value=b"\xff\xfe", in_strict=True),
    "host that is no text": partial(set_value, table="recordings", column="host", value=b"\xff\xfe", in_strict=True),
    "events' names no text": partial(set_value, table="forks", column="comm", value=b"\xff\xfe", in_strict=True),
    "nulls in processes": partial(nulls, table="processes", columns=("pid", "start_ns", "state")),
    "nulls in forks": partial(nulls, table="forks", columns=("pid", "start_ns", "ppid", "comm")),
    "nulls in recordings": partial(nulls, table="recordings", columns=("started_ns", "updated_ns", "host", "options")),
    "nulls in blocks": partial(nulls, table="fact_blocks", columns=("size", "recording_id")),
    "options no object": _sql("UPDATE recordings SET options = '[1, 2'"),
    "options deep": _sql("UPDATE recordings SET options = printf('%.*c', 100000, '[')"),
    "negative start": _sql("UPDATE recordings SET started_ns = -9223372036854775808"),
    "latest start": _sql("UPDATE recordings SET started_ns = 9223372036854775807"),
    "latest end": _sql("UPDATE recordings SET ended_ns = 9223372036854775807, updated_ns = 9223372036854775807"),
    "starts far apart": _sql("UPDATE processes SET start_ns = (id % 3 - 1) * 9223372036854775807"),
    "ends far apart": _sql("UPDATE processes SET end_ns = (id % 3 - 1) * 9223372036854775807"),
    "sums too large": _sql("UPDATE processes SET cpu_ns = 9223372036854775807, max_rss_kib = 9223372036854775807"),
    "cut in the middle": partial(cut, share=0.5),
    "cut after the schema": partial(cut, share=0.1),
    "cut within a page": partial(cut, share=0.777),
    "first page only": lambda path: cut(path, PAGE / path.stat().st_size),
    "pages swapped": shuffle,
    **{
        f"page {number} of zeros": partial(overwrite, number=number, content=bytes(PAGE))
        for number in (1, 2, 5, 9, 13, 20)
    },
    **{
        f"page {number} of noise": partial(overwrite, number=number, content=b"\x05\xa7" * (PAGE // 2))
        for number in (2, 4, 7, 11)
    },
    "schema of noise": partial(overwrite, number=0, content=b"SQLite format 3\0" + b"\x05\xa7" * 2040),
    "version 0": partial(header, at=60, content=bytes(4)),
    "page size": partial(header, at=16, content=b"\x02\x00"),
    "page size of none": partial(header, at=16, content=b"\x00\x07"),
    "text in UTF-16": partial(header, at=56, content=b"\x00\x00\x00\x02"),
    "log of another program": foreign_log,
    "log of another recording": foreign_recordings_log,
    "log of noise": log_of_noise,
    "empty schema": lambda path: _edit_schema(path, "NULL"),
    "schema that is no SQL": lambda path: _edit_schema(path, "'CREATE TABLE (' || char(10) || x'ff'", "name = 'forks'"),
    "virtual table of nothing": partial(masked, table="exits", sql="CREATE TABLE exits (id INTEGER PRIMARY KEY)"),
    **_values("processes", PROCESS_VALUES, in_strict=True),
    **_values("recordings", RECORDING_VALUES, in_strict=True),
    **{name: damage for table, values in OTHERS.items() for name, damage in _values(table, values, False).items()},
}
"""All damages by name."""
