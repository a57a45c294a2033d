"""Finds out before a query which columns the parts of a tree have, and checks the parts."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import part_reader, tree
from .selection import Selection


def find_absent_columns(selection: Selection, tables: Iterable[str]) -> dict[str, set[str]]:
    """Returns, for each of the tables, the columns that none of its parts has, as they were added later.

    Raises DataError for a part that is not complete or not webpf's.
    """
    absent = {}
    with ThreadPoolExecutor() as pool:
        for table in tables:
            paths = [place.part(table) for place in selection.places]
            present: set[str] = set().union(*pool.map(_columns, paths, [table] * len(paths)))
            absent[table] = set(tree.stored_columns(table)) - present
    return absent


def _columns(path: Path, table: str) -> set[str]:
    """Returns the names of a part's columns; none if there is no such part: an older webpf had no such table."""
    if not path.exists():
        return set()
    with part_reader.opened(path, table) as file:
        return set(file.schema_arrow.names)
