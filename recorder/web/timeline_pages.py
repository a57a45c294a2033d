"""The timeline's page, and the JSON data that it fetches."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from datasette import Response
from datasette.utils.asgi import BadRequest
from datasette.views.base import DatasetteError

from ..analysis import query_header, timeline
from ..progress import Progress
from ..storage.scoped import Scoped
from . import access, perfetto_pages, read_pool, scope_form
from .scope_address import ScopeAddress

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
    """The page. Its script fetches the data. Without data, it has the form of the scope, and says why."""
    name = (await access.find_database(datasette, request, access.WINDOW)).name
    takes_scope = await scope_form.may_scope(datasette, request, name)
    context: dict[str, Any] = {}
    lines, status, error = list[str](), 200, None
    try:
        context, lines = await _context(datasette, request, receive, name)
    except DatasetteError as failure:
        if not takes_scope:
            raise
        status, error = failure.status, str(failure.message)
    context |= {"database": name}
    if takes_scope:
        path = access.timelines_path(datasette, name)
        context["webpf_scope"] = await scope_form.form(datasette, request, name, path, lines, error)
    html = await datasette.render_template("webpf_timeline.html", context, request=request)
    return Response.html(html, status=status)


async def _context(
    datasette: Any, request: Any, receive: read_pool.Receive, name: str
) -> tuple[dict[str, Any], list[str]]:
    """Returns what the page of a recording shows, and what it is about. Raises what access.read_recording() does."""

    def read(connection: Any, found: Scoped, progress: Progress) -> tuple[Scoped, int]:
        return found, timeline.length_ns(connection, found.recording)

    found, length_ns = await access.read_recording(
        datasette, request, receive, access.WINDOW, read, pool=read_pool.RECORDINGS, tables=()
    )
    shows_perfetto = perfetto_pages.ui_folder() and await access.is_allowed(
        datasette, request.actor, name, access.OVERVIEW
    )
    scope = ScopeAddress.read(request.args).query_string()
    context = {
        "recording": found.recording,
        "rows_path": datasette.urls.table(name, "processes"),
        "data_path": access.page_path(datasette, request, "timeline"),
        "outcomes": timeline.OUTCOMES,
        "length_ms": length_ns / 1e6,
        "perfetto_path": access.page_path(datasette, request, "perfetto") + scope if shows_perfetto else None,
    }
    return context, [found.about] if found.about else []


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


async def _answer(
    datasette: Any,
    request: Any,
    receive: read_pool.Receive,
    required: access.Permissions,
    read: Callable[[Any, Scoped, Progress], Any],
) -> Any:
    def as_text(connection: Any, found: Scoped, progress: Progress) -> str:
        return json.dumps(read(connection, found, progress))  # up to 1 MB: too slow for the event loop's thread

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
