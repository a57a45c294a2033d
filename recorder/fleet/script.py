"""Writes the SQL for a fleet as a script, for an engine that somebody else runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..analysis import saved_queries
from . import engines, part_files, selection, tree, views
from .engine_name import EngineName
from .translate import translate

_EXAMPLE = "fleet"
"""The folder in scripts, if none is given."""


def join(statements: list[str]) -> list[str]:
    """Returns the lines of a script with these statements."""
    return [line for statement in statements for line in (*f"{statement};".splitlines(), "")]


def write_all(name: EngineName, root: Path | None) -> list[str]:
    """Returns the lines of a script with an engine's settings, all views and all saved queries, with their defaults.

    root: the folder with the tree; None: a folder `fleet`, whose files have all columns. Raises NotFound or DataError.
    """
    engine = engines.create(name)
    if root is None:
        chosen = selection.Selection(Path(_EXAMPLE), (), (selection.ALL,))
        absent: dict[str, set[str]] = {}
    else:
        chosen = selection.select(root.absolute())
        absent = part_files.find_absent_columns(chosen, tree.TABLES)
    lines = [
        f"-- Made by `webpf fleet sql --engine {name.value}`: the views of webpf's recordings, and its saved queries.",
        "-- Recordings are numbered in the order of their starts, and an id is NUMBER * 2**40 + id in the file. So ids",
        "-- hold until the views are made again. A process that lived through several recordings is one row.",
        "",
        *join([*engine.settings, *views.statements(engine, chosen, absent, "pooled", set(tree.TABLES))]),
    ]
    return lines + list(_queries(name))


def _queries(name: EngineName) -> Iterator[str]:
    for query in map(saved_queries.load, saved_queries.names()):
        if query.fleet == "no":
            continue
        pooled = query.fleet == "pooled"
        yield f"-- {query.name}: {query.title}" + ("" if pooled else ", of the latest recording")
        given = {each.name: each.example for each in query.parameters if each.required}
        sql = query.for_fleet(given, "pooled" if pooled else "one")
        yield from join([*translate(sql, name.value, views.schema()).statements])
