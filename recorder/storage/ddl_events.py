"""The tables of raw events that have only numbers and names: forks, exits, frees, and usage at the end."""

from __future__ import annotations

FORKS = """
-- Raw events: a process was created (fork).
CREATE TABLE forks (
    id INTEGER PRIMARY KEY,          -- event ids count up over all kinds, in the order of the ring buffer
    recording_id INTEGER NOT NULL REFERENCES recordings (id),
    process_id INTEGER NOT NULL REFERENCES processes (id),
    time_ns INTEGER NOT NULL,        -- Unix ns
    pid INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,       -- Unix ns: start of the process; pid and start_ns identify it in every event
    ppid INTEGER NOT NULL,
    parent_start_ns INTEGER NOT NULL,
    comm TEXT NOT NULL,              -- the name of its parent; if reported late, of its latest program until then
    uid INTEGER NOT NULL,
    euid INTEGER NOT NULL,
    cgroup_id INTEGER NOT NULL,
    kernel INTEGER NOT NULL,
    sid INTEGER,                     -- id of its session
    loginuid INTEGER,                -- id of the user who logged in; NULL: nobody
    execs INTEGER,                   -- programs it had run when a filter reported it late; NULL: none
    begun INTEGER,                   -- the kernel's count of begun programs at that time, see exits; NULL: none
    ns_pid INTEGER                   -- pid in its own pid namespace; NULL: the same as pid
) STRICT
"""

EXITS = """
-- Raw events: the last thread of a process exited.
CREATE TABLE exits (
    id INTEGER PRIMARY KEY,
    recording_id INTEGER NOT NULL REFERENCES recordings (id),
    process_id INTEGER NOT NULL REFERENCES processes (id),
    time_ns INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,
    ppid INTEGER NOT NULL,           -- pid of its parent at its end
    comm TEXT NOT NULL,              -- its name, also from a program whose exec failed and killed it
    status INTEGER NOT NULL,         -- status word, as from wait4()
    max_rss_kib INTEGER NOT NULL,    -- peak memory in KiB
    uid INTEGER,                     -- real user id at its end; NULL: as in the events before
    begun INTEGER,                   -- programs it began to run, including a failed exec that killed it; NULL if uid is
    sid INTEGER,                     -- id of its session at its end; NULL if uid is
    loginuid INTEGER                 -- id of the user who logged in; NULL: nobody, or uid is NULL
) STRICT
"""

FREES = """
-- Raw events: the kernel freed a process after its parent had waited for it.
CREATE TABLE frees (
    id INTEGER PRIMARY KEY,
    recording_id INTEGER NOT NULL REFERENCES recordings (id),
    process_id INTEGER REFERENCES processes (id),  -- NULL: it exited before the recording
    time_ns INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,
    status INTEGER NOT NULL,
    cpu_ns INTEGER NOT NULL,         -- CPU time of all its threads, without children; the others as in processes
    user_ns INTEGER,                 -- NULL, as all below, in recordings of older versions
    system_ns INTEGER,
    minor_faults INTEGER,
    major_faults INTEGER,
    voluntary_switches INTEGER,
    involuntary_switches INTEGER,
    read_bytes INTEGER,              -- NULL if the kernel doesn't count it, as the next two
    write_bytes INTEGER,
    run_delay_ns INTEGER
) STRICT
"""

USAGE = """
-- What processes that ran at the end of the recording had cost until then, from /proc. Not for kernel threads.
CREATE TABLE usage (
    id INTEGER PRIMARY KEY,
    recording_id INTEGER NOT NULL REFERENCES recordings (id),
    process_id INTEGER NOT NULL REFERENCES processes (id),
    time_ns INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,
    cpu_ns INTEGER NOT NULL,         -- since its start, also before the recording
    user_ns INTEGER NOT NULL,        -- rounded down to 10 ms
    system_ns INTEGER NOT NULL,      -- rounded down to 10 ms
    minor_faults INTEGER NOT NULL,
    major_faults INTEGER NOT NULL,
    voluntary_switches INTEGER,      -- of the threads that were alive
    involuntary_switches INTEGER,    -- of the threads that were alive
    read_bytes INTEGER,
    write_bytes INTEGER,
    run_delay_ns INTEGER,            -- of the threads that were alive
    max_rss_kib INTEGER              -- peak memory in KiB of its latest program
) STRICT
"""
