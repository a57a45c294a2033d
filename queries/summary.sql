-- title: Summary
-- description: What ran, by name: how often, how long, how it ended and what it cost? Most total lifetime first.
--   Counts are of all processes but kernel threads; lifetimes of those that exited. On a million
--   processes it takes two seconds.
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
WITH counted AS MATERIALIZED (
    SELECT
        comm,
        count(*) AS processes,
        sum(state = 'exited') AS exited,
        coalesce(sum(status <> 0), 0) AS failed,
        count(end_ns) AS known,
        sum(end_ns - start_ns) AS total_ns,
        max(end_ns - start_ns) AS max_ns,
        sum(cpu_ns) AS cpu_ns,
        max(max_rss_kib) AS max_rss_kib
    FROM processes
    WHERE recording_id = CAST(coalesce(nullif(:recording, ''), (SELECT max(id) FROM recordings)) AS INTEGER)
        AND kernel IS NOT 1
    GROUP BY comm
),
-- Of the lifetimes of each name, in order: the one or two in the middle, and the 95th of a hundred.
wanted (comm, rank) AS MATERIALIZED (
    SELECT comm, (known + 1) / 2 FROM counted
    UNION
    SELECT comm, (known + 2) / 2 FROM counted
    UNION
    SELECT comm, (known * 95 + 99) / 100 FROM counted
),
ranked AS (
    SELECT comm, end_ns - start_ns AS ns, row_number() OVER (PARTITION BY comm ORDER BY end_ns - start_ns) AS rank
    FROM processes
    WHERE recording_id = CAST(coalesce(nullif(:recording, ''), (SELECT max(id) FROM recordings)) AS INTEGER)
        AND kernel IS NOT 1
        AND end_ns IS NOT NULL
),
picked AS MATERIALIZED (
    SELECT comm, rank, ns FROM ranked WHERE (comm, rank) IN (SELECT comm, rank FROM wanted)
)
SELECT
    counted.comm,
    counted.processes,
    counted.exited,
    counted.failed,
    round(counted.total_ns / 1e6, 3) AS total_ms,
    round((
        SELECT avg(ns)
        FROM picked
        WHERE picked.comm = counted.comm
            AND picked.rank IN ((counted.known + 1) / 2, (counted.known + 2) / 2)
    ) / 1e6, 3) AS median_ms,
    round((
        SELECT ns
        FROM picked
        WHERE picked.comm = counted.comm
            AND picked.rank = (counted.known * 95 + 99) / 100
    ) / 1e6, 3) AS p95_ms,
    round(counted.max_ns / 1e6, 3) AS max_ms,
    round(counted.cpu_ns / 1e6, 3) AS cpu_ms,
    counted.max_rss_kib
FROM counted
ORDER BY counted.total_ns IS NULL, counted.total_ns DESC, counted.processes DESC, counted.comm
