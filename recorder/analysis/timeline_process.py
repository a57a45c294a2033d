"""What a timeline shows of one process: all that is known of it, its parent, its children and its programs."""

from __future__ import annotations

import sqlite3
from itertools import islice

from ..model import argv
from ..model.events import escape_bytes
from ..model.recording import Recording
from ..storage import reader
from ..storage.sql_macros import expand
from . import active_time, process_tree, saved_queries, timeline_rows
from .timeline_rows import BAR, ENTRY, WITH_COMMANDS
from .timeline_view import Row, View

MOST_CHILDREN = 200
MOST_PROGRAMS = 50
_MOST_CHARACTERS = 100_000  # of a command line: a little less than the 128 KiB that the kernel allows for one argument
_ANY_TIME = View(0, 0, 1)
_ONE = f"{WITH_COMMANDS} WHERE processes.id = :id AND processes.recording_id = :recording"

# Children start while their parent lives: this limits the range of the index over time. Of a lost parent the end isn't
# known.
_CHILDREN = f"""SELECT {ENTRY}, count(*) OVER () AS total FROM {WITH_COMMANDS}
    WHERE processes.recording_id = :recording AND start_ns >= :since
        AND start_ns <= :until AND parent_id = :id AND is_counted!(processes)
    ORDER BY start_ns, processes.id LIMIT {MOST_CHILDREN}"""


_TIMES = """SELECT start_ns, coalesce(end_ns, ?), iif(state = 'lost', NULL, cpu_ns + run_delay_ns) AS spent_ns
    FROM processes WHERE id = ?"""


def details(
    connection: sqlite3.Connection, recording: Recording, id: int, has_programs: bool, has_directory: bool
) -> Row | None:
    """Returns all of a process; None if the recording doesn't have it. id: in the table processes.

    has_programs, has_directory: whether to read these, which are in other tables. Times are in ms from begin_ns().
    asleep_ms: the time without a living child in which it neither ran nor waited for a processor, at least; None if
    that isn't known.
    """
    begin = process_tree.begin_ns(connection, recording)
    values = {**_ANY_TIME.prepare(connection, recording, begin), "id": id, "args": _MOST_CHARACTERS}
    found = _read(connection, f"SELECT {BAR}, carried_rss_kib, state FROM {_ONE}", values, begin)
    if not found:
        return None
    process = found[0]
    since_ns, until_ns, spent_ns = connection.execute(_TIMES, [values["now_ns"], id]).fetchone()
    values |= {"since": since_ns, "until": until_ns}
    asleep_ms = None
    if spent_ns is not None and since_ns >= recording.started_ns:  # of others, children from before aren't known
        active_ns = active_time.of_one(connection, recording.id, id, since_ns, until_ns)
        asleep_ms = max(active_ns - spent_ns, 0) / 1e6
    children = _read(connection, _CHILDREN, values, begin)
    parents = _read(connection, f"SELECT {ENTRY} FROM {_ONE}", {**values, "id": process["parent_id"]}, begin)
    return process | {
        "asleep_ms": asleep_ms,
        "parent": parents[0] if parents else None,
        "children": children,
        "children_total": children[0]["total"] if children else 0,
        "programs": _programs(connection, id) if has_programs else None,
        "directory": _directory(connection, id) if has_directory else None,
    }


def _read(connection: sqlite3.Connection, sql: str, values: Row, begin: int) -> list[Row]:
    return timeline_rows.read(connection.execute(expand(sql), values), begin)


def _programs(connection: sqlite3.Connection, id: int) -> list[Row]:
    """Returns the programs that a process ran, in order: after how many ms of its life (None: before the recording)."""
    query = saved_queries.load("execs")
    cursor = connection.execute(query.sql, saved_queries.bind(query, {"id": str(id)}))
    rows = islice(reader.named_rows(cursor), MOST_PROGRAMS)
    return [{"line": _line(row["args"], row["comm"]), "after_ms": row["after_ms"]} for row in rows]


def _line(args: bytes | None, comm: str | None) -> str:
    return (argv.quote(args, len(args)) if args else comm or "?")[:_MOST_CHARACTERS]


def _directory(connection: sqlite3.Connection, id: int) -> str | None:
    sql = f"SELECT {process_tree.DIRECTORY} FROM processes AS p WHERE p.id = ?"
    return escape_bytes(connection.execute(sql, [id]).fetchone()[0])
