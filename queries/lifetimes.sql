-- title: Lifetimes
-- theme: processes
-- description: How long did each process live, and how did it end? Longest first, then processes that are still
--   running, oldest first. Base: all processes except kernel threads, including those from before the recording.
-- fleet: pooled
-- param recording: integer, default latest; number of the recording
-- param kernel: integer, default 0; 1 shows kernel threads too
-- column pid: process id
-- column comm: name, at most 15 bytes
-- column lifetime_ms: time from start to end, in milliseconds; null if it is running or lost
-- column state: exited, running (at the end of the recording) or lost (vanished, but its exit was not seen)
-- column exit_code: exit code; null if unknown, or if a signal ended it
-- column signal: number of the signal that ended it; null if none
-- column args: command line of its latest program, quoted for a shell; null if it ran no program of its own
-- column cpu_ms: CPU time of all its threads, without children, in milliseconds
-- column max_rss_kib: peak memory, in KiB, including the programs that it ran before
-- column age_ms: age of a running process at the end of the recording, in milliseconds
-- column ppid: process id of the parent
-- column start_ns: start, in nanoseconds since 1970 (Unix time)
-- column filename: path of its latest program, as passed to exec
-- column uid: real user id
-- column id: its id in the table processes
WITH ordered AS (
    -- Sort only ids: to sort whole rows would take three times as long.
    SELECT id, row_number() OVER (ORDER BY start_ns - end_ns NULLS LAST, start_ns, id) AS position
    FROM processes
    WHERE is_chosen!(recording_id)
        AND is_counted_or_kernel!(processes, param!(kernel))
)
SELECT
    p.pid,
    p.comm,
    round(p.lifetime_ns / 1e6, 3) AS lifetime_ms,
    p.state,
    p.exit_code,
    p.signal,
    c.args,
    round(p.cpu_ns / 1e6, 3) AS cpu_ms,
    p.max_rss_kib,
    CASE WHEN p.state = 'running' THEN round((until_ns!(r) - p.start_ns) / 1e6, 3) END AS age_ms,
    p.ppid,
    p.start_ns,
    c.filename,
    p.uid,
    p.id
FROM ordered
CROSS JOIN processes AS p ON p.id = ordered.id
CROSS JOIN recordings AS r ON r.id = p.recording_id
LEFT JOIN commands AS c ON c.id = p.command_id
in_order!(ordered.position)
