-- title: Storage reads and writes
-- theme: costs
-- description: Which processes read from storage and wrote to it most? Most bytes first. What came from memory (the page
--   cache) isn't counted, and what is written counts for the process that wrote it, though the kernel stores it later.
--   Base: processes (except kernel threads) that read or wrote anything, and whose costs are known: those that have
--   ended, and those that were running at the end, with their bytes until then.
-- fleet: pooled
-- param recording: integer, default latest; number of the recording
-- param limit: integer, default 100; maximum number of rows
-- column pid: process id
-- column comm: name
-- column read_bytes: bytes that it caused to be read from storage
-- column write_bytes: bytes that it caused to be written to storage
-- column total_bytes: both together
-- column args: command line of its latest program, quoted for a shell; null if it ran no program of its own
-- column major_faults: page faults for which it waited for storage
-- column lifetime_ms: time from start to end, in milliseconds; null if it was running at the end
-- column uid: real user id
-- column ppid: process id of the parent
-- column start_ns: start, in nanoseconds since 1970 (Unix time)
-- column id: its id in the table processes
WITH ordered AS (
    -- Sort only ids: to sort whole rows would take three times as long.
    SELECT
        id,
        coalesce(read_bytes, 0) + coalesce(write_bytes, 0) AS total_bytes,
        row_number() OVER (ORDER BY coalesce(read_bytes, 0) + coalesce(write_bytes, 0) DESC, id) AS position
    FROM processes
    WHERE is_chosen!(recording_id)
        AND is_counted!(processes)
        AND coalesce(read_bytes, 0) + coalesce(write_bytes, 0) > 0
)
SELECT
    p.pid,
    p.comm,
    p.read_bytes,
    p.write_bytes,
    ordered.total_bytes,
    c.args,
    p.major_faults,
    round(p.lifetime_ns / 1e6, 3) AS lifetime_ms,
    p.uid,
    p.ppid,
    p.start_ns,
    p.id
FROM ordered
CROSS JOIN processes AS p ON p.id = ordered.id
LEFT JOIN commands AS c ON c.id = p.command_id
in_order!(ordered.position)
LIMIT param!(limit)
