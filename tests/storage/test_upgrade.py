"""webpf upgrade: files recorded by older versions become current, and their rows don't change."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import old_files
import pytest
from support import PROCESSES, fork, make_recording, webpf_command, with_commands

from webpf.errors import DataError, UsageError
from webpf.host import liveness, procfs
from webpf.storage.file_check import SCHEMA_VERSION
from webpf.storage.recording_file import RecordingFile
from webpf.storage.upgrade import MAX_AUTOMATIC_BYTES, upgrade
from webpf.storage.verify import verify

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]

OBSOLETE = {"_sqlite_migrations", "processes_of_recording", "events"}
"""A table, an index and a view that older versions created and this version doesn't."""
RENAMED = {"found": "snapshot", "missing": "vanished", "recordings.bcc_version": "compiler"}
"""Tables and columns of older schemas that the current one has under another name."""
READERS = {
    "query": "query lifetimes --db old.db",
    "report": "report old.db",
    "tree": "tree old.db",
    "diff": "diff old.db:1 old.db:2",
    "export": "export old.db",
    "verify": "verify old.db",
    "merge": "merge old.db new.db -o all.db",
    "recordings": "recordings --db old.db",
    "browse": "browse old.db",
}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A file of schema 3."""
    return old_files.copy("schema-3", tmp_path / "old.db")


def rows(path: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Returns the rows of a query, read by SQLite alone."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql, values).fetchall()


def execute(path: Path, *statements: str) -> None:
    """Changes a file without webpf."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def content(path: Path, columns: dict[str, list[str]], is_current: bool = False) -> dict[str, list[tuple[Any, ...]]]:
    """Returns all rows of these columns, with the storage class of each value."""

    def values(names: list[str]) -> str:
        return ", ".join(f"{name}, typeof({name})" for name in names)

    return {
        table: rows(path, f"SELECT {values(names)} FROM {source(table) if is_current else table} ORDER BY 1")
        for table, names in columns.items()
    }


def columns_of(path: Path) -> dict[str, list[str]]:
    """Returns the columns of webpf's tables and views, including generated columns."""
    tables = rows(path, "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'")
    return {
        name: [row[1] for row in rows(path, f"PRAGMA table_xinfo({name})")]
        for (name,) in tables
        if name not in OBSOLETE
    }


def source(table: str) -> str:
    """Returns SQL for the rows of a table of a current file, with the columns that it had in older files."""
    return with_commands(table) if table in ("processes", "programs", "snapshot") else table


def current(table: str, columns: list[str]) -> tuple[str, list[str]]:
    """Returns the name of a table of an older file, and of its columns, in the current schema."""
    return RENAMED.get(table, table), [RENAMED.get(f"{table}.{name}", name) for name in columns]


def expected(table: str, columns: list[str], rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Returns the rows of an older table, each value followed by its storage class, as they are in a current file."""
    at = columns.index("bcc_version") * 2 if table == "recordings" else -1
    return rows if at < 0 else [(*row[:at], f"BCC {row[at]}", *row[at + 1 :]) for row in rows]


def one_line(ended: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """Checks the exit code and the one line on stderr."""
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (code, "", 1), ended
    assert all(word in ended.stderr for word in words), ended.stderr


@pytest.mark.parametrize("name", old_files.OLDER)
def test_all_rows_are_unchanged(name: str, webpf: Webpf, tmp_path: Path) -> None:
    path = old_files.copy(name, tmp_path / "old.db")
    number = rows(path, "PRAGMA user_version")[0][0]
    columns = columns_of(path)
    before = content(path, columns)
    assert len(before["programs"]) >= 10
    assert {"forks", "exits", "frees", "found", "cgroup_paths", "recordings"} <= before.keys()
    one_line(webpf("upgrade", "old.db"), 0, "webpf: old.db is upgraded from", f"schema {number}", "to schema 5")
    after = content(path, dict(current(*each) for each in columns.items()), is_current=True)
    for table, names in columns.items():
        assert after[current(table, names)[0]] == expected(table, names, before[table]), table
    make_recording(tmp_path / "new.db", [fork(100, 1)])
    assert columns_of(path) == columns_of(tmp_path / "new.db")
    schema = "SELECT type, name, sql FROM sqlite_schema ORDER BY name"
    for sql in (schema, "PRAGMA user_version", "PRAGMA application_id", "PRAGMA auto_vacuum"):
        assert rows(path, sql) == rows(tmp_path / "new.db", sql)
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    assert [finding.problems for finding in verify(path)] == [()] * (1 + len(before["recordings"]))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["new.db", "old.db"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_there_is_a_file_of_each_schema() -> None:
    found = {rows(old_files.FOLDER / f"{name}.db", "PRAGMA user_version")[0][0] for name in old_files.OLDER}
    assert found == set(range(1, SCHEMA_VERSION))
    assert all(path.stat().st_size <= 100 << 10 for path in old_files.FOLDER.glob("*.db"))


def test_a_current_file_is_unchanged(webpf: Webpf, tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    make_recording(path, [fork(100, 1)])
    before = (path.read_bytes(), path.stat().st_ino, path.stat().st_mtime_ns)
    one_line(webpf("upgrade", "new.db"), 0, "new.db is current already (schema 5)")
    assert (path.read_bytes(), path.stat().st_ino, path.stat().st_mtime_ns) == before
    assert [finding.problems for finding in verify(path)] == [()] * 2


def test_the_unit_of_a_cgroup_is_known_after_the_upgrade(tmp_path: Path) -> None:
    old = old_files.copy("schema-4", tmp_path / "old.db")
    path = "/kubepods.slice/kubepods-pod{0}_1111_2222_3333_444444444444.slice/cri-containerd-{1}.scope"
    path = path.format("0123abcd", "5e" * 32)
    execute(
        old,
        f"INSERT INTO cgroup_paths VALUES (1, -7, '{path}'), (1, -8, x'2fff2f612e73657276696365'), (1, -9, NULL)",
    )
    upgrade(old)
    found = rows(old, "SELECT cgroup_id, unit, container, pod FROM cgroup_paths WHERE cgroup_id < 0 ORDER BY 1")
    pod = "0123abcd-1111-2222-3333-444444444444"
    assert found == [
        (-9, None, None, None),
        (-8, "a.service", None, None),
        (-7, f"cri-containerd-{'5e' * 32}.scope", "5e" * 32, pod),
    ]


@pytest.mark.parametrize("name", ["schema-1", "schema-4-begun"])
@pytest.mark.parametrize("reader", READERS)
def test_readers_refuse_an_older_file(reader: str, name: str, webpf: Webpf, tmp_path: Path) -> None:
    path = old_files.copy(name, tmp_path / "old.db")
    make_recording(tmp_path / "new.db", [fork(100, 1)])
    before, number = path.read_bytes(), rows(path, "PRAGMA user_version")[0][0]
    words = f"old.db was made by webpf's schema {number}, this is schema 5; try: ", "webpf upgrade old.db\n"
    one_line(webpf(*READERS[reader].split()), 65, *words)
    assert path.read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["new.db", "old.db"]


def test_a_new_file_at_another_path(old: Path, webpf: Webpf, tmp_path: Path) -> None:
    before = old.read_bytes()
    one_line(webpf("upgrade", "old.db", "-o", "new.db"), 0, "new.db is old.db, upgraded from schema 3 to schema 5")
    assert old.read_bytes() == before
    assert [finding.problems for finding in verify(tmp_path / "new.db")] == [()] * 3
    one_line(webpf("upgrade", "old.db", "-o", "new.db"), 64, "--force replaces it")
    assert webpf("upgrade", "old.db", "-o", "new.db", "--force").returncode == 0
    one_line(webpf("upgrade", "old.db", "-o", "./old.db"), 64, "is the file itself; try: ", "webpf upgrade old.db\n")


def test_objects_of_users_are_kept(old: Path) -> None:
    execute(
        old,
        'CREATE TABLE "my notes" (id INTEGER PRIMARY KEY AUTOINCREMENT, "a ""text""" TEXT, twice AS (id * 2))',
        'INSERT INTO "my notes" (id, "a ""text""") VALUES (7, \'seven\'), (9, NULL)',
        "CREATE TABLE log (pid INTEGER)",
        "CREATE INDEX my_pids ON processes (pid)",
        "CREATE VIEW failed AS SELECT id, comm, exit_code FROM processes WHERE exit_code",
        "CREATE TRIGGER counted AFTER INSERT ON processes BEGIN INSERT INTO log VALUES (new.pid); END",
    )
    sql = "SELECT name, sql FROM sqlite_schema WHERE name IN ('my notes', 'log', 'my_pids', 'failed', 'counted')"
    made = sorted(rows(old, sql))
    assert len(made) == 5
    kept = rows(old, 'SELECT * FROM "my notes"'), rows(old, "SELECT * FROM failed")
    assert kept[0] == [(7, "seven", 14), (9, None, 18)]
    upgrade(old)
    assert sorted(rows(old, sql)) == made
    assert (rows(old, 'SELECT * FROM "my notes"'), rows(old, "SELECT * FROM failed")) == kept
    assert rows(old, "SELECT * FROM log") == []


def test_virtual_tables_are_refused(old: Path, webpf: Webpf) -> None:
    execute(old, "CREATE VIRTUAL TABLE words USING fts5 (word)")
    before = old.read_bytes()
    one_line(webpf("upgrade", "old.db"), 65, "has a virtual table of another program, words")
    assert old.read_bytes() == before


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("CREATE TABLE Commands (text)", "has a table of another program with the name Commands"),
        ("CREATE VIEW vanished AS SELECT 1", "has a view of another program with the name vanished"),
        ("CREATE INDEX by_args ON processes (args)", "has the index by_args of another program, which doesn't fit"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_remedy(old: Path, webpf: Webpf, statement: str, words: str) -> None:
    execute(old, statement)
    before = old.read_bytes()
    ended = webpf("upgrade", "old.db")
    one_line(ended, 65, words)
    assert old.read_bytes() == before
    subprocess.run(ended.stderr.partition("try: ")[2], shell=True, check=True, cwd=old.parent)
    assert webpf("upgrade", "old.db").returncode == 0


def test_a_command_line_that_only_a_process_has_is_kept(old: Path) -> None:
    """No event has it, so the file is not sound; but nothing that a user may have added gets lost."""
    execute(
        old, "UPDATE processes SET filename = '/other', args = 'by hand', argv = x'ff00', argv_bytes = 2 WHERE id < 5"
    )
    number = len(rows(old, "SELECT 1 FROM processes WHERE id < 5"))
    upgrade(old)
    sql = f"SELECT filename, args, argv, argv_bytes FROM {PROCESSES} WHERE id < 5"
    assert rows(old, sql) == [("/other", "by hand", b"\xff\0", 2)] * number
    [(id,)] = rows(old, "SELECT id FROM commands WHERE args = 'by hand'")
    assert rows(old, "SELECT size FROM fact_blocks WHERE first_id = ?", id) == [(1,)]
    assert rows(old, "PRAGMA foreign_key_check") == []


@pytest.mark.parametrize("name", old_files.OLDER)
def test_each_command_line_of_a_recording_is_stored_once(name: str, tmp_path: Path) -> None:
    path = old_files.copy(name, tmp_path / "old.db")
    different = "SELECT DISTINCT recording_id, filename, argv, argv_bytes FROM"
    expected = rows(path, f"{different} programs UNION {different} found WHERE filename NOTNULL OR argv NOTNULL")
    upgrade(path)
    upgraded = rows(path, "SELECT recording_id, filename, argv, argv_bytes FROM commands")
    assert sorted(map(repr, upgraded)) == sorted(map(repr, expected))


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE frees",
        "ALTER TABLE forks DROP COLUMN euid",
        "DELETE FROM recordings WHERE id = 2",
        "UPDATE processes SET id = -id WHERE pid = (SELECT max(pid) FROM processes)",
        "ALTER TABLE programs DROP COLUMN cwd_device",  # schema 3 has it
        "DROP TABLE incidents",
    ],
)
def test_damaged_files_are_refused(statement: str, webpf: Webpf, tmp_path: Path) -> None:
    name = "schema-4-incidents" if "incidents" in statement else "schema-3"
    path = old_files.copy(name, tmp_path / "old.db")
    execute(path, *(["DROP VIEW events"] * statement.startswith(("DROP TABLE frees", "ALTER"))), statement)
    before = path.read_bytes()
    for command in (("upgrade", "old.db"), ("rebuild", "--db", "old.db"), ("compact", "old.db")):
        one_line(webpf(*command), 65, "old.db is damaged: ")
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["old.db"]


def test_pages_of_noise_are_refused(old: Path, webpf: Webpf, tmp_path: Path) -> None:
    root = rows(old, "SELECT rootpage FROM sqlite_schema WHERE name = 'processes'")[0][0]
    with old.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xa5" * 4096)
    before = old.read_bytes()
    one_line(webpf("upgrade", "old.db"), 65, "old.db")
    assert old.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["old.db"]


@pytest.mark.parametrize(("number", "code", "words"), [(SCHEMA_VERSION + 1, 65, "newer webpf"), (0, 65, "is damaged")])
def test_unknown_schemas(number: int, code: int, words: str, old: Path, webpf: Webpf) -> None:
    execute(old, f"PRAGMA user_version = {number}")
    before = old.read_bytes()
    one_line(webpf("upgrade", "old.db"), code, words)
    assert old.read_bytes() == before


def test_files_that_are_no_recordings(webpf: Webpf, tmp_path: Path) -> None:
    (tmp_path / "odd.db").write_text("odd" * 100)
    (tmp_path / "empty.db").touch()
    os.mkfifo(tmp_path / "pipe")
    execute(tmp_path / "notes.db", "CREATE TABLE notes (text)")
    for name, code, words in (
        ("nothing.db", 66, "there is no recording file"),
        (".", 65, "is a directory"),
        ("pipe", 65, "is not a regular file"),
        ("odd.db", 65, "is no SQLite database"),
        ("notes.db", 65, "another program's SQLite database"),
        ("empty.db", 65, "is empty"),
    ):
        one_line(webpf("upgrade", name), code, words)


def set_in_progress(path: Path) -> None:
    """Marks the second recording as being recorded by this process."""
    stat = procfs.read_stat(os.getpid())
    assert stat
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "UPDATE recordings SET status = 'recording', boot_id = ?, recorder_pid = ?, recorder_start_ns = ?"
            " WHERE id = 2",
            [liveness.boot_id(), os.getpid(), stat.start_ns],
        )


def test_a_file_that_is_being_recorded(old: Path, webpf: Webpf) -> None:
    set_in_progress(old)
    before = old.read_bytes()
    one_line(webpf("upgrade", "old.db"), 64, f"recording 2 of old.db goes on (pid {os.getpid()})")
    one_line(webpf("upgrade", "old.db", "-o", "new.db"), 64, "goes on")
    assert old.read_bytes() == before


def test_an_interrupted_recording_stays_interrupted(old: Path, tmp_path: Path) -> None:
    """The file has the log that a killed recorder leaves beside it."""
    killed = """if True:
        import os, signal, sqlite3
        connection = sqlite3.connect("old.db")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("UPDATE recordings SET status = 'recording', recorder_pid = 0, name = 'killed' WHERE id = 2")
        connection.commit()
        os.kill(os.getpid(), signal.SIGKILL)"""
    subprocess.run([*webpf_command()[:1], "-c", killed], cwd=tmp_path, check=False)
    assert (tmp_path / "old.db-wal").stat().st_size > 0
    assert upgrade(old) == 3
    assert rows(old, "SELECT status, name FROM recordings WHERE id = 2") == [("recording", "killed")]
    assert [each.name for each in tmp_path.iterdir()] == ["old.db"]
    assert [finding.problems for finding in verify(old)] == [()] * 3


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_file_that_another_process_writes(mode: str, old: Path, webpf: Webpf, tmp_path: Path) -> None:
    with closing(sqlite3.connect(old, isolation_level=None)) as other:
        other.execute(f"PRAGMA journal_mode = {mode}")
        other.execute("SELECT count(*) FROM processes").fetchone()
        other.execute("BEGIN IMMEDIATE")
        other.execute("COMMIT" if mode == "WAL" else "SELECT 1")
        number = old.stat().st_ino  # reading the file in this process would release its locks on it
        one_line(webpf("upgrade", "old.db"), 74, f"old.db is open, by pid {os.getpid()} (")
        assert old.stat().st_ino == number
        assert other.execute("PRAGMA user_version").fetchone() == (3,)
    assert [each.name for each in tmp_path.iterdir()] == ["old.db"]
    assert webpf("upgrade", "old.db").returncode == 0


def test_readers_go_on_while_it_is_upgraded(old: Path, webpf: Webpf) -> None:
    """A reader in the middle of a statement reads the old file until it ends."""
    with closing(sqlite3.connect(old)) as reader:
        cursor = reader.execute("SELECT id FROM processes ORDER BY id")
        first = cursor.fetchone()
        assert webpf("upgrade", "old.db").returncode == 0
        assert [first, *cursor] == rows(old, "SELECT id FROM processes ORDER BY id")


PEAK = """import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))"""
"""Prints the peak memory of a command in KiB. A child inherits the peak of its parent, so the parent must be small."""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def peak(processes: int) -> int:
        path = old_files.copy("schema-2", tmp_path / f"{processes}.db")
        old_files.add_processes(path, processes)
        command = [sys.executable, "-I", "-S", "-c", PEAK, *webpf_command(), "upgrade", str(path)]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert rows(path, "SELECT count(*) FROM processes")[0][0] >= processes
        return int(printed)

    small, large = peak(1), peak(200_000)
    assert (tmp_path / "200000.db").stat().st_size > 100 << 20
    assert large - small < 12 << 10


# Writing to an older file


def test_a_writer_refuses_an_older_file(old: Path) -> None:
    before = old.read_bytes()
    with pytest.raises(DataError, match="schema 3, this is schema 5"):
        RecordingFile(old)
    assert old.read_bytes() == before


def test_rebuild_upgrades_first(old: Path, webpf: Webpf) -> None:
    columns = {"processes": columns_of(old)["processes"]}
    before = content(old, columns)
    ended = webpf("rebuild", "--db", "old.db")
    assert (ended.returncode, ended.stderr.splitlines()) == (
        0,
        [
            "webpf: old.db is upgraded from schema 3 to schema 5",
            "webpf: recording 1: 14 processes rebuilt",
            "webpf: recording 2: 16 processes rebuilt",
        ],
    )
    assert content(old, columns, is_current=True) == before
    assert [finding.problems for finding in verify(old)] == [()] * 3


@pytest.mark.kernel
@pytest.mark.parametrize("name", old_files.OLDER)
def test_a_recorder_upgrades_first(name: str, webpf: Webpf, tmp_path: Path) -> None:
    path = old_files.copy(name, tmp_path / "old.db")
    recordings = len(rows(path, "SELECT id FROM recordings"))
    ended = webpf("record", "--db", "old.db", "--", "sh", "-c", "exit 3")
    assert ended.returncode == 3, ended
    lines = [line for line in ended.stderr.splitlines() if "upgraded" in line]
    assert len(lines) == 1
    assert lines[0].startswith("webpf: old.db is upgraded from")
    assert [finding.problems for finding in verify(path)] == [()] * (recordings + 2)
    again = webpf("record", "--db", "old.db", "--quiet", "--", "true")
    assert (again.returncode, again.stderr) == (0, "")


@pytest.mark.kernel
def test_a_recorder_does_not_upgrade_a_large_file(old: Path, webpf: Webpf) -> None:
    os.truncate(old, MAX_AUTOMATIC_BYTES + 1)  # SQLite relies on the number of pages in the header
    before = old.stat()
    words = "old.db was made by webpf's schema 3, this is schema 5; with 100 MiB", "; try: ", "webpf upgrade old.db\n"
    one_line(webpf("record", "--db", "old.db", "--", "true"), 65, *words)
    one_line(webpf("record", "--db", "old.db", "--duration", "1"), 65, *words)
    one_line(webpf("rebuild", "--db", "old.db"), 65, *words)
    assert (old.stat().st_ino, old.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert webpf("upgrade", "old.db").returncode == 0
    assert webpf("rebuild", "--db", "old.db").returncode == 0


def test_as_a_library(old: Path) -> None:
    assert (upgrade(old), upgrade(old)) == (3, None)
    with pytest.raises(UsageError):
        upgrade(old, target=old)
