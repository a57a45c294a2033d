-- title: Chains of programs
-- theme: relations
-- description: Which processes ran one program after another (for example sh, then env, then python)? One row for
--   each chain of names, most processes first. Base: processes with two or more programs during the recording.
-- fleet: pooled
-- param recording: integer, default latest; number of the recording
-- column chain: names of the first 20 programs, in order, and how many more there were
-- column processes: how many processes went through this chain
-- column programs: how many programs the chain has
-- column mean_ms: mean lifetime of processes that exited, in milliseconds
-- column cpu_ms: sum of the CPU times, in milliseconds
-- column failed: how many of them ended with a non-zero exit code or by a signal
-- column example: command line of the latest program of the first such process, quoted for a shell
WITH numbered AS (
    SELECT
        e.process_id,
        e.comm,
        row_number() OVER chain AS number
    FROM processes AS p
    JOIN programs AS e ON e.process_id = p.id
    WHERE is_chosen!(p.recording_id)
        AND p.execs > 1
        AND in_scope!(p)
    WINDOW chain AS (PARTITION BY e.process_id ORDER BY e.id)
),
links AS (
    SELECT
        process_id,
        number AS programs,
        -- Limited to 20 names: the texts built on the way to n names are n * n long together.
        group_concat(CASE WHEN number <= 20 THEN comm END, ' > ') OVER chain AS names,
        lead(number, 1, 0) OVER (PARTITION BY process_id ORDER BY number) = 0 AS is_last
    FROM numbered
    WINDOW chain AS (PARTITION BY process_id ORDER BY number ROWS UNBOUNDED PRECEDING)
),
whole AS MATERIALIZED (
    SELECT
        process_id,
        programs,
        names || CASE WHEN programs > 20 THEN ' > … ' || (programs - 20) || ' more' ELSE '' END AS names
    FROM links
    WHERE is_last
        AND programs > 1
),
chains AS MATERIALIZED (
    SELECT names, max(programs) AS programs, count(*) AS processes, min(process_id) AS first_id
    FROM whole
    GROUP BY names
),
costs AS MATERIALIZED (
    SELECT
        whole.names,
        mean!(p.end_ns - p.start_ns) AS mean_ns,
        sum(p.cpu_ns) AS cpu_ns,
        coalesce(sum(p.status <> 0), 0) AS failed
    FROM whole
    JOIN processes AS p ON p.id = whole.process_id
    GROUP BY whole.names
)
SELECT
    chains.names AS chain,
    chains.processes,
    chains.programs,
    round(costs.mean_ns / 1e6, 3) AS mean_ms,
    round(costs.cpu_ns / 1e6, 3) AS cpu_ms,
    costs.failed,
    c.args AS example
FROM chains
JOIN costs ON costs.names = chains.names
JOIN processes AS example ON example.id = chains.first_id
LEFT JOIN commands AS c ON c.id = example.command_id
ORDER BY chains.processes DESC, chains.names
