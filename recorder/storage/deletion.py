"""Deletes whole recordings from a file, in short transactions: recorders and readers go on meanwhile.

Rows go before those that they refer to, so every reference in the file is right after each transaction. First a
recording is marked: then nobody takes what is left of it for all of it, and if the deletion ends early, another one
goes on with it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator

from ..model.events import ALL_KINDS
from ..model.recording import DELETED, NO_EVENTS
from .sql_macros import expand

STEP = 5_000
"""Rows in one transaction: some 10 ms."""

_EVENT_TABLES = {"environment_variables": "environment_id", "program_environments": "id"} | {
    kind.table: "id" for kind in ALL_KINDS
}
"""Tables whose rows refer to processes, commands or programs, each with its column of event ids."""

_TABLES = {**_EVENT_TABLES, "processes": "id", "commands": "id"}
_SMALL = ("cgroup_paths", "working_directories", "incidents", "fact_blocks")
_BLOCKS = "SELECT first_id, first_id + size - 1 FROM fact_blocks WHERE recording_id = ? ORDER BY first_id"
_MARK = f"""UPDATE recordings SET status = 'interrupted', ended_ns = NULL, chain = NULL, segment = NULL,
    options = json_set(CASE WHEN json_valid(options) AND json_type(options) = 'object' THEN options ELSE '{{}}' END,
        '$.{DELETED}', json('true'), '$.events', '{NO_EVENTS}'),
    {", ".join(f"{kind}s_written = NULL" for kind in ("fork", "exec", "exit", "free"))}
WHERE id = ?"""


def find_begun(connection: sqlite3.Connection) -> list[int]:
    """Returns the recordings of which a deletion was begun, and did not end."""
    sql = expand(f"SELECT id FROM recordings WHERE option!(recordings, {DELETED})")
    return [number for (number,) in connection.execute(sql)]


def count_everywhere(connection: sqlite3.Connection, recordings: Collection[int]) -> int:
    """Returns how many rows these recordings have in the tables that count_rows() counts. It reads all rows."""
    numbers = ", ".join(map(str, recordings))
    selects = [f"SELECT count(*) AS n FROM {table} WHERE recording_id IN ({numbers})" for table in _TABLES]
    return int(connection.execute(f"SELECT sum(n) FROM ({' UNION ALL '.join(selects)})").fetchone()[0])


def count_rows(connection: sqlite3.Connection, recording: int) -> int:
    """Returns how many rows delete() will report, but for rows outside of the recording's blocks."""
    found = 0
    for table, key in _TABLES.items():
        count = f"SELECT count(*) FROM {table} WHERE {key} BETWEEN ? AND ?"
        for block in connection.execute(_BLOCKS, [recording]).fetchall():
            found += connection.execute(count, block).fetchone()[0]
    return found


def delete(connection: sqlite3.Connection, recording: int, is_thorough: bool = False) -> Iterator[int]:
    """Deletes a recording that has ended. Each step is a short transaction; yields the rows that it deleted.

    is_thorough: at the end, also look for rows outside of the recording's blocks, which a sound file doesn't have: this
    reads all rows of the file. Raises sqlite3.Error.
    """
    with connection:
        connection.execute(_MARK, [recording])
    yield 0
    blocks = connection.execute(_BLOCKS, [recording]).fetchall()
    for table, key in _EVENT_TABLES.items():
        for block in blocks:
            yield from _delete_block(connection, table, key, recording, block)
    for block in blocks:
        yield from _forget_later_parents(connection, recording, block)
    for block in reversed(blocks):  # now each parent has a lower id than its children
        yield from _delete_block(connection, "processes", "id", recording, block, is_descending=True)
    for block in blocks:
        yield from _delete_block(connection, "commands", "id", recording, block)
    if is_thorough:
        yield _delete_everywhere(connection, recording)
    with connection:
        for table in _SMALL:
            connection.execute(f"DELETE FROM {table} WHERE recording_id = ?", [recording])
        connection.execute("DELETE FROM recordings WHERE id = ?", [recording])
    yield 0


def _delete_block(
    connection: sqlite3.Connection,
    table: str,
    key: str,
    recording: int,
    block: tuple[int, int],
    is_descending: bool = False,
) -> Iterator[int]:
    """Deletes the rows of a table in a block of ids, from its beginning or from its end."""
    first, last = block
    end, order = ("min", "DESC") if is_descending else ("max", "ASC")
    step = f"SELECT {end}(id) FROM (SELECT {key} AS id FROM {table} WHERE {key} BETWEEN ? AND ?"
    step += f" ORDER BY {key} {order} LIMIT {STEP})"
    delete = f"DELETE FROM {table} WHERE {key} BETWEEN ? AND ? AND recording_id = ?"
    while (reached := connection.execute(step, [first, last]).fetchone()[0]) is not None:
        part = (reached, last) if is_descending else (first, reached)
        with connection:
            deleted = connection.execute(delete, [*part, recording]).rowcount
        yield deleted
        first, last = (first, reached - 1) if is_descending else (reached + 1, last)


def _forget_later_parents(connection: sqlite3.Connection, recording: int, block: tuple[int, int]) -> Iterator[int]:
    """Forgets parents with a higher id than their child: those whose first event came late. They are rare."""
    first, last = block
    sql = "SELECT id FROM processes WHERE id BETWEEN ? AND ? AND parent_id > id AND recording_id = ?"
    ids = [(id,) for (id,) in connection.execute(sql, [first, last, recording])]
    for at in range(0, len(ids), STEP):
        with connection:
            connection.executemany("UPDATE processes SET parent_id = NULL WHERE id = ?", ids[at : at + STEP])
        yield 0


def _delete_everywhere(connection: sqlite3.Connection, recording: int) -> int:
    with connection:
        connection.execute("UPDATE processes SET parent_id = NULL WHERE recording_id = ?", [recording])
        return sum(
            connection.execute(f"DELETE FROM {table} WHERE recording_id = ?", [recording]).rowcount for table in _TABLES
        )
