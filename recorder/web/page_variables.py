"""What webpf's templates add to Datasette's own pages: the story, the queries by theme, the form of a scope."""

from __future__ import annotations

from typing import Any

from ..analysis import own_queries, query_header
from ..model.recording import GOING_ON
from ..progress import Progress
from ..storage import reader
from . import access, databases, metadata, read_pool, scope_form, story_page

_RECORDINGS = access.Permissions(("recordings",))


async def for_template(datasette: Any, request: Any, database: str | None, template: str) -> dict[str, Any]:
    """Returns the variables of a page; none for pages of files that aren't recordings."""
    if request is None or not databases.has_recordings(datasette, database):
        return {}
    found = await scope_form.template_variables(datasette, request, database, template)
    found["webpf_folds"] = True
    if template.startswith("database"):
        found["webpf_story"] = await story_page.context(datasette, request, database or "")
        found["webpf_themes"] = await _themes(datasette, request, database or "", found.get("urls", datasette.urls))
        found["webpf_queries"] = [query.name for query in metadata.queries()]
    elif template.startswith("query") and access.shown_table_or_query():
        found["webpf_query"] = access.shown_table_or_query()
        found["webpf_most_rows"] = datasette.setting("max_returned_rows")
        found["webpf_in_progress"] = await _is_in_progress(datasette, request, database or "")
    return found


async def _themes(datasette: Any, request: Any, database: str, urls: Any) -> list[dict[str, Any]]:
    """Returns the saved queries that the actor may see, by theme."""
    allowed = [
        query
        for query in metadata.queries()
        if await access.is_allowed(datasette, request.actor, database, access.Permissions(queries=(query.name,)))
    ]
    return [
        {
            "title": query_header.THEMES[theme],
            "queries": [{"query": query, "path": urls.query(database, query.name)} for query in queries],
        }
        for theme, queries in own_queries.by_theme(allowed).items()
    ]


async def _is_in_progress(datasette: Any, request: Any, database: str) -> bool:
    """Returns whether a recorder writes the file's latest recording, and the actor may know it."""
    if not await access.is_allowed(datasette, request.actor, database, _RECORDINGS):
        return False

    def read(connection: Any, progress: Progress) -> bool:
        latest = reader.recordings(connection)[-1:]
        return bool(latest) and latest[0].status == GOING_ON

    try:
        return await read_pool.RECORDINGS.read(datasette.get_database(database), read, "", request.receive)
    except read_pool.ReadFailed:
        return False
