"""The saved queries: finds, parses, binds and runs them. Each is a file in queries/; its head describes it."""

from __future__ import annotations

import difflib
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from ..errors import UsageError
from ..model.recording import Recording
from ..model.scope import EVERYTHING, Scope
from ..storage import reader, scope_base, scope_tables, sql_macros
from ..storage import scoped as scopes
from . import query_header, query_values
from .foreign_sql import ForeignSql
from .row_order import OWN_ORDER, RowOrder


@dataclass(frozen=True)
class SavedQuery:
    """A saved query. columns: descriptions by name. head: the comments of its file. sql: with macros expanded.

    theme: one of query_header.THEMES. fleet: how it runs over a fleet, one of query_header.FLEET. scope: what it shows
    of a stretch of time, one of query_header.SCOPE. source: its SQL with macros. path: its file, if it is not webpf's.
    """

    name: str
    title: str
    description: str
    theme: str
    parameters: tuple[query_header.Parameter, ...]
    columns: Mapping[str, str]
    fleet: str
    scope: str
    head: str
    sql: str
    source: str
    path: Path | None = None

    @property
    def script(self) -> str:
        """Its head and its SQL, for any program that runs SQL and can set parameters."""
        ends_in_comment = "--" in self.sql.rpartition("\n")[2]
        return f"{self.head}\n{self.sql}" + ("\n;" if ends_in_comment else ";")

    def script_with(self, given: Mapping[str, str], order: RowOrder = OWN_ORDER, limit: int | None = None) -> str:
        """Its head and the SQL that runs with these values of parameters, in this order. Raises UsageError."""
        values = {each.name: each.literal(given[each.name]) for each in self.parameters if given.get(each.name)}
        if not values and not order.changes_rows and limit is None:
            return self.script
        sql = sql_macros.expand(self.source, {each.name: each.sql for each in self.parameters} | values).strip()
        return f"{self.head}\n{order.resolve(list(self.columns)).apply_to_sql(sql, limit)}\n;"

    def foreign_sql(self) -> ForeignSql:
        """Returns its SQL as that of a user, for messages that name a line."""
        values = {each.name: each.sql for each in self.parameters}
        head_lines = len(self.head.splitlines())
        return ForeignSql(str(self.path), self.source, head_lines + 1, lambda sql: sql_macros.expand(sql, values))

    @property
    def takes_scope(self) -> bool:
        """Whether it can be limited to a scope: not if it compares two recordings."""
        return all(parameter.name != "against" for parameter in self.parameters)

    @property
    def example(self) -> list[str]:
        """The options of an example call: with the required parameters, or else with one optional parameter."""
        needed = [parameter for parameter in self.parameters if parameter.required]
        own = [parameter for parameter in self.parameters if parameter.name not in query_values.RECORDING_PARAMETERS]
        shown = needed or own[:1]
        return [word for each in shown for word in ("-p", f"{each.name}={each.example}")] or ["--recording", "1"]

    def for_fleet(self, given: Mapping[str, str], base: Literal["one", "pooled"]) -> str:
        """Returns its SQL for one recording of a fleet, or for all as one base, with the values in place.

        It is in SQLite's language, as far as other engines have it too, and each_below(); see webpf.fleet.
        """
        values = {each.name: each.literal(given.get(each.name, "")) for each in self.parameters}
        return sql_macros.expand(self.source, values, base=base).strip()

    def about(self, scope: str | None) -> str | None:
        """Returns the description of a scope, and which part of it the query shows."""
        if scope is None or self.scope != "ends":
            return scope
        return f"{scope}; shown are those that ended in this time"

    def as_dict(self) -> dict[str, Any]:
        """Name, title, description, theme and parameters, as `webpf query --format json` lists them."""
        texts = {"name": self.name, "title": self.title, "description": self.description, "theme": self.theme}
        return {**texts, "parameters": [vars(parameter) for parameter in self.parameters]}


@dataclass(frozen=True)
class Result:
    """The result of a query. `rows` reads from `connection`, so use both within the `with` block of run().

    recordings: the recordings that the query is about. about: the scope that it is limited to, for people; None: it is
    about recordings as a whole.
    """

    columns: list[str]
    rows: Iterator[tuple[Any, ...]]
    recordings: tuple[Recording, ...]
    about: str | None
    connection: sqlite3.Connection

    @property
    def heading(self) -> str:
        """Machine, stretch of time and recordings, for people; empty if the query is about no recording."""
        return self.about or "; ".join(map(scope_base.describe, self.recordings))


@cache
def names() -> list[str]:
    """Returns the names of the saved queries, sorted."""
    folder = files("webpf.queries")
    return sorted(entry.name.removesuffix(".sql") for entry in folder.iterdir() if entry.name.endswith(".sql"))


def load(name: str) -> SavedQuery:
    """Returns the query of this name. Raises UsageError, with the most similar name, if there is none."""
    if name not in names():
        raise no_such_query(name, names())
    return _read(name)


def no_such_query(name: str, known: Sequence[str]) -> UsageError:
    """Returns the error for a name that no query has, with the most similar one."""
    near = difflib.get_close_matches(name, known, n=1)
    return UsageError(
        f"there is no query {name!r}" + (f": did you mean {near[0]}?" if near else ""),
        f"webpf query {near[0]}" if near else "webpf query",
    )


@cache
def _read(name: str) -> SavedQuery:
    return parse(name, (files("webpf.queries") / f"{name}.sql").read_text(encoding="utf-8"))


def parse(name: str, source: str, path: Path | None = None) -> SavedQuery:
    """Parses the text of a file: a head (see query_header), then one SELECT. Raises ValueError, with the line.

    path: the file of a user's own query, which needs no head.
    """
    try:
        defaults = {"title": name, "description": f"From {path}.", "theme": "own"}
        head = query_header.parse(source, None if path is None else defaults)
        lines = source.splitlines()
        values = {parameter.name: parameter.sql for parameter in head.parameters}
        source_sql = "\n".join(lines[head.lines :])
        sql = sql_macros.expand(source_sql, values, line=head.lines + 1).strip()
        if ("ended_in_scope!" in source_sql) != (head.scope == "ends"):
            raise ValueError("line 1: scope: ends goes with ended_in_scope!(), and neither without the other")
        if path is not None and head.fleet != "no" and not head.columns:
            raise ValueError("line 1: a query over a fleet needs a line `-- column NAME: ...` for each of its columns")
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    text = "\n".join(lines[: head.lines])
    described = (head.title, head.description, head.theme, head.parameters, head.columns, head.fleet, head.scope)
    return SavedQuery(name, *described, text, sql.rstrip("; \n"), source_sql, path)


def bind(query: SavedQuery, given: Mapping[str, str]) -> dict[str, str]:
    """Returns a value for each parameter, as text, because Datasette passes text; '' if it isn't set.

    Raises UsageError for an unknown parameter, a wrong type, or a required parameter that isn't set.
    """
    query_values.check(query.name, query.parameters, given)
    for parameter in query.parameters:
        if parameter.required and not given.get(parameter.name) and not given.get(parameter.instead or ""):
            raise UsageError(
                f"query {query.name} needs the parameter {parameter.name} ({parameter.description})",
                f"webpf query {query.name} -p {parameter.name}={parameter.example}",
            )
    return {parameter.name: given.get(parameter.name, "") for parameter in query.parameters}


def check_scope(query: SavedQuery, scope: Scope) -> None:
    """Raises UsageError if the query takes no scope."""
    if not query.takes_scope and not scope.is_everything:
        raise UsageError(f"query {query.name} reads two recordings, and takes no scope", "webpf diff --help")


@contextmanager
def run(
    path: Path,
    query: SavedQuery,
    given: Mapping[str, str],
    scope: Scope = EVERYTHING,
    order: RowOrder = OWN_ORDER,
) -> Iterator[Result]:
    """Runs a saved query on a file. Raises UsageError, NotFound or DataError.

    Without a scope and the number of a recording, a query of a file with a chain is about the end of the chain.
    """
    named = {name: given[name] for name in query_values.RECORDING_PARAMETERS & given.keys() if given[name]}
    values = bind(query, {**given, **dict.fromkeys(named, "1")})  # names of recordings are looked up in the file
    check_scope(query, scope)
    with reader.reading(path) as connection:
        about = None
        if not query.takes_scope:
            found = {"recording": reader.find(connection, path, named.get("recording"))}
            found |= {
                name: reader.find(connection, path, wanted) for name, wanted in named.items() if name not in found
            }
        else:
            id = int(values["id"]) if values.get("id") else None
            scoped = limit(connection, path, query, named.get("recording"), scope, id)
            found, about = {"recording": scoped.recording}, scoped.about
            values |= {"id": str(scoped.id)} if id is not None else {}
        values |= {name: str(found[name].id) for name in named}
        recordings = tuple(recording for name, recording in found.items() if name in values)
        yield Result(*_execute(connection, query, values, order), recordings, about, connection)


def limit(
    connection: sqlite3.Connection, path: Path, query: SavedQuery, wanted: str | None, scope: Scope, id: int | None
) -> scopes.Scoped:
    """Limits a read-only connection to what a query that takes a scope shows. Raises what scoped.find() does.

    wanted: the number or name of a recording. id: of the process that the query is about.
    """
    tables = {*re.findall(r"\w+", query.sql)} & {*scope_tables.TABLES}  # it may read less
    found = scopes.find(connection, path, wanted, scope, tables, id)
    return found._replace(about=query.about(found.about))


def _execute(
    connection: sqlite3.Connection, query: SavedQuery, values: Mapping[str, str], order: RowOrder
) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
    """Runs the SQL of a query; returns names of columns and rows."""
    if query.path is None:
        cursor = connection.execute(order.resolve(list(query.columns)).apply_to_sql(query.sql), values)
        return [column[0] for column in cursor.description], cursor
    foreign = query.foreign_sql()
    if not order.changes_rows:
        return foreign.run(connection, query.sql, values)
    columns, _ = foreign.run(connection, OWN_ORDER.apply_to_sql(query.sql, 0), values)
    return foreign.run(connection, order.resolve(columns).apply_to_sql(query.sql), values)
