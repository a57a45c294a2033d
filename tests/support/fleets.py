"""Fleets for tests: recordings of several machines as a tree of Parquet files, and merged into one SQLite file.

compare() runs a saved query over both, and returns what differs.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

from cut_chains import cut
from scopes import CUTS, between
from story import BUILD, COSTLY, make_costly_recording
from support import A_MIXED_LOT, at, make_recording, usage

from tools.bench import million
from webpf.analysis import saved_queries
from webpf.errors import NotFound
from webpf.fleet import fleet_query, tree_export
from webpf.fleet.engine import Engine
from webpf.fleet.engine_name import EngineName
from webpf.model.events import escape_bytes
from webpf.model.scope import EVERYTHING, Scope
from webpf.storage import data_dictionary, ddl, merge, reader, scope_tables, scoped

CASES: dict[str, list[dict[str, str]]] = {
    "ancestors": [{"pid": "102"}, {"id": "5"}],
    "busiest": [{}, {"limit": "1000"}],
    "concurrency": [{}, {"steps": "33"}],
    "environment": [{}, {"variable": "A"}, {"pid": "102"}],
    "execs": [{"pid": "104"}, {"id": "5"}],
    "io": [{}, {"limit": "3"}],
    "lifetimes": [{}, {"kernel": "1"}],
    "long_lived": [{}, {"min_ms": "10"}],
    "memory": [{}, {"limit": "500"}],
    "rate": [{}, {"step_ms": "7.5"}],
    "running": [{}, {"kernel": "1"}],
    "short_lived": [{}, {"max_ms": "2.5"}],
    "spawners": [{}, {"limit": "7"}],
    "survival": [{}, {"comm": "sh"}],
    "tree": [{}, {"pid": "101"}, {"depth": "1"}, {"depth": "0"}],
    "waiting": [{}, {"limit": "3"}],
    "zombies": [{}, {"min_ms": "20"}],
}
"""Parameters with which a query runs; without an entry, only with its defaults."""

SCOPED = [name for name in saved_queries.names() if saved_queries.load(name).fleet != "no" and name != "compare"]
"""The queries that take a scope of a fleet."""

SCOPES = {
    "a stretch": between(42, 80),
    "until": between(None, 75),
    "since": between(78, None),
    "a user": Scope(uids=(33,)),
    "a command": Scope(comms=("g*", "sh")),
    "failed": between(20, 300, failed=True),
    "a unit": Scope(units=("ssh", "docker-*.scope")),
    "a container": Scope(containers=("d0d0",)),
    "a cgroup": Scope(cgroups=("/system.slice",)),
    "args": between(0, 500, args=("-c (a|b)\\.c", "^python")),
    "lifetime": between(30, 110, min_lifetime_ns=20_000_000),
    "codes": Scope(exit_codes=(1, 2), signals=(11,)),
}
"""Scopes of the fleet of make_parts()."""


@dataclass
class Fleet:
    """A fleet. merged: the same recordings in one file. names: host and START by their number there."""

    root: Path
    merged: Path
    names: list[tuple[str, str]] = field(default_factory=list)


def start_of(started_ns: int) -> str:
    """Returns the name of a recording in a tree."""
    return f"{datetime.fromtimestamp(started_ns // 1000 / 1e6, timezone.utc):%Y%m%dT%H%M%S.%fZ}"


def write_tree(root: Path, db: Path) -> None:
    """Writes the recordings of a file into a tree."""
    assert tree_export.export(db, root).written


def set_machine(db: Path, host: str, machine: str, boot: str, **more: int | str) -> None:
    """Says of which machine the recordings of a file are. more: other columns of `recordings`."""
    columns = {"host": host, "machine_id": machine, "boot_id": boot, **more}
    with closing(sqlite3.connect(db)) as connection:
        names = ", ".join(f"{name} = ?" for name in columns)
        connection.execute(f"UPDATE recordings SET {names}", list(columns.values()))
        connection.commit()


ODD = b"/\xff\xfe dir"


def make_odd_recording(db: Path) -> None:
    """Makes a recording with rows in all tables, and with a path that is not UTF-8."""
    make_recording(db, [*A_MIXED_LOT, usage(1, -5000, 990)])
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("INSERT INTO cgroup_paths (recording_id, cgroup_id, path) VALUES (1, 2, ?)", [ODD])
        connection.execute("INSERT INTO working_directories VALUES (1, 5, 6, '/home'), (1, 5, 7, ?)", [ODD])
        connection.execute("INSERT INTO incidents VALUES (1, 10, 20, 'full', 'no room', 3)")
        connection.execute("UPDATE programs SET interpreter = ?, cwd_device = 5, cwd_inode = 7", [ODD])


def make_fleet(folder: Path, files: Sequence[Path]) -> Fleet:
    """Makes a fleet of files with one recording each, in the order of their starts."""
    fleet = Fleet(folder / "fleet", folder / "merged.db")
    for file in files:
        write_tree(fleet.root, file)
    merge.merge(files, fleet.merged)
    with closing(sqlite3.connect(fleet.merged)) as connection:
        rows = connection.execute("SELECT host, started_ns FROM recordings ORDER BY id").fetchall()
    fleet.names = [(host, start_of(started_ns)) for host, started_ns in rows]
    assert fleet.names == sorted(fleet.names, key=lambda name: name[1])
    return fleet


def make_several_machines(folder: Path) -> Fleet:
    """Makes a fleet of five machines, one of which has two recordings; one recording is empty."""
    made = [folder / f"{number}.db" for number in range(5)]
    for db, events in zip(made, (BUILD, None, A_MIXED_LOT, [*BUILD, *COSTLY[1:]], []), strict=True):
        if events is None:
            make_costly_recording(db)
        else:
            make_recording(db, events)
    made.append(folder / "many.db")
    million.build(made[-1], 1000)
    for number, (db, host) in enumerate(zip(made, ("web1", "web 2", "db/é", "web1", "empty", "many"), strict=True)):
        with closing(sqlite3.connect(db)) as connection:
            [started_ns] = connection.execute("SELECT started_ns FROM recordings").fetchone()
        set_machine(db, host, f"machine of {host}", f"boot {number}", started_ns=started_ns + 1000 * number)
    return make_fleet(folder, made)


def make_parts(folder: Path) -> Fleet:
    """Makes a fleet of the story of a build in three recordings, one after the other, and of another machine meanwhile.

    A process that goes on is one in each of them: they say that the machine had booted.
    """
    times = [0, *CUTS, 1000]
    made = [folder / f"{number}.db" for number in range(4)]
    for number, events in enumerate(cut(BUILD, CUTS)):
        make_recording(made[number], events)
        begin, end = at(times[number]), at(times[number + 1])
        set_machine(made[number], "web1", "machine", f"boot {number}", started_ns=begin, ended_ns=end, updated_ns=end)
    make_costly_recording(made[3])
    set_machine(made[3], "web 2", "another", "boot", started_ns=at(0) + 1000)
    return make_fleet(folder, [made[0], made[3], made[1], made[2]])


def compare(
    fleet: Fleet,
    name: str,
    engine: Engine,
    given: Mapping[str, str],
    per_recording: bool = False,
    scope: Scope = EVERYTHING,
) -> int:
    """Fails unless a saved query gives the same rows in the engine as in SQLite: values, types and order.

    Returns how many rows these are.
    """
    query = saved_queries.load(name)
    per_recording = per_recording or query.fleet != "pooled"
    wanted = fleet_query.FleetQuery(
        query, fleet.root, given, EngineName(engine.name), per_recording=per_recording, scope=scope
    )
    with fleet_query.run(wanted, engine) as result:
        found = [dict(zip(result.columns, row, strict=True)) for row in result.rows]
    expected = _expected_rows(fleet, query, given, wanted.is_pooled, scope)
    case = f"{name} {given} in {engine.name}, {scope}"
    for number, (got, want) in enumerate(zip(found, expected, strict=False)):
        assert _exact(got) == _exact(want), f"{case}, row {number}"
    assert len(found) == len(expected), case
    return len(found)


def _exact(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    return sorted((name, repr(value)) for name, value in row.items())


def _expected_rows(
    fleet: Fleet, query: saved_queries.SavedQuery, given: Mapping[str, str], is_pooled: bool, scope: Scope
) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(fleet.merged)) as connection:
        offsets = _first_ids(connection)
    if is_pooled:
        rows = _named(_pooled(fleet.merged, scope).execute(query.for_fleet(given, "pooled")))
        return [_over_fleet(fleet, row, offsets, None) for row in rows]
    found = []
    for number in offsets:
        values = dict.fromkeys((each.name for each in query.parameters), "") | {**given, "recording": str(number)}
        if "id" in given:
            values["id"] = str(int(given["id"]) + offsets[number])
        if query.name == "compare":
            earlier = [at for at in range(1, number) if fleet.names[at - 1][0] == fleet.names[number - 1][0]]
            values["against"] = str(earlier[-1]) if earlier else "999"
        with reader.reading(fleet.merged) as connection, contextlib.suppress(NotFound):
            scoped.find(connection, fleet.merged, number, scope)
            found += [_over_fleet(fleet, row, offsets, number) for row in _named(connection.execute(query.sql, values))]
    return found


@lru_cache(len(SCOPES) + 1)
def _pooled(merged: Path, scope: Scope) -> sqlite3.Connection:
    """Returns a connection to a merged file; with a scope, to a copy with the scope of each recording."""
    pooled = sqlite3.connect(merged if scope.is_everything else ":memory:")
    if not scope.is_everything:
        _copy_scopes(merged, scope, pooled)
    pooled.execute(
        "CREATE TEMP TABLE processes AS SELECT p.*, r.started_ns AS known_from_ns"
        " FROM main.processes AS p JOIN recordings AS r ON r.id = p.recording_id"
    )
    return pooled


def _copy_scopes(merged: Path, scope: Scope, pooled: sqlite3.Connection) -> None:
    for statement in ddl.TABLES:
        pooled.execute(statement)
    with reader.reading(merged) as connection:
        numbers = [each.id for each in reader.recordings(connection)]
    for number in sorted(numbers):
        with reader.reading(merged) as connection, contextlib.suppress(NotFound):
            scoped.find(connection, merged, number, scope)
            for table in scope_tables.TABLES:
                columns = [column.name for column in data_dictionary.stored_columns(table)]
                rows = connection.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()
                pooled.executemany(
                    f"INSERT INTO {table} ({', '.join(columns)}) VALUES (?{', ?' * (len(columns) - 1)})", rows
                )


def _first_ids(connection: sqlite3.Connection) -> dict[int, int]:
    """Returns what merge added to the ids of each recording. One without events comes behind all ids."""
    sql = (
        "SELECT r.id, (SELECT min(first_id) FROM fact_blocks WHERE recording_id = r.id) FROM recordings AS r ORDER BY 1"
    )
    return {number: (first or 1 << 40) - 1 for number, first in connection.execute(sql)}


def _named(cursor: sqlite3.Cursor) -> list[dict[str, Any]]:
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _over_fleet(fleet: Fleet, row: dict[str, Any], offsets: Mapping[int, int], number: int | None) -> dict[str, Any]:
    """Returns a row as a fleet has it: with host and recording, with the file's own ids, and without other bytes."""
    columns = [name for name in fleet_query.PROCESS_IDS if name in row]
    if number is None and columns:
        number = max(each for each, offset in offsets.items() if offset < row[columns[0]])
    for name in columns:
        row[name] -= offsets[number or 0]
    paths = ("filename", "value", "cgroup")
    exact = {name: escape_bytes(value) if name in paths else value for name, value in row.items()}
    if number is None:
        return exact
    host, start = fleet.names[number - 1]
    return {"host": host, "recording": start, **exact}
