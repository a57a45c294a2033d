"""What Datasette is told of a recording file: titles, descriptions, saved queries and orders. Plain data.

All of it comes from the heads of the saved queries and the comments in the schema, so that nothing is said twice.
"""

from __future__ import annotations

from typing import Any

from ..analysis import query_head, saved_queries
from ..storage import data_dictionary

TITLE = "webpf: what ran on this machine"
DESCRIPTION = (
    "Every process that was recorded: when it started, how long it lived, how it ended. Start with the query lifetimes,"
    " or the table processes."
)

_HIDDEN = ("fact_blocks", "_sqlite_migrations")
_LABELS = {"processes": "comm", "recordings": "host"}
_NEWEST_FIRST = ("recordings", "processes")


def database_metadata() -> dict[str, Any]:
    """Of one database: title, description, and of each table its description and those of its columns."""
    tables: dict[str, dict[str, Any]] = {}
    for table in data_dictionary.all_tables():
        tables[table.name] = {
            "description": table.description,
            "columns": {column.name: column.description for column in table.columns if column.description},
        }
    return {"title": TITLE, "description": DESCRIPTION, "tables": tables}


def table_settings() -> dict[str, Any]:
    """Of one database: per table, what it is sorted by, what labels its rows, and whether it is hidden.

    No facets: each goes through all rows, and so takes a second on a million; the menu of a column adds one.
    """
    tables: dict[str, dict[str, Any]] = {name: {"hidden": True} for name in _HIDDEN}
    for name, label in _LABELS.items():
        tables.setdefault(name, {})["label_column"] = label
    for name in _NEWEST_FIRST:
        tables.setdefault(name, {})["sort_desc"] = "id"
    return tables


def saved_query_settings() -> dict[str, dict[str, Any]]:
    """The saved queries: name -> sql, title, description, names of the parameters."""
    return {name: _query(saved_queries.load(name)) for name in saved_queries.names()}


def _query(query: saved_queries.SavedQuery) -> dict[str, Any]:
    return {
        "sql": query.sql,
        "title": query.title,
        "description": " ".join([query.description, *map(_parameter, query.parameters)]),
        "params": [parameter.name for parameter in query.parameters],
        "hide_sql": True,
    }


def _parameter(parameter: query_head.Parameter) -> str:
    value = parameter.presence if parameter.default is None else f"default {parameter.default}"
    return f"{parameter.name}: {parameter.description}{f' ({value})' if value else ''}."


def full_config(database: str) -> dict[str, Any]:
    """All that a Datasette without the plugin needs to know of one database, for its metadata and configuration."""
    config = database_metadata()
    for name, settings in table_settings().items():
        config["tables"].setdefault(name, {}).update(settings)
    return {"databases": {database: {**config, "queries": saved_query_settings()}}}
