"""Which schema a file has: the current one, or an older one that `webpf upgrade` makes current."""

from __future__ import annotations

import sqlite3

from .file_check import SCHEMA_VERSION
from .soundness import lacks, version

_LACKED_UNTIL = {
    **dict.fromkeys(("working_directories", "programs.cwd_device", "programs.cwd_inode"), 2),
    "incidents": 3,
    **dict.fromkeys(("recordings.kept_short", "forks.execs", "forks.begun", "exits.uid", "exits.begun"), 4),
}
"""Tables and columns that came later, each with the last schema whose files may lack it.

The fourth schema grew while it was made, so some of its files lack columns too.
"""


def may_lack(number: int) -> set[str]:
    """Tables (`incidents`) and columns (`forks.begun`) that a sound file of this schema may lack."""
    return {name for name, until in _LACKED_UNTIL.items() if number <= until}


def is_older(connection: sqlite3.Connection) -> bool:
    """Whether a file is of an older schema, or of the current one, and not all that this has become."""
    number = version(connection)
    if number != SCHEMA_VERSION:
        return 0 < number < SCHEMA_VERSION
    if any(lacks(connection, may_lack(number))):
        return False
    return any(True for _ in lacks(connection)) or _requires_machine(connection)


def _requires_machine(connection: sqlite3.Connection) -> bool:
    """Whether it can't hold a recording of an unknown machine, as the first files of the fourth schema."""
    rows = connection.execute("PRAGMA table_info(recordings)").fetchall()
    return any(name == "host" and is_required for _, name, _, is_required, *_ in rows)
