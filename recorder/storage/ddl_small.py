"""The smaller tables: paths, environment variables, incidents and blocks of ids. See ddl.py."""

from __future__ import annotations

_CGROUPS = """
-- Paths of the cgroups (containers, services) in which processes ran.
CREATE TABLE cgroup_paths (
    recording_id INTEGER NOT NULL REFERENCES recordings (id),
    cgroup_id INTEGER NOT NULL,      -- id in the cgroup v2 hierarchy
    path ANY,                        -- a BLOB if it is not UTF-8; NULL: it was removed before it could be looked up
    unit TEXT,                       -- from the path: the innermost systemd unit except slices; NULL: none
    container TEXT,                  -- from the path: id of the innermost container; NULL: none
    pod TEXT,                        -- from the path: uid of the Kubernetes pod; NULL: none
    PRIMARY KEY (recording_id, cgroup_id)
) STRICT, WITHOUT ROWID
"""

_DIRECTORIES = """
-- Paths of the directories in which programs started, as far as they could be looked up in time.
CREATE TABLE working_directories (
    recording_id INTEGER NOT NULL REFERENCES recordings (id),
    device INTEGER NOT NULL,         -- programs.cwd_device
    inode INTEGER NOT NULL,          -- programs.cwd_inode
    path ANY NOT NULL,               -- a BLOB if it is not UTF-8
    PRIMARY KEY (recording_id, device, inode)
) STRICT, WITHOUT ROWID
"""

_PROGRAM_ENVIRONMENTS = """
-- The environment variables that --env keeps, of each exec: which of the sets in environment_variables it had.
CREATE TABLE program_environments (
    id INTEGER PRIMARY KEY REFERENCES programs (id),  -- the exec
    recording_id INTEGER NOT NULL REFERENCES recordings (id),
    environment_id INTEGER NOT NULL  -- environment_variables.environment_id
) STRICT
"""

_ENVIRONMENT_VARIABLES = """
-- Environment variables that --env keeps. Each set is written once (again only if a great many were in between).
CREATE TABLE environment_variables (
    environment_id INTEGER NOT NULL REFERENCES programs (id),  -- the first exec that had exactly these variables
    name TEXT NOT NULL,              -- as asked for with --env
    recording_id INTEGER NOT NULL REFERENCES recordings (id),
    state TEXT NOT NULL              -- set, unset, unknown (perhaps in the part after the first 65,536 bytes)
        CHECK (state IN ('set', 'unset', 'unknown')),
    value ANY,                       -- a BLOB if it is not UTF-8; NULL unless it is set
    PRIMARY KEY (environment_id, name)
) STRICT, WITHOUT ROWID
"""

_INCIDENTS = """
-- Times when the file could not be written, while the recording went on.
CREATE TABLE incidents (
    recording_id INTEGER NOT NULL REFERENCES recordings (id),
    from_ns INTEGER NOT NULL,        -- Unix ns of the first write that failed
    until_ns INTEGER NOT NULL,       -- Unix ns of the first write that succeeded after it
    kind TEXT NOT NULL,              -- locked, full (no room), slow (the disk didn't respond), failed (other errors),
                                     -- log (a reader kept a large log); deleted: no trouble, but the time of a
                                     -- recording that was deleted while this one was recorded
    detail TEXT NOT NULL,            -- the process that held the lock, SQLite's message, or the option that deleted
    lost INTEGER NOT NULL,           -- events that were lost meanwhile; recordings.lost includes them
    PRIMARY KEY (recording_id, from_ns)
) STRICT, WITHOUT ROWID
"""

_EVENT_BLOCKS = """
-- Blocks of event ids, each of one recording, so that several recorders can write to a file at the same time.
CREATE TABLE fact_blocks (
    first_id INTEGER PRIMARY KEY,
    size INTEGER NOT NULL,           -- how many ids, starting at first_id
    recording_id INTEGER NOT NULL REFERENCES recordings (id)
) STRICT
"""

TABLES = (_CGROUPS, _DIRECTORIES, _PROGRAM_ENVIRONMENTS, _ENVIRONMENT_VARIABLES, _INCIDENTS, _EVENT_BLOCKS)
"""The statements that create these tables."""
