"""Datasette's metadata for a recording file: titles, descriptions, saved queries and sort orders, as plain data.

The texts come from the headers of the saved queries and the comments in the schema, so each is written once.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from ..analysis import own_queries, query_header, saved_queries
from ..output.messages import say
from ..storage import data_dictionary

TITLE = "webpf: what ran on this machine"
DESCRIPTION = (
    "All recorded processes: when each started, how long it lived and how it ended. Start with the query lifetimes or"
    " the table processes."
)

_HIDDEN = ("fact_blocks", "_sqlite_migrations")
_LABELS = {"processes": "comm", "commands": "args", "recordings": "host"}
_NEWEST_FIRST = ("recordings", "processes")


def database_metadata() -> dict[str, Any]:
    """Returns title and description of a database, and the descriptions of its tables and columns."""
    tables: dict[str, dict[str, Any]] = {}
    for table in data_dictionary.all_tables():
        tables[table.name] = {
            "description": table.description,
            "columns": {column.name: column.description for column in table.columns if column.description},
        }
    return {"title": TITLE, "description": DESCRIPTION, "tables": tables}


def table_settings() -> dict[str, Any]:
    """Returns Datasette's settings per table: sort order, label column, and whether the table is hidden.

    There are no default facets, because each one reads all rows (a second per million). Users can add one from a
    column's menu.
    """
    tables: dict[str, dict[str, Any]] = {name: {"hidden": True} for name in _HIDDEN}
    for name, label in _LABELS.items():
        tables.setdefault(name, {})["label_column"] = label
    for name in _NEWEST_FIRST:
        tables.setdefault(name, {})["sort_desc"] = "id"
    return tables


def saved_query_settings() -> dict[str, dict[str, Any]]:
    """Returns the saved queries, also own ones, in Datasette's form: name -> sql, title, description, parameters."""
    return {query.name: _query(query) for query in queries()}


def find_query(name: str) -> saved_queries.SavedQuery | None:
    """Returns the saved query of this name; None if there is none."""
    return next((query for query in queries() if query.name == name), None)


@cache
def queries() -> list[saved_queries.SavedQuery]:
    """Returns the saved queries, also own ones. Says on stderr, once, which own ones can't be used."""
    found, notes = own_queries.load_all()
    for note in notes:
        say(note)
    return found


def _query(query: saved_queries.SavedQuery) -> dict[str, Any]:
    return {
        "sql": query.sql,
        "title": query.title,
        "description": " ".join([query.description, *map(_parameter, query.parameters)]),
        "params": [parameter.name for parameter in query.parameters],
        "hide_sql": True,
    }


def _parameter(parameter: query_header.Parameter) -> str:
    value = parameter.presence if parameter.default is None else f"default {parameter.default}"
    return f"{parameter.name}: {parameter.description}{f' ({value})' if value else ''}."


def full_config(database: str) -> dict[str, Any]:
    """Returns metadata and configuration of one database, for a Datasette without the plugin."""
    config = database_metadata()
    for name, settings in table_settings().items():
        config["tables"].setdefault(name, {}).update(settings)
    return {"databases": {database: {**config, "queries": saved_query_settings()}}}
