"""The tables of a recording file.

The comments document tables and columns: SQLite keeps them in the file (see .schema), docs/schema.md is made of them.
No table has the name of a saved query (so `programs`, not `execs`): Datasette gives both the same address.
"""

from __future__ import annotations

from ..model.events import ALL_KINDS

_RECORDINGS = """
-- One row for each recording.
CREATE TABLE recordings (
    id INTEGER PRIMARY KEY,          -- number of the recording in this file
    name TEXT,                       -- as given with --name
    status TEXT NOT NULL             -- recording (or broken off just now), complete, interrupted (broken off)
        CHECK (status IN ('recording', 'complete', 'interrupted')),
    started_ns INTEGER NOT NULL,     -- Unix ns when the programs were attached, or of the first event, as for host
    updated_ns INTEGER NOT NULL,     -- Unix ns up to which everything is in the file
    ended_ns INTEGER,                -- Unix ns when intake stopped; NULL while it goes on, or if it was broken off
    host TEXT,                       -- name of the machine; NULL, as all about it, of a stream that doesn't say it
    boot_id TEXT,                    -- /proc/sys/kernel/random/boot_id: the boot that pids and starts belong to
    kernel TEXT,                     -- kernel release
    machine TEXT,                    -- processor architecture
    cpus INTEGER,                    -- processors online
    command TEXT,                    -- command line of the recorder; with --no-args only its name
    options TEXT NOT NULL,           -- its options, as JSON (replayed: true, if made of a stream); of --redact how many
    recorder_pid INTEGER,            -- the recorder's own pid
    recorder_start_ns INTEGER,       -- its start: boot ns, known to 10 ms
    clock_offset_ns INTEGER,         -- added to the kernel's boot time to get Unix time
    webpf_version TEXT,
    bcc_version TEXT,
    python_version TEXT,
    sqlite_version TEXT,
    forks_attempted INTEGER,         -- facts of this kind that the kernel had to report; while it goes on, a second old
    forks_written INTEGER,           -- facts of this kind in this file
    forks_lost INTEGER,              -- facts of this kind that the buffer had no room for, or the kernel passed over
    execs_attempted INTEGER,
    execs_written INTEGER,
    execs_lost INTEGER,
    exits_attempted INTEGER,
    exits_written INTEGER,
    exits_lost INTEGER,
    frees_attempted INTEGER,
    frees_written INTEGER,
    frees_lost INTEGER,
    kept_short INTEGER,              -- kept though they ended sooner than --min-lifetime, for want of memory
    lost INTEGER GENERATED ALWAYS AS (forks_lost + execs_lost + exits_lost + frees_lost) VIRTUAL
                                     -- all facts lost; above 0, whatever is counted or added up is a lower bound
) STRICT
"""

_PROCESSES = """
-- One row for each process (never for a thread), made of the facts below; webpf rebuild makes them again.
CREATE TABLE processes (
    id INTEGER PRIMARY KEY,          -- that of the first fact about it
    recording_id INTEGER NOT NULL REFERENCES recordings (id),
    pid INTEGER NOT NULL,            -- in the first pid namespace; with start_ns unique within a boot
    ppid INTEGER,                    -- its parent's pid at the fork (or when it was first seen)
    parent_id INTEGER REFERENCES processes (id),  -- its parent's row
    start_ns INTEGER NOT NULL,       -- Unix ns; if alive before and after the recording, rounded down to 10 ms
    end_ns INTEGER,                  -- Unix ns when its last thread left
    lifetime_ns INTEGER GENERATED ALWAYS AS (end_ns - start_ns) VIRTUAL,  -- from start to end
    state TEXT NOT NULL,             -- exited, running (at the end of the recording), lost (gone, exit not seen)
    comm TEXT,                       -- its latest name while it ran, at most 15 bytes
    filename ANY,                    -- path of its latest program, as it was called; a BLOB if it is no UTF-8
    args TEXT,                       -- its latest arguments, quoted for a shell, cut if too long; NULL with --no-args
    argv BLOB,                       -- the same as exact bytes, each ended by a NUL; or the title in their place
    argv_bytes INTEGER,              -- length of argv before it was cut (with --redact: with *** for what is hidden)
    execs INTEGER,                   -- programs it took on (but none that killed it before it ran); 0: its parent's
    status INTEGER,                  -- as wait4() reports it
    exit_code INTEGER GENERATED ALWAYS AS (CASE WHEN status & 127 = 0 THEN status >> 8 & 255 END) VIRTUAL,
                                     -- NULL if a signal ended it
    signal INTEGER GENERATED ALWAYS AS (nullif(status & 127, 0)) VIRTUAL,  -- the signal that ended it
    core_dumped INTEGER GENERATED ALWAYS AS (status >> 7 & 1) VIRTUAL,  -- 1: it left a core dump
    uid INTEGER,                     -- real user id, the latest known: at its end, its latest exec, its start
    cgroup_id INTEGER,               -- cgroup v2, the latest known; the path is in cgroup_paths
    cpu_ns INTEGER,                  -- CPU time of all its threads, as wait4() reports it, without children
    max_rss_kib INTEGER,             -- peak memory in KiB, as wait4() reports it: with programs.carried_rss_kib
    end_ppid INTEGER,                -- its parent's pid at the end; not ppid: that one ended first (an orphan)
    kernel INTEGER                   -- 1: a thread of the kernel's own
) STRICT
"""

_FORKS = """
-- Raw facts: a process was created.
CREATE TABLE forks (
    id INTEGER PRIMARY KEY,          -- facts of all kinds are numbered in the order of the kernel's buffer
    recording_id INTEGER NOT NULL REFERENCES recordings (id),
    process_id INTEGER NOT NULL REFERENCES processes (id),
    time_ns INTEGER NOT NULL,        -- Unix ns
    pid INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,       -- Unix ns: start of the process that pid and this identify, as in every fact
    ppid INTEGER NOT NULL,
    parent_start_ns INTEGER NOT NULL,
    comm TEXT NOT NULL,              -- still its parent's; if it is reported later, that of its latest program by then
    uid INTEGER NOT NULL,
    euid INTEGER NOT NULL,
    cgroup_id INTEGER NOT NULL,
    kernel INTEGER NOT NULL,
    execs INTEGER,                   -- programs that it had taken on, if a filter let it be reported late; NULL: none
    begun INTEGER                    -- the kernel's own number of programs then, as in exits; NULL: none
) STRICT
"""

_PROGRAMS = """
-- Raw facts: a process took on a program (exec); in order, the chain of its programs.
CREATE TABLE programs (
    id INTEGER PRIMARY KEY,
    recording_id INTEGER NOT NULL REFERENCES recordings (id),
    process_id INTEGER NOT NULL REFERENCES processes (id),
    time_ns INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,
    comm TEXT NOT NULL,              -- the new name
    uid INTEGER NOT NULL,            -- real user id
    euid INTEGER NOT NULL,           -- effective user id: another for a set-user-ID program
    cgroup_id INTEGER NOT NULL,
    carried_rss_kib INTEGER NOT NULL,  -- peak memory of what it was before; its own peak never shows less
    filename ANY NOT NULL,           -- as it was called: of a script, the script; a BLOB if it is no UTF-8
    argv BLOB,                       -- exact bytes; NULL if they could not be read, and with --no-args
    argv_bytes INTEGER NOT NULL,     -- length before it was cut, as in processes
    cwd_device INTEGER,              -- working directory: its file system, as the kernel numbers it,
    cwd_inode INTEGER                -- and its number there; the path is in working_directories
) STRICT
"""

_EXITS = """
-- Raw facts: the last thread of a process left.
CREATE TABLE exits (
    id INTEGER PRIMARY KEY,
    recording_id INTEGER NOT NULL REFERENCES recordings (id),
    process_id INTEGER NOT NULL REFERENCES processes (id),
    time_ns INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,
    ppid INTEGER NOT NULL,           -- its parent's pid at the end
    comm TEXT NOT NULL,              -- the name of a program that killed it before it ran, too
    status INTEGER NOT NULL,         -- as wait4() reports it
    max_rss_kib INTEGER NOT NULL,
    uid INTEGER,                     -- real user id at the end; NULL: that of the events before
    begun INTEGER                    -- programs that it began to run, with one that killed it; NULL where uid is
) STRICT
"""

_FREES = """
-- Raw facts: the kernel let go of a process after it was reaped.
CREATE TABLE frees (
    id INTEGER PRIMARY KEY,
    recording_id INTEGER NOT NULL REFERENCES recordings (id),
    process_id INTEGER REFERENCES processes (id),  -- NULL: it had exited before the recording
    time_ns INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,
    status INTEGER NOT NULL,
    cpu_ns INTEGER NOT NULL          -- CPU time of all its threads
) STRICT
"""

_FOUND = """
-- Raw facts: what /proc showed when the recording began (with filters also later); at its end, of those that changed.
CREATE TABLE found (
    id INTEGER PRIMARY KEY,
    recording_id INTEGER NOT NULL REFERENCES recordings (id),
    process_id INTEGER NOT NULL REFERENCES processes (id),
    time_ns INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,       -- less than 10 ms before the true start
    ppid INTEGER NOT NULL,
    comm TEXT NOT NULL,
    uid INTEGER NOT NULL,
    euid INTEGER NOT NULL,
    cgroup_id INTEGER,
    kernel INTEGER NOT NULL,
    execs INTEGER NOT NULL,          -- 1: it had taken on a program; 0: it ran its parent's
    filename ANY,
    argv BLOB,                       -- a title that it had written over its arguments is one, without what pads it
    argv_bytes INTEGER
) STRICT
"""

_MISSING = """
-- Raw facts: processes whose exit was not seen, and that /proc no longer showed when the recording ended.
CREATE TABLE missing (
    id INTEGER PRIMARY KEY,
    recording_id INTEGER NOT NULL REFERENCES recordings (id),
    process_id INTEGER NOT NULL REFERENCES processes (id),
    time_ns INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    start_ns INTEGER NOT NULL
) STRICT
"""

_CGROUPS = """
-- Paths of the cgroups (containers, services) in which processes were seen.
CREATE TABLE cgroup_paths (
    recording_id INTEGER NOT NULL REFERENCES recordings (id),
    cgroup_id INTEGER NOT NULL,      -- id in the cgroup v2 hierarchy
    path ANY,                        -- a BLOB if it is no UTF-8; NULL: it was gone before it could be looked up
    PRIMARY KEY (recording_id, cgroup_id)
) STRICT, WITHOUT ROWID
"""

DIRECTORIES = """
-- Paths of the directories in which programs were started, of those that could be looked up in time.
CREATE TABLE working_directories (
    recording_id INTEGER NOT NULL REFERENCES recordings (id),
    device INTEGER NOT NULL,         -- programs.cwd_device
    inode INTEGER NOT NULL,          -- programs.cwd_inode
    path ANY NOT NULL,               -- a BLOB if it is no UTF-8
    PRIMARY KEY (recording_id, device, inode)
) STRICT, WITHOUT ROWID
"""

INCIDENTS = """
-- Times in which the file could not be written, though the recording went on.
CREATE TABLE incidents (
    recording_id INTEGER NOT NULL REFERENCES recordings (id),
    from_ns INTEGER NOT NULL,        -- Unix ns of the first attempt that failed
    until_ns INTEGER NOT NULL,       -- Unix ns of the first that succeeded again
    kind TEXT NOT NULL,              -- locked, full (no room), failed (else), slow (the disk didn't answer)
    detail TEXT NOT NULL,            -- by which process, or what SQLite said
    lost INTEGER NOT NULL,           -- events that were lost meanwhile; they are in recordings.lost too
    PRIMARY KEY (recording_id, from_ns)
) STRICT, WITHOUT ROWID
"""

_FACT_BLOCKS = """
-- Which recording the fact ids of a range belong to, so that several recorders can write one file at a time.
CREATE TABLE fact_blocks (
    first_id INTEGER PRIMARY KEY,
    size INTEGER NOT NULL,           -- how many ids, from first_id on
    recording_id INTEGER NOT NULL REFERENCES recordings (id)
) STRICT
"""

_EVENTS = """
-- Every event in order (ORDER BY id), whatever its kind.
CREATE VIEW events AS
    """ + "\n    UNION ALL ".join(
    f"SELECT id, recording_id, '{kind.name}' AS kind, time_ns, pid, process_id FROM {kind.table}" for kind in ALL_KINDS
)

TABLES = (
    _RECORDINGS, _PROCESSES, _FORKS, _PROGRAMS, _EXITS, _FREES, _FOUND, _MISSING, _CGROUPS, DIRECTORIES,
    INCIDENTS, _FACT_BLOCKS, _EVENTS,
)  # fmt: skip
"""Statements that make all tables, and the view of all facts."""
