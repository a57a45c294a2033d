"""Gives the free pages of a file back to the file system, in small steps."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

_PAGES = 1_000  # in one transaction: 4 MiB


def can_give_back(connection: sqlite3.Connection) -> bool:
    """Whether the file can give pages back: all files that webpf has made can."""
    return _number(connection, "auto_vacuum") != 0


def count(connection: sqlite3.Connection) -> int:
    """Returns how many pages are free."""
    return _number(connection, "freelist_count")


def give_back(connection: sqlite3.Connection) -> Iterator[int]:
    """Gives all free pages back. Each step is a short transaction; yields how many pages are still free.

    Ends early if a recorder frees or needs as many meanwhile. The file becomes smaller when the log is written into it.
    Raises sqlite3.Error.
    """
    if not can_give_back(connection):
        return
    free = count(connection)
    while free > 0:
        # Not execute(): it would stop after one page.
        connection.executescript(f"PRAGMA incremental_vacuum({_PAGES})")
        before, free = free, count(connection)
        yield free
        if free >= before:
            return


def _number(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
