"""How a new file gets its tables and indexes, and how an older one becomes a current one."""

from __future__ import annotations

from sqlite_utils import Database, Migrations

from .dbfile import APPLICATION_ID, SCHEMA_VERSION
from .tables import DIRECTORIES, INCIDENTS, TABLES

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
