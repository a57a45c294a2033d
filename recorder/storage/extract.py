"""Writes a part of a file into a new file: whole recordings, or a scope of one as a recording of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import UsageError
from ..model import argv
from ..model.recording import GOING_ON, NO_EVENTS
from ..model.rewriting import Rewriting
from ..model.scope import EVERYTHING, Scope
from ..progress import NO_PROGRESS, Progress
from . import (
    new_file,
    reader,
    rewritten_columns,
    row_checks,
    safe_open,
    scope_base,
    scope_ids,
    scope_tables,
    scoped,
    table_copy,
)
from .data_dictionary import stored_columns
from .sql_macros import expand

_FULL = ("full", "disk I/O", "readonly")  # in SQLite's message if the new file can't be written


class Extracted(NamedTuple):
    """What was written. recordings: their numbers. about: the scope, for people; None: whole recordings."""

    recordings: tuple[int, ...]
    processes: int
    about: str | None


def extract(
    source: Path,
    target: Path,
    wanted: Sequence[int | str] = (),
    scope: Scope = EVERYTHING,
    rewriting: Rewriting | None = None,
    replaces: bool = False,
    progress: Progress = NO_PROGRESS,
) -> Extracted:
    """Writes these recordings of a file, or all, into a new one; with a scope, what is in it as one recording.

    wanted: numbers or names. rewriting: what is done to texts. replaces: whether an existing target may be replaced.
    Recordings and processes keep their numbers. Of a scope, and if names of processes are changed, raw events are left
    out. Raises NotFound, DataError, UsageError for a recording that goes on, and what atomic_file.open_path() raises.
    """
    base, numbers = _choose(source, target, wanted, scope)
    with new_file.making(target, replaces, progress) as file, file.writing():
        new = file.connection
        new.execute("PRAGMA trusted_schema = OFF")
        new.execute("ATTACH ? AS source", [f"{source.absolute().as_uri()}?mode=ro"])
        try:
            with file.atomic():
                if rewriting is not None:
                    _prepare(new, rewriting)
                if base is not None:
                    return _write_scope(new, base, scope, rewriting is not None)
                return _write_recordings(new, numbers, rewriting, progress)
        except sqlite3.DatabaseError as error:
            if any(word in str(error) for word in _FULL):
                raise
            raise safe_open.unreadable_error(source, error) from error
        finally:
            new.execute("DETACH source")


def _choose(
    source: Path, target: Path, wanted: Sequence[int | str], scope: Scope
) -> tuple[scope_base.Base | None, list[int]]:
    """Returns what a scope reads, or else the numbers of whole recordings."""
    if not scope.is_everything and len(wanted) > 1:
        hint = "webpf extract --recording 1 --failed -o part.db"
        raise UsageError("a scope is of one recording, or of one chain", hint)
    with reader.reading(source) as connection:
        if not scope.is_everything:
            return scope_base.find(connection, source, wanted[0] if wanted else None, scope), []
        reader.find(connection, source)
        chosen = [reader.find(connection, source, each) for each in wanted] or reader.recordings(connection)
    for each in chosen:
        if each.status == GOING_ON:
            hint = f"webpf extract {argv.file_word(source)} --since -1h -o {argv.file_word(target)}"
            raise UsageError(f"recording {each.id} goes on: extract a stretch of it, or wait until it has ended", hint)
    return None, sorted({each.id for each in chosen})


def _prepare(new: sqlite3.Connection, rewriting: Rewriting) -> None:
    rewritten_columns.add_functions(new, rewriting)
    for (filename,) in new.execute("SELECT DISTINCT CAST(filename AS BLOB) FROM source.commands"):
        rewriting.learn((filename or b"").decode("utf-8", "surrogateescape"))


def _write_scope(new: sqlite3.Connection, base: scope_base.Base, scope: Scope, rewrites: bool) -> Extracted:
    processes = scope_ids.find(new, base, scope, "source")
    about = scoped.describe(base.description, scope, processes)
    # A filter may have a part of what is to be hidden.
    stored = scoped.describe(base.description, EVERYTHING, processes) if rewrites else about
    scope_tables.fill(new, base, "source", "main", stored, rewrites=rewrites)
    for table in (*scope_ids.TABLES, *scope_tables.OWN_TABLES):
        new.execute(f"DROP TABLE IF EXISTS temp.{table}")
    return Extracted((base.number,), processes, about)


def _write_recordings(
    new: sqlite3.Connection, numbers: Sequence[int], rewriting: Rewriting | None, progress: Progress
) -> Extracted:
    """Copies all rows of recordings."""
    left_out = row_checks.TABLES if rewriting is not None and rewriting.hides_names else ()
    tables = [table for table in table_copy.TABLES if table not in left_out]
    for done, table in enumerate(tables):
        progress.report(done, len(tables))
        names = [column.name for column in stored_columns(table)]
        values = [f"p.{name}" for name in names]
        if rewriting is not None:
            values = [rewritten_columns.expression(table, name, f"p.{name}") for name in names]
        new.execute(
            f"INSERT INTO main.{table} ({', '.join(names)}) SELECT {', '.join(values)} {_rows_of(table, numbers)}"
        )
    if left_out:
        sql = "UPDATE main.recordings SET options = json_set(options, '$.events', ?)"
        new.execute(sql, [NO_EVENTS])
    new.execute("UPDATE main.recordings SET status = 'interrupted' WHERE status = 'recording'")
    [processes] = new.execute("SELECT count(*) FROM main.processes").fetchone()
    return Extracted(tuple(numbers), int(processes), None)


def _rows_of(table: str, numbers: Sequence[int]) -> str:
    """Returns FROM and WHERE for the rows p of recordings."""
    chosen = f"IN ({', '.join(map(str, numbers))})"
    if table in table_copy.TABLES_BY_ID:
        return expand(f"""FROM source.fact_blocks AS block
            CROSS JOIN source.{table} AS p ON in_block!(p.id)
            WHERE block.recording_id {chosen} AND p.recording_id = block.recording_id ORDER BY block.first_id, p.id""")
    return f"FROM source.{table} AS p WHERE p.{'id' if table == 'recordings' else 'recording_id'} {chosen} ORDER BY 1"
