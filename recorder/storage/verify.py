"""Whether a file is what it says: sound, with balanced books, and with processes that follow from its raw facts.

It only reads, in one transaction, so that a recording which goes on can be verified too.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..model.events import KERNEL_KINDS
from ..model.process import Process
from ..model.recording import COMPLETE, Recording
from ..progress import UNWATCHED, Work
from . import event_reader, opening, reader, soundness
from .columns import NO_PROGRAM, PROCESS_COLUMNS, TABLES, process_row, program_row

_BATCH = 10_000
# Blocks don't overlap, so only the last that begins at or before a number can hold it.
_OWNER = (
    "SELECT CASE WHEN fact.id < first_id + size THEN recording_id END FROM fact_blocks"
    " WHERE first_id <= fact.id ORDER BY first_id DESC LIMIT 1"
)
_PARENT = PROCESS_COLUMNS.index("parent_id")
_COUNTED = tuple(kind.table for kind in KERNEL_KINDS)


@dataclass(frozen=True)
class Finding:
    """What was found of one recording, or (recording is None) of the file. problems: none if all is right.

    processes, events: how many rows the recording has.
    """

    recording: Recording | None
    problems: tuple[str, ...]
    processes: int = 0
    events: int = 0


def verify(path: Path, work: Work = UNWATCHED, only: int | str | None = None) -> Iterator[Finding]:
    """Looks at the file, then at each recording. Raises NotFound or DataError if it can't be read; Interrupted."""
    with reader.reading(path) as connection:
        work.watch(connection)
        connection.execute("BEGIN")
        recordings = reader.recordings(connection) if only is None else [reader.find(connection, path, only)]
        checks = (lambda: _unsound(connection), lambda: soundness.problems(connection, in_strict=False))
        problems = [problem for check in checks for problem in _as_far_as_possible(connection, path, check)]
        yield Finding(None, tuple(problems))
        for recording in recordings:
            yield _verify_one(connection, path, recording, work)


def _as_far_as_possible(
    connection: sqlite3.Connection, path: Path, check: Callable[[], Iterable[str]]
) -> Iterator[str]:
    """The problems that a check finds; and what has ended it, if the file can't be read to the end for it."""
    found: list[str] = []
    try:
        _extend(found, connection, check)
    except opening.FAILURES as error:
        is_damage = isinstance(opening.explained(connection, path, error), DataError)
        if str(error) == "interrupted" or not is_damage:
            raise
        found.append(f"SQLite: {error}" if isinstance(error, sqlite3.Error) else "values: some are of a wrong type")
    yield from found


def _extend(found: list[str], connection: sqlite3.Connection, check: Callable[[], Iterable[str]]) -> None:
    """Adds what a check finds. sqlite3's own way to decode text is the fastest, but fails where text is no UTF-8."""
    lenient, connection.text_factory = connection.text_factory, str
    try:
        found.extend(check())
        return
    except sqlite3.OperationalError as error:
        if "decode" not in str(error):
            raise
    finally:
        connection.text_factory = lenient
    found[:] = ["values: there is text that is no UTF-8"]
    found.extend(check())


def _verify_one(connection: sqlite3.Connection, path: Path, recording: Recording, work: Work) -> Finding:
    number = recording.id
    counts = [0] * len(_COUNTED)
    processes = 0

    def check() -> Iterator[str]:
        nonlocal counts, processes
        counts = [_count(connection, table, number) for table in _COUNTED]
        processes = _count(connection, "processes", number)
        yield from _unbalanced(recording, counts)
        yield from _misplaced(connection, number)
        yield from _wrongly_paired(connection, recording, work)

    problems = tuple(_as_far_as_possible(connection, path, check))
    return Finding(recording, problems, processes, sum(counts))


def _unsound(connection: sqlite3.Connection) -> Iterator[str]:
    for (message,) in connection.execute("PRAGMA integrity_check(10)"):
        if message != "ok":
            yield f"SQLite: {message}"
    yield from soundness.lost_references(connection)


def _unbalanced(recording: Recording, counts: Iterable[int]) -> Iterator[str]:
    """attempted = written + lost, for each kind, and written is what the tables hold.

    Only once a recording has ended: until then the counts are brought up to date once a second.
    """
    for (kind, told), found in zip(recording.counts.items(), counts, strict=True):
        if recording.status == COMPLETE:
            if not told.counts_match and not (recording.is_replayed and told.are_unknown):
                yield f"{kind}s: {told.attempted} attempted is not {told.written} written and {told.lost} lost"
            if found != told.written:
                yield f"{kind}s: {found} are there, {told.written} were written"
        elif found < (told.written or 0):
            yield f"{kind}s: {found} are there, at least {told.written} were written"


def _misplaced(connection: sqlite3.Connection, number: int) -> Iterator[str]:
    """Facts of a recording that lie outside of its blocks of numbers."""
    for table in TABLES.values():
        sql = f"SELECT count(*) FROM {table} AS fact WHERE recording_id = ?1 AND ({_OWNER}) IS NOT ?1"
        [outside] = connection.execute(sql, [number]).fetchone()
        if outside:
            yield f"{table}: {outside} rows have numbers that are not this recording's"


def _wrongly_paired(connection: sqlite3.Connection, recording: Recording, work: Work) -> Iterator[str]:
    """Pairs the facts again, and compares each process with its row."""
    number, pairing = recording.id, event_reader.pairing_of(recording)
    comparison = _Comparison(connection, number)
    given_wrongly = 0
    for count, (fact_id, owner, event) in enumerate(event_reader.watched(connection, number, work), 1):
        given_wrongly += pairing.feed([event], fact_id) != [owner]
        if count % _BATCH == 0:
            comparison.add(pairing.take_changed(), pairing.take_links())
            comparison.forget(pairing.take_forgotten())
    comparison.add(pairing.take_changed(), pairing.take_links())
    comparison.end()
    if given_wrongly:
        yield f"pairing: {given_wrongly} events are given to another process than they belong to"
    if comparison.wrong:
        wrong = f"{len(comparison.wrong)} rows of processes don't follow from the events"
        yield f"pairing: {wrong}, the first is that of id {comparison.wrong[0]}"
    rows = _count(connection, "processes", number)
    if rows != comparison.seen:
        yield f"pairing: {rows} rows of processes, but {comparison.seen} processes in the events"


class _Comparison:
    """Processes as they should be, against their rows. Holds only those that may still change."""

    def __init__(self, connection: sqlite3.Connection, recording: int) -> None:
        self.seen = 0
        self.wrong: list[int] = []  # ids
        self._connection = connection
        self._recording = recording
        # Of their programs a digest each, for these can be long.
        self._open: dict[int, tuple[tuple[Any, ...], bytes]] = {}
        # By id, the parents of rows that pairing knows no parent of: they may be linked to their children later.
        self._unlinked: dict[int, int] = {}

    def add(self, changed: Iterable[Process], links: Iterable[tuple[int, int]]) -> None:
        for process in changed:
            program = process.take_program()
            _, digest = self._open.get(process.id, ((), _NO_PROGRAM))
            self._open[process.id] = (
                process_row(process),
                digest if program is None else _digest(program_row(program)),
            )
            if process.cpu_ns is not None:  # it comes with the free, the last fact of a process
                self.forget([process.id])
        for id, parent in links:
            if id in self._open:
                row, digest = self._open[id]
                self._open[id] = (_with_parent(row, parent), digest)
            elif self._unlinked.pop(id, None) != parent:
                self.wrong.append(id)

    def forget(self, ids: Iterable[int]) -> None:
        """Compares those that will not change any more."""
        for id in ids:
            if id in self._open:
                self._compare(id, *self._open.pop(id))

    def end(self) -> None:
        self.forget(list(self._open))
        self.wrong += self._unlinked

    def _compare(self, id: int, known: tuple[Any, ...], program: bytes) -> None:
        sql = f"SELECT {', '.join(PROCESS_COLUMNS)} FROM processes WHERE id = ? AND recording_id = ?"
        self.seen += 1
        row = self._connection.execute(sql, [id, self._recording]).fetchone()
        if row is not None and known[_PARENT] is None and row[_PARENT] is not None:
            self._unlinked[id] = row[_PARENT]
            row = _with_parent(row, None)
        if row is None or row[: len(known)] != known or _digest(row[len(known) :]) != program:
            self.wrong.append(id)


def _with_parent(row: tuple[Any, ...], parent: int | None) -> tuple[Any, ...]:
    return (*row[:_PARENT], parent, *row[_PARENT + 1 :])


def _digest(program: tuple[Any, ...]) -> bytes:
    """Stands for values of the columns of a program: two that differ, also in type, have different ones."""
    values = [bytes(value) if isinstance(value, bytearray) else value for value in program]
    return hashlib.blake2b(repr(values).encode("utf-8", "surrogatepass"), digest_size=16).digest()


_NO_PROGRAM = _digest(program_row(NO_PROGRAM))


def _count(connection: sqlite3.Connection, table: str, recording: int) -> int:
    sql = f"SELECT count(*) FROM {table} WHERE recording_id = ?"
    return int(connection.execute(sql, [recording]).fetchone()[0])
