"""Runs SQL that webpf didn't write: it may only read, and an error in it names the line."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import DataError, WebpfError

_READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_PRAGMAS = {
    *("table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list"),
    *("user_version", "application_id", "page_count", "page_size", "freelist_count", "compile_options"),
}
_NAMED = re.compile(r"(?:no such (?:column|table|function)|ambiguous column name): (?:\w+\.)*(\w+)|parameter :(\w+)")
_OF_THE_FILE = re.compile("malformed|not a database|disk I/O|locked|interrupted|unable to open")
"""Errors of SQLite that the recording file causes, and not the SQL."""

Errors = (sqlite3.Error, sqlite3.Warning, OverflowError)


@dataclass(frozen=True)
class ForeignSql:
    """SQL from a user. name: of its file, for messages. source: as it is written, from line `first_line` of the file.

    expand: returns the SQL that runs for the source, or for its first lines. Raises ValueError. hint: a command that
    shows SQL that is right.
    """

    name: str
    source: str
    first_line: int = 1
    expand: Callable[[str], str] = str
    hint: str = "webpf query lifetimes --sql"

    def run(
        self, connection: sqlite3.Connection, sql: str, values: Mapping[str, str] | None = None
    ) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
        """Runs the SQL; returns names of columns and rows. Raises DataError for SQL that is wrong or doesn't read.

        Errors of the file are raised as they are.
        """
        _allow(connection, _reads)
        try:
            cursor = connection.execute(sql, values or {})
        except Errors as error:
            if _is_of_file(error):
                raise
            _allow(connection, _everything)
            raise self._explain(error, connection, values or {}) from error
        finally:
            _allow(connection, _everything)
        if cursor.description is None:
            raise self._error("there is no statement that returns rows", self.first_line)
        return [column[0] for column in cursor.description], self._rows(cursor)

    def _rows(self, cursor: sqlite3.Cursor) -> Iterator[tuple[Any, ...]]:
        try:
            yield from cursor
        except Errors as error:
            if _is_of_file(error):
                raise
            raise self._error(str(error), self.first_line) from error

    def _explain(self, error: Exception, connection: sqlite3.Connection, values: Mapping[str, str]) -> WebpfError:
        message = str(error).removesuffix(".")
        if message in ("not authorized", "attempt to write a readonly database"):
            return self._error("only statements that read are run", self.first_line)
        if "one statement at a time" in message:
            return self._error("only one statement is run", self.first_line)
        if "syntax error" in message or message == "incomplete input":
            return self._error(message, self._line_of_syntax_error(connection, values))
        named = _NAMED.search(message)
        word = next(filter(None, named.groups()), "") if named else ""
        if named and named[2]:
            message = f"the parameter :{word} has no value: a line `-- param {word}: text, optional; ...` declares it"
        return self._error(message, self._line_of_word(word))

    def _error(self, message: str, line: int) -> WebpfError:
        return DataError(f"{self.name}:{line}: {message}", self.hint)

    def _line_of_word(self, word: str) -> int:
        """Returns the first line with this word, or else the first one that isn't empty."""
        lines = [re.sub("--.*", "", line) for line in self.source.splitlines()]
        found = [at for at, line in enumerate(lines) if word and re.search(rf"\b{re.escape(word)}\b", line)]
        found += [at for at, line in enumerate(lines) if line.strip()]
        return self.first_line + (found[0] if found else 0)

    def _line_of_syntax_error(self, connection: sqlite3.Connection, values: Mapping[str, str]) -> int:
        """Returns the first line up to which the SQL is wrong, and not just incomplete. SQLite doesn't tell it."""
        lines = self.source.splitlines()
        for count in range(1, len(lines) + 1):
            try:
                connection.execute("EXPLAIN " + self.expand("\n".join(lines[:count])), values).close()
            except ValueError:
                continue  # a macro isn't complete yet
            except Errors as error:
                if "syntax error" in str(error):
                    return self.first_line + count - 1
        return self.first_line + max(len(lines) - 1, 0)


def _is_of_file(error: Exception) -> bool:
    return _OF_THE_FILE.search(str(error)) is not None


def _allow(connection: sqlite3.Connection, check: Callable[..., int]) -> None:
    connection.set_authorizer(check)


def _reads(action: int, first: str | None, second: str | None, *_: object) -> int:
    if action in _READING or (action == sqlite3.SQLITE_PRAGMA and first in _PRAGMAS):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _everything(*_: object) -> int:
    return sqlite3.SQLITE_OK
