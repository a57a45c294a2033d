"""Runs saved queries in the scope that the address of their page names; of a chain of recordings, over its end.

Datasette runs all SQL on connections that it keeps for all requests. So a query in a scope runs on a new connection, in
a thread of webpf's own; and with its connection, the scope is gone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from datasette import Forbidden
from datasette.utils import sqlite3, tilde_decode
from datasette.views.base import DatasetteError

from ..analysis import query_header, saved_queries
from ..analysis.saved_queries import SavedQuery
from ..errors import UsageError, WebpfError
from ..progress import Progress
from ..storage import scoped
from . import access, databases, metadata, read_pool
from .scope_address import ScopeAddress

_HAS_CHAIN = "SELECT EXISTS (SELECT 1 FROM recordings WHERE chain IS NOT NULL)"
_MOST_TEXT = 18  # digits of an id that always fit into SQLite's integers


def attach(database: Any) -> None:
    """Makes the saved queries of a database run in scopes. Once for each; other SQL runs as before."""
    if "execute" not in vars(database):
        database.execute = partial(_execute, database)


def shown_query(database: Any) -> SavedQuery | None:
    """Returns the saved query of this database that the current request shows; None on other pages."""
    request = access.current_request()
    route = request.url_vars.get("database") if request else None
    if route is None or tilde_decode(route) != database.route or not databases.is_recording(database):
        return None
    return metadata.find_query(access.shown_table_or_query() or "")


async def _execute(database: Any, sql: str, params: Any = None, *args: Any, **options: Any) -> Any:
    """Does what Datasette's Database.execute() does: in the scope, if this is the saved query that is shown."""
    execute = partial(type(database).execute, database)
    query = shown_query(database)
    if query is None or sql != query.sql:
        return await execute(sql, params, *args, **options)
    request = access.current_request()
    address = ScopeAddress.read(request.args)
    if not query.takes_scope:
        if address.values:
            raise _shown(UsageError(f"query {query.name} reads two recordings, and takes no scope"), request)
        return await execute(sql, params, *args, **options)
    if address.values and not await access.is_allowed(database.ds, request.actor, database.name, access.SCOPE):
        raise Forbidden("view-table")
    if not address.values and not (await execute(_HAS_CHAIN)).single_value():
        return await execute(sql, params, *args, **options)
    run = _Run(database, query, address, request, copy.copy(params))
    try:
        return await run.execute(*args, **options)
    except read_pool.ReadTimedOut as error:
        raise _shown(error.in_scope(), request) from error
    except (WebpfError, read_pool.ReadFailed) as error:
        raise _shown(error, request) from error


def _shown(error: WebpfError | read_pool.ReadFailed, request: Any) -> Exception:
    """Returns the error that Datasette shows: on a page above the form, otherwise with a status."""
    if (request.url_vars.get("format") or "html") == "html":
        return sqlite3.OperationalError(error.message)  # type: ignore[no-any-return]
    return DatasetteError(error.message, status=access.status_of(error))  # type: ignore[no-any-return]


class _Run:
    """One run of a saved query for a request. values: of its parameters, which Datasette binds."""

    def __init__(self, database: Any, query: SavedQuery, address: ScopeAddress, request: Any, values: Any) -> None:
        self._database = database
        self._query = query
        self._address = address
        self._request = request
        self._values = values

    async def execute(self, *args: Any, **options: Any) -> Any:
        """Returns Datasette's result, within its limits. Raises WebpfError and ReadFailed, and what Datasette does."""
        own = copy.copy(self._database)
        own.execute_fn = own._execute_fn = self._on_new_connection  # Datasette 0.65 calls the first, 1.0 the second
        return await type(own).execute(own, self._query.sql, self._values, *args, **options)

    async def _on_new_connection(self, work: Callable[[Any], Any]) -> Any:
        """Calls a function of Datasette with a connection that is limited to the scope."""
        scope = self._address.parse()
        shows_about = await access.is_allowed(
            self._database.ds, self._request.actor, self._database.name, access.Permissions(("recordings",))
        )

        def read(connection: Any, progress: Progress) -> tuple[scoped.Scoped, Any, Exception | None]:
            found = self._limit(connection, scope)
            self._database.ds._prepare_connection(connection, self._database.name)
            try:
                return found, work(connection), None
            except databases.Error as error:  # of the query itself: Datasette shows it as for any other query
                return found, None, error

        seconds = self._database.ds.sql_time_limit_ms / 1000
        reading = read_pool.QUERIES.read(self._database, read, "", self._request.receive, seconds)
        found, result, error = await reading
        if found.about and shows_about:
            access.set_scope_lines([line for line in (found.about, found.recording.caveat) if line])
        if error is not None:
            raise error
        return result

    def _limit(self, connection: Any, scope: Any) -> scoped.Scoped:
        """Limits a connection to the scope, and sets the parameters that name a recording and a process."""
        id = self._text("id")
        is_id = bool(id) and len(id) <= _MOST_TEXT and query_header.is_of_type(id, "integer")
        wanted = self._text("recording") or self._address.recording
        path = Path(self._database.name)
        found = saved_queries.limit(connection, path, self._query, wanted, scope, int(id) if is_id else None)
        names = {parameter.name for parameter in self._query.parameters}
        if wanted and "recording" in names:
            self._values["recording"] = str(found.recording.id)
        if found.id is not None:
            self._values["id"] = str(found.id)
        return found

    def _text(self, name: str) -> str:
        return str(self._values.get(name) or "").strip() if self._values else ""
