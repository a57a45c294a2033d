"""Tells whether a file has the current schema or an older one, which `webpf upgrade` makes current."""

from __future__ import annotations

import sqlite3

from .file_check import SCHEMA_VERSION
from .schema_check import missing_columns, read_version

_OPTIONAL_UNTIL = {
    **dict.fromkeys(("working_directories", "programs.cwd_device", "programs.cwd_inode"), 2),
    "incidents": 3,
    **dict.fromkeys(("recordings.kept_short", "forks.execs", "forks.begun", "exits.uid", "exits.begun"), 4),
}
"""Tables and columns that were added later, each with the last schema whose files may lack it.

The fourth schema grew during its development, so some of its files lack columns too.
"""


def optional_columns(number: int) -> set[str]:
    """Returns the tables (`incidents`) and columns (`forks.begun`) that a sound file of this schema may lack."""
    return {name for name, until in _OPTIONAL_UNTIL.items() if number <= until}


def is_older(connection: sqlite3.Connection) -> bool:
    """True for a file of an older schema, or of an early form of the current one."""
    number = read_version(connection)
    if number != SCHEMA_VERSION:
        return 0 < number < SCHEMA_VERSION
    if any(missing_columns(connection, optional_columns(number))):
        return False
    return any(True for _ in missing_columns(connection)) or _requires_machine(connection)


def _requires_machine(connection: sqlite3.Connection) -> bool:
    """True for an early file of the fourth schema, which can't hold a recording of an unknown machine."""
    rows = connection.execute("PRAGMA table_info(recordings)").fetchall()
    return any(name == "host" and is_required for _, name, _, is_required, *_ in rows)
