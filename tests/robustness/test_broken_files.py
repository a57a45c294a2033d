"""A broken file beside a good one: the pages of the good file and the index work, in both versions of Datasette."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sites import PYTHONS, Site, running
from story import BUILD
from support import make_recording, wait_until

VERSIONS = sorted(PYTHONS)
GOOD = ("/", "/good", "/good/processes", "/good/recordings/1", "/good/lifetimes", "/-/webpf/timeline/good/1",
        "/-/webpf/timeline/good/1/window.json", "/-/versions")  # fmt: skip
TIMELINE = "/-/webpf/timeline/broken/1"
ENDLESS = "WITH RECURSIVE c (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM c) SELECT id, 1 AS recording_id FROM c"


def execute(db: Path, *statements: str) -> None:
    """Changes a file in a way that webpf never would."""
    with closing(sqlite3.connect(db)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def overwrite(db: Path, begin: int, content: bytes | None = None) -> None:
    """Overwrites a file with noise, from this byte on."""
    with db.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(begin)
        file.write(os.urandom(size - begin) if content is None else content)


def damage_rows(db: Path) -> None:
    """Overwrites all pages except the schema with noise: SQLite can open the file, but fails to read rows."""
    execute(db, "PRAGMA journal_mode = DELETE")
    with closing(sqlite3.connect(db)) as connection:
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        for (page,) in connection.execute("SELECT rootpage FROM sqlite_schema WHERE rootpage > 0").fetchall():
            overwrite(db, (page - 1) * size, os.urandom(size))


def replace_tables(db: Path, *statements: str) -> None:
    """Replaces the tables that the pages show with what these statements create."""
    execute(
        db,
        "DROP VIEW process_list",
        "DROP VIEW event_list",
        "DROP TABLE recordings",
        "DROP TABLE processes",
        *statements,
    )


BREAK: dict[str, Callable[[Path], object]] = {
    "truncated": lambda db: os.truncate(db, 8192),
    "damaged from the second page on": lambda db: overwrite(db, 4096),
    "damaged rows": damage_rows,
    "no bytes": lambda db: os.truncate(db, 0),
    "no tables": replace_tables,
    "views of those names": lambda db: replace_tables(
        db, f"CREATE VIEW recordings AS {ENDLESS}", f"CREATE VIEW processes AS {ENDLESS}"
    ),
    "columns of other types": lambda db: replace_tables(
        db,
        "CREATE TABLE recordings (id TEXT, status BLOB, started_ns TEXT)",
        "INSERT INTO recordings VALUES ('x', x'ff', 'then')",
        "CREATE TABLE processes (id INTEGER PRIMARY KEY, argv TEXT) STRICT",
    ),
    "columns missing": lambda db: replace_tables(
        db,
        "CREATE TABLE recordings (id INTEGER PRIMARY KEY) STRICT",
        "INSERT INTO recordings VALUES (1)",
        "CREATE TABLE processes (id INTEGER PRIMARY KEY, recording_id INTEGER NOT NULL) STRICT",
    ),
    "a WAL that can't be opened": lambda db: (db.parent / f"{db.name}-wal").mkdir(),
    "text that is no UTF-8": lambda db: execute(
        db, "UPDATE recordings SET host = CAST(x'ff00fe' AS TEXT)", "UPDATE processes SET comm = CAST(x'ff' AS TEXT)"
    ),
}
WORK = {"text that is no UTF-8"}


def check_good_pages(site: Site) -> None:
    """Checks the pages that don't depend on the broken file."""
    assert {path: site.get(path)[0] for path in GOOD} == dict.fromkeys(GOOD, 200)
    assert 'href="/-/webpf/timeline/good/1"' in site.get("/")[1]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two recording files."""
    for name in ("broken", "good"):
        make_recording(tmp_path / f"{name}.db", BUILD)
    return [tmp_path / "broken.db", tmp_path / "good.db"]


@pytest.mark.parametrize("how", BREAK)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_file_that_is_broken_from_the_start(version: str, files: list[Path], how: str) -> None:
    BREAK[how](files[0])
    with running(version, files) as site:
        check_good_pages(site)
        for what in ("", "/window.json", "/overview.json", "/choices.json"):
            assert site.get(f"{TIMELINE}{what}")[0] == (200 if how in WORK else 404)
        if how not in WORK:
            assert site.get(f"{TIMELINE.replace('timeline', 'perfetto')}/trace")[0] == 404


@pytest.mark.parametrize("how", [*sorted(set(BREAK) - WORK), "deleted"])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_file_that_breaks_while_it_is_served(version: str, files: list[Path], how: str) -> None:
    with running(version, files) as site:
        check_good_pages(site)
        assert site.get(TIMELINE)[0] == 200
        if how == "deleted":
            files[0].unlink()
        else:
            BREAK[how](files[0])
        check_good_pages(site)
        assert site.get(f"{TIMELINE}/window.json")[0] == 404


@pytest.mark.parametrize("version", VERSIONS)
def test_a_file_that_was_moved_away_and_back_is_served_again(version: str, files: list[Path], tmp_path: Path) -> None:
    with running(version, files, log=tmp_path / "log") as site:
        assert site.get("/broken/processes")[0] == 200
        moved = files[0].rename(tmp_path / "moved")
        assert site.get("/broken/processes")[0] == 404
        check_good_pages(site)
        moved.rename(files[0])
        wait_until(lambda: site.get("/broken/processes")[0] == 200, "it isn't served again")
        assert site.get(TIMELINE)[0] == 200
        assert site.get("/broken/lifetimes")[0] == 200
    log = (tmp_path / "log").read_text()
    assert log.count("broken.db can't be read: it is hidden until it can be\n") == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_a_file_that_is_locked_is_still_a_recording(version: str, files: list[Path]) -> None:
    """Another program has locked it for a moment: it is still listed."""
    with closing(sqlite3.connect(files[0], isolation_level=None)) as other, running(version, files) as site:
        assert site.get("/broken/processes")[0] == 200
        other.execute("BEGIN EXCLUSIVE")
        os.utime(files[0])
        assert site.get("/-/webpf/timeline/good/1/window.json")[0] == 200
        assert site.get(f"{TIMELINE}/window.json")[0] == 503
        other.execute("ROLLBACK")
        assert site.get("/broken/processes")[0] == 200
        assert site.get(f"{TIMELINE}/window.json")[0] == 200
