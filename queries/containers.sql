-- title: Containers and units
-- theme: costs
-- description: What ran in each container and in each systemd unit, and what did it cost? Most CPU time first. A container
--   is one row, whatever units it has, as in `docker stats`; outside of containers, each unit is one row, as in
--   `systemd-cgtop`; and all processes that are in neither, or whose cgroup was removed before it could be looked up, are
--   one row without a name. Base: processes except kernel threads; costs are of whole processes, also before the
--   recording. Sums leave out what isn't known, so they are lower bounds if known is less than processes.
-- fleet: pooled
-- param recording: integer, default latest; number of the recording
-- column name: the first 12 characters of the container's id, as docker shows it; or the unit; null: neither
-- column processes: how many processes
-- column failed: how many of them ended with a non-zero exit code or by a signal
-- column cpu_ms: sum of the CPU times, in milliseconds
-- column max_rss_kib: highest peak memory of a process, in KiB
-- column read_bytes: sum of the bytes read from storage
-- column write_bytes: sum of the bytes written to storage
-- column run_delay_ms: sum of the times of waiting for a processor, in milliseconds
-- column user_ms: part of cpu_ms in user mode
-- column system_ms: part of cpu_ms in the kernel
-- column known: of how many processes the CPU time is known
-- column running: how many processes were running at the end of the recording
-- column container: id of the container; null: outside of containers
-- column pod: uid of the container's Kubernetes pod; null: none
-- column unit: the unit; of a container, the one in which all its processes are; null: none, or several
WITH counted AS MATERIALIZED (
    SELECT
        recording_of!(p) AS recording_id,
        p.cgroup_id,
        count(*) AS processes,
        coalesce(sum(status <> 0), 0) AS failed,
        sum(cpu_ns) AS cpu_ns,
        max(max_rss_kib) AS max_rss_kib,
        sum(read_bytes) AS read_bytes,
        sum(write_bytes) AS write_bytes,
        sum(run_delay_ns) AS run_delay_ns,
        sum(user_ns) AS user_ns,
        sum(system_ns) AS system_ns,
        count(cpu_ns) AS known,
        sum(is_alive_at_end!(p)) AS running
    FROM by_blocks!(p, param!(recording))
    WHERE is_counted!(p)
    GROUP BY each_cgroup!(p)
),
placed AS (
    SELECT counted.*, c.container, c.pod, c.unit, CASE WHEN c.container IS NULL THEN c.unit END AS own_unit
    FROM counted
    LEFT JOIN cgroup_paths AS c ON c.recording_id = counted.recording_id AND c.cgroup_id = counted.cgroup_id
)
SELECT
    coalesce(substr(container, 1, 12), own_unit) AS name,
    sum(processes) AS processes,
    sum(failed) AS failed,
    round(sum(cpu_ns) / 1e6, 3) AS cpu_ms,
    max(max_rss_kib) AS max_rss_kib,
    sum(read_bytes) AS read_bytes,
    sum(write_bytes) AS write_bytes,
    round(sum(run_delay_ns) / 1e6, 3) AS run_delay_ms,
    round(sum(user_ns) / 1e6, 3) AS user_ms,
    round(sum(system_ns) / 1e6, 3) AS system_ms,
    sum(known) AS known,
    sum(running) AS running,
    container,
    pod,
    CASE WHEN count(unit) = count(*) AND min(unit) = max(unit) THEN min(unit) END AS unit
FROM placed
GROUP BY container, pod, own_unit
ORDER BY sum(cpu_ns) DESC, sum(processes) DESC, container, pod, own_unit
