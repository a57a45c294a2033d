"""The texts of the SQL macros that are the same for all that a statement may read; see sql_macros.py."""

from __future__ import annotations

from .macro import Macro

MACROS = (
    Macro("latest_recording", (), "the number of the latest recording", "(SELECT max(id) FROM recordings)"),
    Macro(
        "until_ns",
        ("r",),
        "the end of a recording r; during a recording, its latest commit",
        "coalesce({r}.ended_ns, {r}.updated_ns)",
    ),
    Macro(
        "option",
        ("r", "name"),
        "the value of an option of a recording r; NULL if it was not set",
        "CASE WHEN json_valid({r}.options) THEN json_extract({r}.options, '$.{name}') END",
    ),
    Macro(
        "command",
        ("r", "column"),
        "a column of the process that `record -- COMMAND` started, in a recording r; NULL if there was no command",
        # Uses the index processes_by_time, so this is fast.
        """\
(
    SELECT of_command.{column}
    FROM processes AS of_command
    WHERE of_command.recording_id = {r}.id
    AND of_command.start_ns >= {r}.started_ns
    AND of_command.ppid = {r}.recorder_pid
    AND option!({r}, of) = 'command'
    ORDER BY of_command.start_ns, of_command.id
    LIMIT 1
)""",
    ),
    Macro(
        "in_scope",
        ("p",),
        "whether a process p is in the scope, and not only named as a parent; true without a scope",
        "{p}.in_scope IS NOT 0",
    ),
    Macro(
        "ended_in_scope",
        ("p",),
        "the same, but false for a process that ended after the stretch of time of the scope",
        "coalesce({p}.in_scope, 1) = 1",
    ),
    Macro(
        "is_alive_at_end",
        ("p",),
        "whether a process p was alive at the end of the recording, or of the stretch of time of the scope",
        "({p}.state = 'running' OR coalesce({p}.in_scope, 1) = 2)",
    ),
    Macro(
        "is_counted",
        ("p",),
        "whether queries count and show a process p: true unless it is a kernel thread, or not in the scope",
        "{p}.kernel IS NOT 1 AND in_scope!({p})",
    ),
    Macro(
        "is_counted_or_kernel",
        ("p", "shows_kernel"),
        "the same, but true for kernel threads too if the second argument is true",
        "({p}.kernel IS NOT 1 OR {shows_kernel}) AND in_scope!({p})",
    ),
    Macro(
        "percent_of_life",
        ("ns", "p", "r"),
        "a time in ns as a percentage of the life of a process p, so far if it runs, in its recording r",
        """\
round(100.0 * {ns}
    / nullif(CASE WHEN {p}.state = 'running' THEN until_ns!({r}) ELSE {p}.end_ns END - {p}.start_ns, 0), 1
)""",
    ),
    Macro(
        "last_ns",
        ("p", "until_ns"),
        "where the bar of a process p ends: its end; the second argument if it is running; its start if it is lost",
        "coalesce({p}.end_ns, CASE {p}.state WHEN 'running' THEN {until_ns} ELSE {p}.start_ns END)",
    ),
    Macro(
        "seconds",
        ("ns",),
        "a time of whole ns, not negative, in seconds with six digits; round() to as many isn't exact in SQLite",
        "({ns} + 500) / 1000 / 1e6",
    ),
    Macro(
        "three_digits",
        ("ns",),
        "a time in ns, rounded down to three digits if it is 100 us or longer",
        """\
CASE
    WHEN {ns} < 100000 THEN {ns}
    WHEN {ns} < 1000000 THEN {ns} / 1000 * 1000
    WHEN {ns} < 10000000 THEN {ns} / 10000 * 10000
    WHEN {ns} < 100000000 THEN {ns} / 100000 * 100000
    WHEN {ns} < 1000000000 THEN {ns} / 1000000 * 1000000
    WHEN {ns} < 10000000000 THEN {ns} / 10000000 * 10000000
    ELSE {ns} / 100000000 * 100000000
END""",
    ),
    Macro(
        "owners_of_pid",
        ("recording", "pid"),
        "a SELECT of the ids of the processes that had a pid in a recording, latest first",
        """\
SELECT id
FROM processes
WHERE recording_id = {recording}
    AND pid = {pid}
    AND in_scope!(processes)
ORDER BY start_ns DESC, id DESC""",
    ),
    Macro(
        "latest_owner",
        ("recording", "pid"),
        "the id of the latest process that had a pid in a recording; NULL if none had it",
        """\
(
    owners_of_pid!({recording}, {pid})
    LIMIT 1
)""",
    ),
    Macro(
        "equal_steps",
        ("steps",),
        "the text of a CTE: id, begin_ns, steps and step_ns of the chosen recording, divided into 1 to 10000 steps",
        """\
SELECT id, begin_ns, steps, max((ended_ns - begin_ns) / steps, 1) AS step_ns
FROM (
    SELECT
        r.id,
        begin_ns!(r) AS begin_ns,
        until_ns!(r) AS ended_ns,
        min(max({steps}, 1), 10000) AS steps
    FROM recordings AS r
    WHERE is_chosen!(r.id)
) AS chosen""",
    ),
    Macro(
        "moment",
        ("r", "time_ns"),
        "a time as text, with the UTC offset that the machine had when a recording r began; in UTC if unknown",
        """\
strftime('%Y-%m-%d %H:%M:%f', {time_ns} / 1e9 + coalesce({r}.utc_offset_s, 0), 'unixepoch')
    || CASE WHEN {r}.utc_offset_s < 0 THEN '-' ELSE '+' END
    || strftime('%H:%M', abs(coalesce({r}.utc_offset_s, 0)), 'unixepoch')""",
    ),
    Macro(
        "signal_names",
        (),
        "rows with the number and name of each signal, without SIG, as on x86 and Arm",
        """\
VALUES (1, 'HUP'), (2, 'INT'), (3, 'QUIT'), (4, 'ILL'), (5, 'TRAP'), (6, 'ABRT'), (7, 'BUS'), (8, 'FPE'), (9, 'KILL'),
    (10, 'USR1'), (11, 'SEGV'), (12, 'USR2'), (13, 'PIPE'), (14, 'ALRM'), (15, 'TERM'), (16, 'STKFLT'), (24, 'XCPU'),
    (25, 'XFSZ'), (26, 'VTALRM'), (27, 'PROF'), (29, 'IO'), (30, 'PWR'), (31, 'SYS')""",
    ),
)
"""These macros."""
