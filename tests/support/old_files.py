"""Recording files of older schemas, made by older versions of webpf."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from support import PROJECT

FOLDER = PROJECT / "tests" / "storage" / "old_files"
OLDER = sorted(path.stem for path in FOLDER.glob("*.db"))
"""Names of the files that need an upgrade."""


def copy(name: str, path: Path) -> Path:
    """Copies one of the files to a path, with mode 0600; returns the path."""
    shutil.copyfile(FOLDER / f"{name}.db", path)
    path.chmod(0o600)
    return path


def add_processes(path: Path, number: int) -> None:
    """Adds `number` processes to a file, each of about 600 bytes."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            """WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ?)
            INSERT INTO processes (id, recording_id, pid, start_ns, state, args, argv)
            SELECT n + 1000000, 1, n, started_ns + n, 'lost', hex(randomblob(120)), randomblob(240)
            FROM c, recordings WHERE recordings.id = 1""",
            [number],
        )
