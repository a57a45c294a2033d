"""Imports recordings from a tree of Parquet files into a new recording file.

The tree has no forks, exits and frees, so the recordings are as those of `webpf record --events none`. They get new
numbers. Their event ids are moved to a range of their own, so that references between rows stay right.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import DataError
from ..model.events import GREATEST
from ..model.recording import NO_EVENTS
from ..progress import NO_PROGRESS, Progress
from ..storage import data_dictionary, new_file, reader
from ..storage.bulk_insert import insert_row
from ..storage.file_check import SCHEMA_VERSION
from ..storage.merge import EVENT_IDS
from . import part_reader, tree
from .part_reader import Place

_WRONG = (sqlite3.IntegrityError, sqlite3.DataError, OverflowError)


class Imported(NamedTuple):
    """What an import has done. recordings: how many. hosts: the names of their machines. rows: of all tables."""

    recordings: int
    hosts: tuple[str, ...]
    rows: int


def import_tree(
    folder: Path,
    target: Path,
    hosts: Collection[str] = (),
    replaces: bool = False,
    progress: Progress = NO_PROGRESS,
) -> Imported:
    """Writes the recordings of a tree into a new file, in the order of their starts.

    hosts: patterns of the names of machines; none: all. replaces: whether an existing target may be replaced. Raises
    NotFound and DataError for the tree, progress's Interrupted, and what atomic_file.open_path() raises.
    """
    places = part_reader.find_places(folder, hosts)
    with new_file.making(target, replaces, progress) as file, file.writing():
        importing = _Import(file.connection, progress, places)
        with file.atomic():
            for number, place in enumerate(places, 1):
                importing.add(number, place)
            importing.check_references()
        return Imported(len(places), tuple(sorted({place.host for place in places})), importing.rows)


class _Import:
    def __init__(self, connection: sqlite3.Connection, progress: Progress, places: Sequence[Place]) -> None:
        self._connection = connection
        self._progress = progress
        self._total = sum(_processes(place) for place in places)
        self._imported = 0  # rows of `processes`
        self._next_id = 1
        self._chains: dict[tuple[str | None, int], int] = {}
        self.rows = 0

    def add(self, number: int, place: Place) -> None:
        """Adds a recording. number: its new one."""
        self._insert_recording(number, place)
        first, last = _ids(place)
        if last - first + self._next_id > GREATEST:
            raise DataError("the ids of these recordings together are too large for one file")
        for table in tree.TABLES[:-1]:
            self._add_table(number, place, table, self._next_id - first)
        if last >= first:
            size = last - first + 1
            self._connection.execute("INSERT INTO fact_blocks VALUES (?, ?, ?)", [self._next_id, size, number])
            self._next_id += size

    def _insert_recording(self, number: int, place: Place) -> None:
        row = {column.name: place.row.get(column.name) for column in data_dictionary.stored_columns(tree.RECORDINGS)}
        row |= {"id": number, "options": _options(row["options"]), "chain": self._chain(number, row)}
        with _wrong_values(place, tree.RECORDINGS):
            insert_row(self._connection, "recordings", row)
        self.rows += 1

    def _chain(self, number: int, row: Mapping[str, Any]) -> int | None:
        """Returns the new number of the chain: that of its first recording that is imported.

        Another file of the same machine can have the same number for a later chain, which then begins with a segment 1.
        """
        if row["chain"] is None:
            return None
        key = (row["machine_id"] or row["host"], row["chain"])
        if row["segment"] == 1:
            self._chains[key] = number
        return self._chains.setdefault(key, number)

    def _add_table(self, number: int, place: Place, table: str, moved_by: int) -> None:
        path = place.part(table)
        if not path.exists():
            if table == "processes" or place.row[tree.VERSION] >= SCHEMA_VERSION:
                raise part_reader.incomplete_error(path, "is missing")
            return  # an older version of webpf had no such table
        with part_reader.opened(path, table) as file, _wrong_values(place, table):
            wanted = [
                each.name for each in data_dictionary.stored_columns(table) if each.name in file.schema_arrow.names
            ]
            names = ["recording_id", *(name for name in wanted if name != "recording_id")]
            sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
            for values in _values(file, table, names[1:], moved_by):
                rows = zip([number] * len(values[0]), *values, strict=True)
                self._connection.executemany(sql, rows)
                self.rows += len(values[0])
                if table == "processes":
                    self._imported += len(values[0])
                self._progress.report(self._imported, self._total)

    def check_references(self) -> None:
        """Raises DataError if a row refers to one that isn't there."""
        for table, _, target, _ in self._connection.execute("PRAGMA foreign_key_check"):
            raise DataError(f"rows of {table} refer to rows of {target} that the tree doesn't have")


def _processes(place: Place) -> int:
    """Returns how many processes a recording has: the unit in which the progress is reported."""
    path = place.part("processes")
    if not path.exists():
        return 0
    with part_reader.opened(path, "processes") as file:
        return int(file.metadata.num_rows)


def _ids(place: Place) -> tuple[int, int]:
    """Returns the lowest and the highest event id of a recording; 1 and 0 if it has none."""
    first, last = GREATEST, 0
    for table, key in tree.tables_by_event_id().items():
        path = place.part(table)
        if not path.exists():
            continue
        with part_reader.opened(path, table) as file:
            for lowest, highest in part_reader.ranges(file, key):
                if lowest < 1:
                    raise DataError(f"{path} has a row without {key}")
                first, last = min(first, lowest), max(last, highest)
    return (first, last) if last else (1, 0)


def _values(file: Any, table: str, names: Sequence[str], moved_by: int) -> Iterator[list[list[Any]]]:
    """Yields the values of these columns of a recording file, in batches of rows, as a list for each column."""
    exact = {each.source: each.name for each in tree.columns(table) if each.bytes_only}
    read = [*names, *(each for each in exact.values() if each in file.schema_arrow.names)]
    for found in part_reader.batches(file, read):
        values = dict(zip(read, found, strict=True))
        for name in names:
            if name in EVENT_IDS:
                values[name] = [None if each is None else each + moved_by for each in values[name]]
            if (beside := exact.get(name)) in values:
                pairs = zip(values[beside], values[name], strict=True)
                values[name] = [text if raw is None else raw for raw, text in pairs]
        yield [values[name] for name in names]


def _options(text: Any) -> str:
    """Returns the options of a recording, with the one that says that it has no raw events."""
    return json.dumps(reader.parse_options(text) | {"events": NO_EVENTS})


@contextlib.contextmanager
def _wrong_values(place: Place, table: str) -> Iterator[None]:
    try:
        yield
    except _WRONG as error:
        raise DataError(f"{place.part(table)} has values that a recording can't have: {error}") from error
