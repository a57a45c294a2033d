-- title: Peak memory
-- theme: costs
-- description: Which processes needed the most memory? Linux keeps the peak across an exec, so a small program that a
--   large one started shows the peak of the large one; own_peak is 0 then. Base: processes (except kernel threads)
--   whose exit was seen, or that were running at the end.
-- fleet: pooled
-- param recording: integer, default latest; number of the recording
-- param limit: integer, default 100; maximum number of rows
-- column pid: process id
-- column comm: name
-- column max_rss_kib: peak memory, in KiB
-- column carried_rss_kib: peak memory before its latest exec, in KiB; null if it ran no program of its own
-- column own_peak: 1 if the peak is of its latest program, 0 if it may be of the program before
-- column lifetime_ms: time from start to end, in milliseconds
-- column args: command line of its latest program, quoted for a shell; null if it ran no program of its own
-- column exit_code: exit code; null if a signal ended it
-- column signal: number of the signal that ended it; null if none; 9 may come from the OOM killer
-- column minor_faults: page faults that needed no storage
-- column major_faults: page faults for which it waited for storage; many of them, and it may have needed more memory than
--   there was
-- column uid: real user id
-- column start_ns: start, in nanoseconds since 1970 (Unix time)
-- column id: its id in the table processes
WITH ordered AS (
    -- Sort only ids: to sort whole rows would take three times as long.
    SELECT id, row_number() OVER (ORDER BY max_rss_kib DESC, id) AS position
    FROM processes
    WHERE is_chosen!(recording_id)
        AND is_counted!(processes)
        AND max_rss_kib IS NOT NULL
)
SELECT
    p.pid,
    p.comm,
    p.max_rss_kib,
    p.carried_rss_kib,
    p.max_rss_kib > coalesce(p.carried_rss_kib, 0) AS own_peak,
    round(p.lifetime_ns / 1e6, 3) AS lifetime_ms,
    c.args,
    p.exit_code,
    p.signal,
    p.minor_faults,
    p.major_faults,
    p.uid,
    p.start_ns,
    p.id
FROM ordered
CROSS JOIN processes AS p ON p.id = ordered.id
LEFT JOIN commands AS c ON c.id = p.command_id
in_order!(ordered.position)
LIMIT param!(limit)
