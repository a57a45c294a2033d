"""The views for people: processes and their events with times as text. They need no raw events. See ddl.py."""

from __future__ import annotations

from .sql_macros import expand

_PROCESS_LIST = """
-- The processes for people: without kernel threads, in local time. See processes for exact values.
CREATE VIEW process_list AS
    SELECT
        p.recording_id,
        p.pid,
        p.comm,
        coalesce(c.args, c.filename) AS command,
        moment!(r, p.start_ns) AS started,
        moment!(r, p.end_ns) AS ended,
        round(p.lifetime_ns / 1e6, 3) AS lifetime_ms,
        round(p.cpu_ns / 1e6, 3) AS cpu_ms,
        p.outcome,
        p.exit_code,
        CASE WHEN p.signal THEN (SELECT column2 FROM (signal_names!()) WHERE column1 = p.signal) END AS signal_name,
        p.uid,
        p.ppid,
        parent.comm AS parent,
        g.container,
        p.id
    FROM processes AS p
    LEFT JOIN recordings AS r ON r.id = p.recording_id
    LEFT JOIN commands AS c ON c.id = p.command_id
    LEFT JOIN processes AS parent ON parent.id = p.parent_id
    LEFT JOIN cgroup_paths AS g ON g.recording_id = p.recording_id AND g.cgroup_id = p.cgroup_id
    WHERE is_counted!(p)
"""

_OF_PROCESS = """SELECT
        p.recording_id,
        p.{column} AS time_ns,
        moment!(r, p.{column}) AS time,
        '{kind}' AS kind,
        p.pid,
        p.comm,
        NULL AS command,
        {status} AS status,
        p.id AS process_id
    FROM processes AS p
    LEFT JOIN recordings AS r ON r.id = p.recording_id
    WHERE is_counted!(p)
        AND p.{column} IS NOT NULL
"""

_OF_PROGRAM = """SELECT
        x.recording_id,
        x.time_ns,
        moment!(r, x.time_ns) AS time,
        'exec' AS kind,
        x.pid,
        x.comm,
        coalesce(c.args, c.filename) AS command,
        NULL AS status,
        x.process_id
    FROM programs AS x
    LEFT JOIN recordings AS r ON r.id = x.recording_id
    LEFT JOIN commands AS c ON c.id = x.command_id
"""

_EVENT_LIST = """
-- The start, execs, exit and free of each process, without kernel threads (ORDER BY time_ns). comm: its latest name.
CREATE VIEW event_list AS
    """ + "    UNION ALL\n    ".join(
    (
        _OF_PROCESS.format(column="start_ns", kind="start", status="NULL"),
        _OF_PROGRAM,
        _OF_PROCESS.format(column="end_ns", kind="exit", status="p.status"),
        _OF_PROCESS.format(column="freed_ns", kind="free", status="NULL"),
    )
)

VIEWS = (expand(_PROCESS_LIST), expand(_EVENT_LIST))
"""The statements that create these views."""
