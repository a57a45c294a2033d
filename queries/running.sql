-- title: Running
-- description: What was alive when the recording ended (or is, while it goes on)? Oldest first. Base: running
--   processes but kernel threads.
-- param recording: integer, default latest; number of the recording
-- param kernel: integer, default 0; 1 shows the kernel's own threads too
-- column pid: process id
-- column ppid: process id of the parent
-- column comm: name
-- column args: command line of its latest program, quoted for a shell; null if it never took on one
-- column start_ns: start, in nanoseconds since 1970 (Unix time)
-- column age_ms: age at the end of the recording, in milliseconds
-- column started_within: 1 if it was started during the recording
-- column uid: user id
-- column cgroup: path of its cgroup v2
-- column id: its row in the table processes
SELECT
    p.pid,
    p.ppid,
    p.comm,
    p.args,
    p.start_ns,
    round((coalesce(r.ended_ns, r.updated_ns) - p.start_ns) / 1e6, 3) AS age_ms,
    p.start_ns >= r.started_ns AS started_within,
    p.uid,
    c.path AS cgroup,
    p.id
FROM processes AS p
JOIN recordings AS r ON r.id = p.recording_id
LEFT JOIN cgroup_paths AS c ON c.recording_id = p.recording_id AND c.cgroup_id = p.cgroup_id
WHERE p.recording_id = CAST(coalesce(nullif(:recording, ''), (SELECT max(id) FROM recordings)) AS INTEGER)
    AND p.state = 'running'
    AND (p.kernel IS NOT 1 OR CAST(coalesce(nullif(:kernel, ''), 0) AS INTEGER))
ORDER BY p.start_ns, p.id
