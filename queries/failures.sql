-- title: Failures
-- description: Which processes ended with a non-zero exit code or by a signal? In the order of their ends. Base:
--   processes whose status is known.
-- param recording: integer, default latest; number of the recording
-- column pid: process id
-- column ppid: process id of the parent
-- column comm: name
-- column args: command line of its latest program, quoted for a shell; null if it never took on one
-- column exit_code: exit code; null if a signal ended it
-- column signal: number of the signal that ended it
-- column core_dumped: 1 if it left a core dump
-- column end_ns: end, in nanoseconds since 1970 (Unix time); null if its exit was lost
-- column lifetime_ms: from start to end, in milliseconds
-- column parent: name of the parent
-- column id: its row in the table processes
SELECT
    p.pid,
    p.ppid,
    p.comm,
    p.args,
    p.exit_code,
    p.signal,
    p.core_dumped,
    p.end_ns,
    round(p.lifetime_ns / 1e6, 3) AS lifetime_ms,
    parent.comm AS parent,
    p.id
FROM processes AS p
LEFT JOIN processes AS parent ON parent.id = p.parent_id
WHERE p.recording_id = CAST(coalesce(nullif(:recording, ''), (SELECT max(id) FROM recordings)) AS INTEGER)
    AND p.status <> 0
ORDER BY p.end_ns IS NULL, p.end_ns, p.id
