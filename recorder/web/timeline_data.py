"""The JSON data that the timeline's page fetches."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeAlias

from datasette import NotFound, Response
from datasette.utils.asgi import BadRequest

from ..analysis import (
    query_header,
    timeline,
    timeline_path,
    timeline_process,
    timeline_search,
    timeline_stretch,
)
from ..analysis.timeline_view import View
from ..progress import Progress
from ..storage.scoped import Scoped
from . import access, read_pool

Handler: TypeAlias = Callable[..., Awaitable[Any]]

_MOST_PIXELS = 10_000
_FARTHEST_MS = 1e12  # 31 years: keeps times in ns far below 64 bits
_LINKS = {"processes": ("/{}", "row"), "tree": ("?id={}", "tree"), "programs": ("?process_id={}", "programs")}


def routes(base: str) -> list[tuple[str, Handler]]:
    """Returns URL patterns and their handlers. base: the pattern of the page."""
    handlers = (overview, choices, window, process, match, stretch, path)
    return [(rf"{base}/{handler.__name__}\.json$", handler) for handler in handlers]


async def overview(datasette: Any, request: Any, receive: read_pool.Receive) -> Any:
    """The data for the overview of the whole recording."""
    return await _answer(
        datasette,
        request,
        receive,
        access.OVERVIEW,
        lambda connection, found, progress: timeline.overview(connection, found.recording),
    )


async def choices(datasette: Any, request: Any, receive: read_pool.Receive) -> Any:
    """The choices of the filters: names and users."""
    return await _answer(
        datasette,
        request,
        receive,
        access.WINDOW,
        lambda connection, found, progress: timeline.choices(connection, found.recording),
    )


async def window(datasette: Any, request: Any, receive: read_pool.Receive) -> Any:
    """The data for a time range."""
    view = _parse_view(request.args)
    return await _answer(
        datasette,
        request,
        receive,
        access.WINDOW,
        lambda connection, found, progress: timeline.window(connection, found.recording, view, progress),
    )


async def process(datasette: Any, request: Any, receive: read_pool.Receive) -> Any:
    """All of one process, with links to its pages, as far as the actor may see them."""
    id = _integer(request.args, "id")
    name = (await access.find_database(datasette, request, access.WINDOW)).name
    has_programs = await access.is_allowed(datasette, request.actor, name, access.PROGRAMS)
    has_directory = await access.is_allowed(datasette, request.actor, name, access.DIRECTORY)
    links = [
        {"href": f"{datasette.urls.table(name, page)}{rest.format(id)}", "label": label}
        for page, (rest, label) in _LINKS.items()
        if await access.is_link_allowed(datasette, name, page)
    ]

    def read(connection: Any, found: Scoped, progress: Progress) -> Any:
        details = timeline_process.details(connection, found.recording, id or 0, has_programs, has_directory)
        if details is None:
            raise NotFound(f"{name} has no process {id} here")
        return details | {"links": links}

    tables = ("commands", "programs", "snapshot", "working_directories")
    return await _answer(datasette, request, receive, access.WINDOW, read, tables)


async def match(datasette: Any, request: Any, receive: read_pool.Receive) -> Any:
    """The next process that a search finds."""
    view, after, is_back = _parse_view(request.args), _integer(request.args, "after"), bool(request.args.get("back"))
    return await _answer(
        datasette,
        request,
        receive,
        access.WINDOW,
        lambda connection, found, progress: timeline_search.step(connection, found.recording, view, after, is_back),
    )


async def stretch(datasette: Any, request: Any, receive: read_pool.Receive) -> Any:
    """The sums over a stretch of time."""
    view = _parse_view(request.args)
    return await _answer(
        datasette,
        request,
        receive,
        access.WINDOW,
        lambda connection, found, progress: timeline_stretch.summary(connection, found.recording, view),
    )


async def path(datasette: Any, request: Any, receive: read_pool.Receive) -> Any:
    """The critical path of the recording."""
    return await _answer(
        datasette,
        request,
        receive,
        access.WINDOW,
        lambda connection, found, progress: timeline_path.critical_path(connection, found.recording),
    )


async def _answer(
    datasette: Any,
    request: Any,
    receive: read_pool.Receive,
    required: access.Permissions,
    read: Callable[[Any, Scoped, Progress], Any],
    tables: Collection[str] = ("commands",),
) -> Any:
    def as_text(connection: Any, found: Scoped, progress: Progress) -> str:
        return json.dumps(read(connection, found, progress))  # up to 1 MB: too slow for the event loop's thread

    text = await access.read_recording(datasette, request, receive, required, as_text, tables=tables)
    return Response(text, content_type="application/json; charset=utf-8")


def _parse_view(args: Any) -> View:
    """Returns the view that a query string describes. Raises BadRequest for values that aren't valid numbers."""

    def moment(name: str, default: float) -> float:
        value = float(_text(args, name, "number") or default)
        if not abs(value) <= _FARTHEST_MS:
            raise BadRequest(f"{name} is too far from the start of the recording: {value} ms")
        return value

    from_ms, to_ms = moment("from", 0), moment("to", 1000)
    return View(
        from_ms=from_ms,
        to_ms=max(to_ms, from_ms + 1e-3),
        width=min(max(_integer(args, "width") or 1000, 1), _MOST_PIXELS),
        comm=args.get("comm") or "",
        uid=_integer(args, "uid"),
        outcome=_integer(args, "outcome"),
        search=args.get("search") or "",
        residents=bool(args.get("residents")),
        tree=_integer(args, "tree"),
    )


def _integer(args: Any, name: str) -> int | None:
    value = _text(args, name, "integer")
    return int(value) if value else None


def _text(args: Any, name: str, type: str) -> str:
    value = str(args.get(name) or "")
    if not query_header.is_of_type(value, type):
        raise BadRequest(f"{name} must be {type}: {value[:40]!r}")
    return value
