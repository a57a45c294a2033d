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
from ..model.recording import Recording
from ..progress import Progress
from ..storage.scoped import Scoped
from . import access, read_pool

Handler: TypeAlias = Callable[..., Awaitable[Any]]

_MOST_PIXELS = 10_000
_FARTHEST_MS = 1e12  # 31 years: keeps times in ns far below 64 bits
_LINKS = {
    "processes": ("/{}", "row"),
    "tree": ("?id={}", "tree"),
    "ancestors": ("?id={}", "ancestors"),
    "programs": ("?process_id={}", "programs"),
}


def routes(base: str) -> list[tuple[str, Handler]]:
    """Returns URL patterns and their handlers. base: the pattern of the page."""
    handlers = {
        "overview": _of_recording(access.OVERVIEW, timeline.overview),
        "choices": _of_recording(access.WINDOW, timeline.choices),
        "path": _of_recording(access.WINDOW, timeline_path.critical_path),
        "window": window,
        "process": process,
        "match": match,
        "stretch": stretch,
    }
    return [(rf"{base}/{name}\.json$", handler) for name, handler in handlers.items()]


def _of_recording(required: access.Permissions, read: Callable[[Any, Recording], Any]) -> Handler:
    """Returns a handler for data that is the same for all views of a recording."""

    def read_at_once(connection: Any, recording: Recording, progress: Progress) -> Any:
        return read(connection, recording)

    async def handler(datasette: Any, request: Any, receive: read_pool.Receive) -> Any:
        return await _answer(datasette, request, receive, read_at_once, required)

    return handler


async def window(datasette: Any, request: Any, receive: read_pool.Receive) -> Any:
    """The data for a time range."""
    view = _parse_view(request.args)

    def read(connection: Any, recording: Recording, progress: Progress) -> Any:
        return timeline.window(connection, recording, view, progress)

    return await _answer(datasette, request, receive, read)


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

    def read(connection: Any, recording: Recording, progress: Progress) -> Any:
        details = timeline_process.details(connection, recording, id or 0, has_programs, has_directory)
        if details is None:
            raise NotFound(f"{name} has no process {id} here")
        return details | {"links": links}

    tables = ("commands", "programs", "snapshot", "working_directories")
    return await _answer(datasette, request, receive, read, tables=tables)


async def match(datasette: Any, request: Any, receive: read_pool.Receive) -> Any:
    """The next process that a search finds."""
    view, after, is_back = _parse_view(request.args), _integer(request.args, "after"), bool(request.args.get("back"))

    def read(connection: Any, recording: Recording, progress: Progress) -> Any:
        return timeline_search.step(connection, recording, view, after, is_back)

    return await _answer(datasette, request, receive, read)


async def stretch(datasette: Any, request: Any, receive: read_pool.Receive) -> Any:
    """The sums over a stretch of time."""
    view = _parse_view(request.args)

    def read(connection: Any, recording: Recording, progress: Progress) -> Any:
        return timeline_stretch.summary(connection, recording, view)

    return await _answer(datasette, request, receive, read)


async def _answer(
    datasette: Any,
    request: Any,
    receive: read_pool.Receive,
    read: Callable[[Any, Recording, Progress], Any],
    required: access.Permissions = access.WINDOW,
    tables: Collection[str] = ("commands",),
) -> Any:
    def as_text(connection: Any, found: Scoped, progress: Progress) -> str:
        data = read(connection, found.recording, progress)
        return json.dumps(data)  # up to 1 MB: too slow for the event loop's thread

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
