-- title: Spawners
-- theme: relations
-- description: Which processes started the most other processes? Base: processes (except kernel threads) that started
--   during the recording, and whose parent is in it.
-- fleet: pooled
-- param recording: integer, default latest; number of the recording
-- param limit: integer, default 100; maximum number of rows
-- column pid: process id of the parent
-- column comm: name of the parent
-- column children: how many processes it started
-- column failed: how many of them ended with a non-zero exit code or by a signal
-- column args: command line of the parent's latest program, quoted for a shell; null if it ran no program of its own
-- column children_per_s: the same for each second of its life during the recording
-- column total_ms: sum of the children's lifetimes, in milliseconds
-- column cpu_ms: sum of the children's CPU times
-- column state: exited, running or lost
-- column id: the parent's id in the table processes
WITH counted AS MATERIALIZED (
    SELECT
        p.parent_id,
        count(*) AS children,
        sum(p.status <> 0) AS failed,
        sum(p.end_ns - p.start_ns) AS total_ns,
        sum(p.cpu_ns) AS cpu_ns
    FROM recordings AS r
    blocks_of!(p, r)
    WHERE is_chosen!(r.id)
        AND is_counted!(p)
        AND p.parent_id IS NOT NULL
        AND p.start_ns >= known_from_ns!(p, r)
    GROUP BY p.parent_id
    ORDER BY 2 DESC, 1
    LIMIT param!(limit)
)
SELECT
    parent.pid,
    parent.comm,
    counted.children,
    coalesce(counted.failed, 0) AS failed,
    c.args,
    round(counted.children * 1e9
        / nullif(coalesce(parent.end_ns, until_ns!(r)) - max(parent.start_ns, known_from_ns!(parent, r)), 0), 1
    ) AS children_per_s,
    round(counted.total_ns / 1e6, 3) AS total_ms,
    round(counted.cpu_ns / 1e6, 3) AS cpu_ms,
    parent.state,
    parent.id
FROM counted
JOIN processes AS parent ON parent.id = counted.parent_id
LEFT JOIN commands AS c ON c.id = parent.command_id
JOIN recordings AS r ON r.id = parent.recording_id
ORDER BY counted.children DESC, parent.id
