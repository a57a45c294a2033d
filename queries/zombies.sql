-- title: Zombies
-- theme: failures
-- description: Which processes had ended, but their parent had not waited for them? Longest first, then processes
--   that were not yet reaped at the end of the recording (or whose reaping the kernel didn't report: up to 4 of 1,000
--   on a busy machine). The kernel reports it about 20 ms late. Base: processes (except kernel threads) whose exit was
--   seen.
-- fleet: pooled
-- param recording: integer, default latest; number of the recording
-- param min_ms: number, default 100; minimum time, in milliseconds
-- column pid: process id
-- column comm: name
-- column zombie_ms: time from exit to reap, in milliseconds; null if it was not reaped
-- column at_least_ms: time from exit to reap, or to the end of the recording, in milliseconds
-- column args: command line of its latest program, quoted for a shell; null if it ran no program of its own
-- column parent: name of the parent that should have waited
-- column end_ppid: process id of that parent
-- column end_ns: exit, in nanoseconds since 1970 (Unix time)
-- column id: its id in the table processes
WITH recording AS MATERIALIZED (
    SELECT
        id,
        until_ns!(recordings) AS ended_ns,
        param!(min_ms) * 1e6 AS min_ns
    FROM recordings
    WHERE is_chosen!(id)
),
waiting AS NOT MATERIALIZED (
    SELECT
        p.id,
        p.freed_ns - p.end_ns AS ns,
        coalesce(p.freed_ns, recording.ended_ns) - p.end_ns AS least_ns
    FROM recording
    blocks_of!(p, recording)
    WHERE is_counted!(p)
        AND (
            p.freed_ns - p.end_ns >= recording.min_ns
            OR (p.state = 'exited' AND p.cpu_ns IS NULL AND recording.ended_ns - p.end_ns >= recording.min_ns)
        )
),
ordered AS (
    -- Sort only ids: to sort whole rows would take three times as long.
    SELECT id, ns, least_ns, row_number() OVER (ORDER BY ns IS NULL, least_ns DESC, id) AS position
    FROM waiting
)
SELECT
    p.pid,
    p.comm,
    round(ordered.ns / 1e6, 3) AS zombie_ms,
    round(ordered.least_ns / 1e6, 3) AS at_least_ms,
    c.args,
    CASE WHEN p.end_ppid = p.ppid THEN parent.comm END AS parent,
    p.end_ppid,
    p.end_ns,
    p.id
FROM ordered
CROSS JOIN processes AS p ON p.id = ordered.id
LEFT JOIN commands AS c ON c.id = p.command_id
LEFT JOIN processes AS parent ON parent.id = p.parent_id
in_order!(ordered.position)
