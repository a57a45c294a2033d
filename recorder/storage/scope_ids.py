"""Finds the processes of a scope.

The results are temporary tables of the connection: `scope_ids` (every row of the source that is about a process of the
scope, with the id of its latest row, and in_scope as in `processes`) and `scope_latest` (rows that a later segment
continues). Of a process that lived through several segments, the latest row counts.
"""

from __future__ import annotations

import sqlite3

from ..errors import NotFound
from ..model.scope import Scope
from .scope_base import Base
from .scope_filters import Filters, is_alive

_TABLES = """
CREATE TEMP TABLE scope_segments (
    recording_id INTEGER PRIMARY KEY, position INTEGER, is_read INTEGER, boot_id TEXT, offset_ns INTEGER, boot INTEGER
);
CREATE TEMP TABLE scope_candidates (id INTEGER PRIMARY KEY, position INTEGER, goes_on INTEGER, in_scope INTEGER);
CREATE TEMP TABLE scope_latest (id INTEGER PRIMARY KEY, latest_id INTEGER);
CREATE TEMP TABLE scope_ids (id INTEGER PRIMARY KEY, latest_id INTEGER, in_scope INTEGER);
"""
TABLES = ("scope_segments", "scope_candidates", "scope_latest", "scope_ids")
"""The temporary tables that find() makes."""

PARENT = "coalesce((SELECT latest_id FROM temp.scope_latest WHERE id = p.parent_id), p.parent_id)"
"""SQL: the latest row of the parent of a process p."""

_IN_SCOPE = "CASE WHEN p.in_scope = 2 OR coalesce(p.end_ns, p.freed_ns) > :until_ns THEN 2 ELSE 1 END"

# The rows of a process in the segments after a row: identified by boot, pid, and start on the clock of the boot.
_PATHS = """
WITH RECURSIVE path (id, position, previous) AS (
    SELECT id, position, NULL FROM temp.scope_candidates WHERE goes_on
    UNION
    SELECT later.id, t.position, path.id
    FROM path
    CROSS JOIN temp.scope_segments AS s ON s.position = path.position
    CROSS JOIN temp.scope_segments AS t ON t.position = path.position + 1 AND t.boot_id IS s.boot_id
    CROSS JOIN {source}.processes AS p ON p.id = path.id
    CROSS JOIN {source}.processes AS later ON later.recording_id = t.recording_id
        AND later.start_ns = p.start_ns - s.offset_ns + t.offset_ns AND later.pid = p.pid
)
SELECT previous, id FROM path WHERE previous IS NOT NULL ORDER BY position DESC
"""

_BELOW = f"""
WITH RECURSIVE line (id, parent_id) AS (
    SELECT p.id, {PARENT}
    FROM temp.scope_ids AS s
    CROSS JOIN {{source}}.processes AS p ON p.id = s.id
    WHERE s.id = s.latest_id
    UNION
    SELECT p.id, {PARENT}
    FROM line
    CROSS JOIN {{source}}.processes AS p ON p.id = line.parent_id
),
family AS MATERIALIZED (SELECT id, parent_id FROM line),
below (id) AS (
    SELECT coalesce((SELECT latest_id FROM temp.scope_latest WHERE id = :top), :top)
    UNION
    SELECT family.id FROM below JOIN family ON family.parent_id = below.id
)
DELETE FROM temp.scope_ids WHERE latest_id NOT IN (SELECT id FROM below)
"""
"""Leaves only a process and its descendants: those from which a line of parents leads up to it."""


def find(connection: sqlite3.Connection, base: Base, scope: Scope, source: str) -> int:
    """Makes the tables, and returns how many processes are in the scope. source: the schema of the file that is read.

    Raises NotFound if there are none.
    """
    for statement in _TABLES.strip().split(";\n"):
        connection.execute(statement.rstrip(";"))
    _add_segments(connection, base)
    stretch, values = is_alive(base.since_ns, base.until_ns)
    connection.execute(
        f"""INSERT INTO temp.scope_candidates
        SELECT p.id, s.position, p.end_ns IS NULL, {_IN_SCOPE}
        FROM temp.scope_segments AS s
        CROSS JOIN {source}.processes AS p ON p.recording_id = s.recording_id
        WHERE s.is_read AND p.in_scope IS NOT 0 AND {stretch}""",
        values,
    )
    if len(base.recordings) + len(base.later) > 1:
        _find_latest(connection, source)
    _choose(connection, base, Filters(scope, source), source, values["until_ns"])
    if scope.under is not None:
        connection.execute(_BELOW.format(source=source), {"top": scope.under})
    count = "SELECT count(*) FROM temp.scope_ids WHERE id = latest_id"
    [found] = connection.execute(count).fetchone()
    if not found:
        [alive] = connection.execute("SELECT count(*) FROM temp.scope_candidates").fetchone()
        raise nothing_in(base.description, scope, alive)
    return int(found)


def nothing_in(base: str, scope: Scope, alive: int) -> NotFound:
    """Returns the error for a scope without processes. base: for people. alive: processes in its stretch of time."""
    none = f"{alive:,} processes, none with {' '.join(scope.filters)}" if scope.filters else "no processes"
    return NotFound(f"nothing in this scope: {base}: {none}")


def _add_segments(connection: sqlite3.Connection, base: Base) -> None:
    """Numbers the segments in their order. boot: how many boots of the machine lie between one and the last."""
    boots = list(dict.fromkeys(each.boot_id for each in reversed(base.recordings)))
    for position, each in enumerate((*base.recordings, *base.later)):
        boot = boots.index(each.boot_id) if each.boot_id in boots else 0
        is_read = position < len(base.recordings)
        values = [each.id, position, is_read, each.boot_id, each.clock_offset_ns or 0, boot]
        connection.execute("INSERT INTO temp.scope_segments VALUES (?, ?, ?, ?, ?, ?)", values)


def _find_latest(connection: sqlite3.Connection, source: str) -> None:
    latest: dict[int, int] = {}
    for previous, id in connection.execute(_PATHS.format(source=source)):  # the last segment first
        latest[previous] = latest.get(id, id)
    connection.executemany("INSERT INTO temp.scope_latest VALUES (?, ?)", latest.items())


def _choose(connection: sqlite3.Connection, base: Base, filters: Filters, source: str, until_ns: int) -> None:
    """Adds the latest rows of all candidates that fit the filters, and then the rows before these."""
    filters.add_functions(connection)
    values = {**filters.values, "until_ns": until_ns, "now_ns": base.end_ns}
    # Most processes are in one segment. Their rows are only read if a filter must see them.
    read = "" if filters.sql == "TRUE" else f"CROSS JOIN {source}.processes AS p ON p.id = c.id"
    connection.execute(
        f"""INSERT INTO temp.scope_ids
        SELECT c.id, c.id, c.in_scope
        FROM temp.scope_candidates AS c {read}
        WHERE c.id NOT IN (SELECT id FROM temp.scope_latest) AND {filters.sql}""",
        values,
    )
    # The latest row of a process can be in a segment after those that are read.
    connection.execute(
        f"""INSERT OR IGNORE INTO temp.scope_ids
        SELECT p.id, p.id, {_IN_SCOPE}
        FROM (SELECT DISTINCT latest_id FROM temp.scope_latest) AS l
        CROSS JOIN {source}.processes AS p ON p.id = l.latest_id
        WHERE {filters.sql}""",
        values,
    )
    connection.execute(
        """INSERT INTO temp.scope_ids
        SELECT l.id, l.latest_id, s.in_scope
        FROM temp.scope_latest AS l CROSS JOIN temp.scope_ids AS s ON s.id = l.latest_id"""
    )
