-- title: Tree
-- description: Who started whom? Depth first, children in the order of their starts, indented below their parent. Base:
--   all processes but kernel threads; from the given pid down, or from all whose parent isn't in the recording.
-- param recording: integer, default latest; number of the recording
-- param pid: integer, optional; process id at the top; if it was used again, each of its owners
-- param depth: integer, default 100; at most so many levels below the top
-- column tree: command line (or name), two spaces to the right for each level
-- column pid: process id
-- column lifetime_ms: from start to end, in milliseconds; null if it is running or its end was lost
-- column state: exited, running or lost
-- column exit_code: exit code; null if a signal ended it
-- column signal: number of the signal that ended it
-- column cpu_ms: CPU time of all its threads, without children
-- column depth: levels below the top
-- column start_ns: start, in nanoseconds since 1970 (Unix time)
-- column id: its row in the table processes
WITH RECURSIVE family (id, depth, place) AS (
    SELECT id, 0, printf('%016x%08x', start_ns, id)
    FROM processes
    WHERE recording_id = CAST(coalesce(nullif(:recording, ''), (SELECT max(id) FROM recordings)) AS INTEGER)
        AND kernel IS NOT 1
        AND CASE WHEN :pid <> '' THEN pid = CAST(:pid AS INTEGER) ELSE parent_id IS NULL END
    UNION ALL
    SELECT child.id, family.depth + 1, family.place || printf('%016x%08x', child.start_ns, child.id)
    FROM family
    JOIN processes AS child ON child.parent_id = family.id
    WHERE family.depth < CAST(coalesce(nullif(:depth, ''), 100) AS INTEGER)
        AND child.kernel IS NOT 1
    ORDER BY 3
    -- Without a limit SQLite takes this order for one that nobody needs.
    LIMIT -1
)
SELECT
    printf('%*s', 2 * family.depth, '') || coalesce(p.args, p.comm, '?') AS tree,
    p.pid,
    round(p.lifetime_ns / 1e6, 3) AS lifetime_ms,
    p.state,
    p.exit_code,
    p.signal,
    round(p.cpu_ns / 1e6, 3) AS cpu_ms,
    family.depth,
    p.start_ns,
    p.id
FROM family
CROSS JOIN processes AS p ON p.id = family.id
