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
from . import cells, readers, served


class Needs(NamedTuple):
    """What is shown, and so must be allowed: tables, and saved queries whose results are shown."""

    tables: tuple[str, ...] = ()
    queries: tuple[str, ...] = ()


BARS = Needs(("recordings", "processes"))
"""What the timeline shows of a stretch of time."""
COUNTS = Needs(("recordings", "processes"), ("concurrency",))
"""What it shows of the whole recording, and Perfetto does."""
LINKS = {
    cells.TIMELINE: BARS,
    "processes": Needs(tables=("processes",)),
    "programs": Needs(tables=("programs",)),
    "tree": Needs(queries=("tree",)),
}
"""What must be allowed for a link to each page."""

RECORDING = r"(?P<database>[^/]+)/(?P<recording>[0-9]{1,18})"
"""The part of an address that names a recording, as a pattern; every number that it takes is one of SQLite's."""
_PAGE = re.compile(r"[A-Za-z0-9_-]{0,64}")

# Datasette looks into the file for what it allows: that can't be read, or it was left out meanwhile.
_UNKNOWN = (served.Error, QueryInterrupted, KeyError, RuntimeError, AssertionError)

Result = TypeVar("Result")


def path(datasette: Any, request: Any, page: str) -> str:
    """Where another page shows the recording that a request is about. page: timeline or perfetto.

    Not made from the path of the request: whether base_url is in that depends on the proxy before Datasette.
    """
    names = request.url_vars
    return str(datasette.urls.path(f"/-/webpf/{page}/{names['database']}/{names['recording']}"))


async def database(datasette: Any, request: Any, needs: Needs) -> Any:
    """The database that an address names. Raises Datasette's NotFound, and Forbidden."""
    route = tilde_decode(request.url_vars["database"])
    try:
        found = datasette.get_database(route=route)
    except KeyError:
        raise NotFound(f"There is no database {route}") from None
    try:
        for asked in (Needs(tables=needs.tables), Needs(queries=needs.queries)):  # other files don't have the queries
            if not await _are_allowed(datasette, request.actor, found.name, asked):
                raise Forbidden("view-table" if asked.tables else "view-query")
            refusal = served.older(found)
            if refusal:
                raise DatasetteError(refusal, status=503)
            if not served.is_recording(found):
                raise NotFound(f"{found.name} is no recording of webpf's that can be read")
    except _UNKNOWN as error:
        raise DatasetteError(f"{found.name} can't be read: {error}", status=503) from error
    return found


async def read(
    datasette: Any,
    request: Any,
    receive: readers.Receive,
    needs: Needs,
    read: Callable[[Any, Recording, Work], Result],
    by: readers.Readers = readers.PICTURES,
) -> Result:
    """What `read` makes of a connection and the recording.

    Raises Datasette's NotFound, Forbidden and BadRequest; and DatasetteError for what can't be read, or not in time.
    """
    page = request.args.get("page") or ""
    if not _PAGE.fullmatch(page):
        raise BadRequest("page must be up to 64 letters and digits")
    number = int(request.url_vars["recording"])
    found = await database(datasette, request, needs)

    def of_recording(connection: Any, work: Work) -> Result:
        recordings = reader.recordings(connection, number)
        if not recordings:
            raise NotFound(f"{found.name} has no recording {number}")
        return read(connection, recordings[0], work)

    try:
        return await by.read(found, of_recording, page, receive)
    except readers.NotRead as error:
        raise DatasetteError(error.message, status=error.status) from error


async def may(datasette: Any, actor: Any, database: str, needs: Needs) -> bool:
    """Whether all of it may be seen. False too where Datasette can't find out: the file can't be read."""
    try:
        return await _are_allowed(datasette, actor, database, needs)
    except _UNKNOWN:
        return False


async def _are_allowed(datasette: Any, actor: Any, database: str, needs: Needs) -> bool:
    asked = [("view-table", table) for table in needs.tables] + [("view-query", query) for query in needs.queries]
    for action, name in asked:
        if not await _is_allowed(datasette, actor, action, database, name):
            return False
    return True


async def _is_allowed(datasette: Any, actor: Any, action: str, database: str, name: str) -> bool:
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
class _Visit:
    """A request for a page, and what is known of its links."""

    request: Any
    known: dict[tuple[str, str], bool] = field(default_factory=dict)


_visit: ContextVar[_Visit | None] = ContextVar("visit", default=None)


def begin(request: Any) -> None:
    """A request begins. Not all hooks are told which it is that they are called for."""
    _visit.set(_Visit(request))


async def may_follow(datasette: Any, database: str, page: str) -> bool:
    """Whether who asked for the page that is being made may see a page that it would link to; asked once a request."""
    visit = _visit.get() or _Visit(None)
    key = (database, page)
    if key not in visit.known:
        actor = visit.request.actor if visit.request else None
        visit.known[key] = await may(datasette, actor, database, LINKS[page])
    return visit.known[key]


def shown_name() -> str | None:
    """Name of the table or saved query whose page is being made, as the address has it; None where there is none."""
    visit = _visit.get()
    name = visit.request.url_vars.get("table") if visit else None
    return None if name is None else tilde_decode(name)
