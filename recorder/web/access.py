"""Access to the recording that a URL names: finds its database, checks the user's permissions, and reads it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timezone, tzinfo
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from datasette import Forbidden, NotFound
from datasette.database import QueryInterrupted
from datasette.utils import tilde_decode
from datasette.utils.asgi import BadRequest
from datasette.views.base import DatasetteError

from .. import errors
from ..progress import Progress
from ..storage import reader, scoped
from . import cell_format, databases, read_pool
from .scope_address import ScopeAddress


class Permissions(NamedTuple):
    """The tables and saved queries whose contents a page shows; the user must be allowed to see all of them."""

    tables: tuple[str, ...] = ()
    queries: tuple[str, ...] = ()


WINDOW = Permissions(("recordings", "processes", "commands"))
"""For the timeline of a time range."""
OVERVIEW = Permissions(("recordings", "processes", "commands"), ("concurrency",))
"""For the overview of the whole recording, and for Perfetto."""
PROGRAMS = Permissions(("programs", "snapshot"), ("execs",))
"""For the programs that a process of the timeline ran."""
DIRECTORY = Permissions(("programs", "working_directories"))
"""For the directory in which it ran the latest."""
SCOPE = Permissions(("recordings", "processes", "commands", "cgroup_paths"))
"""For a scope: its filters would tell what is in these tables."""
LINK_PERMISSIONS = {
    cell_format.TIMELINE: WINDOW,
    "processes": Permissions(tables=("processes",)),
    "recordings": Permissions(tables=("recordings",)),
    "programs": Permissions(tables=("programs",)),
    "tree": Permissions(queries=("tree",)),
    "ancestors": Permissions(queries=("ancestors",)),
}
"""For a link to each page."""

RECORDING_PATTERN = r"(?P<database>[^/]+)(?:/(?P<recording>[0-9]{1,18}))?"
"""Matches the part of a URL path that names a file, and perhaps a recording. 18 digits always fit into SQLite's
integers. Without a recording, it is what the command line takes then: the latest one, or the end of a chain."""
_PAGE_ID = re.compile(r"[A-Za-z0-9_-]{0,64}")

# Datasette reads the file to check permissions. These are raised if it can't, or if the database was removed meanwhile.
_UNREADABLE = (databases.Error, QueryInterrupted, KeyError, RuntimeError, AssertionError)

Result = TypeVar("Result")


def page_path(datasette: Any, request: Any, page: str) -> str:
    """Returns the URL path of another page of the same recording, without the scope. page: timeline or perfetto.

    It isn't derived from the request's path, which contains base_url only if the proxy in front of Datasette keeps it.
    """
    names = request.url_vars
    number = f"/{names['recording']}" if names["recording"] else ""
    return str(datasette.urls.path(f"/-/webpf/{page}/{names['database']}{number}"))


def timelines_path(datasette: Any, database: str) -> str:
    """Returns the URL path of a file's timeline; for that of one recording, add `/` and its number."""
    route = datasette.urls.database(database).rpartition("/")[2]
    return str(datasette.urls.path(f"/-/webpf/timeline/{route}"))


async def find_database(datasette: Any, request: Any, required: Permissions) -> Any:
    """Returns the database that the request's URL names.

    Raises Datasette's NotFound and Forbidden, and DatasetteError (503) if the file can't be read.
    """
    route = tilde_decode(request.url_vars["database"])
    try:
        found = datasette.get_database(route=route)
    except KeyError:
        raise NotFound(f"There is no database {route}") from None
    try:
        # Tables come first: a file that isn't a recording has no saved queries, and Datasette would fail at them.
        for asked in (Permissions(tables=required.tables), Permissions(queries=required.queries)):
            if not await _are_all_allowed(datasette, request.actor, found.name, asked):
                raise Forbidden("view-table" if asked.tables else "view-query")
            refusal = databases.upgrade_message(found)
            if refusal:
                raise DatasetteError(refusal, status=503)
            if not databases.is_recording(found):
                raise NotFound(f"{found.name} is not a readable webpf recording")
    except _UNREADABLE as error:
        raise DatasetteError(f"{found.name} can't be read: {error}", status=503) from error
    return found


async def read_recording(
    datasette: Any,
    request: Any,
    receive: read_pool.Receive,
    required: Permissions,
    read: Callable[[Any, scoped.Scoped, Progress], Result],
    pool: read_pool.ReadPool = read_pool.TIMELINES,
    tables: Collection[str] = ("commands",),
) -> Result:
    """Returns the result of `read`, which gets a connection that is limited to the scope in the request's address.

    pool: the threads that read. tables: those that `read` reads, besides processes and recordings. Raises Datasette's
    NotFound, Forbidden and BadRequest, and DatasetteError for a scope that can't be understood or has nothing, if the
    recording can't be read, or if the time limit is exceeded.
    """
    page = request.args.get("page") or ""
    if not _PAGE_ID.fullmatch(page):
        raise BadRequest("page must be at most 64 letters, digits, - or _")
    address = ScopeAddress.of_page(request)
    number = request.url_vars["recording"]
    found = await find_database(datasette, request, required)
    if ScopeAddress.read(request.args).values and not await _are_all_allowed(
        datasette, request.actor, found.name, SCOPE
    ):
        raise Forbidden("view-table")

    def read_one(connection: Any, progress: Progress) -> Result:
        if number and not reader.recordings(connection, int(number)):
            raise NotFound(f"{found.name} has no recording {number}")
        return read(connection, scoped.find(connection, Path(found.name), address.recording, scope, tables), progress)

    try:
        scope = address.parse()
        return await pool.read(found, read_one, page, receive)
    except (errors.WebpfError, read_pool.ReadFailed) as error:
        if isinstance(error, read_pool.ReadTimedOut) and address.values != {"recording": (number,)}:
            error = error.in_scope()
        raise DatasetteError(error.message, status=status_of(error)) from error


def status_of(error: errors.WebpfError | read_pool.ReadFailed) -> int:
    """Returns the HTTP status for an error: for one of webpf's own, what is wrong with the scope decides."""
    if isinstance(error, read_pool.ReadFailed):
        return error.status
    return 404 if isinstance(error, errors.NotFound) else 400


async def is_allowed(datasette: Any, actor: Any, database: str, required: Permissions) -> bool:
    """Returns whether the actor has all these permissions. False also if the file can't be read to check them."""
    try:
        return await _are_all_allowed(datasette, actor, database, required)
    except _UNREADABLE:
        return False


async def _are_all_allowed(datasette: Any, actor: Any, database: str, required: Permissions) -> bool:
    asked = [("view-table", table) for table in required.tables] + [("view-query", query) for query in required.queries]
    for action, name in asked:
        if not await _is_action_allowed(datasette, actor, action, database, name):
            return False
    return True


async def _is_action_allowed(datasette: Any, actor: Any, action: str, database: str, name: str) -> bool:
    """Returns what Datasette decides for its own page of this table or query."""
    if hasattr(datasette, "ensure_permissions"):  # 0.65
        asked = [(action, (database, name)), ("view-database", database), "view-instance"]
        try:
            await datasette.ensure_permissions(actor, asked)
        except Forbidden:
            return False
        return True
    resource = datasette.resource_for_action(action, parent=database, child=name)
    return bool(await datasette.allowed(action=action, resource=resource, actor=actor))


@dataclass
class _CurrentRequest:
    """The request being answered, and the permissions for links that were checked for it."""

    request: Any
    allowed_links: dict[tuple[str, str], bool] = field(default_factory=dict)
    scope_lines: list[str] = field(default_factory=list)
    zones: dict[str, tzinfo] = field(default_factory=dict)


_current: ContextVar[_CurrentRequest | None] = ContextVar("current", default=None)


def begin_request(request: Any) -> None:
    """Remembers the request that begins, because Datasette doesn't pass it to all hooks."""
    _current.set(_CurrentRequest(request))


def current_request() -> Any:
    """Returns Datasette's request that is being answered; None outside of one."""
    current = _current.get()
    return current.request if current else None


def set_scope_lines(lines: list[str]) -> None:
    """Remembers what the rows of the current request are about, for its page."""
    current = _current.get()
    if current:
        current.scope_lines = lines


def scope_lines() -> list[str]:
    """Returns what the rows of the current request are about, for people; empty for recordings as a whole."""
    current = _current.get()
    return current.scope_lines if current else []


async def is_link_allowed(datasette: Any, database: str, page: str) -> bool:
    """Returns whether the current request's actor may see a page that a link leads to. Checked once per request."""
    current = _current.get() or _CurrentRequest(None)
    key = (database, page)
    if key not in current.allowed_links:
        actor = current.request.actor if current.request else None
        current.allowed_links[key] = await is_allowed(datasette, actor, database, LINK_PERMISSIONS[page])
    return current.allowed_links[key]


async def time_zone(datasette: Any, database: str) -> tzinfo:
    """Returns the zone for the times of a file: its machine's, or UTC if the actor may not see it. Read once."""
    zones = (_current.get() or _CurrentRequest(None)).zones
    if database not in zones:
        is_known = await is_link_allowed(datasette, database, "recordings")
        zones[database] = await databases.time_zone(datasette, database) if is_known else timezone.utc
    return zones[database]


def shown_table_or_query() -> str | None:
    """Returns the name of the table or saved query that the current request shows; None on other pages."""
    request = current_request()
    name = request.url_vars.get("table") if request else None
    return None if name is None else tilde_decode(name)
