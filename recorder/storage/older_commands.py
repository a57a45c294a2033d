"""Collects the command lines of a file of an older schema: up to the fourth, each row had its own copy.

The old file is attached as `source`. While its tables are copied, temp.command_ids has the id of each command line by
a digest, so that memory doesn't grow with the file.
"""

from __future__ import annotations

import hashlib
import sqlite3

from . import command_ids

_DIGEST = "webpf_digest(recording_id, typeof(filename), CAST(filename AS BLOB), argv, argv_bytes)"

ID = f"(SELECT known.id FROM temp.command_ids AS known WHERE known.digest = {_DIGEST})"
"""SQL for the id of the command line of a row of an old file; NULL if it has none."""

_COLUMNS = "recording_id, filename, argv, argv_bytes"


def copy(connection: sqlite3.Connection) -> None:
    """Fills the table `commands` of the new file. Raises sqlite3.Error."""
    connection.create_function("webpf_digest", 5, _digest, deterministic=True)
    connection.create_function("webpf_args", 2, command_ids.args_of, deterministic=True)
    connection.execute("CREATE TEMP TABLE command_ids (digest BLOB PRIMARY KEY, id INTEGER NOT NULL) WITHOUT ROWID")
    for table in ("programs", "found"):
        connection.execute(
            f"""INSERT OR IGNORE INTO temp.command_ids
            SELECT {_DIGEST} AS digest, id FROM source.{table} WHERE digest IS NOT NULL ORDER BY id"""
        )
        connection.execute(
            f"""INSERT INTO main.commands (id, {_COLUMNS}, args)
            SELECT id, {_COLUMNS}, webpf_args(argv, argv_bytes) FROM source.{table}
            WHERE id IN (SELECT id FROM temp.command_ids) ORDER BY id"""
        )
    _copy_others(connection)


def _copy_others(connection: sqlite3.Connection) -> None:
    """Copies command lines that only a process has. A sound file has none, but nothing may get lost.

    No event has their ids, so each gets a block of event ids, for its own id.
    """
    connection.execute(
        f"""INSERT OR IGNORE INTO temp.command_ids
        SELECT {_DIGEST} AS digest, -id FROM source.processes WHERE digest IS NOT NULL ORDER BY id"""
    )
    connection.execute("CREATE TEMP TABLE others (process_id INTEGER PRIMARY KEY, id INTEGER)")
    connection.execute(
        """INSERT INTO temp.others SELECT -id, row_number() OVER (ORDER BY id DESC) - 1
            + (SELECT coalesce(max(first_id + size), 1) FROM source.fact_blocks)
        FROM temp.command_ids WHERE id < 0"""
    )
    for table, columns, values in (
        ("commands", f"id, {_COLUMNS}, args", f"others.id, {_COLUMNS}, args"),
        ("fact_blocks", "first_id, size, recording_id", "others.id, 1, recording_id"),
    ):
        connection.execute(
            f"""INSERT INTO main.{table} ({columns}) SELECT {values}
            FROM temp.others JOIN source.processes AS p ON p.id = others.process_id ORDER BY others.id"""
        )
    connection.execute(
        """UPDATE temp.command_ids SET id = (SELECT others.id FROM temp.others WHERE process_id = -command_ids.id)
        WHERE id < 0"""
    )


def _digest(
    recording_id: int, type: str, filename: bytes | None, raw: bytes | None, argv_bytes: int | None
) -> bytes | None:
    """Returns a digest of a command line; None if nothing of it is known. type: `text` or `blob` for the file name."""
    if (filename, raw, argv_bytes) == (None, None, None):
        return None
    lengths = [None if value is None else len(value) for value in (filename, raw)]
    head = f"{recording_id} {type} {argv_bytes} {lengths}".encode()
    return hashlib.blake2b(b"\0".join((head, filename or b"", raw or b"")), digest_size=16).digest()
