-- title: Summary
-- description: What ran, by name: how often, for how long, how did it end and what did it cost? Most total lifetime
--   first. Base: all processes except kernel threads; lifetimes are of processes that exited. Sums leave out what isn't
--   known. With a million processes, this takes two to three seconds.
-- param recording: integer, default latest; number of the recording
-- column comm: name, at most 15 bytes
-- column processes: how many processes had this as their latest name
-- column exited: how many of them exited
-- column failed: how many of them ended with a non-zero exit code or by a signal
-- column total_ms: sum of the lifetimes, in milliseconds
-- column median_ms: median lifetime, in milliseconds
-- column p95_ms: 95th percentile of the lifetimes (nearest rank), in milliseconds
-- column max_ms: longest lifetime, in milliseconds
-- column cpu_ms: sum of the CPU times, in milliseconds
-- column max_rss_kib: highest peak memory, in KiB
-- column user_ms: part of cpu_ms in user mode
-- column system_ms: part of cpu_ms in the kernel
-- column run_delay_ms: sum of the times of waiting for a processor, in milliseconds
-- column read_bytes: sum of the bytes read from storage
-- column write_bytes: sum of the bytes written to storage
WITH process AS NOT MATERIALIZED (
    SELECT p.*
    FROM by_blocks!(p, param!(recording))
    WHERE is_counted!(p)
),
counted AS MATERIALIZED (
    SELECT
        comm,
        count(*) AS processes,
        sum(state = 'exited') AS exited,
        coalesce(sum(status <> 0), 0) AS failed,
        count(end_ns) AS known,
        sum(end_ns - start_ns) AS total_ns,
        max(end_ns - start_ns) AS max_ns,
        sum(cpu_ns) AS cpu_ns,
        max(max_rss_kib) AS max_rss_kib,
        sum(user_ns) AS user_ns,
        sum(system_ns) AS system_ns,
        sum(run_delay_ns) AS run_delay_ns,
        sum(read_bytes) AS read_bytes,
        sum(write_bytes) AS write_bytes
    FROM process
    GROUP BY comm
),
-- All lifetimes sorted by name and length: the positions, for each name, of the one or two in the middle, and of the
-- 95th percentile.
placed AS MATERIALIZED (
    SELECT
        comm,
        before + (known + 1) / 2 AS middle,
        before + (known + 2) / 2 AS other_middle,
        before + (known * 95 + 99) / 100 AS p95
    FROM (SELECT comm, known, sum(known) OVER (ORDER BY comm) - known AS before FROM counted)
    WHERE known > 0
),
ranked AS (
    SELECT end_ns - start_ns AS ns, row_number() OVER (ORDER BY comm, end_ns - start_ns) AS rank
    FROM process
    WHERE end_ns IS NOT NULL
),
picked AS MATERIALIZED (
    SELECT rank, ns
    FROM ranked
    WHERE rank IN (SELECT middle FROM placed UNION SELECT other_middle FROM placed UNION SELECT p95 FROM placed)
)
SELECT
    counted.comm,
    counted.processes,
    counted.exited,
    counted.failed,
    round(counted.total_ns / 1e6, 3) AS total_ms,
    round((SELECT avg(ns) FROM picked WHERE rank IN (placed.middle, placed.other_middle)) / 1e6, 3) AS median_ms,
    round((SELECT ns FROM picked WHERE rank = placed.p95) / 1e6, 3) AS p95_ms,
    round(counted.max_ns / 1e6, 3) AS max_ms,
    round(counted.cpu_ns / 1e6, 3) AS cpu_ms,
    counted.max_rss_kib,
    round(counted.user_ns / 1e6, 3) AS user_ms,
    round(counted.system_ns / 1e6, 3) AS system_ms,
    round(counted.run_delay_ns / 1e6, 3) AS run_delay_ms,
    counted.read_bytes,
    counted.write_bytes
FROM counted
LEFT JOIN placed ON placed.comm IS counted.comm
ORDER BY counted.total_ns IS NULL, counted.total_ns DESC, counted.processes DESC, counted.comm
