"""The tables and views of a recording file.

The comments document tables and columns. SQLite keeps them in the file (see .schema), and docs/schema.md is made from
them. No table has the name of a saved query (so `programs`, not `execs`): Datasette gives both the same address.
"""

from __future__ import annotations

from . import ddl_small
from .ddl_events import EXITS, FORKS, FREES, USAGE
from .ddl_views import VIEWS

_RECORDINGS = """
-- One row for each recording.
CREATE TABLE recordings (
    id INTEGER PRIMARY KEY,          -- number of the recording in this file
    name TEXT,                       -- from --name
    status TEXT NOT NULL             -- recording (in progress, or just interrupted), complete, interrupted
        CHECK (status IN ('recording', 'complete', 'interrupted')),
    started_ns INTEGER NOT NULL,     -- Unix ns when the BPF programs were attached; or of the first event, see host
    updated_ns INTEGER NOT NULL,     -- Unix ns up to which all events are in the file
    ended_ns INTEGER,                -- Unix ns when webpf stopped reading events; NULL in progress, or if interrupted
    host TEXT,                       -- host name; NULL, as all about the machine, if made from a stream that lacks it
    machine_id TEXT,                 -- of /etc/machine-id, hashed for webpf: the same in all recordings of a machine
    boot_id TEXT,                    -- /proc/sys/kernel/random/boot_id; pids and start times belong to this boot
    kernel TEXT,                     -- kernel release
    machine TEXT,                    -- processor architecture
    cpus INTEGER,                    -- processors online
    command TEXT,                    -- command line of the recorder; with --no-args only its name
    options TEXT NOT NULL,           -- options as JSON (of --redact only how many; replayed: true if from a stream)
    recorder_pid INTEGER,            -- the recorder's own pid
    recorder_start_ns INTEGER,       -- start of the recorder: ns since boot, rounded down to 10 ms
    clock_offset_ns INTEGER,         -- Unix time = the kernel's time since boot + this offset
    zone TEXT,                       -- time zone of the machine, such as `Europe/Berlin`; NULL: unknown
    utc_offset_s INTEGER,            -- seconds that its local time was ahead of UTC at the start; NULL: unknown
    run_group TEXT,                  -- id that all runs of a repeated command share; NULL: not one of several runs
    run INTEGER,                     -- number of the run, from 1
    chain INTEGER,                   -- number of the first recording of its chain; NULL: not a segment of a chain
    segment INTEGER,                 -- position in the chain, from 1
    webpf_version TEXT,
    compiler TEXT,                   -- what compiled the BPF programs, such as `BCC 0.26.0`; NULL: unknown
    python_version TEXT,
    sqlite_version TEXT,
    forks_attempted INTEGER,         -- events of this kind that the kernel had to report; up to 1 s old while recording
    forks_written INTEGER,           -- events of this kind in this file; if it has no raw events: in its processes
    forks_lost INTEGER,              -- events of this kind lost: the ring buffer was full, or the kernel skipped them
    execs_attempted INTEGER,
    execs_written INTEGER,
    execs_lost INTEGER,
    exits_attempted INTEGER,
    exits_written INTEGER,
    exits_lost INTEGER,
    frees_attempted INTEGER,
    frees_written INTEGER,
    frees_lost INTEGER,
    kept_short INTEGER,              -- processes kept for lack of memory though they lived less than --min-lifetime
    lost INTEGER GENERATED ALWAYS AS (forks_lost + execs_lost + exits_lost + frees_lost) VIRTUAL
                                     -- all lost events; above 0, every count and sum is a lower bound
) STRICT
"""

_PROCESSES = """
-- One row for each process (never for a thread), derived from the raw events below (see webpf rebuild).
CREATE TABLE processes (
    id INTEGER PRIMARY KEY,          -- id of the first event of the process
    recording_id INTEGER NOT NULL REFERENCES recordings (id),
    pid INTEGER NOT NULL,            -- process id in the initial pid namespace; unique within a boot with start_ns
    ns_pid INTEGER,                  -- process id in its own pid namespace: in a container, what it calls itself
    ppid INTEGER,                    -- pid of its parent at the fork (or when it was first seen)
    parent_id INTEGER REFERENCES processes (id),  -- id of its parent in this table
    start_ns INTEGER NOT NULL,       -- Unix ns
    exact INTEGER,                   -- 0: start_ns is rounded down to 10 ms, as it is only from /proc; else 1
    end_ns INTEGER,                  -- Unix ns when its last thread exited
    lifetime_ns INTEGER GENERATED ALWAYS AS (end_ns - start_ns) VIRTUAL,  -- ns from start to end
    state TEXT NOT NULL,             -- exited, running (at the end of the recording), lost (vanished, exit not seen)
    comm TEXT,                       -- its latest name while it ran, at most 15 bytes
    command_id INTEGER REFERENCES commands (id),  -- its latest command line; NULL: its parent's, or unknown
    execs INTEGER,                   -- programs it ran, except one whose exec failed and killed it; 0: its parent's
    status INTEGER,                  -- status word, as from wait4()
    exit_code INTEGER GENERATED ALWAYS AS (CASE WHEN status & 127 = 0 THEN status >> 8 & 255 END) VIRTUAL,
                                     -- NULL if a signal ended it
    signal INTEGER GENERATED ALWAYS AS (nullif(status & 127, 0)) VIRTUAL,  -- the signal that ended it; NULL: none
    core_dumped INTEGER GENERATED ALWAYS AS (status >> 7 & 1) VIRTUAL,  -- 1: it dumped core
    outcome TEXT GENERATED ALWAYS AS (CASE
        WHEN status & 127 THEN 'signalled' WHEN status <> 0 THEN 'failed' WHEN state = 'exited' THEN 'ok' ELSE state
        END) VIRTUAL,                -- how it ended: ok, failed (exit code) or signalled; or its state: running, lost
    uid INTEGER,                     -- real user id, the latest known: from its exit, latest exec or fork
    sid INTEGER,                     -- id of its session, the latest known: pid of the process that began it
    loginuid INTEGER,                -- id of the user who logged in (PAM sets it), whatever uid is by now; NULL: nobody
    cgroup_id INTEGER,               -- id of its cgroup (v2), the latest known; see cgroup_paths
    cpu_ns INTEGER,                  -- CPU time of all its threads, without children, as from wait4(); if it was
                                     -- running at the end: until then, as all costs and max_rss_kib, see usage
    user_ns INTEGER,                 -- of this, in user mode, as from wait4()
    system_ns INTEGER,               -- and in the kernel
    minor_faults INTEGER,            -- page faults that needed no storage, as from wait4(); at most 2^32 - 1
    major_faults INTEGER,            -- page faults for which it waited for storage
    voluntary_switches INTEGER,      -- context switches because it waited for something
    involuntary_switches INTEGER,    -- context switches because it was preempted
    read_bytes INTEGER,              -- bytes that it caused to be read from storage, without children
    write_bytes INTEGER,             -- bytes that it caused to be written to storage
    run_delay_ns INTEGER,            -- ns for which its threads waited for a CPU; NULL if older than the recording
    freed_ns INTEGER,                -- Unix ns when the kernel freed it; its costs are complete only then
    max_rss_kib INTEGER,             -- peak memory in KiB, as from wait4(): never below carried_rss_kib
    carried_rss_kib INTEGER,         -- peak memory in KiB before its latest exec; NULL: it executed no program
    end_ppid INTEGER,                -- pid of its parent at its end; differs from ppid if that ended first (orphan)
    kernel INTEGER,                  -- 1: a kernel thread
    in_scope INTEGER                 -- of a part that webpf extract wrote: 1, or 2 if it ended after the part's time;
                                     -- 0: it is not in the part, but the parent of others; NULL: this is not a part
) STRICT
"""

_COMMANDS = """
-- Command lines, each written once in a recording (again only if a great many others were in between).
CREATE TABLE commands (
    id INTEGER PRIMARY KEY,          -- id of an event (in programs or snapshot) that refers to it
    recording_id INTEGER NOT NULL REFERENCES recordings (id),
    filename ANY,                    -- path as passed to exec: of a script, the script; a BLOB if it is not UTF-8
    args TEXT,                       -- argv quoted for a shell, cut if too long
    argv BLOB,                       -- exact bytes, each argument ended by NUL; in snapshot perhaps a process title
                                     -- without its padding; NULL if they could not be read, or with --no-args
    argv_bytes INTEGER               -- length of argv before it was cut (with --redact: of the redacted argv)
) STRICT
"""

_PROGRAMS = """
-- Raw events: a process ran a program (exec). In order, these are the chain of its programs.
CREATE TABLE programs (
    id INTEGER PRIMARY KEY,
    recording_id INTEGER NOT NULL REFERENCES recordings (id),
    process_id INTEGER NOT NULL REFERENCES processes (id),
    time_ns INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,
    comm TEXT NOT NULL,              -- the new name
    uid INTEGER NOT NULL,            -- real user id
    euid INTEGER NOT NULL,           -- effective user id: differs from uid for a set-user-ID program
    cgroup_id INTEGER NOT NULL,
    carried_rss_kib INTEGER NOT NULL,  -- peak memory in KiB before the exec; max_rss_kib is never less
    command_id INTEGER NOT NULL REFERENCES commands (id),
    cwd_device INTEGER,              -- working directory: the kernel's number of its file system,
    cwd_inode INTEGER,               -- and its inode number there; the path is in working_directories
    interpreter ANY,                 -- path of what runs the file: of a script, what #! says, its first 255 bytes;
                                     -- NULL: the file itself; a BLOB if it is not UTF-8
    exe_device INTEGER,              -- the executable that runs, of a script its interpreter: its file system,
    exe_inode INTEGER,               -- and its inode number there
    sid INTEGER,                     -- id of its session
    loginuid INTEGER                 -- id of the user who logged in; NULL: nobody did, as from the boot
) STRICT
"""

_SNAPSHOT = """
-- Raw events: processes in /proc when the recording began (with filters also later), and at its end if they changed.
-- In a later segment of a chain: the processes that were alive when the segment before ended.
CREATE TABLE snapshot (
    id INTEGER PRIMARY KEY,
    recording_id INTEGER NOT NULL REFERENCES recordings (id),
    process_id INTEGER NOT NULL REFERENCES processes (id),
    time_ns INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,       -- Unix ns, rounded down to 10 ms unless exact is 1
    ppid INTEGER,                    -- NULL: unknown, because its fork was lost in a segment before
    comm TEXT NOT NULL,
    uid INTEGER NOT NULL,
    euid INTEGER,                    -- NULL: it comes from the segment before
    cgroup_id INTEGER,
    kernel INTEGER NOT NULL,
    execs INTEGER NOT NULL,          -- 1: it had run a program of its own; 0: its parent's. If it comes from the
                                     -- segment before: how many programs it had run
    command_id INTEGER REFERENCES commands (id),  -- NULL: its parent's, or unknown
    ns_pid INTEGER,                  -- pid in its own pid namespace
    sid INTEGER,
    loginuid INTEGER,
    exact INTEGER,                   -- 1, 0: as in processes; NULL, as the next two, unless it comes from a segment
    begun INTEGER,                   -- programs it had begun to run, see exits; NULL also if that is unknown
    carried_rss_kib INTEGER          -- peak memory in KiB before its latest exec; NULL also if there was none
) STRICT
"""

_VANISHED = """
-- Raw events: processes whose exit was not seen, and that were not in /proc when the recording ended.
CREATE TABLE vanished (
    id INTEGER PRIMARY KEY,
    recording_id INTEGER NOT NULL REFERENCES recordings (id),
    process_id INTEGER NOT NULL REFERENCES processes (id),
    time_ns INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    start_ns INTEGER NOT NULL
) STRICT
"""

TABLES = (
    _RECORDINGS, _PROCESSES, _COMMANDS, FORKS, _PROGRAMS, EXITS, FREES, _SNAPSHOT, _VANISHED, USAGE,
    *ddl_small.TABLES, *VIEWS,
)  # fmt: skip
"""The statements that create all tables and views."""
