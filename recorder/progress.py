"""Progress reporting and cancellation for long-running operations."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from .errors import Signalled

UNDONE = "nothing is changed, and no unfinished file is left"

_STEP = 1000  # rows from one report to the next

_Row = TypeVar("_Row")


class Interrupted(Signalled):
    """A signal cancelled the operation. outcome: what that leaves; by default, nothing is done."""

    def __init__(self, what: str, signal: int, outcome: str = UNDONE) -> None:
        super().__init__(f"{what} was interrupted: {outcome}", signal)


class Progress(Protocol):
    """Shows how far an operation is, and cancels it: its methods raise Interrupted if the user cancelled."""

    def report(self, done: int, total: int) -> None:
        """Reports that `done` of `total` units are complete. The caller chooses the unit."""

    def make_interruptible(self, connection: sqlite3.Connection) -> None:
        """Lets a cancellation also end a single statement on this connection that takes long.

        SQLite then reports the statement as failed, and the caller of the operation gets Interrupted.
        """


class NoProgress:
    """Shows nothing and never cancels."""

    def report(self, done: int, total: int) -> None:
        pass

    def make_interruptible(self, connection: sqlite3.Connection) -> None:
        pass


NO_PROGRESS = NoProgress()


def report_rows(rows: Iterable[_Row], progress: Progress, total: int, before: int = 0) -> Iterator[_Row]:
    """Yields the rows, and reports how many of `total` have passed. before: rows that were complete before."""
    for number, row in enumerate(rows, before + 1):
        if number % _STEP == 0:
            progress.report(number, total)
        yield row


def count_processes(connection: sqlite3.Connection, recording: int) -> int:
    """Returns the number of rows that a recording has in `processes`: the unit in which exports report progress."""
    sql = "SELECT count(*) FROM processes WHERE recording_id = ?"
    return int(connection.execute(sql, [recording]).fetchone()[0])
