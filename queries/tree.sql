-- title: Tree
-- description: Who started whom? Depth first, children in the order of their starts, indented below their parent, by 100
--   levels at most. Base: all processes but kernel threads; from the given one down, or from all whose parent isn't in the
--   recording.
-- param recording: integer, default latest; number of the recording
-- param pid: integer, optional; process id at the top; if it was used again, the latest process that had it
-- param id: integer, optional; its row in the table processes, in place of recording and pid
-- param depth: integer, default 100; at most so many levels below the top
-- column tree: command line (or name), two spaces to the right for each level
-- column pid: process id
-- column lifetime_ms: from start to end, in milliseconds; null if it is running or its end was lost
-- column state: exited, running or lost
-- column exit_code: exit code; null if a signal ended it
-- column signal: number of the signal that ended it
-- column cpu_ms: CPU time of all its threads, without children
-- column depth: levels below the top
-- column below: how many processes are below it that aren't shown; null above the last level
-- column start_ns: start, in nanoseconds since 1970 (Unix time)
-- column id: its row in the table processes
WITH RECURSIVE tops AS MATERIALIZED (
    SELECT id, start_ns
    FROM processes
    WHERE :id <> ''
        AND id = CAST(:id AS INTEGER)
        AND kernel IS NOT 1
    UNION ALL
    SELECT id, start_ns
    FROM (
        SELECT id, start_ns
        FROM processes
        WHERE coalesce(:id, '') = ''
            AND :pid <> ''
            AND recording_id = CAST(coalesce(nullif(:recording, ''), (SELECT max(id) FROM recordings)) AS INTEGER)
            AND kernel IS NOT 1
            AND pid = CAST(:pid AS INTEGER)
        ORDER BY start_ns DESC, id DESC
        LIMIT 1
    )
    UNION ALL
    SELECT id, start_ns
    FROM processes
    WHERE coalesce(:id, '') = ''
        AND coalesce(:pid, '') = ''
        AND recording_id = CAST(coalesce(nullif(:recording, ''), (SELECT max(id) FROM recordings)) AS INTEGER)
        AND kernel IS NOT 1
        AND parent_id IS NULL
),
family (id, depth, start_ns) AS (
    SELECT id, 0, start_ns FROM tops
    UNION ALL
    SELECT child.id, family.depth + 1, child.start_ns
    FROM family
    JOIN processes AS child ON child.parent_id = family.id
    WHERE family.depth < CAST(coalesce(nullif(:depth, ''), 100) AS INTEGER)
        AND child.kernel IS NOT 1
    -- Of what is found but not yet followed the deepest next, of siblings the first: that is depth first.
    ORDER BY 2 DESC, 3, 1
    -- Without a limit SQLite takes this order for one that nobody needs.
    LIMIT -1
)
SELECT
    printf('%*s', 2 * min(family.depth, 100), '') || coalesce(p.args, p.comm, '?') AS tree,
    p.pid,
    round(p.lifetime_ns / 1e6, 3) AS lifetime_ms,
    p.state,
    p.exit_code,
    p.signal,
    round(p.cpu_ns / 1e6, 3) AS cpu_ms,
    family.depth,
    CASE
        WHEN family.depth >= CAST(coalesce(nullif(:depth, ''), 100) AS INTEGER) THEN (
            WITH RECURSIVE under (id) AS (
                SELECT family.id
                UNION
                SELECT child.id
                FROM under
                JOIN processes AS child ON child.parent_id = under.id
                WHERE child.kernel IS NOT 1
            )
            SELECT count(*) - 1 FROM under
        )
    END AS below,
    p.start_ns,
    p.id
FROM family
CROSS JOIN processes AS p ON p.id = family.id
