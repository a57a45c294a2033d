"""Fills tables with what belongs to the processes that scope_ids found, as one recording.

The tables are either temporary ones that shadow those of a file, for queries, or those of a new file, for `extract`.
So both say the same.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable
from typing import Any

from ..model.events import KERNEL_KINDS
from ..model.recording import COMPLETE, GOING_ON, INTERRUPTED, NO_EVENTS
from . import data_dictionary, rewritten_columns
from .scope_base import Base
from .scope_ids import PARENT

TABLES = (
    "recordings", "processes", "programs", "snapshot", "commands", "program_environments", "environment_variables",
    "cgroup_paths", "working_directories", "incidents", "fact_blocks",
)  # fmt: skip
"""The tables that are filled, in this order. The others only have evidence for the rows of these."""

OWN_TABLES = ("scope_environments",)
"""Temporary tables that fill() makes besides."""

_CGROUP = "{p}.cgroup_id + (segment.boot << 48)"
"""SQL: after a boot, cgroups get the same ids again, so those of earlier boots of a chain get others."""

# For each column that is not copied as it is: SQL over the tables in _FROM, with the values of fill().
_VALUES: dict[str, dict[str, str]] = {
    "processes": {
        "parent_id": PARENT,
        "cgroup_id": _CGROUP.format(p="p"),
        "in_scope": "s.in_scope",
    },
    "programs": {"process_id": "s.latest_id", "cgroup_id": _CGROUP.format(p="p")},
    "snapshot": {"id": "s.latest_id", "process_id": "s.latest_id", "cgroup_id": _CGROUP.format(p="p")},
    "program_environments": {"environment_id": "first.new_id"},
    "environment_variables": {"environment_id": "first.new_id"},
    "cgroup_paths": {"cgroup_id": _CGROUP.format(p="p")},
}
_SEGMENT = "CROSS JOIN temp.scope_segments AS segment ON segment.recording_id = p.recording_id"
_FROM: dict[str, str] = {
    "processes": f"""temp.scope_ids AS s
        CROSS JOIN {{source}}.processes AS p ON p.id = s.id
        {_SEGMENT}
        WHERE s.id = s.latest_id AND (s.in_scope <> 0) = :in_scope ORDER BY s.id""",
    "programs": f"""temp.scope_ids AS s
        CROSS JOIN {{source}}.programs AS p ON p.process_id = s.id
        {_SEGMENT}
        WHERE s.in_scope <> 0 ORDER BY p.id""",
    # Of a process that several segments have: how the first of them found it, unless it began there.
    "snapshot": f"""(SELECT min(id) AS id, latest_id FROM temp.scope_ids WHERE in_scope <> 0 GROUP BY latest_id) AS s
        CROSS JOIN {{source}}.snapshot AS p ON p.id = s.id
        {_SEGMENT}
        ORDER BY s.latest_id""",
    "commands": """(
            SELECT command_id FROM {target}.processes UNION SELECT command_id FROM {target}.programs
            UNION SELECT command_id FROM {target}.snapshot
        ) AS used
        CROSS JOIN {source}.commands AS p ON p.id = used.command_id ORDER BY p.id""",
    "program_environments": """{target}.programs AS e
        CROSS JOIN {source}.program_environments AS p ON p.id = e.id
        CROSS JOIN temp.scope_environments AS first ON first.environment_id = p.environment_id ORDER BY p.id""",
    "environment_variables": """temp.scope_environments AS first
        CROSS JOIN {source}.environment_variables AS p ON p.environment_id = first.environment_id""",
    "cgroup_paths": f"""temp.scope_segments AS segment
        CROSS JOIN {{source}}.cgroup_paths AS p ON p.recording_id = segment.recording_id
        WHERE {_CGROUP.format(p="p")} IN (
            SELECT cgroup_id FROM {{target}}.processes UNION SELECT cgroup_id FROM {{target}}.programs
        ) ORDER BY p.path IS NOT NULL, segment.position""",
    "working_directories": """temp.scope_segments AS segment
        CROSS JOIN {source}.working_directories AS p ON p.recording_id = segment.recording_id
        WHERE (p.device, p.inode) IN (SELECT cwd_device, cwd_inode FROM {target}.programs) ORDER BY segment.position""",
    "incidents": """temp.scope_segments AS segment
        CROSS JOIN {source}.incidents AS p ON p.recording_id = segment.recording_id
        WHERE segment.is_read AND p.from_ns <= :end_ns AND p.until_ns >= :begin_ns""",
}
_REPLACED = ("cgroup_paths", "working_directories")  # the latest row that is known counts

# A later segment knows a program that began in an earlier one only from /proc.
_PROGRAMS_OF_JOINED = """
UPDATE {target}.processes SET command_id = latest.command_id, carried_rss_kib = latest.carried_rss_kib,
    execs = max(coalesce(execs, 0), latest.programs)
FROM (
    SELECT s.latest_id, p.command_id, p.carried_rss_kib, max(p.id), count(*) AS programs
    FROM temp.scope_ids AS s
    CROSS JOIN {source}.programs AS p ON p.process_id = s.id
    WHERE s.latest_id IN (SELECT latest_id FROM temp.scope_latest) AND s.in_scope <> 0
    GROUP BY s.latest_id
) AS latest
WHERE latest.latest_id = processes.id
"""
_ENVIRONMENTS = """
CREATE TEMP TABLE scope_environments AS
SELECT p.environment_id, min(p.id) AS new_id
FROM {target}.programs AS e CROSS JOIN {source}.program_environments AS p ON p.id = e.id GROUP BY p.environment_id
"""
# Parents that are not in the scope, and their parents.
_OUTSIDE = f"""
INSERT INTO temp.scope_ids
WITH RECURSIVE outside (id) AS (
    SELECT DISTINCT p.parent_id
    FROM {{target}}.processes AS p
    LEFT JOIN {{target}}.processes AS known ON known.id = p.parent_id
    WHERE p.parent_id IS NOT NULL AND known.id IS NULL
    UNION
    SELECT {PARENT}
    FROM outside
    CROSS JOIN {{source}}.processes AS p ON p.id = outside.id
    WHERE p.parent_id IS NOT NULL
)
SELECT p.id, p.id, 0 FROM outside CROSS JOIN {{source}}.processes AS p ON p.id = outside.id
WHERE NOT EXISTS (SELECT 1 FROM temp.scope_ids AS known WHERE known.id = p.id)
"""
_BLOCK = """
INSERT INTO {target}.fact_blocks (first_id, size, recording_id)
SELECT min(first), max(last) - min(first) + 1, :number FROM (
    SELECT min(id) AS first, max(id) AS last FROM {target}.processes
    UNION ALL SELECT min(id), max(id) FROM {target}.programs
    UNION ALL SELECT min(id), max(id) FROM {target}.commands
)
"""


def fill(
    connection: sqlite3.Connection,
    base: Base,
    source: str,
    target: str,
    about: str,
    tables: Collection[str] = TABLES,
    rewrites: bool = False,
) -> None:
    """Fills empty tables from the tables that scope_ids.find() made.

    source, target: the schemas that are read and written. about: what the scope is, for the options of the recording.
    tables: only these; `processes` and `fact_blocks` are always filled. rewrites: whether values are changed by the
    functions of rewritten_columns.
    """
    values = {"number": base.number, "begin_ns": base.begin_ns, "end_ns": base.end_ns}
    insert = _insert("processes", source, target, rewrites)
    connection.execute(insert, {**values, "in_scope": 1})
    connection.execute(_OUTSIDE.format(source=source, target=target))
    connection.execute(insert, {**values, "in_scope": 0})
    if len(base.recordings) + len(base.later) > 1:
        connection.execute(_PROGRAMS_OF_JOINED.format(source=source, target=target))
    for table in TABLES:
        if table in _FROM and table in tables and table != "processes":
            if table == "program_environments":
                connection.execute(_ENVIRONMENTS.format(source=source, target=target))
            connection.execute(_insert(table, source, target, rewrites), values)
    connection.execute(_BLOCK.format(target=target), values)
    row = _recording_row(connection, base, target, about)
    names = [column.name for column in data_dictionary.stored_columns("recordings")]
    new = ", ".join(rewritten_columns.expression("recordings", name, "?") if rewrites else "?" for name in names)
    connection.execute(
        f"INSERT INTO {target}.recordings ({', '.join(names)}) VALUES ({new})", [row[name] for name in names]
    )


def _insert(table: str, source: str, target: str, rewrites: bool) -> str:
    special = {"recording_id": ":number", **_VALUES.get(table, {})}
    names = [column.name for column in data_dictionary.stored_columns(table)]
    values = {name: special.get(name, f"p.{name}") for name in names}
    if rewrites:
        values = {name: rewritten_columns.expression(table, name, value) for name, value in values.items()}
    conflict = "INSERT OR REPLACE" if table in _REPLACED else "INSERT OR IGNORE" if table == "incidents" else "INSERT"
    tables = _FROM[table].format(source=source, target=target)
    return f"{conflict} INTO {target}.{table} ({', '.join(names)}) SELECT {', '.join(values.values())} FROM {tables}"


def _recording_row(connection: sqlite3.Connection, base: Base, target: str, about: str) -> dict[str, Any]:
    """Returns the row of the joined recording. Its counts are of the rows that it has, its losses of all segments."""
    first, last = base.recordings[0], base.recordings[-1]
    row = dict(last.row)
    is_cut = base.end_ns < last.until_ns
    status = COMPLETE if is_cut or last.status == GOING_ON else last.status
    row |= {
        "status": status, "started_ns": base.begin_ns, "updated_ns": base.end_ns, "chain": None, "segment": None,
        "ended_ns": None if status == INTERRUPTED else base.end_ns,
        "options": json.dumps({**last.options, "events": NO_EVENTS, "scope": about}),
        "kept_short": _sum(each.kept_short for each in base.recordings), "name": last.name or first.name,
    }  # fmt: skip
    written = _written(connection, base, target)
    for kind in (each.name for each in KERNEL_KINDS):
        count = written[kind]
        lost = _sum(each.counts[kind].lost for each in base.recordings)
        attempted = None if lost is None else count + lost
        row |= {f"{kind}s_attempted": attempted, f"{kind}s_written": count, f"{kind}s_lost": lost}
    return row


def _written(connection: sqlite3.Connection, base: Base, target: str) -> dict[str, int]:
    """Returns how many events of each kind the filled tables have."""
    forks, exits, frees = connection.execute(
        f"""SELECT count(in_scope <> 0 AND start_ns >= ? OR NULL), count(end_ns), count(freed_ns)
        FROM {target}.processes""",
        [base.begin_ns],
    ).fetchone()
    [execs] = connection.execute(f"SELECT count(*) FROM {target}.programs").fetchone()
    return {"fork": forks, "exec": execs, "exit": exits, "free": frees}


def _sum(numbers: Iterable[int | None]) -> int | None:
    """Returns the sum; None if one of them isn't known."""
    listed = list(numbers)
    return None if None in listed else sum(number for number in listed if number is not None)
