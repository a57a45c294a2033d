"""The timeline's page. timeline_data.py has the JSON data that it fetches."""

from __future__ import annotations

from typing import Any

from datasette import Response
from datasette.views.base import DatasetteError

from ..analysis import timeline_about
from ..analysis.timeline_view import OUTCOMES
from ..progress import Progress
from ..storage.scoped import Scoped
from . import access, perfetto_pages, read_pool, scope_form, timeline_data
from .scope_address import ScopeAddress

_BASE = rf"^/-/webpf/timeline/{access.RECORDING_PATTERN}"


def routes() -> list[tuple[str, timeline_data.Handler]]:
    """Returns URL patterns and their handlers."""
    return [(rf"{_BASE}$", page), *timeline_data.routes(_BASE)]


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

    def read(connection: Any, found: Scoped, progress: Progress) -> tuple[Scoped, dict[str, Any]]:
        return found, timeline_about.about(connection, found.recording)

    found, about = await access.read_recording(
        datasette, request, receive, access.WINDOW, read, pool=read_pool.RECORDINGS, tables=()
    )
    shows_perfetto = perfetto_pages.ui_folder() and await access.is_allowed(
        datasette, request.actor, name, access.OVERVIEW
    )
    address, number = ScopeAddress.read(request.args), request.url_vars["recording"]
    perfetto_path = f"{access.page_path(datasette, request, 'perfetto')}{address.query_string()}"
    context = about | {
        "recording": found.recording,
        "number": number,
        "story_path": f"{datasette.urls.database(name)}{(address.about(number) if number else address).query_string()}",
        "timelines_path": access.timelines_path(datasette, name),
        "data_path": access.page_path(datasette, request, "timeline"),
        "outcomes": OUTCOMES,
        "perfetto_path": perfetto_path if shows_perfetto else None,
    }
    return context, [found.about] if found.about else []
