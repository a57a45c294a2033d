"""The Datasette plugin: what it adds for recording files, in Datasette 0.65 and 1.0. Other databases are left alone.

Hooks only: what is said is in metadata.py, how cells look in cells.py. The hooks that 1.0 has no more are optional
there, and what it has instead is done at its start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from datasette import hookimpl
from markupsafe import Markup

from ...analysis import saved_queries
from .. import access, cells, databases, metadata

_FACET_DEFAULT_MS, _FACET_MS = 50, 5


@hookimpl(optionalhook=True)
def canned_queries(datasette: Any, database: str) -> dict[str, dict[str, Any]]:
    """Datasette 0.65: the saved queries. What the user configured of one, as who may see it, wins."""
    if not databases.has_recordings(datasette, database):
        return {}
    queries = metadata.saved_query_settings()
    for name, given in (datasette.metadata("queries", database=database, fallback=False) or {}).items():
        queries[name] = {**queries.get(name, {}), **(given if isinstance(given, dict) else {"sql": given})}
    return queries


@hookimpl(optionalhook=True)
def get_metadata(datasette: Any) -> dict[str, Any]:
    """Datasette 0.65: titles, descriptions and sort orders."""
    described = {}
    for name in databases.names_with_recordings(datasette):
        config = metadata.database_metadata()
        for table, settings in metadata.table_settings().items():
            config["tables"].setdefault(table, {}).update(settings)
        described[name] = config
    described |= {name: {"description": message} for name, message in _upgrade_messages(datasette)}
    return {"databases": described}


def _upgrade_messages(datasette: Any) -> list[tuple[str, str]]:
    """Files of older schemas, each with what is said of it."""
    messages = ((name, databases.upgrade_message(database)) for name, database in datasette.databases.items())
    return [(name, message) for name, message in messages if message]


@hookimpl
def startup(datasette: Any) -> Callable[[], Awaitable[None]] | None:
    """Datasette 1.0: the same, told once."""
    _keep_values_out_of_the_log()
    if not hasattr(datasette, "add_query"):
        _suggest_facets_quickly(datasette)
        return None

    async def register() -> None:
        for name in databases.names_with_recordings(datasette):
            await _register_metadata(datasette, name)
        for name, message in _upgrade_messages(datasette):
            await datasette.set_database_metadata(name, "description", message)

    return register


def _keep_values_out_of_the_log() -> None:
    """Datasette prints every exception, also a 404, with rich, which webpf brings: with the values of all variables.

    So it would write people's arguments to the log; and it fails itself (a 500) where there is no traceback to print.
    """
    from datasette import handle_exception

    handle_exception.rich = None


def _suggest_facets_quickly(datasette: Any) -> None:
    """Datasette 0.65 tries each column of a table as a facet in three ways, for 50 ms each: 3 s on a million rows.

    1.0 looks at the first thousand. Where other files are served too, or the user has set it, it is left as it is.
    """
    known = datasette._settings
    if known.get("facet_suggest_time_limit_ms") == _FACET_DEFAULT_MS and databases.names_with_recordings(datasette) == [
        name for name, database in datasette.databases.items() if database.path
    ]:
        known["facet_suggest_time_limit_ms"] = _FACET_MS


async def _register_metadata(datasette: Any, database: str) -> None:
    about = metadata.database_metadata()
    for key in ("title", "description"):
        await datasette.set_database_metadata(database, key, about[key])
    for table, said in about["tables"].items():
        await datasette.set_resource_metadata(database, table, "description", said["description"])
        for column, text in said["columns"].items():
            await datasette.set_column_metadata(database, table, column, "description", text)
    configured = datasette.config.setdefault("databases", {}).setdefault(database, {})  # what the user configured wins
    for name, query in metadata.saved_query_settings().items():
        if name in configured.get("queries", {}):
            continue
        await datasette.add_query(
            database,
            name,
            query["sql"],
            title=query["title"],
            description=query["description"],
            parameters=query["params"],
            hide_sql=True,
            is_trusted=True,
            source="webpf",
        )
    tables = configured.setdefault("tables", {})
    for table, wanted in metadata.table_settings().items():
        tables[table] = {**wanted, **tables.get(table, {})}


@hookimpl
def register_output_renderer(datasette: Any) -> None:
    """Renders nothing, but is called before Datasette opens its files, and ends at one that can't be read."""
    databases.remove_unreadable(datasette)


@hookimpl
def actor_from_request(datasette: Any, request: Any) -> None:
    """Knows no actor, but is called before every page."""
    access.begin_request(request)
    databases.remove_unreadable(datasette)


@hookimpl
def register_routes() -> list[Any]:
    """The timeline, and Perfetto's UI."""
    from .. import perfetto_pages, timeline_pages

    return timeline_pages.routes() + perfetto_pages.routes()


@hookimpl
def extra_css_urls(database: str | None, datasette: Any) -> list[str]:
    """Keeps the descriptions of columns small, so that the rows can be seen."""
    if not databases.has_recordings(datasette, database):
        return []
    return ["/-/static-plugins/webpf/tables.css"]  # Datasette puts its base_url before it


@hookimpl
def database_actions(datasette: Any, actor: Any, database: str) -> Callable[[], Awaitable[list[dict[str, str]]]] | None:
    """The timelines of a file's recordings, latest first, in the menu of its page."""
    if not databases.has_recordings(datasette, database):
        return None

    async def links() -> list[dict[str, str]]:
        if not await access.is_allowed(datasette, actor, database, access.WINDOW):
            return []
        return [
            {"href": f"{timelines_path(datasette, database)}/{number}", "label": f"Timeline of recording {number}"}
            for number in await databases.latest_recordings(datasette, database, 10)
        ]

    return links


@hookimpl
def menu_links(datasette: Any, actor: Any) -> Callable[[], Awaitable[list[dict[str, str]]]]:
    """The timeline of each file's latest recording, in the menu of every page."""

    async def links() -> list[dict[str, str]]:
        return [
            {"href": f"{timelines_path(datasette, name)}/{number}", "label": f"Timeline of {name}"}
            for name in databases.names_with_recordings(datasette)
            if await access.is_allowed(datasette, actor, name, access.WINDOW)
            for number in await databases.latest_recordings(datasette, name, 1)
        ]

    return links


def timelines_path(datasette: Any, database: str) -> str:
    """Where the timelines of a file's recordings are; a / and the number follow."""
    route = datasette.urls.database(database).rpartition("/")[2]
    return str(datasette.urls.path(f"/-/webpf/timeline/{route}"))


@hookimpl
def render_cell(row: Any, value: Any, column: str, table: str | None, database: str, datasette: Any) -> Any:
    """Times, durations and sizes that can be read; links to rows, for those who may see them."""
    if not databases.has_recordings(datasette, database):
        return None
    is_saved_query = table is None and access.shown_table_or_query() in saved_queries.names()
    link = cells.find_link(column, value, table, is_saved_query, dict(row))
    if link is None:
        shown = cells.format_value(column, value)
        return None if shown is None else Markup(shown)
    return _linked(datasette, database, link)


async def _linked(datasette: Any, database: str, link: cells.Link) -> Markup | None:
    if not await access.is_link_allowed(datasette, database, link.page):
        return None
    is_timeline = link.page == cells.TIMELINE
    base = timelines_path(datasette, database) if is_timeline else datasette.urls.table(database, link.page)
    return Markup(link.html(f"{base}{link.rest}"))
