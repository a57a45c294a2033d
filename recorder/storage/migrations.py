"""How a new file gets its tables and indexes, and how an older one becomes a current one."""

from __future__ import annotations

from sqlite_utils import Database, Migrations

from ..errors import DataError
from .ddl import DIRECTORIES, INCIDENTS, TABLES
from .file_check import APPLICATION_ID, SCHEMA_VERSION

migrations = Migrations("webpf")

_OF_PROCESS = "CREATE INDEX programs_of_process ON programs (process_id)"
# Rows come in the order of their starts, so this grows at its end only; and what is counted over time is all in it.
_BY_TIME = "CREATE INDEX processes_by_time ON processes (recording_id, start_ns, end_ns, state, status, kernel)"

STATEMENTS = (*TABLES, _OF_PROCESS, _BY_TIME)
"""What the current schema is made by."""


@migrations()
def initial(db: Database) -> None:
    """The first schema."""
    for statement in (*TABLES, _OF_PROCESS, "CREATE INDEX processes_of_recording ON processes (recording_id)"):
        db.execute(statement)


@migrations()
def index_by_time(db: Database) -> None:
    """For queries over time. It serves whatever the index before it was for."""
    db.execute("DROP INDEX processes_of_recording")
    db.execute(_BY_TIME)


@migrations()
def working_directories(db: Database) -> None:
    """Where programs were started. A new file has it from the start."""
    if "cwd_inode" not in db["programs"].columns_dict:
        db.execute("ALTER TABLE programs ADD COLUMN cwd_device INTEGER")
        db.execute("ALTER TABLE programs ADD COLUMN cwd_inode INTEGER")
        db.execute(DIRECTORIES)


@migrations()
def incidents(db: Database) -> None:
    """When the file could not be written. A new file has it from the start."""
    if not db["incidents"].exists():
        db.execute(INCIDENTS)


_EXACT = (
    ("processes", "filename"),
    ("programs", "filename"),
    ("found", "filename"),
    ("cgroup_paths", "path"),
    ("working_directories", "path"),
)


@migrations()
def exact_paths(db: Database) -> None:
    """Paths are kept as they are, bytes where they are no UTF-8. A new file has it from the start.

    Only the declared type changes, from TEXT to ANY: a STRICT table keeps text in both the same way, so no row has to
    be touched, however many there are. SQLite has no statement for this. Its documentation of ALTER TABLE allows to
    write to the schema itself where what is stored stays right as it is. Raises sqlite3.DatabaseError where SQLite
    was built to forbid that, and DataError for a file with other tables.
    """
    if not all(_is_any(db, *each) for each in _EXACT):
        version = db.execute("PRAGMA schema_version").fetchone()[0]
        db.execute("PRAGMA writable_schema = ON")
        try:
            for table, column in _EXACT:
                sql = "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = ?"
                db.execute(sql, [f" {column} TEXT", f" {column} ANY", table])
            db.execute(f"PRAGMA schema_version = {version + 1}")  # so that every connection reads it again
        finally:
            db.execute("PRAGMA writable_schema = RESET")  # this one too: raises if it were no schema any more
        for table, column in _EXACT:
            if not _is_any(db, table, column):
                message = f"the file is not as webpf made it: {table} has no column {column} of text"
                raise DataError(message, "webpf record --db ~/webpf.db")


def _is_any(db: Database, table: str, column: str) -> bool:
    """Whether a column takes text and bytes."""
    sql = "SELECT type FROM pragma_table_info(?) WHERE name = ?"
    return bool(db.execute(sql, [table, column]).fetchone() == ("ANY",))


@migrations()
def count_of_kept_short(db: Database) -> None:
    """How many processes --min-lifetime kept for want of memory. A new file has it from the start."""
    if "kept_short" not in db["recordings"].columns_dict:
        db.execute("ALTER TABLE recordings ADD COLUMN kept_short INTEGER")


@migrations()
def programs_begun(db: Database) -> None:
    """What forks and exits say of programs that were begun. A new file has it from the start."""
    if "begun" not in db["forks"].columns_dict:
        for table, column in (("forks", "execs"), ("forks", "begun"), ("exits", "uid"), ("exits", "begun")):
            db.execute(f"ALTER TABLE {table} ADD COLUMN {column} INTEGER")


def migrate(db: Database) -> None:
    """Brings an empty or older file to the current schema."""
    if not migrations.pending(db):
        return
    db.execute("BEGIN IMMEDIATE")  # so that two recorders which start on a new file don't both make the tables
    with db.conn:
        migrations.apply(db)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
