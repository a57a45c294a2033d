-- title: Summary
-- theme: recording
-- description: What ran, by name: how often, for how long, how did it end and what did it cost? Most total lifetime
--   first. Base: all processes except kernel threads; lifetimes are of processes that exited. Sums leave out what isn't
--   known. With a million processes, this takes a second and a half.
-- fleet: pooled
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
    SELECT p.*, three_digits!((p.end_ns - p.start_ns)) AS about_ns
    FROM by_blocks!(p, param!(recording))
    WHERE is_counted!(p)
),
-- All lifetimes of a name are in groups of about the same length.
grouped AS MATERIALIZED (
    SELECT
        about_ns,
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
    GROUP BY about_ns, comm
),
counted AS MATERIALIZED (
    SELECT
        comm,
        sum(processes) AS processes,
        sum(exited) AS exited,
        sum(failed) AS failed,
        sum(known) AS known,
        sum(total_ns) AS total_ns,
        max(max_ns) AS max_ns,
        sum(cpu_ns) AS cpu_ns,
        max(max_rss_kib) AS max_rss_kib,
        sum(user_ns) AS user_ns,
        sum(system_ns) AS system_ns,
        sum(run_delay_ns) AS run_delay_ns,
        sum(read_bytes) AS read_bytes,
        sum(write_bytes) AS write_bytes
    FROM grouped
    GROUP BY comm
),
-- The position of each group among the lifetimes of its name, from the shortest to the longest.
placed AS (
    SELECT
        comm,
        about_ns,
        known,
        sum(known) OVER (PARTITION BY comm ORDER BY about_ns) - known AS before,
        sum(known) OVER (PARTITION BY comm) AS all_known
    FROM grouped
    WHERE about_ns IS NOT NULL
),
-- The groups that have the one or two lifetimes in the middle, or the 95th percentile: only these are sorted.
wanted AS MATERIALIZED (
    SELECT comm, about_ns, before, all_known
    FROM placed
    WHERE (before < (all_known + 1) / 2 AND before + known >= (all_known + 1) / 2)
        OR (before < (all_known + 2) / 2 AND before + known >= (all_known + 2) / 2)
        OR (before < (all_known * 95 + 99) / 100 AND before + known >= (all_known * 95 + 99) / 100)
),
ranked AS (
    SELECT
        comm,
        about_ns,
        end_ns - start_ns AS ns,
        row_number() OVER (PARTITION BY comm, about_ns ORDER BY end_ns - start_ns) AS number
    FROM process
    WHERE (about_ns, coalesce(comm, '')) IN (SELECT about_ns, coalesce(comm, '') FROM wanted)
),
picked AS MATERIALIZED (
    SELECT
        wanted.comm,
        avg(CASE WHEN number + before IN ((all_known + 1) / 2, (all_known + 2) / 2) THEN ns END) AS median_ns,
        max(CASE WHEN number + before = (all_known * 95 + 99) / 100 THEN ns END) AS p95_ns
    FROM ranked
    JOIN wanted ON wanted.about_ns = ranked.about_ns AND wanted.comm IS ranked.comm
    GROUP BY wanted.comm
)
SELECT
    counted.comm,
    counted.processes,
    counted.exited,
    counted.failed,
    round(counted.total_ns / 1e6, 3) AS total_ms,
    round(picked.median_ns / 1e6, 3) AS median_ms,
    round(picked.p95_ns / 1e6, 3) AS p95_ms,
    round(counted.max_ns / 1e6, 3) AS max_ms,
    round(counted.cpu_ns / 1e6, 3) AS cpu_ms,
    counted.max_rss_kib,
    round(counted.user_ns / 1e6, 3) AS user_ms,
    round(counted.system_ns / 1e6, 3) AS system_ms,
    round(counted.run_delay_ns / 1e6, 3) AS run_delay_ms,
    counted.read_bytes,
    counted.write_bytes
FROM counted
LEFT JOIN picked ON picked.comm IS counted.comm
ORDER BY counted.total_ns IS NULL, counted.total_ns DESC, counted.processes DESC, counted.comm
