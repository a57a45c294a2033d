-- title: Tree
-- theme: relations
-- description: Which process started which? Depth first, children in the order of their starts, indented below their
--   parent, by 100 levels at most. Base: all processes except kernel threads, from the chosen process down, or from all
--   processes whose parent is not in the recording (or not in the scope).
-- fleet: per recording
-- param recording: integer, default latest; number of the recording
-- param pid: integer, optional; process id at the top; if several processes had it, the latest
-- param id: integer, optional; id in the table processes, instead of recording and pid
-- param depth: integer, default 100; maximum number of levels below the top
-- column tree: command line (or name), indented by two spaces for each level
-- column pid: process id
-- column lifetime_ms: time from start to end, in milliseconds; null if it is running or lost
-- column state: exited, running or lost
-- column exit_code: exit code; null if unknown, or if a signal ended it
-- column signal: number of the signal that ended it; null if none
-- column cpu_ms: CPU time of all its threads, without children, in milliseconds
-- column depth: how many levels below the top it is
-- column below: how many processes below it are not shown; null above the last level
-- column start_ns: start, in nanoseconds since 1970 (Unix time)
-- column id: its id in the table processes
WITH RECURSIVE tops AS MATERIALIZED (
    SELECT id, start_ns
    FROM processes
    WHERE id = coalesce(
            param!(id),
            CASE WHEN param!(pid) IS NOT NULL THEN latest_owner!(param!(recording), param!(pid)) END
        )
        AND is_counted!(processes)
    UNION ALL
    SELECT p.id, p.start_ns
    FROM by_blocks!(p, param!(recording))
    WHERE param!(id) IS NULL
        AND param!(pid) IS NULL
        AND is_counted!(p)
        AND p.parent_id IS NULL
    UNION ALL
    -- Of a part of a recording: processes whose parent is not in it.
    SELECT p.id, p.start_ns
    FROM processes AS outside
    CROSS JOIN processes AS p ON p.parent_id = outside.id
    WHERE param!(id) IS NULL
        AND param!(pid) IS NULL
        AND is_chosen!(outside.recording_id)
        AND outside.in_scope = 0
        AND is_counted!(p)
),
family AS (
    family_of!(tops, param!(depth), family)
)
SELECT
    printf('%*s', 2 * min(family.depth, 100), '') || coalesce(c.args, p.comm, '?') AS tree,
    p.pid,
    round(p.lifetime_ns / 1e6, 3) AS lifetime_ms,
    p.state,
    p.exit_code,
    p.signal,
    round(p.cpu_ns / 1e6, 3) AS cpu_ms,
    family.depth,
    below!(family, param!(depth)) AS below,
    p.start_ns,
    p.id
FROM family
CROSS JOIN processes AS p ON p.id = family.id
LEFT JOIN commands AS c ON c.id = p.command_id
in_order!(family.place)
