-- title: Duplicates
-- theme: costs
-- description: Which command lines ran more than once, and what did that cost? Most total lifetime first. Base:
--   processes that ran a program and whose arguments are known.
-- fleet: pooled
-- param recording: integer, default latest; number of the recording
-- column runs: how many processes ran this command line
-- column args: the command line, quoted for a shell
-- column total_ms: sum of the lifetimes, in milliseconds
-- column again_ms: the same minus one run of mean length: the cost of the repetitions
-- column cpu_ms: sum of the CPU times, in milliseconds
-- column mean_ms: mean lifetime, in milliseconds
-- column failed: how many of them ended with a non-zero exit code or by a signal
-- column parents: how many different parents started it
WITH lines AS (
    SELECT id, min(id) OVER (PARTITION BY args) AS first_id
    FROM commands
    WHERE is_chosen!(recording_id)
        AND args IS NOT NULL
),
-- A command line can be in several rows of commands. Rows after its first one are few.
later AS MATERIALIZED (
    SELECT id, first_id FROM lines WHERE id <> first_id
),
-- Numbers are grouped faster than texts.
counted AS MATERIALIZED (
    SELECT
        coalesce(later.first_id, p.command_id) AS command_id,
        count(*) AS runs,
        sum(p.end_ns - p.start_ns) AS total_ns,
        mean!(p.end_ns - p.start_ns) AS mean_ns,
        sum(p.cpu_ns) AS cpu_ns,
        coalesce(sum(p.status <> 0), 0) AS failed,
        count(DISTINCT p.parent_id) AS parents
    FROM by_blocks!(p, param!(recording))
    LEFT JOIN later ON later.id = p.command_id
    WHERE p.command_id IS NOT NULL
        AND in_scope!(p)
    GROUP BY 1
    HAVING count(*) > 1
)
SELECT
    counted.runs,
    c.args,
    round(counted.total_ns / 1e6, 3) AS total_ms,
    round((counted.total_ns - counted.mean_ns) / 1e6, 3) AS again_ms,
    round(counted.cpu_ns / 1e6, 3) AS cpu_ms,
    round(counted.mean_ns / 1e6, 3) AS mean_ms,
    counted.failed,
    counted.parents
FROM counted
JOIN commands AS c ON c.id = counted.command_id
WHERE c.args IS NOT NULL
ORDER BY counted.total_ns DESC, counted.runs DESC, c.args
