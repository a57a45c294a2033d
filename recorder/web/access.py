"""Which recording an address names, whether its reader may see it, and reading it."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from datasette import Forbidden, NotFound
from datasette.database import QueryInterrupted
from datasette.utils import tilde_decode
from datasette.utils.asgi import BadRequest
from datasette.views.base import DatasetteError

from ..model.recording import Recording
from ..progress import Work
from ..storage import reader
from . import cells, databases, read_pool


class Permissions(NamedTuple):
    """What is shown, and so must be allowed: tables, and saved queries whose results are shown."""

    tables: tuple[str, ...] = ()
    queries: tuple[str, ...] = ()


WINDOW = Permissions(("recordings", "processes"))
"""What the timeline shows of a stretch of time."""
OVERVIEW = Permissions(("recordings", "processes"), ("concurrency",))
"""What it shows of the whole recording, and Perfetto does."""
LINK_PERMISSIONS = {
    cells.TIMELINE: WINDOW,
    "processes": Permissions(tables=("processes",)),
    "programs": Permissions(tables=("programs",)),
    "tree": Permissions(queries=("tree",)),
}
"""What must be allowed for a link to each page."""

RECORDING_PATTERN = r"(?P<database>[^/]+)/(?P<recording>[0-9]{1,18})"
"""The part of an address that names a recording, as a pattern; every number that it takes is one of SQLite's."""
_PAGE_ID = re.compile(r"[A-Za-z0-9_-]{0,64}")

# Datasette looks into the file for what it allows: that can't be read, or it was left out meanwhile.
_UNREADABLE = (databases.Error, QueryInterrupted, KeyError, RuntimeError, AssertionError)

Result = TypeVar("Result")


def page_path(datasette: Any, request: Any, page: str) -> str:
    """Where another page shows the recording that a request is about. page: timeline or perfetto.

    Not made from the path of the request: whether base_url is in that depends on the proxy before Datasette.
    """
    names = request.url_vars
    return str(datasette.urls.path(f"/-/webpf/{page}/{names['database']}/{names['recording']}"))


async def find_database(datasette: Any, request: Any, required: Permissions) -> Any:
    """The database that an address names. Raises Datasette's NotFound, and Forbidden."""
    route = tilde_decode(request.url_vars["database"])
    try:
        found = datasette.get_database(route=route)
    except KeyError:
        raise NotFound(f"There is no database {route}") from None
    try:
        for asked in (Permissions(tables=required.tables), Permissions(queries=required.queries)):
            if not await _are_all_allowed(datasette, request.actor, found.name, asked):
                raise Forbidden("view-table" if asked.tables else "view-query")
            refusal = databases.upgrade_message(found)
            if refusal:
                raise DatasetteError(refusal, status=503)
            if not databases.is_recording(found):
                raise NotFound(f"{found.name} is no recording of webpf's that can be read")
    except _UNREADABLE as error:
        raise DatasetteError(f"{found.name} can't be read: {error}", status=503) from error
    return found


async def read_recording(
    datasette: Any,
    request: Any,
    receive: read_pool.Receive,
    required: Permissions,
    read: Callable[[Any, Recording, Work], Result],
    pool: read_pool.ReadPool = read_pool.TIMELINES,
) -> Result:
    """What `read` makes of a connection and the recording.

    Raises Datasette's NotFound, Forbidden and BadRequest; and DatasetteError for what can't be read, or not in time.
    """
    page = request.args.get("page") or ""
    if not _PAGE_ID.fullmatch(page):
        raise BadRequest("page must be up to 64 letters and digits")
    number = int(request.url_vars["recording"])
    found = await find_database(datasette, request, required)

    def read_one(connection: Any, work: Work) -> Result:
        recordings = reader.recordings(connection, number)
        if not recordings:
            raise NotFound(f"{found.name} has no recording {number}")
        return read(connection, recordings[0], work)

    try:
        return await pool.read(found, read_one, page, receive)
    except read_pool.ReadFailed as error:
        raise DatasetteError(error.message, status=error.status) from error


async def is_allowed(datasette: Any, actor: Any, database: str, required: Permissions) -> bool:
    """Whether all of it may be seen. False too where Datasette can't find out: the file can't be read."""
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
    """As for Datasette's own page of this table or query."""
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
    """A request for a page, and what is known of its links."""

    request: Any
    known: dict[tuple[str, str], bool] = field(default_factory=dict)


_current: ContextVar[_CurrentRequest | None] = ContextVar("current", default=None)


def begin_request(request: Any) -> None:
    """A request begins. Not all hooks are told which it is that they are called for."""
    _current.set(_CurrentRequest(request))


async def is_link_allowed(datasette: Any, database: str, page: str) -> bool:
    """Whether who asked for the page that is being made may see a page that it would link to; asked once a request."""
    current = _current.get() or _CurrentRequest(None)
    key = (database, page)
    if key not in current.known:
        actor = current.request.actor if current.request else None
        current.known[key] = await is_allowed(datasette, actor, database, LINK_PERMISSIONS[page])
    return current.known[key]


def shown_table_or_query() -> str | None:
    """Name of the table or saved query whose page is being made, as the address has it; None where there is none."""
    current = _current.get()
    name = current.request.url_vars.get("table") if current else None
    return None if name is None else tilde_decode(name)
