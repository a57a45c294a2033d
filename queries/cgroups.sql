-- title: Control groups
-- theme: costs
-- description: What ran in each cgroup (a container, a service, a login), and what did it cost? Most CPU time first.
--   Base: processes except kernel threads; costs are of whole processes, also before the recording. Sums leave out what
--   isn't known. The query containers puts the cgroups of a container together. Over
--   several recordings, cgroups of the same path are one row.
-- fleet: pooled
-- param recording: integer, default latest; number of the recording
-- column cgroup: path in the cgroup v2 hierarchy; null if it was removed before it could be looked up
-- column processes: how many processes
-- column running: how many of them were running at the end of the recording
-- column failed: how many of them ended with a non-zero exit code or by a signal
-- column cpu_ms: sum of the CPU times, in milliseconds
-- column total_ms: sum of the lifetimes, in milliseconds
-- column max_rss_kib: highest peak memory, in KiB
-- column programs: how many programs they ran
-- column user_ms: part of cpu_ms in user mode
-- column system_ms: part of cpu_ms in the kernel
-- column run_delay_ms: sum of the times of waiting for a processor, in milliseconds
-- column read_bytes: sum of the bytes read from storage
-- column write_bytes: sum of the bytes written to storage
-- column cgroup_id: id of the cgroup; null if several have this path
WITH counted AS (
    SELECT
        recording_of!(p) AS recording_id,
        p.cgroup_id,
        count(*) AS processes,
        sum(is_alive_at_end!(p)) AS running,
        coalesce(sum(status <> 0), 0) AS failed,
        sum(cpu_ns) AS cpu_ns,
        sum(end_ns - start_ns) AS total_ns,
        max(max_rss_kib) AS max_rss_kib,
        sum(execs) AS programs,
        sum(user_ns) AS user_ns,
        sum(system_ns) AS system_ns,
        sum(run_delay_ns) AS run_delay_ns,
        sum(read_bytes) AS read_bytes,
        sum(write_bytes) AS write_bytes
    FROM by_blocks!(p, param!(recording))
    WHERE is_counted!(p)
    GROUP BY each_cgroup!(p)
)
SELECT
    c.path AS cgroup,
    sum(counted.processes) AS processes,
    sum(counted.running) AS running,
    sum(counted.failed) AS failed,
    round(sum(counted.cpu_ns) / 1e6, 3) AS cpu_ms,
    round(sum(counted.total_ns) / 1e6, 3) AS total_ms,
    max(counted.max_rss_kib) AS max_rss_kib,
    sum(counted.programs) AS programs,
    round(sum(counted.user_ns) / 1e6, 3) AS user_ms,
    round(sum(counted.system_ns) / 1e6, 3) AS system_ms,
    round(sum(counted.run_delay_ns) / 1e6, 3) AS run_delay_ms,
    sum(counted.read_bytes) AS read_bytes,
    sum(counted.write_bytes) AS write_bytes,
    CASE WHEN min(counted.cgroup_id) = max(counted.cgroup_id) THEN min(counted.cgroup_id) END AS cgroup_id
FROM counted
LEFT JOIN cgroup_paths AS c ON c.recording_id = counted.recording_id AND c.cgroup_id = counted.cgroup_id
GROUP BY same_cgroup!(counted, c)
ORDER BY sum(counted.cpu_ns) DESC, sum(counted.processes) DESC, min(counted.cgroup_id), c.path
