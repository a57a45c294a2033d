"""Makes a file of the current schema of an older one: a new file with the same rows, which takes the old one's place.

All that an older file lacks is unknown (NULL), so tables are copied column by column. A later schema that keeps
something elsewhere gives SQL for it in _values(), and fills tables that no older file has before the others.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from ..errors import CannotCreate, DataError, StorageError, UsageError, WebpfError
from ..host import file_owner, lock_holders
from ..host.invocation import retry_at_home
from ..model import argv
from ..model.recording import GOING_ON
from ..progress import UNWATCHED, Work
from . import atomic_file, file_check, foreign_tables, opening, reader, schema_version, soundness, table_copy
from .recording_file import Store

LARGEST_UNASKED = 100 << 20
"""Bytes of a file that a recorder upgrades by itself: a second or two."""

_BUSY_SECONDS = 5.0
_ATTEMPTS = 3


def upgrade(path: Path, target: Path | None = None, replaces: bool = False, work: Work = UNWATCHED) -> int | None:
    """Makes a file current; returns the schema that it had, None if it is current already and stays as it is.

    target: writes the new file there, and leaves the old one; replaces: even if there is a file. Until the new file
    is whole, the old one stays as it is, whatever happens. Raises NotFound or DataError for what can't be upgraded,
    UsageError for what is being recorded, CannotCreate, StorageError, and work's Interrupted.
    """
    if target is not None:
        if atomic_file.is_same(target, path):
            raise UsageError(f"{target} is the file itself", f"webpf upgrade {argv.file_word(path)}")
        version, rows = _look_at(path, work)
        with atomic_file.path(target, replaces) as made:
            _write(made, path, rows, work)
        return version
    file_owner.check_side_files(path.resolve())  # before anything is read: what is in a log would be taken in
    for _ in range(_ATTEMPTS):  # again, if another upgrade was quicker
        if older_version(path) is None:
            return None
        old = _followed(path)
        version, rows = _look_at(path, work)
        with _only_writer(path, old) as identity:
            if identity is not None:
                with atomic_file.path(path, replaces=True) as made:
                    _write(made, old, rows, work)
                    if _identity(old) != identity:
                        raise CannotCreate(f"{path} was replaced while it was being upgraded")
                return version
    raise CannotCreate(f"{path} is replaced by others again and again", f"webpf upgrade {argv.file_word(path)}")


def upgrade_if_small(path: Path, work: Work = UNWATCHED) -> int | None:
    """The same for a file that is going to be written to, if there is one. Raises also DataError if it is large."""
    try:
        version = older_version(path)
    except WebpfError:  # it isn't there, or can't be read: whoever opens it to write says so
        return None
    if version is None:
        return None
    size, refusal = path.stat().st_size, file_check.older(path, version)
    if size > LARGEST_UNASKED:
        raise DataError(f"{refusal.message}; with {size >> 20:,} MiB it is upgraded on request only", refusal.hint)
    try:
        return upgrade(path, work=work)
    except (CannotCreate, StorageError) as error:
        raise type(error)(error.message, refusal.hint) from error


def older_version(path: Path) -> int | None:
    """The schema of a file that can be upgraded; None if it is current.

    Raises NotFound or DataError for what is no recording file, a newer one, or has tables of no schema.
    """
    with reader.reading(path, accepts_older=True) as connection:
        version = soundness.version(connection)
        if schema_version.is_older(connection):
            return version
        problems = soundness.lacks(connection) if version > 0 else iter([f"its schema has the number {version}"])
        for problem in problems:
            raise opening.damaged(path, problem)
    return None


def _followed(path: Path) -> Path:
    """Where it leads. Raises CannotCreate for what can't be replaced."""
    try:
        old = file_owner.resolve_link(path)
    except CannotCreate as error:
        raise CannotCreate(error.message, f"webpf upgrade {argv.file_word(Path(os.path.realpath(path)))}") from None
    if not os.access(old, os.W_OK) or not os.access(old.parent, os.W_OK):
        raise CannotCreate(f"{path} can't be written: {file_check.why_not(old.parent)}", retry_at_home("-o", path))
    return old


def _look_at(path: Path, work: Work) -> tuple[int, int]:
    """The file's schema and how many rows it has. Raises UsageError if it is being recorded, DataError if damaged."""
    with reader.reading(path, accepts_older=True) as connection:
        work.watch(connection)
        version = soundness.version(connection)
        for recording in reader.recordings(connection):
            if recording.status == GOING_ON:
                message = f"recording {recording.id} of {path} goes on (pid {recording.recorder_pid})"
                raise UsageError(f"{message}: upgrade the file when it has ended")
        for problem in soundness.damage(connection, schema_version.may_lack(version)):
            raise DataError(f"{path} is damaged: {problem}; it stays as it is")
        foreign_tables.check(connection, path)
        return version, table_copy.count_rows(connection)


@contextlib.contextmanager
def _only_writer(path: Path, old: Path) -> Iterator[file_owner.Identity | None]:
    """Lets nobody else write the file, while others can read it; gives which file it is, None if it was replaced.

    The log of a recorder that was killed goes into the file. Raises StorageError if the file is open elsewhere.
    """
    before, identity = file_owner.open_descriptors(), _identity(old)
    uri = f"{old.absolute().as_uri()}?mode=rw"
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)) as holder:
        try:
            holder.execute("PRAGMA journal_mode = DELETE")
            holder.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise _failure(path, old, error) from error
        if identity is None or _identity(old) != identity:
            yield None
            return
        file_owner.check_opened(old, identity, before)
        yield identity


def _identity(path: Path) -> file_owner.Identity | None:
    try:
        return file_owner.identity_of(path.lstat())
    except OSError:
        return None


def _failure(path: Path, old: Path, error: BaseException) -> StorageError:
    """What is said if SQLite can't go on."""
    if "locked" in str(error):
        holder = lock_holders.describe(old) or "by another process"
        return StorageError(f"{path} is open, {holder}: upgrade it when that has ended")
    return StorageError(f"{path} can't be upgraded: {error}; it is as before", retry_at_home("-o", path))


def _write(made: Path, source: Path, rows: int, work: Work) -> None:
    """Fills the new file."""
    try:
        store = Store(made)
    except StorageError as error:
        raise _failure(source, source, error.__cause__ or error) from error
    connection = store.db.conn
    assert connection is not None
    work.watch(connection)
    try:
        connection.execute("PRAGMA journal_mode = DELETE")  # once, not into a log first: nobody else reads it yet
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("ATTACH ? AS source", [f"{source.absolute().as_uri()}?mode=ro"])
        with connection:
            connection.execute("BEGIN")
            copied = table_copy.Copied(work, rows)
            for table in table_copy.TABLES:
                values = _values(connection, table)
                if values:
                    table_copy.copy(connection, source, table, values, copied)
            foreign_tables.copy(connection)
        connection.execute("DETACH source")
    except sqlite3.Error as error:
        raise _failure(source, source, error) from error
    finally:
        store.close()


def _values(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    """By column of the current schema, the value that it gets: that of the same column, if the source has it."""
    there = set(table_copy.stored_columns(connection, "source", table))
    return {name: name for name in table_copy.stored_columns(connection, "main", table) if name in there}
