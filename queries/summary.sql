-- title: Summary
-- description: What ran, by name: how often, how long, how it ended and what it cost? Most total lifetime first.
--   Counts are of all processes but kernel threads; lifetimes of those that exited.
-- param recording: integer, default latest; number of the recording
-- column comm: name, at most 15 bytes
-- column processes: how many processes had this name in the end
-- column exited: how many of them exited
-- column failed: how many ended with a non-zero exit code or by a signal
-- column total_ms: sum of the lifetimes, in milliseconds
-- column median_ms: median lifetime
-- column p95_ms: 95th percentile of the lifetimes (nearest rank)
-- column max_ms: longest lifetime
-- column cpu_ms: sum of the CPU times
-- column max_rss_kib: highest peak memory, in KiB
WITH ranked AS (
    SELECT
        comm,
        state,
        status,
        lifetime_ns,
        cpu_ns,
        max_rss_kib,
        row_number() OVER (PARTITION BY comm ORDER BY lifetime_ns IS NULL, lifetime_ns) AS rank,
        count(lifetime_ns) OVER (PARTITION BY comm) AS known
    FROM processes
    WHERE recording_id = CAST(coalesce(nullif(:recording, ''), (SELECT max(id) FROM recordings)) AS INTEGER)
        AND kernel IS NOT 1
)
SELECT
    comm,
    count(*) AS processes,
    sum(state = 'exited') AS exited,
    coalesce(sum(status <> 0), 0) AS failed,
    round(sum(lifetime_ns) / 1e6, 3) AS total_ms,
    round(avg(CASE WHEN rank IN ((known + 1) / 2, (known + 2) / 2) THEN lifetime_ns END) / 1e6, 3) AS median_ms,
    round(max(CASE WHEN rank = (known * 95 + 99) / 100 THEN lifetime_ns END) / 1e6, 3) AS p95_ms,
    round(max(lifetime_ns) / 1e6, 3) AS max_ms,
    round(sum(cpu_ns) / 1e6, 3) AS cpu_ms,
    max(max_rss_kib) AS max_rss_kib
FROM ranked
GROUP BY comm
ORDER BY total_ms IS NULL, total_ms DESC, processes DESC, comm
