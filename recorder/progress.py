"""Progress reporting and cancellation for long-running operations."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from .errors import Signalled

_STEP = 1000  # rows from one look to the next

_Row = TypeVar("_Row")


class Interrupted(Signalled):
    """A signal came. What was begun is undone."""

    def __init__(self, what: str, signal: int) -> None:
        super().__init__(f"{what} was interrupted: nothing is changed, and nothing half is left", signal)


class Work(Protocol):
    """Is told how far work is. Its calls raise Interrupted when it shall stop."""

    def at(self, done: int, total: int) -> None:
        """So much is done, of so much, in whatever it is counted."""

    def watch(self, connection: sqlite3.Connection) -> None:
        """A statement that takes long on this connection ends too: with an error, which is then no longer one."""


class Unwatched:
    """Nobody looks."""

    def at(self, done: int, total: int) -> None:
        pass

    def watch(self, connection: sqlite3.Connection) -> None:
        pass


UNWATCHED = Unwatched()


def counted(rows: Iterable[_Row], work: Work, total: int, before: int = 0) -> Iterator[_Row]:
    """The rows, while it is told how many of them are through. before: what was done already."""
    for number, row in enumerate(rows, before + 1):
        if number % _STEP == 0:
            work.at(number, total)
        yield row


def processes(connection: sqlite3.Connection, recording: int) -> int:
    """How many rows a recording has in `processes`: what exports are counted in."""
    sql = "SELECT count(*) FROM processes WHERE recording_id = ?"
    return int(connection.execute(sql, [recording]).fetchone()[0])
