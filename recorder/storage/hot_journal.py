"""Takes back a change to a recording file that a killed process left half made."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from ..errors import CannotCreate, DataError
from ..host import file_owner
from ..host.invocation import as_user, sudo_command
from ..log import suppressed
from ..model import argv
from . import file_check


def roll_back(path: Path, wait_seconds: float = 5.0) -> bool:
    """Takes back what a killed process left half written, if this process may write the file. Returns whether it tried.

    While SQLite creates the tables, and while it makes one plain file of a file and its log, a journal beside the file
    holds what was there before (https://www.sqlite.org/lockingv3.html#hot_journals). If the process is killed
    meanwhile, the next connection that may write restores it. webpf reads through connections that may not.

    It isn't done in another user's file: a journal can name a further file, which SQLite would delete.
    wait_seconds: for another process that has the file locked.
    """
    path = path.resolve()
    if journal_of(path) is None:
        return False
    before = file_owner.open_descriptors()
    with suppressed(__name__, f"taking back a change to {path}", OSError, sqlite3.Error, CannotCreate):
        status = path.stat()
        file_owner.check_owner(path, status)
        file_owner.check_side_files(path)
        uri = f"{path.as_uri()}?mode=rw"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=wait_seconds)) as connection:
            file_owner.check_opened(path, file_owner.identity_of(status), before)
            connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
    return True


def journal_of(path: Path) -> Path | None:
    """Returns the journal beside the file; None if there is none, or an empty one."""
    *_, journal = file_owner.side_files(path)
    with contextlib.suppress(OSError):
        return journal if journal.stat().st_size else None
    return None


def explain(path: Path) -> DataError | None:
    """Returns the error for a file that can't be read before a change is taken back; None if it has no journal."""
    path = path.resolve()
    journal = journal_of(path)
    if journal is None:
        return None
    owner = path.stat().st_uid
    if owner == os.geteuid():
        reason, hint = file_check.why_unwritable(path.parent), f"cp {argv.file_word(path)} {argv.file_word(journal)} ~"
    else:
        reason, hint = f"it is uid {owner}'s", sudo_command() if owner == 0 else as_user(f"#{owner}")
    return DataError(
        f"{path} can't be read: a process was killed while it changed it, and undoing that needs to write: {reason}",
        hint,
    )
