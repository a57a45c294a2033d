"""The hooks of the Datasette plugin, for Datasette 0.65 and 1.0. They only affect recording files.

The texts are in metadata.py, the formatting of cells in cell_format.py. Hooks that 1.0 has removed are optional; for
1.0 the hook `startup` does their work.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from datasette import hookimpl
from markupsafe import Markup

from ...analysis import saved_queries
from .. import access, cell_format, databases, metadata, page_files, page_variables, scoped_queries
from ..scope_address import ScopeAddress

_FACET_DEFAULT_MS, _FACET_MS = 50, 5


@hookimpl(optionalhook=True)
def canned_queries(datasette: Any, database: str) -> dict[str, dict[str, Any]]:
    """Datasette 0.65: the saved queries. The user's own configuration of a query, such as permissions, wins."""
    if not databases.has_recordings(datasette, database):
        return {}
    queries = metadata.saved_query_settings()
    for name, own in (datasette.metadata("queries", database=database, fallback=False) or {}).items():
        queries[name] = {**queries.get(name, {}), **(own if isinstance(own, dict) else {"sql": own})}
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
    """Returns the databases that have an older schema, each with its error message."""
    messages = ((name, databases.upgrade_message(database)) for name, database in datasette.databases.items())
    return [(name, message) for name, message in messages if message]


@hookimpl
def startup(datasette: Any) -> Callable[[], Awaitable[None]] | None:
    """Datasette 1.0: registers queries, descriptions and sort orders, once."""
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
    """Turns off Datasette's use of rich, which webpf depends on.

    If rich is installed, Datasette prints every exception, even a 404, with the values of all variables. That would
    write arguments of processes to the log. It also answers 500 if the exception has no traceback.
    """
    from datasette import handle_exception

    handle_exception.rich = None


def _suggest_facets_quickly(datasette: Any) -> None:
    """Shortens the time that Datasette 0.65 spends on suggesting facets.

    0.65 tries each column of a table in three ways, for 50 ms each: 3 s on a million rows. (1.0 only reads the first
    thousand rows.) The setting isn't changed if the user has set it, or if other files are served too.
    """
    known = datasette._settings
    if known.get("facet_suggest_time_limit_ms") == _FACET_DEFAULT_MS and databases.are_all(datasette):
        known["facet_suggest_time_limit_ms"] = _FACET_MS


async def _register_metadata(datasette: Any, database: str) -> None:
    config = metadata.database_metadata()
    for key in ("title", "description"):
        await datasette.set_database_metadata(database, key, config[key])
    for table, described in config["tables"].items():
        await datasette.set_resource_metadata(database, table, "description", described["description"])
        for column, text in described["columns"].items():
            await datasette.set_column_metadata(database, table, column, "description", text)
    configured = datasette.config.setdefault("databases", {}).setdefault(database, {})  # the user's own settings win
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
    for table, settings in metadata.table_settings().items():
        tables[table] = {**settings, **tables.get(table, {})}


@hookimpl
def register_output_renderer(datasette: Any) -> None:
    """Removes unreadable files: Datasette calls this hook before it opens its files, and would exit at such a file."""
    databases.remove_unreadable(datasette)


@hookimpl
def actor_from_request(datasette: Any, request: Any) -> None:
    """Remembers the request, and removes unreadable files: Datasette calls this hook before every page."""
    access.begin_request(request)
    databases.remove_unreadable(datasette)
    for name in databases.names_with_recordings(datasette):
        scoped_queries.attach(datasette.databases[name])


@hookimpl
def register_routes() -> list[Any]:
    """The pages of the timeline and of Perfetto's UI, and the data of the story."""
    from .. import perfetto_pages, story_page, timeline_pages

    return timeline_pages.routes() + perfetto_pages.routes() + story_page.routes()


@hookimpl
def prepare_jinja2_environment(env: Any, datasette: Any) -> None:
    """Gives the page of an error the style sheets and the script: Datasette asks for none there."""
    env.globals["webpf_styles"] = lambda: page_files.styles(datasette, None)
    env.globals["webpf_scripts"] = lambda: page_files.scripts(datasette, None)


@hookimpl
def extra_css_urls(database: str | None, datasette: Any) -> list[str]:
    """Style sheets: colours for light and dark, the story and its charts, the form of a scope."""
    return page_files.styles(datasette, database)


@hookimpl
def extra_js_urls(database: str | None, datasette: Any) -> list[dict[str, Any]]:
    """A script that repairs what Datasette's pages lack for the keyboard and for screen readers."""
    return page_files.scripts(datasette, database)


@hookimpl
def extra_template_vars(
    datasette: Any, request: Any, database: str | None, template: str
) -> Callable[[], Awaitable[dict[str, Any]]]:
    """Adds the story, the queries by theme and the form of a scope, and keeps the scope in links."""

    async def variables() -> dict[str, Any]:
        return await page_variables.for_template(datasette, request, database, template)

    return variables


@hookimpl
def database_actions(
    datasette: Any, actor: Any, database: str, request: Any
) -> Callable[[], Awaitable[list[dict[str, str]]]] | None:
    """Adds the timelines of the ten latest recordings to the menu of a database's page. They keep the scope."""
    if not databases.has_recordings(datasette, database):
        return None

    async def links() -> list[dict[str, str]]:
        if not await access.is_allowed(datasette, actor, database, access.WINDOW):
            return []
        path = access.timelines_path(datasette, database)
        scope = ScopeAddress.read(request.args).query_string(without=("recording",)) if request else ""
        return [
            {"href": f"{path}/{number}{scope}", "label": f"Timeline of recording {number}"}
            for number in await databases.latest_recordings(datasette, database, 10)
        ]

    return links


@hookimpl
def menu_links(datasette: Any, actor: Any) -> Callable[[], Awaitable[list[dict[str, str]]]]:
    """Adds the timeline of each file's latest recording, or chain of recordings, to the menu of every page."""

    async def links() -> list[dict[str, str]]:
        return [
            {"href": f"{access.timelines_path(datasette, name)}{latest}", "label": f"Timeline of {name}"}
            for name in databases.names_with_recordings(datasette)
            if await access.is_allowed(datasette, actor, name, access.WINDOW)
            for latest in [await databases.latest_timeline(datasette, name)]
            if latest is not None
        ]

    return links


@hookimpl
def render_cell(row: Any, value: Any, column: str, table: str | None, database: str, datasette: Any) -> Any:
    """Shows readable times, durations and sizes, and links that the user is allowed to follow."""
    if not databases.has_recordings(datasette, database):
        return None
    is_saved_query = table is None and access.shown_table_or_query() in saved_queries.names()
    row = dict(row)
    link = cell_format.find_link(column, value, table, is_saved_query, row)
    if link is None and cell_format.is_moment(column, value):
        return _moment(datasette, database, value)
    if link is None:
        html = cell_format.mark_failure(column, value, row, cell_format.format_value(column, value))
        return None if html is None else Markup(html)
    return _linked(datasette, database, link)


async def _moment(datasette: Any, database: str, value: int) -> Markup:
    return Markup(cell_format.format_moment(value, await access.time_zone(datasette, database)))


async def _linked(datasette: Any, database: str, link: cell_format.Link) -> Markup | None:
    if not await access.is_link_allowed(datasette, database, link.page):
        return None
    is_timeline = link.page == cell_format.TIMELINE
    base = access.timelines_path(datasette, database) if is_timeline else datasette.urls.table(database, link.page)
    return Markup(link.html(f"{base}{link.rest}"))
