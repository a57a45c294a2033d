"""Upgrades a file of an older schema: writes a new file with the same rows, and replaces the old file.

What an older file lacks is unknown (NULL), so the tables are copied column by column. older_schemas.py has what an
older file stores differently.
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
from ..progress import NO_PROGRESS, Progress
from . import (
    atomic_file,
    file_check,
    foreign_tables,
    older_commands,
    older_schemas,
    reader,
    safe_open,
    schema_check,
    table_copy,
)  # fmt: skip
from .recording_file import RecordingFile

MAX_AUTOMATIC_BYTES = 100 << 20
"""Recorders upgrade files up to this size without asking; it takes a second or two."""

_BUSY_SECONDS = 5.0
_ATTEMPTS = 3

# What only events had before the fifth schema.
_DERIVED = (
    """UPDATE main.processes SET freed_ns = frees.time_ns FROM main.frees
    WHERE frees.process_id = processes.id AND freed_ns IS NULL""",
    """UPDATE main.processes SET carried_rss_kib = latest.carried_rss_kib
    FROM (SELECT process_id, carried_rss_kib, max(id) FROM main.programs GROUP BY process_id) AS latest
    WHERE latest.process_id = processes.id""",
    # A process that /proc showed first has an exact start if the kernel reported another event of it.
    """UPDATE main.processes SET exact = id NOT IN (
        SELECT id FROM main.snapshot EXCEPT SELECT process_id FROM main.forks
        EXCEPT SELECT process_id FROM main.programs EXCEPT SELECT process_id FROM main.exits
        EXCEPT SELECT process_id FROM main.frees)""",
)


def upgrade(
    path: Path, target: Path | None = None, replaces: bool = False, progress: Progress = NO_PROGRESS
) -> int | None:
    """Upgrades a file. Returns the schema that it had, or None if it already has the current schema.

    target: write the new file there, and keep the old one. replaces: whether an existing target may be replaced.
    The old file stays unchanged until the new one is complete. Raises NotFound or DataError for a file that can't be
    upgraded, UsageError for one that is being recorded, CannotCreate, StorageError, and progress's Interrupted.
    """
    if target is not None:
        if atomic_file.is_same_file(target, path):
            raise UsageError(f"{target} is the file itself", f"webpf upgrade {argv.file_word(path)}")
        version, rows = _inspect(path, progress)
        with atomic_file.open_path(target, replaces) as temporary:
            _write(temporary, path, rows, progress)
        return version
    file_owner.check_side_files(path.resolve())  # before SQLite opens the file, because it would apply a planted log
    for _ in range(_ATTEMPTS):  # retry if another upgrade was faster
        if older_version(path) is None:
            return None
        old = _resolve(path)
        version, rows = _inspect(path, progress)
        with _locked_for_writing(path, old) as identity:
            if identity is not None:
                with atomic_file.open_path(path, replaces=True) as temporary:
                    _write(temporary, old, rows, progress)
                    if _identity(old) != identity:
                        raise CannotCreate(f"{path} was replaced while it was being upgraded")
                return version
    raise CannotCreate(f"{path} was replaced by other processes several times", f"webpf upgrade {argv.file_word(path)}")


def upgrade_if_small(path: Path, progress: Progress = NO_PROGRESS) -> int | None:
    """As upgrade(), for a file that a recorder is about to write to. Returns None if there is no file.

    Raises DataError too if the file is larger than MAX_AUTOMATIC_BYTES.
    """
    try:
        version = older_version(path)
    except WebpfError:  # no file, or not readable: the recorder reports that when it opens the file
        return None
    if version is None:
        return None
    size, refusal = path.stat().st_size, file_check.older_schema_error(path, version)
    if size > MAX_AUTOMATIC_BYTES:
        raise DataError(f"{refusal.message}; with {size >> 20:,} MiB it is not upgraded automatically", refusal.hint)
    try:
        return upgrade(path, progress=progress)
    except (CannotCreate, StorageError) as error:
        raise type(error)(error.message, refusal.hint) from error


def older_version(path: Path) -> int | None:
    """Returns the schema of a file that can be upgraded, or None if it is current.

    Raises NotFound, or DataError for a file that is not a recording file, is newer, or has tables of no known schema.
    """
    with reader.reading(path, accepts_older=True) as connection:
        version = schema_check.read_version(connection)
        if older_schemas.is_older(connection):
            return version
        if version < 1:
            raise safe_open.damage_error(path, f"its schema version is {version}")
        for problem in schema_check.missing_columns(connection):
            raise safe_open.damage_error(path, problem)
    return None


def _resolve(path: Path) -> Path:
    """Returns where a path leads. Raises CannotCreate if the file can't be replaced."""
    try:
        old = file_owner.resolve_link(path)
    except CannotCreate as error:
        raise CannotCreate(error.message, f"webpf upgrade {argv.file_word(Path(os.path.realpath(path)))}") from None
    if not os.access(old, os.W_OK) or not os.access(old.parent, os.W_OK):
        raise CannotCreate(
            f"{path} can't be written: {file_check.why_unwritable(old.parent)}", retry_at_home("-o", path)
        )
    return old


def _inspect(path: Path, progress: Progress) -> tuple[int, int]:
    """Returns a file's schema and how many rows it has. Raises UsageError during a recording, DataError for damage."""
    with reader.reading(path, accepts_older=True) as connection:
        progress.make_interruptible(connection)
        version = schema_check.read_version(connection)
        for recording in reader.recordings(connection):
            if recording.status == GOING_ON:
                message = f"recording {recording.id} of {path} goes on (pid {recording.recorder_pid})"
                raise UsageError(f"{message}: upgrade the file when it has ended")
        for problem in schema_check.find_damage(connection, older_schemas.tables_of(version)):
            raise DataError(f"{path} is damaged: {problem}; it is unchanged")
        foreign_tables.check(connection, path, older_schemas.new_names())
        return version, table_copy.count_rows(connection, older_schemas.OLD_NAMES)


@contextlib.contextmanager
def _locked_for_writing(path: Path, old: Path) -> Iterator[file_owner.Identity | None]:
    """Holds the write lock of the file; other processes can still read. Yields its identity, None if it was replaced.

    First the log of a recorder that was killed is merged into the file. Raises StorageError if a process has it open.
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
    """Returns the error to raise when SQLite fails."""
    if "locked" in str(error):
        holder = lock_holders.describe(old) or "by another process"
        return StorageError(f"{path} is open, {holder}: upgrade it when that has ended")
    return StorageError(f"{path} can't be upgraded: {error}; it is unchanged", retry_at_home("-o", path))


def _write(temporary: Path, source: Path, rows: int, progress: Progress) -> None:
    """Fills the new file."""
    try:
        file = RecordingFile(temporary)
    except StorageError as error:
        raise _failure(source, source, error.__cause__ or error) from error
    connection = file.connection
    progress.make_interruptible(connection)
    try:
        connection.execute("PRAGMA journal_mode = DELETE")  # no log: no other process reads the file yet
        connection.execute("PRAGMA trusted_schema = OFF")
        older_schemas.add_functions(connection)
        connection.execute("ATTACH ? AS source", [f"{source.absolute().as_uri()}?mode=ro"])
        with file.atomic():
            older_commands.copy(connection)
            copied, old_names = table_copy.CopyProgress(progress, rows), older_schemas.OLD_NAMES
            for table in table_copy.TABLES:
                existing = table_copy.stored_columns(connection, "source", old_names.get(table, table))
                values = older_schemas.values(table, existing)
                if values:
                    table_copy.copy_table(connection, source, table, values, copied, old_names)
            for sql in _DERIVED:
                connection.execute(sql)
            foreign_tables.copy(connection, source)
        connection.execute("DETACH source")
    except sqlite3.Error as error:
        raise _failure(source, source, error) from error
    finally:
        file.close()
