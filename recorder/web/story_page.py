"""The story at the top of a database's page: JSON with its HTML and the rows of its charts, which a script fetches.

So the page opens at once, and can follow a recording that goes on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeAlias

from datasette import Response

from ..analysis import recording_choices, saved_queries, story
from ..model.recording import GOING_ON
from ..progress import Progress
from ..storage.scoped import Scoped
from . import access, databases, metadata, read_pool, story_rows
from .scope_address import ScopeAddress
from .scope_form import ScopedUrls, may_scope

Handler: TypeAlias = Callable[..., Awaitable[Any]]

_STEPS = 120
CHARTS = ("rate", "cores")
"""The saved queries whose rows the charts show."""


def routes() -> list[tuple[str, Handler]]:
    """Returns URL patterns and their handlers."""
    return [(rf"^/-/webpf/story/{access.RECORDING_PATTERN}/data\.json$", data)]


async def context(datasette: Any, request: Any, database: str) -> dict[str, Any] | None:
    """Returns what database.html needs for the story; None if the actor may not see it."""
    if not await access.is_allowed(datasette, request.actor, database, access.WINDOW):
        return None
    route = datasette.urls.database(database).rpartition("/")[2]
    address = ScopeAddress.read(request.args)
    path = datasette.urls.path(f"/-/webpf/story/{route}/data.json")
    return {
        "data_path": f"{path}{address.query_string()}",
        "shorter_path": None if address.values else await _segment_path(datasette, database),
        "choices": await _choices(datasette, request, database, address),
    }


async def _choices(datasette: Any, request: Any, database: str, address: ScopeAddress) -> list[dict[str, Any]]:
    """Returns what else the story can be about: pages of recordings. Empty if there is no choice, or no right to it."""
    if not await may_scope(datasette, request, database):
        return []

    def read(connection: Any, progress: Progress) -> list[recording_choices.Choice]:
        return recording_choices.latest(connection)

    try:
        found = await read_pool.RECORDINGS.read(datasette.get_database(database), read, "", request.receive)
    except read_pool.ReadFailed:
        return []
    if len(found) < 2:
        return []
    latest = "the latest chain" if found[0].is_segment else "the latest"
    whole = "all in this time" if {"since", "until"} & set(address.values) else latest
    labels = {None: whole} | {str(each.id): each.label for each in found}
    if address.recording is not None:
        labels.setdefault(address.recording, address.recording)  # a name
    path = datasette.urls.database(database)
    return [
        {
            "path": f"{path}{address.about(number).query_string()}",
            "label": label,
            "is_chosen": number == address.recording,
        }
        for number, label in labels.items()
    ]


async def _segment_path(datasette: Any, database: str) -> str | None:
    """Returns the path of the page about the latest segment of a chain alone; None if there is no chain."""
    if await databases.latest_timeline(datasette, database) != "":
        return None
    (number,) = await databases.latest_recordings(datasette, database, 1)
    return f"{datasette.urls.database(database)}?_recording={number}"


async def data(datasette: Any, request: Any, receive: read_pool.Receive) -> Any:
    """The story of the latest recording, of the end of the latest chain, or of the scope in the address."""
    name = (await access.find_database(datasette, request, access.WINDOW)).name
    allowed = await _allowed_queries(datasette, request, name)
    charts = [query for query in CHARTS if query in allowed]

    def read(connection: Any, found: Scoped, progress: Progress) -> tuple[Scoped, story.Story, list[dict[str, Any]]]:
        told = story.read(connection, found.recording)
        return found, told, [_chart(connection, query, told) for query in charts]

    found, told, rows = await access.read_recording(
        datasette, request, receive, access.WINDOW, read, pool=read_pool.STORIES
    )
    urls = ScopedUrls(datasette.urls, name, ScopeAddress.read(request.args).query_string())
    values = {"story": story_rows.describe(told, found.about), "links": _links(urls, name, allowed), "database": name}
    path = _timeline_path(datasette, request, name, told)
    more = f"{path}{'&' if '?' in path else '?'}"
    values |= {"timeline_path": path, "process_path": f"{more}process=", "critical_path": f"{more}path=1"}
    html = await datasette.render_template("_webpf_story.html", values, request=request)
    answer = {
        "html": html,
        "isInProgress": told.recording.status == GOING_ON,
        "charts": [{**chart, "path": urls.query(name, chart["query"])} for chart in rows],
    }
    return Response(json.dumps(answer), content_type="application/json; charset=utf-8")


async def _allowed_queries(datasette: Any, request: Any, database: str) -> list[str]:
    """Returns the names of the queries that the story names, as far as the actor may see them."""
    return [
        query
        for query in (*CHARTS, *story_rows.QUERIES)
        if await access.is_allowed(datasette, request.actor, database, access.Permissions(queries=(query,)))
    ]


def _links(urls: Any, database: str, queries: Collection[str]) -> dict[str, dict[str, str]]:
    titles = {query.name: query.title for query in metadata.queries()}
    return {query: {"path": urls.query(database, query), "title": titles[query]} for query in queries}


def _timeline_path(datasette: Any, request: Any, database: str, told: story.Story) -> str:
    address = ScopeAddress.read(request.args)
    is_whole = not address.values and told.recording.row.get("chain") is None
    base = access.timelines_path(datasette, database)
    return f"{base}/{told.recording.id}" if is_whole else f"{base}{address.query_string()}"


def _chart(connection: Any, name: str, told: story.Story) -> dict[str, Any]:
    """Returns a saved query's columns and rows, in at most _STEPS steps or so, each at least a second for `rate`."""
    query = saved_queries.load(name)
    length_ns = told.recording.until_ns - told.recording.started_ns
    steps = {"steps": str(_STEPS), "step_ms": str(max(math.ceil(length_ns / 1e6 / _STEPS), 1000))}
    given = {each.name: steps[each.name] for each in query.parameters if each.name in steps}
    values = saved_queries.bind(query, {**given, "recording": str(told.recording.id)})
    cursor = connection.execute(query.sql, values)
    return {"query": name, "columns": [column[0] for column in cursor.description], "rows": cursor.fetchall()}
