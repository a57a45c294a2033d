"""Verifies a file: it is sound, its event counts match, and its processes follow from its raw events.

Of a recording without raw events it checks less, see row_checks.py.

It only reads, in one transaction, so it can also verify a file during a recording.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..model.events import KERNEL_KINDS
from ..model.process import Process
from ..model.recording import COMPLETE, DELETED, Recording
from ..progress import NO_PROGRESS, Progress
from . import chain_check, command_ids, environment_ids, event_reader, reader, row_checks, safe_open, schema_check
from .chain_check import Chain
from .command_ids import args_of
from .event_rows import TABLES
from .process_rows import PROCESS_COLUMNS, process_row

_BATCH = 10_000
# Blocks don't overlap, so only the last block that begins at or before an id can contain it.
_OWNER = (
    "SELECT CASE WHEN event.id < first_id + size THEN recording_id END FROM fact_blocks"
    " WHERE first_id <= event.id ORDER BY first_id DESC LIMIT 1"
)
_PARENT = PROCESS_COLUMNS.index("parent_id")
_COUNTED = tuple(kind.table for kind in KERNEL_KINDS)


@dataclass(frozen=True)
class Finding:
    """The result for one recording, for a chain, or for the file itself (both are None).

    problems: empty if all is right. processes, events: of the recording. not_checked: what can't be; None: nothing.
    """

    recording: Recording | None
    problems: tuple[str, ...]
    processes: int = 0
    events: int = 0
    not_checked: str | None = None
    chain: Chain | None = None


def verify(path: Path, progress: Progress = NO_PROGRESS, only: int | str | None = None) -> Iterator[Finding]:
    """Yields a finding for the file, for each recording, and for each chain.

    only: verify just this recording (number or name). Raises NotFound, DataError, and progress's Interrupted.
    """
    with reader.reading(path) as connection:
        progress.make_interruptible(connection)
        connection.execute("BEGIN")
        recordings = reader.find_all(connection, path, only)
        checks = (lambda: _sqlite_problems(connection), lambda: schema_check.find_problems(connection, in_strict=False))
        problems = [problem for check in checks for problem in _run_check(connection, path, check)]
        yield Finding(None, tuple(problems))
        for recording in recordings:
            yield _verify_one(connection, path, recording, progress)
        for chain in chain_check.chains(recordings) if only is None else ():
            problems = list(_run_check(connection, path, partial(chain_check.find_mismatches, connection, chain)))
            yield Finding(None, tuple(problems), chain=chain)


def _run_check(connection: sqlite3.Connection, path: Path, check: Callable[[], Iterable[str]]) -> Iterator[str]:
    """Yields the problems that a check finds, and the error that ended it if the file can't be read to the end."""
    found: list[str] = []
    try:
        _collect(found, connection, check)
    except safe_open.FAILURES as error:
        is_damage = isinstance(safe_open.explain_failure(connection, path, error), DataError)
        if str(error) == "interrupted" or not is_damage:
            raise
        found.append(f"SQLite: {error}" if isinstance(error, sqlite3.Error) else "values: some have a wrong type")
    yield from found


def _collect(found: list[str], connection: sqlite3.Connection, check: Callable[[], Iterable[str]]) -> None:
    """Adds the problems that a check finds.

    sqlite3's own decoder of text is the fastest, but fails for text that is not UTF-8; the lenient one is used then.
    """
    lenient, connection.text_factory = connection.text_factory, str
    try:
        found.extend(check())
        return
    except sqlite3.OperationalError as error:
        if "decode" not in str(error):
            raise
    finally:
        connection.text_factory = lenient
    found[:] = ["values: some text is not UTF-8"]
    found.extend(check())


def _verify_one(connection: sqlite3.Connection, path: Path, recording: Recording, progress: Progress) -> Finding:
    if recording.options.get(DELETED):
        return Finding(recording, (), not_checked=row_checks.not_checked(recording))
    number, processes, counts = recording.id, 0, [0] * len(_COUNTED)

    def check() -> Iterator[str]:
        nonlocal counts, processes
        counts = [_count(connection, table, number) for table in _COUNTED]
        processes = _count(connection, "processes", number)
        yield from _count_mismatches(recording, counts)
        yield from _outside_blocks(connection, number)
        yield from _command_mismatches(connection, number)
        yield from environment_ids.find_mismatches(connection, number)
        if recording.has_raw_events:
            yield from _pairing_mismatches(connection, recording, progress)
        else:
            yield from row_checks.find_mismatches(connection, recording)

    problems = (*_run_check(connection, path, check),)
    return Finding(recording, problems, processes, sum(counts), row_checks.not_checked(recording))


def _sqlite_problems(connection: sqlite3.Connection) -> Iterator[str]:
    for (message,) in connection.execute("PRAGMA integrity_check(10)"):
        if message != "ok":
            yield f"SQLite: {message}"
    yield from schema_check.find_dangling_references(connection)


def _count_mismatches(recording: Recording, counts: Iterable[int]) -> Iterator[str]:
    """Checks for each kind that attempted = written + lost, and that the table has that many rows.

    During a recording, the counts are up to a second old, so only the minimum is checked.
    """
    for (kind, stored), found, table in zip(recording.counts.items(), counts, _COUNTED, strict=True):
        has_rows = recording.has_raw_events or table not in row_checks.TABLES
        if recording.status == COMPLETE:
            if not stored.counts_match and not (recording.is_replayed and stored.are_unknown):
                yield f"{kind}s: {stored.attempted} attempted is not {stored.written} written and {stored.lost} lost"
            if has_rows and found != stored.written:
                yield f"{kind}s: the table has {found}, but {stored.written} were written"
        elif has_rows and found < (stored.written or 0):
            yield f"{kind}s: the table has {found}, but at least {stored.written} were written"


def _outside_blocks(connection: sqlite3.Connection, number: int) -> Iterator[str]:
    """Counts the events of a recording whose ids are outside of its blocks of event ids."""
    for table in ("commands", "program_environments", *TABLES.values()):
        sql = f"SELECT count(*) FROM {table} AS event WHERE recording_id = ?1 AND ({_OWNER}) IS NOT ?1"
        [outside] = connection.execute(sql, [number]).fetchone()
        if outside:
            yield f"{table}: {outside} rows have ids that don't belong to this recording"


def _command_mismatches(connection: sqlite3.Connection, number: int) -> Iterator[str]:
    """Quotes the arguments of all command lines again, and looks for events with command lines of other recordings."""
    sql = "SELECT argv, argv_bytes, args FROM commands WHERE recording_id = ?"
    wrong = sum(args != args_of(raw, argv_bytes) for raw, argv_bytes, args in connection.execute(sql, [number]))
    if wrong:
        yield f"commands: of {wrong} rows, args is not argv, quoted"
    for table in (TABLES[kind] for kind in command_ids.KINDS):
        sql = f"""SELECT count(*) FROM {table} AS event JOIN commands ON commands.id = event.command_id
            WHERE event.recording_id = ?1 AND commands.recording_id <> ?1"""
        [foreign] = connection.execute(sql, [number]).fetchone()
        if foreign:
            yield f"{table}: {foreign} rows refer to command lines of another recording"


def _pairing_mismatches(connection: sqlite3.Connection, recording: Recording, progress: Progress) -> Iterator[str]:
    """Pairs the events again, and compares the resulting processes with the rows of `processes`."""
    number, pairing = recording.id, event_reader.make_pairing(recording)
    comparison = _Comparison(connection, number)
    wrong_owners = 0
    stored = event_reader.read_with_progress(connection, number, progress)
    for count, (event_id, owner, command_id, event) in enumerate(stored, 1):
        comparison.commands[event_id] = command_id
        wrong_owners += pairing.feed([event], event_id) != [owner]
        if count % _BATCH == 0:
            comparison.add(pairing.take_changed(), pairing.take_links())
            comparison.forget(pairing.take_forgotten())
    comparison.add(pairing.take_changed(), pairing.take_links())
    comparison.end()
    if wrong_owners:
        yield f"pairing: {wrong_owners} events refer to the wrong process"
    if comparison.wrong:
        wrong = f"{len(comparison.wrong)} rows of processes don't follow from the events"
        yield f"pairing: {wrong}, the first has id {comparison.wrong[0]}"
    rows = _count(connection, "processes", number)
    if rows != comparison.seen:
        yield f"pairing: {rows} rows of processes, but {comparison.seen} processes in the events"


class _Comparison:
    """Compares processes with their rows. Keeps only the processes that may still change in memory."""

    def __init__(self, connection: sqlite3.Connection, recording: int) -> None:
        self.seen = 0
        self.wrong: list[int] = []  # ids
        self.commands: dict[int, int | None] = {}  # ids of command lines, by the ids of events that are not added yet
        self._connection = connection
        self._recording = recording
        self._open: dict[int, tuple[Any, ...]] = {}  # rows that may still change, by id
        # Parents in rows for which pairing knows no parent yet, by id: a later event may link them.
        self._unlinked: dict[int, int] = {}

    def add(self, changed: Iterable[Process], links: Iterable[tuple[int, int]]) -> None:
        """Compares changed processes, or keeps their rows. links: ids of processes, and of their parents."""
        for process in changed:
            process.resolve_command(self.commands)
            self._open[process.id] = process_row(process)
            if process.freed_ns is not None:  # set by the free event, the last event of a process
                self.forget([process.id])
        self.commands.clear()
        for id, parent in links:
            if id in self._open:
                self._open[id] = _with_parent(self._open[id], parent)
            elif self._unlinked.pop(id, None) != parent:
                self.wrong.append(id)

    def forget(self, ids: Iterable[int]) -> None:
        """Compares the processes that will not change any more."""
        for id in ids:
            if id in self._open:
                self._compare(id, self._open.pop(id))

    def end(self) -> None:
        self.forget(list(self._open))
        self.wrong += self._unlinked

    def _compare(self, id: int, known: tuple[Any, ...]) -> None:
        sql = f"SELECT {', '.join(PROCESS_COLUMNS)} FROM processes WHERE id = ? AND recording_id = ?"
        self.seen += 1
        row = self._connection.execute(sql, [id, self._recording]).fetchone()
        if row is not None and known[_PARENT] is None and row[_PARENT] is not None:
            self._unlinked[id] = row[_PARENT]
            row = _with_parent(row, None)
        if row != known:
            self.wrong.append(id)


def _with_parent(row: tuple[Any, ...], parent: int | None) -> tuple[Any, ...]:
    return (*row[:_PARENT], parent, *row[_PARENT + 1 :])


def _count(connection: sqlite3.Connection, table: str, recording: int) -> int:
    sql = f"SELECT count(*) FROM {table} WHERE recording_id = ?"
    return int(connection.execute(sql, [recording]).fetchone()[0])
