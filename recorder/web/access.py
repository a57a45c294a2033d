"""Which recording an address names, and whether its reader may see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasette import Forbidden, NotFound
from datasette.utils import tilde_decode

from .. import dbfile
from . import timeline

RECORDING = r"(?P<database>[^/]+)/(?P<recording>[0-9]{1,18})"
"""The part of an address that names a recording, as a pattern; every number that it takes is one of SQLite's."""


def path(datasette: Any, request: Any, page: str) -> str:
    """Where another page shows the recording that a request is about. page: timeline or perfetto.

    Not made from the path of the request: whether base_url is in that depends on the proxy before Datasette.
    """
    names = request.url_vars
    return str(datasette.urls.path(f"/-/webpf/{page}/{names['database']}/{names['recording']}"))


async def recording(datasette: Any, request: Any) -> tuple[str, dict[str, Any]]:
    """The database's name and the recording's row. Raises Datasette's NotFound and Forbidden."""
    route = tilde_decode(request.url_vars["database"])
    try:
        database = datasette.get_database(route=route)
    except KeyError:
        raise NotFound(f"There is no database {route}") from None
    await _check(datasette, request, database.name)
    if not database.path or not dbfile.is_recording(Path(database.path)):
        raise NotFound(f"{database.name} is no recording of webpf's")
    number = int(request.url_vars["recording"])
    about = await database.execute_fn(lambda connection: timeline.recording(connection, number))
    if about is None:
        raise NotFound(f"{database.name} has no recording {number}")
    return database.name, about


async def _check(datasette: Any, request: Any, database: str) -> None:
    if hasattr(datasette, "ensure_permissions"):  # 0.65
        await datasette.ensure_permissions(request.actor, [("view-database", database), "view-instance"])
        return
    from datasette.resources import DatabaseResource

    if not await datasette.allowed(action="view-database", resource=DatabaseResource(database), actor=request.actor):
        raise Forbidden("view-database")
