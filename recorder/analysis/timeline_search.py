"""Steps through what a search finds in a recording, also in what is too short for a bar."""

from __future__ import annotations

import sqlite3

from ..model.recording import Recording
from ..storage.sql_macros import expand
from . import process_tree
from .timeline_view import MATCHES, Row, View


def step(connection: sqlite3.Connection, recording: Recording, view: View, after: int | None, backwards: bool) -> Row:
    """Returns the next process that the view's filters and search find, in order of start: id, number (from 1), total.

    after: the id of the process from which to go on; without it, the step begins at the left edge of the view, or
    backwards at its right edge. After the last one comes the first. id is None if nothing is found.
    """
    values = view.prepare(connection, recording, process_tree.begin_ns(connection, recording))
    found = expand(f"FROM processes WHERE {view.condition} AND {MATCHES}")
    at = _place(connection, after) or (values["to_ns" if backwards else "from_ns"], -1)
    total = _count(connection, found, values)
    sign, order = ("<", "DESC") if backwards else (">", "ASC")
    beyond = f"{found} AND (start_ns, id) {sign} (:at, :id)"
    for where in (beyond, found):
        sql = f"SELECT start_ns, id {where} ORDER BY start_ns {order}, id {order} LIMIT 1"
        place = connection.execute(sql, {**values, "at": at[0], "id": at[1]}).fetchone()
        if place:
            upto = f"{found} AND (start_ns, id) <= (:at, :id)"
            number = _count(connection, upto, {**values, "at": place[0], "id": place[1]})
            return {"id": place[1], "number": number, "total": total}
    return {"id": None, "number": 0, "total": total}


def _place(connection: sqlite3.Connection, id: int | None) -> tuple[int, int] | None:
    """Returns the place of a process in the order of starts; None if there is none of this id."""
    row = connection.execute("SELECT start_ns, id FROM processes WHERE id = ?", [id]).fetchone()
    return None if row is None else (int(row[0]), int(row[1]))


def _count(connection: sqlite3.Connection, found: str, values: Row) -> int:
    return int(connection.execute(f"SELECT count(*) {found}", values).fetchone()[0])
