"""What pages show of a scope: the form for it, what the rows are about, and links that keep the scope."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ..analysis.scope_values import ScopeField
from ..errors import WebpfError
from ..model.scope import Scope
from ..progress import Progress
from ..storage import scope_base
from . import access, databases, metadata, read_pool, scoped_queries
from .scope_address import FIELDS, ScopeAddress, parameter

_MAIN = ("since", "until", "user", "comm", "unit", "failed")
# Of an address, besides the scope's own: pages of rows, and what a timeline shows.
_NOT_KEPT = ("_shape", "_size", "_next", "page", "from", "to", "sum_from", "sum_to", "process", "tree")
_PLACEHOLDERS = {"since": "03:00, -2h", "until": "04:00"}
_LABELS = {"all": "all of a chain", "contains": "command contains"}


class ScopedUrls:
    """Datasette's `urls` for templates, whose addresses of saved queries keep a scope."""

    def __init__(self, urls: Any, database: str, suffix: str) -> None:
        self._urls = urls
        self._database = database
        self._suffix = suffix

    def __getattr__(self, name: str) -> Any:
        return getattr(self._urls, name)

    def query(self, database: str, query: str, format: str | None = None) -> Any:
        """Returns the address of a query."""
        address = self._urls.query(database, query, format)
        found = metadata.find_query(query) if database == self._database else None
        return f"{address}{self._suffix}" if found is not None and found.takes_scope else address


async def template_variables(datasette: Any, request: Any, database_name: str | None, template: str) -> dict[str, Any]:
    """Returns what templates of Datasette's own pages need."""
    database = datasette.databases.get(database_name)
    is_ours = database is not None and template.startswith(("database", "query")) and databases.is_recording(database)
    if request is None or not is_ours or not await may_scope(datasette, request, database.name):
        return {}
    address = ScopeAddress.read(request.args)
    found: dict[str, Any] = {}
    if address.values:
        found["urls"] = ScopedUrls(datasette.urls, database.name, address.query_string())
    query = scoped_queries.shown_query(database)
    if query is not None and query.takes_scope:
        action = datasette.urls.query(database.name, query.name)
        found["webpf_scope"] = await form(datasette, request, database.name, action, access.scope_lines())
        if address.values:
            found["show_hide_hidden"] = _hidden_inputs(request, address)
    elif template.startswith("database"):
        lines, error = await _describe(database, request, address)
        action = datasette.urls.database(database.name)
        found["webpf_scope"] = await form(datasette, request, database.name, action, lines, error, has_links=False)
    return found


async def may_scope(datasette: Any, request: Any, database: str) -> bool:
    """Returns whether the actor of a request may use scopes."""
    return await access.is_allowed(datasette, request.actor, database, access.SCOPE)


async def form(
    datasette: Any,
    request: Any,
    database: str,
    action: str,
    lines: Sequence[str],
    error: str | None = None,
    has_links: bool = True,
) -> dict[str, Any]:
    """Returns what _webpf_scope.html shows. action: the path of the page. lines: what its rows are about.

    has_links: whether it links to the timeline and the saved queries in the scope, if one is set.
    """
    given = ScopeAddress.read(request.args).values
    is_set = bool(given)
    address = ScopeAddress.of_page(request)
    own = {parameter(field) for field in FIELDS}
    others = [(name, value) for name in request.args for value in request.args.getlist(name) if name not in own]
    fields = [_input(field, address) for field in FIELDS]
    return {
        "action": action,
        "hidden": [(name, value) for name, value in others if value and name not in _NOT_KEPT],
        "fields": [each for each in fields if each["is_main"]],
        "more": [each for each in fields if not each["is_main"]],
        "shows_more": any(name not in _MAIN for name in given),
        "is_set": is_set,
        "lines": lines,
        "error": error,
        "links": await _links(datasette, request, database, address) if has_links and is_set and error is None else [],
    }


def _input(field: ScopeField, address: ScopeAddress) -> dict[str, Any]:
    values = address.values.get(field.name, ())
    return {
        "name": parameter(field),
        "label": _LABELS.get(field.name, field.name.replace("_", " ")),
        "help": field.help,
        "placeholder": _PLACEHOLDERS.get(field.name, field.metavar),
        "values": values or ("",),
        "is_switch": field.metavar is None,
        "is_on": bool(values),
        "is_main": field.name in _MAIN,
    }


async def _links(datasette: Any, request: Any, database: str, address: ScopeAddress) -> list[dict[str, str]]:
    """Returns links to the timeline and to the saved queries in the scope, as far as the actor may see them."""
    found = []
    if await access.is_allowed(datasette, request.actor, database, access.WINDOW):
        path = access.timelines_path(datasette, database)
        found.append({"href": f"{path}{address.query_string()}", "label": "timeline of processes"})
    urls = ScopedUrls(datasette.urls, database, address.query_string())
    for query in metadata.queries():
        needed = access.Permissions(queries=(query.name,))
        if query.takes_scope and await access.is_allowed(datasette, request.actor, database, needed):
            found.append({"href": urls.query(database, query.name), "label": query.name})
    return found


def _hidden_inputs(request: Any, address: ScopeAddress) -> Markup:
    """Returns inputs for Datasette's form of a query, so that it keeps the scope; and the one that Datasette has."""
    shown = [("_show_sql", "1")] if request.args.get("_show_sql") else []
    html = Markup('<input type="hidden" name="{}" value="{}">')
    return Markup().join(html.format(*pair) for pair in (*shown, *address.pairs()))


async def _describe(database: Any, request: Any, address: ScopeAddress) -> tuple[list[str], str | None]:
    """Returns what queries of a database are about, and the error if the scope can't be understood or has nothing."""
    try:
        scope = address.parse()

        def read(connection: Any, progress: Progress) -> scope_base.Base | None:
            return scope_base.find(connection, Path(database.name), address.recording, scope)

        found = await read_pool.RECORDINGS.read(database, read, "", request.receive)
    except (WebpfError, read_pool.ReadFailed) as error:
        return [], error.message
    return ([] if found is None else [_about(found, scope)]), None


def _about(base: scope_base.Base, scope: Scope) -> str:
    filters = f", with {' '.join(scope.filters)}" if scope.filters else ""
    return f"Saved queries are about {base.description}{filters}"
