"""The views through which the saved queries read a tree. They do what `webpf merge` does.

Recordings are numbered in the order of their starts, and an id becomes NUMBER * 2**40 + id. So all ids differ, and no
query needs other joins. Such numbers hold within one query only: they change when a recording is added. If the
recordings are one base, a process that lived through several is one row: that of the latest (see `continued`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from ..storage.macro import Base
from ..storage.merge import EVENT_IDS
from . import tree
from .engine import Engine
from .selection import Selection
from .translate import translate

ID_BITS = 40
_SHIFT = 1 << ID_BITS

_CONTINUED = """
WITH candidate AS (
    -- The state and the start tell which rows may have a copy, so that few rows are compared.
    SELECT
        r.boot_id,
        r.machine_id,
        p.pid,
        -- Some starts are known to 10 ms only.
        (p.start_ns - r.clock_offset_ns) / 10000000 AS tick,
        p.recording_id,
        p.id,
        p.start_ns,
        r.started_ns,
        CASE WHEN p.state = 'running' THEN 1 ELSE 0 END AS goes_on,
        CASE WHEN p.start_ns < r.started_ns THEN 1 ELSE 0 END AS is_older
    FROM all_processes AS p
    JOIN recordings AS r ON r.id = p.recording_id
    WHERE r.boot_id IS NOT NULL
        AND r.clock_offset_ns IS NOT NULL
        AND (p.state = 'running' OR p.start_ns < r.started_ns)
),
ordered AS (
    -- Of one recording: a process that ends in it, then another that has its pid within the same 10 ms.
    SELECT
        boot_id,
        machine_id,
        pid,
        tick,
        recording_id,
        id,
        started_ns,
        is_older,
        row_number() OVER same AS position,
        lag(goes_on) OVER same AS goes_on_before,
        lag(recording_id) OVER same AS recording_before
    FROM candidate
    WINDOW same AS (PARTITION BY boot_id, machine_id, pid, tick ORDER BY recording_id, goes_on, start_ns, id)
),
numbered AS (
    SELECT
        boot_id,
        machine_id,
        pid,
        tick,
        id,
        started_ns,
        sum(CASE WHEN is_older = 1 AND goes_on_before = 1 AND recording_before < recording_id THEN 0 ELSE 1 END)
            OVER (PARTITION BY boot_id, machine_id, pid, tick ORDER BY position) AS life
    FROM ordered
),
lives AS (
    SELECT
        id,
        max(id) OVER life AS kept_id,
        min(started_ns) OVER life AS known_from_ns,
        count(*) OVER life AS copies
    FROM numbered
    WINDOW life AS (PARTITION BY boot_id, machine_id, pid, tick, life)
)
SELECT id, kept_id, known_from_ns FROM lives WHERE copies > 1
"""
"""All rows of processes that have a copy in another recording, and which copy is kept: the latest.

A row is a copy of one in an earlier recording if that was running at its end, and this started before its recording.
"""


def schema() -> dict[str, dict[str, str]]:
    """Returns the columns of the views with their types, for translate()."""
    names = {"INTEGER": "BIGINT", "TEXT": "TEXT", "BLOB": "BLOB"}
    tables = {
        table: {"recording_id": "BIGINT"} | {name: names[type] for name, type in tree.stored_columns(table).items()}
        for table in tree.TABLES
    }
    del tables["recordings"]["recording_id"]
    tables["processes"]["known_from_ns"] = "BIGINT"
    return tables | {"all_processes": tables["processes"]}


def with_needed(tables: set[str]) -> set[str]:
    """Returns these tables of a tree, and those that their views read. Other names are left out."""
    return {table for table in tree.TABLES if table in tables} | {"recordings", "processes"}


def statements(
    engine: Engine,
    selection: Selection,
    absent: Mapping[str, set[str]],
    base: Base,
    tables: set[str],
    until_ns: int | None = None,
) -> Iterator[str]:
    """Yields statements that create the views of these tables, after the engine's settings.

    absent: columns that no file has, by table. base: pooled, or one. until_ns: without processes that started later.
    """
    needed = with_needed(tables) if base == "pooled" else tables
    for table in ("recordings", *(each for each in tree.TABLES if each != "recordings" and each in needed)):
        columns = tree.stored_columns(table)
        where = table, str(selection.root), selection.folders, columns
        yield from engine.prepare(*where)
        scan = engine.scan(*where, absent.get(table, set()))
        if table == "recordings":
            yield from _create_recordings(engine, scan)
        elif table == "processes":
            scan += "" if until_ns is None else f"\nWHERE start_ns <= {until_ns}"
            yield from _create_processes(engine, scan, base)
        else:
            yield from engine.create(table, _numbered(engine, table, scan, base))


def _create_recordings(engine: Engine, scan: str) -> Iterator[str]:
    columns = ", ".join(f"t.{name}" for name in tree.stored_columns("recordings") if name != "id")
    order = "t.started_ns, coalesce(t.machine_id, ''), t.part"
    number = f"CAST(row_number() OVER (ORDER BY {order}) AS {engine.types['INTEGER']})"
    select = f"SELECT {number} AS id, {columns}, t.part\nFROM (\n{scan}\n) AS t"
    yield from engine.create("recordings", select, is_stored=True)


def _create_processes(engine: Engine, scan: str, base: Base) -> Iterator[str]:
    """Creates `processes`; if the recordings are one base, from `all_processes`, without copies."""
    every = _numbered(engine, "processes", scan, "one", f", {engine.started} AS known_from_ns")
    if base != "pooled":
        yield from engine.create("processes", every)
        return
    yield from engine.create("all_processes", every)
    yield from engine.create("continued", _continued(engine.name), is_stored=True)
    kept, join_own = engine.look_up("t.id", "kept_id", "own")
    known, _ = engine.look_up("t.id", "known_from_ns", "own")
    parent, join_parent = engine.look_up("t.parent_id", "kept_id", "parent")
    values = {name: f"t.{name}" for name in schema()["processes"]} | {
        "parent_id": f"coalesce({parent}, t.parent_id) AS parent_id",
        "known_from_ns": f"coalesce({known}, t.known_from_ns) AS known_from_ns",
    }
    select = f"SELECT {', '.join(values.values())}\nFROM all_processes AS t{join_own}{join_parent}"
    yield from engine.create("processes", f"{select}\nWHERE {kept} IS NULL OR {kept} = t.id")


@cache
def _continued(dialect: str) -> str:
    return translate(_CONTINUED, dialect, schema()).sql


def _numbered(engine: Engine, table: str, scan: str, base: Base, more: str = "") -> str:
    """Returns a SELECT of a table with numbered ids; if the recordings are one base, with the kept rows' process_id."""
    values, joins = [f"{engine.number} AS recording_id"], engine.join_recordings
    for name in tree.stored_columns(table):
        value = f"t.{name}"
        if name in EVENT_IDS:
            value = f"{engine.number} * {_SHIFT} + t.{name}"
            if name == "process_id" and base == "pooled":
                kept, join = engine.look_up(value, "kept_id", "process")
                value, joins = f"coalesce({kept}, {value})", joins + join
            value = f"{value} AS {name}"
        values.append(value)
    return f"SELECT {', '.join(values)}{more}\nFROM (\n{scan}\n) AS t{joins}"
