"""Exports the recordings of a file into a tree of Parquet files: those that have ended and are not there yet."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow
from pyarrow import parquet

from ..errors import CannotCreate, StorageError, UsageError
from ..host.invocation import retry_at_home, retry_with
from ..model import argv
from ..model.recording import GOING_ON, Recording
from ..progress import NO_PROGRESS, Progress
from ..storage import atomic_file, reader, safe_open
from . import part_writer, tree

OnRows: TypeAlias = Callable[[int], None]


@dataclass
class Exported:
    """What an export has done.

    written: the recordings that it wrote. there: those that the tree had already. going_on: those that have not ended,
    which it left out. rows, bytes: of what it wrote.
    """

    written: list[Recording] = field(default_factory=list)
    there: list[Recording] = field(default_factory=list)
    going_on: list[Recording] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0


def export(
    db: Path,
    folder: Path,
    recording: int | str | None = None,
    writes_again: bool = False,
    progress: Progress = NO_PROGRESS,
) -> Exported:
    """Writes recordings into a tree. recording: only this one; by default, all that have ended.

    writes_again: also those that the tree has. A recording counts as there when all its parts are complete, so after an
    interruption another call writes the rest. Raises NotFound; UsageError for a recording that goes on, or two with the
    same path; DataError for a damaged file; progress's Interrupted, and what atomic_file.open_output() raises.
    """
    if folder.exists() and not folder.is_dir():
        raise CannotCreate(f"{folder} is no folder", retry_at_home("-o", folder))
    with reader.reading(db) as connection:
        progress.make_interruptible(connection)
        reader.find(connection, db, recording)  # an error for a file without recordings
        known = reader.find_all(connection, db, recording)
        exported = Exported(going_on=[each for each in known if each.status == GOING_ON])
        if recording is not None and exported.going_on:
            hint = f"webpf recordings {argv.file_word(db)}"
            raise UsageError(f"recording {known[0].id} of {db} goes on: export it when it has ended", hint)
        wanted: list[Recording] = []
        for each in _each_once(folder, (each for each in known if each.status != GOING_ON), exported):
            is_there = _is_there(folder, each) and not writes_again
            (exported.there if is_there else wanted).append(each)
        counts = _counts(connection, db) if wanted else Counter()
        total = sum(counts[each.id] for each in wanted)
        for each in wanted:
            _write(connection, each, folder, exported, lambda rows: progress.report(exported.rows + rows, total))
            exported.written.append(each)
        return exported


def _each_once(folder: Path, recordings: Iterable[Recording], exported: Exported) -> Iterator[Recording]:
    """Yields these recordings without those that the file has twice. Raises UsageError if two have the same path."""
    chosen: dict[Path, Recording] = {}
    for each in recordings:
        first = chosen.setdefault(tree.partition(each), each)
        if first is each:
            yield each
        else:
            _check_same(folder, part_writer.identity(first), each)
            exported.there.append(each)


def _is_there(folder: Path, recording: Recording) -> bool:
    """Whether the tree has this recording. Raises UsageError if it has another one in its place."""
    path = tree.part_path(folder, tree.RECORDINGS, tree.partition(recording))
    found = {}
    with suppress(OSError, pyarrow.ArrowException, ValueError, LookupError):  # no such file, or one that isn't complete
        found = json.loads((parquet.read_schema(path).metadata or {})[part_writer.METADATA])
    if not isinstance(found, dict) or not found.keys() >= set(part_writer.IDENTITY):
        return False
    _check_same(folder, found, recording)
    return True


def _check_same(folder: Path, found: Mapping[str, Any], recording: Recording) -> None:
    """Raises UsageError if `found`, the identity of a recording with the same path, is not that of this recording."""
    if any(found[name] != value for name, value in part_writer.identity(recording).items()):
        path = tree.part_path(folder, tree.RECORDINGS, tree.partition(recording))
        message = f"{path} is another recording, of a host of the same name, that began in the same microsecond"
        raise UsageError(message, retry_with("-o", f"{folder}-2"))


def _counts(connection: sqlite3.Connection, db: Path) -> Counter[int]:
    """Returns how many rows each recording has in the large tables, by its number.

    Raises DataError if a row is outside the blocks of its recording: the export would leave it out.
    """
    numbers = [number for (number,) in connection.execute("SELECT id FROM recordings")]
    blocks = [block for number in numbers for block in part_writer.blocks_of(connection, number)]
    counts: Counter[int] = Counter()
    for table, key in tree.tables_by_event_id().items():
        in_block, found = f"SELECT count(*) FROM {table} WHERE {part_writer.in_block(key)}", 0
        for block in blocks:
            rows = connection.execute(in_block, block).fetchone()[0]
            counts[block[-1]] += rows
            found += rows
        if found != connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]:
            raise safe_open.damage_error(db, f"rows of {table} are outside the blocks of their recording")
    return counts


def _write(
    connection: sqlite3.Connection, recording: Recording, folder: Path, exported: Exported, on_rows: OnRows
) -> None:
    place = tree.partition(recording)
    for table in tree.TABLES:
        path = tree.part_path(folder, table, place)
        with _hint_names(folder), atomic_file.open_output(path, replaces=True, makes_folders=True) as out:
            exported.rows += part_writer.write(connection, recording, table, out, on_rows)
        exported.bytes += path.stat().st_size


@contextmanager
def _hint_names(folder: Path) -> Iterator[None]:
    """Makes the hint of an error about a part name the tree, since the part alone can't be written elsewhere."""
    try:
        yield
    except (CannotCreate, StorageError) as error:
        raise type(error)(error.message, retry_at_home("-o", folder.absolute())) from error
