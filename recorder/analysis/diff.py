"""Reads what two recordings came to, in one file or in two, to be compared."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

from ..model.recording import Recording
from ..output import command_label
from ..storage import reader
from . import process_tree
from .difference import Cost, Recorded

_PROCESSES = f"""
SELECT p.argv, p.comm, p.lifetime_ns, p.cpu_ns, {process_tree.OWN_PEAK}, p.max_rss_kib, p.status
FROM family JOIN processes AS p USING (id)"""


def last_two(db: Path) -> tuple[int, int]:
    """The recording before the latest of a file, and the latest. Raises NotFound if there are not two."""
    with reader.reading(db) as connection:
        latest = reader.find(connection, db)
        earlier = [each.id for each in reader.recordings(connection)[:-1]]
        return reader.find(connection, db, earlier[-1] if earlier else latest.id - 1).id, latest.id


def read(file: Path, recording: int | str | None) -> Recorded:
    """What a recording came to: its command and all that came of it, or all that was started in it."""
    with reader.reading(file) as connection:
        found = reader.find(connection, file, recording)
        number = found.id
        command = process_tree.command_id(connection, found)
        activities = _by_activity(connection, number, command)
        wall = _wall(connection, found, command)
    whole = replace(sum(activities.values(), Cost()), wall=wall)
    name = f"{file}:{number}" + (f" ({found.name})" if found.name else "")
    return Recorded(name, whole, activities, found.caveat)


def _by_activity(connection: sqlite3.Connection, recording: int, command: int | None) -> dict[str, Cost]:
    """What the processes came to, by what they did."""
    costs: dict[str, Cost] = {}
    values = {"recording": recording, "command": command}
    for argv, comm, wall, cpu, own, peak, status in connection.execute(process_tree.FAMILY + _PROCESSES, values):
        name = command_label.of(argv, comm)
        costs[name] = costs.get(name, Cost()) + Cost(wall or 0, cpu or 0, own or 0, 1, int(bool(status)), peak or 0)
    return costs


def _wall(connection: sqlite3.Connection, recording: Recording, command: int | None) -> int:
    """How long the command lived, or the recording took."""
    sql = "SELECT lifetime_ns FROM processes WHERE id = ?"
    lifetime = connection.execute(sql, [command]).fetchone() if command is not None else None
    if lifetime and lifetime[0] is not None:
        return int(lifetime[0])
    return recording.until_ns - recording.started_ns
