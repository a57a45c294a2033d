-- title: Losses
-- theme: recording
-- description: Is the recording complete, or are its counts a lower bound, and why? One row for each kind of event.
--   Base: all events that the kernel had to report, including those of kernel threads.
-- fleet: per recording
-- param recording: integer, default latest; number of the recording
-- column kind: fork, exec, exit or free
-- column attempted: events of this kind that the kernel had to report
-- column written: how many of them are in the file
-- column lost: how many of them are not in the file
-- column lost_percent: lost events, in percent of attempted
-- column verdict: complete; or lower bound, and why; or unknown
-- column touches: what may be incomplete if events of this kind are lost
WITH r AS MATERIALIZED (
    SELECT *
    FROM recordings
    WHERE is_chosen!(id)
),
kinds (position, kind, attempted, written, lost, touches) AS (
    SELECT 1, 'fork', forks_attempted, forks_written, forks_lost, 'parents, processes that ran no program' FROM r
    UNION ALL
    SELECT 2, 'exec', execs_attempted, execs_written, execs_lost, 'names, arguments, chains of programs' FROM r
    UNION ALL
    SELECT 3, 'exit', exits_attempted, exits_written, exits_lost, 'lifetimes, peak memory, states' FROM r
    UNION ALL
    SELECT 4, 'free', frees_attempted, frees_written, frees_lost, 'CPU times, zombies' FROM r
)
SELECT
    kinds.kind,
    kinds.attempted,
    kinds.written,
    kinds.lost,
    round(100.0 * kinds.lost / nullif(kinds.attempted, 0), 3) AS lost_percent,
    CASE
        WHEN kinds.lost > 0 THEN 'lower bound: the buffer was full, a larger --buffer-mib helps'
        WHEN r.status = 'complete' AND kinds.lost IS NULL THEN 'not known: the stream didn''t say it'
        WHEN r.status = 'complete' THEN 'complete'
        WHEN r.status = 'recording' AND kinds.lost = 0 THEN 'nothing lost so far'
        ELSE 'not known: it was interrupted'
    END AS verdict,
    kinds.touches
FROM kinds
CROSS JOIN r
ORDER BY kinds.position
