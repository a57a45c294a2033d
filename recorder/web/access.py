"""Which recording an address names, whether its reader may see it, and reading it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from datasette import Forbidden, NotFound
from datasette.utils import tilde_decode
from datasette.utils.asgi import BadRequest
from datasette.views.base import DatasetteError

from ..work import Work
from . import readers, served, timeline

RECORDING = r"(?P<database>[^/]+)/(?P<recording>[0-9]{1,18})"
"""The part of an address that names a recording, as a pattern; every number that it takes is one of SQLite's."""
_PAGE = re.compile(r"[A-Za-z0-9_-]{0,64}")

Result = TypeVar("Result")


def path(datasette: Any, request: Any, page: str) -> str:
    """Where another page shows the recording that a request is about. page: timeline or perfetto.

    Not made from the path of the request: whether base_url is in that depends on the proxy before Datasette.
    """
    names = request.url_vars
    return str(datasette.urls.path(f"/-/webpf/{page}/{names['database']}/{names['recording']}"))


async def database(datasette: Any, request: Any) -> Any:
    """The database that an address names. Raises Datasette's NotFound and Forbidden."""
    route = tilde_decode(request.url_vars["database"])
    try:
        found = datasette.get_database(route=route)
    except KeyError:
        raise NotFound(f"There is no database {route}") from None
    await _check(datasette, request, found.name)
    if not served.is_recording(found):
        raise NotFound(f"{found.name} is no recording of webpf's that can be read")
    return found


async def read(
    datasette: Any,
    request: Any,
    receive: readers.Receive,
    read: Callable[[Any, dict[str, Any], Work], Result],
    by: readers.Readers = readers.PICTURES,
) -> Result:
    """What `read` makes of a connection and the recording's row.

    Raises Datasette's NotFound, Forbidden and BadRequest; and DatasetteError for what can't be read, or not in time.
    """
    page = request.args.get("page") or ""
    if not _PAGE.fullmatch(page):
        raise BadRequest("page must be up to 64 letters and digits")
    number = int(request.url_vars["recording"])
    found = await database(datasette, request)

    def of_recording(connection: Any, work: Work) -> Result:
        about = timeline.recording(connection, number)
        if about is None:
            raise NotFound(f"{found.name} has no recording {number}")
        return read(connection, about, work)

    try:
        return await by.read(found, of_recording, page, receive)
    except readers.NotRead as error:
        raise DatasetteError(error.message, status=error.status) from error


async def _check(datasette: Any, request: Any, database: str) -> None:
    if hasattr(datasette, "ensure_permissions"):  # 0.65
        await datasette.ensure_permissions(request.actor, [("view-database", database), "view-instance"])
        return
    from datasette.resources import DatabaseResource

    if not await datasette.allowed(action="view-database", resource=DatabaseResource(database), actor=request.actor):
        raise Forbidden("view-database")
