"""The processes that had a pid. The kernel reuses pids, so several processes of a recording can have had the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from ..storage.sql_macros import expand
from . import saved_queries


def find_owners(connection: sqlite3.Connection, recording: int, pid: int) -> list[int]:
    """Returns the ids of the processes that had a pid, latest first. Saved queries take the first of the same list."""
    return [id for (id,) in connection.execute(expand("owners_of_pid!(?, ?)"), [recording, pid])]


def describe_owners(pid: int, owners: list[int], option: str) -> str | None:
    """Returns a message if several processes had the pid: which one is shown, and how to choose another. Else None.

    option: the option that takes an id, such as `--id N`.
    """
    if len(owners) < 2:
        return None
    others = ", ".join(map(str, owners[1:4])) + (", ..." if len(owners) > 4 else "")
    latest = f"{len(owners):,} processes had the pid {pid}: this is the latest, id {owners[0]}"
    return f"{latest}; {option} shows another: {others}"


def describe_owners_for(
    result: saved_queries.Result, query: saved_queries.SavedQuery, given: Mapping[str, str]
) -> str | None:
    """Returns the same message for a saved query that got a pid as parameter. Else None."""
    names = {parameter.name for parameter in query.parameters}
    if not {"pid", "id", "recording"} <= names or not given.get("pid") or given.get("id"):
        return None
    pid = int(given["pid"])
    return describe_owners(pid, find_owners(result.connection, result.recordings[0].id, pid), "-p id=N")
