-- title: Compare
-- theme: recording
-- description: Which programs are new, gone, more frequent, slower or need more memory than in another recording of
--   this file? One row for each name, largest change of total lifetime first. There are no rows without another
--   recording. Base: processes (except kernel threads) that started during their recording. With a million processes in
--   each recording, this takes more than a second.
-- fleet: per recording
-- param recording: integer, default latest; number of the recording
-- param against: integer, default the one before it; number of the recording to compare with
-- column comm: name
-- column verdict: new, gone, or in both
-- column processes: how many processes, in the recording
-- column processes_before: how many in the other recording
-- column total_ms: sum of the lifetimes, in milliseconds
-- column total_ms_before: the same in the other recording
-- column total_change: change of total_ms, in percent of the other recording
-- column cpu_ms: sum of the CPU times, in milliseconds
-- column cpu_ms_before: the same in the other recording
-- column cpu_change: change of cpu_ms, in percent of the other recording
-- column max_rss_kib: highest peak memory, in KiB
-- column max_rss_kib_before: the same in the other recording
-- column failed: how many of them ended with a non-zero exit code or by a signal
-- column failed_before: the same in the other recording
WITH pair (id, is_before) AS MATERIALIZED (
    SELECT param!(recording), 0
    UNION ALL
    SELECT param!(against), 1
),
counted AS MATERIALIZED (
    SELECT
        pair.is_before,
        p.comm,
        count(*) AS processes,
        sum(p.end_ns - p.start_ns) AS total_ns,
        sum(p.cpu_ns) AS cpu_ns,
        max(p.max_rss_kib) AS max_rss_kib,
        coalesce(sum(p.status <> 0), 0) AS failed
    FROM pair
    JOIN recordings AS r ON r.id = pair.id
    blocks_of!(p, r)
    WHERE is_counted!(p)
        AND p.start_ns >= r.started_ns
        AND (SELECT count(*) FROM pair JOIN recordings USING (id)) = 2
    GROUP BY p.comm, pair.is_before
),
names AS (
    SELECT DISTINCT comm FROM counted
)
SELECT
    names.comm,
    CASE WHEN before.comm IS NULL THEN 'new' WHEN now.comm IS NULL THEN 'gone' ELSE 'both' END AS verdict,
    coalesce(now.processes, 0) AS processes,
    coalesce(before.processes, 0) AS processes_before,
    round(now.total_ns / 1e6, 3) AS total_ms,
    round(before.total_ns / 1e6, 3) AS total_ms_before,
    round(100.0 * (now.total_ns - before.total_ns) / nullif(before.total_ns, 0), 1) AS total_change,
    round(now.cpu_ns / 1e6, 3) AS cpu_ms,
    round(before.cpu_ns / 1e6, 3) AS cpu_ms_before,
    round(100.0 * (now.cpu_ns - before.cpu_ns) / nullif(before.cpu_ns, 0), 1) AS cpu_change,
    now.max_rss_kib,
    before.max_rss_kib AS max_rss_kib_before,
    coalesce(now.failed, 0) AS failed,
    coalesce(before.failed, 0) AS failed_before
FROM names
LEFT JOIN counted AS now ON now.comm IS names.comm AND now.is_before = 0
LEFT JOIN counted AS before ON before.comm IS names.comm AND before.is_before = 1
ORDER BY abs(coalesce(now.total_ns, 0) - coalesce(before.total_ns, 0)) DESC, names.comm
