"""What each engine has: how it writes the views of a tree in its SQL, and how it runs SQL."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from .translate import Translated

Row = tuple[Any, ...]


class Engine(ABC):
    """An engine that reads Parquet files. Its SQL can be written without its package, and run only with it.

    name: as --engine has it, and as sqlglot calls its language. types: its types of columns by SQLite's. settings:
    statements that must come first.
    """

    name: ClassVar[str]
    types: ClassVar[Mapping[str, str]]
    settings: ClassVar[Sequence[str]]
    number: ClassVar[str] = "r.id"
    """SQL for the number of the recording in which a row of `t` is."""
    started: ClassVar[str] = "r.started_ns"
    """SQL for the start of this recording."""
    join_recordings: ClassVar[str] = "\nJOIN recordings AS r ON r.part = t.part"
    """What comes after FROM ... AS t, so that these are known, and rows of incomplete recordings are left out."""

    @abstractmethod
    def scan(self, table: str, root: str, folders: Sequence[str], columns: Mapping[str, str], absent: set[str]) -> str:
        """Returns a SELECT of these columns from a table's files, and `part`: the folders host=H/recording=START.

        columns: names with SQLite's types. absent: those that no file has.
        """

    def prepare(self, table: str, root: str, folders: Sequence[str], columns: Mapping[str, str]) -> list[str]:
        """Returns statements that come before a scan()."""
        return []

    @abstractmethod
    def create(self, name: str, select: str, is_stored: bool = False) -> list[str]:
        """Returns statements that create a view, or replace it. is_stored: keep its rows, which are few."""

    def look_up(self, id: str, column: str, alias: str) -> tuple[str, str]:
        """Returns SQL for a column of `continued` at an id, NULL if it isn't there; and what FROM needs for it."""
        return f"{alias}.{column}", f"\nLEFT JOIN continued AS {alias} ON {alias}.id = {id}"

    @abstractmethod
    def open(self) -> None:
        """Starts the engine. Raises ImportError if its package isn't installed, and Unavailable if more is missing."""

    @abstractmethod
    def execute(self, statement: str) -> None:
        """Runs a statement without a result. Raises the engine's errors."""

    @abstractmethod
    def rows(self, query: Translated) -> tuple[list[str], Iterator[Row]]:
        """Runs a query. Returns the names of its columns and its rows, a batch of which is in memory at a time."""

    @abstractmethod
    def errors(self) -> tuple[type[Exception], ...]:
        """Returns what execute() and rows() raise for SQL or files that the engine refuses."""

    @abstractmethod
    def close(self) -> None:
        """Ends it."""


def one_pattern(folders: Sequence[str]) -> str:
    """Returns a pattern with {a,b} for folders: all recordings of some hosts, as host=a/*, or just some recordings."""
    if not any("*" in folder for folder in folders):
        return _any_of(sorted(folders))
    hosts, recordings = (_any_of(sorted({folder.split("/")[at] for folder in folders})) for at in (0, 1))
    return f"{hosts}/{recordings}"


def _any_of(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else "{" + ",".join(names) + "}"
