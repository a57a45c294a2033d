"""The timeline's page, and the JSON data that it fetches."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from datasette import Response
from datasette.utils.asgi import BadRequest

from ..analysis import query_header, timeline
from ..model.recording import Recording
from ..progress import Progress
from . import access, perfetto_pages, read_pool

Handler: TypeAlias = Callable[..., Awaitable[Any]]

_BASE = rf"^/-/webpf/timeline/{access.RECORDING_PATTERN}"
_MOST_PIXELS = 10_000
_FARTHEST_MS = 1e12  # 31 years: keeps times in ns far below 64 bits


def routes() -> list[tuple[str, Handler]]:
    """Returns URL patterns and their handlers."""
    return [
        (rf"{_BASE}$", page),
        (rf"{_BASE}/overview\.json$", overview),
        (rf"{_BASE}/choices\.json$", choices),
        (rf"{_BASE}/window\.json$", window),
    ]


async def page(datasette: Any, request: Any, receive: read_pool.Receive) -> Any:
    """The page. Its script fetches the data."""
    name = (await access.find_database(datasette, request, access.WINDOW)).name
    recording, length_ns = await access.read_recording(
        datasette,
        request,
        receive,
        access.WINDOW,
        lambda connection, recording, progress: (recording, timeline.length_ns(connection, recording)),
        pool=read_pool.RECORDINGS,
    )
    shows_perfetto = perfetto_pages.ui_folder() and await access.is_allowed(
        datasette, request.actor, name, access.OVERVIEW
    )
    context = {
        "database": name,
        "recording": recording,
        "rows_path": datasette.urls.table(name, "processes"),
        "data_path": access.page_path(datasette, request, "timeline"),
        "outcomes": timeline.OUTCOMES,
        "length_ms": length_ns / 1e6,
        "perfetto_path": access.page_path(datasette, request, "perfetto") if shows_perfetto else None,
    }
    return Response.html(await datasette.render_template("webpf_timeline.html", context, request=request))


async def overview(datasette: Any, request: Any, receive: read_pool.Receive) -> Any:
    """The data for the overview of the whole recording."""
    return await _answer(
        datasette,
        request,
        receive,
        access.OVERVIEW,
        lambda connection, recording, progress: timeline.overview(connection, recording),
    )


async def choices(datasette: Any, request: Any, receive: read_pool.Receive) -> Any:
    """The choices of the filters: names and users."""
    return await _answer(
        datasette,
        request,
        receive,
        access.WINDOW,
        lambda connection, recording, progress: timeline.choices(connection, recording),
    )


async def window(datasette: Any, request: Any, receive: read_pool.Receive) -> Any:
    """The data for a time range."""
    view = _parse_view(request.args)
    return await _answer(
        datasette,
        request,
        receive,
        access.WINDOW,
        lambda connection, recording, progress: timeline.window(connection, recording, view, progress),
    )


async def _answer(
    datasette: Any,
    request: Any,
    receive: read_pool.Receive,
    required: access.Permissions,
    read: Callable[[Any, Recording, Progress], Any],
) -> Any:
    def as_text(connection: Any, recording: Recording, progress: Progress) -> str:
        return json.dumps(read(connection, recording, progress))  # up to 1 MB: too slow for the event loop's thread

    text = await access.read_recording(datasette, request, receive, required, as_text)
    return Response(text, content_type="application/json; charset=utf-8")


def _parse_view(args: Any) -> timeline.View:
    """Returns the view that a query string describes. Raises BadRequest for values that aren't valid numbers."""

    def text(name: str, type: str) -> str:
        value = str(args.get(name) or "")
        if not query_header.is_of_type(value, type):
            raise BadRequest(f"{name} must be {type}: {value[:40]!r}")
        return value

    def number(name: str) -> int | None:
        value = text(name, "integer")
        return int(value) if value else None

    def moment(name: str, default: float) -> float:
        value = float(text(name, "number") or default)
        if not abs(value) <= _FARTHEST_MS:
            raise BadRequest(f"{name} is too far from the start of the recording: {value} ms")
        return value

    from_ms, to_ms = moment("from", 0), moment("to", 1000)
    return timeline.View(
        from_ms=from_ms,
        to_ms=max(to_ms, from_ms + 1e-3),
        width=min(max(number("width") or 1000, 1), _MOST_PIXELS),
        comm=args.get("comm") or "",
        uid=number("uid"),
        outcome=number("outcome"),
        search=args.get("search") or "",
        residents=bool(args.get("residents")),
    )
