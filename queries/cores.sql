-- title: Cores busy
-- description: How many processors did the processes keep busy in each step, from the start of the recording or of its
--   command? The CPU time of a process is known when it has ended; it is spread evenly over its life. So the time of a
--   process that still runs isn't in it, and a short burst of a long-lived process isn't visible. Base: processes
--   (except kernel threads) whose CPU time is known and whose end was seen.
-- theme: recording
-- fleet: per recording
-- param recording: integer, default latest; number of the recording
-- param steps: integer, default 200; number of steps that the recording is divided into, at most 10000
-- column time_ns: start of the step, in nanoseconds since 1970 (Unix time)
-- column seconds: the same, in seconds from the start of the recording or of the command that was recorded
-- column cores: processors that were busy, on average over the time of the step
WITH RECURSIVE recording AS MATERIALIZED (
    equal_steps!(param!(steps))
),
steps AS (
    numbers_below!(recording, steps, step, steps)
),
-- What a process used from the start of the recording on, and how much of a processor it kept busy, in millionths.
used AS MATERIALIZED (
    SELECT
        max(p.start_ns, recording.begin_ns) - recording.begin_ns AS begin_ns,
        p.end_ns - recording.begin_ns AS end_ns,
        CAST(1e6 * p.cpu_ns / (p.end_ns - p.start_ns) AS INTEGER) AS share
    FROM recording
    JOIN processes AS p ON p.recording_id = recording.id
    WHERE is_counted!(p)
        AND p.cpu_ns > 0
        AND p.end_ns > p.start_ns
        AND p.end_ns > recording.begin_ns
),
-- For each step: the shares that begin or end in it, and what they change in it, in millionths of the step.
changes AS MATERIALIZED (
    SELECT step, sum(share) AS share, sum(part) AS part
    FROM (
        SELECT
            used.begin_ns / recording.step_ns AS step,
            used.share,
            CAST(
                1.0 * used.share * (recording.step_ns - used.begin_ns % recording.step_ns) / recording.step_ns AS INTEGER
            ) AS part
        FROM used
        CROSS JOIN recording
        UNION ALL
        SELECT
            used.end_ns / recording.step_ns AS step,
            - used.share,
            - CAST(
                1.0 * used.share * (recording.step_ns - used.end_ns % recording.step_ns) / recording.step_ns AS INTEGER
            ) AS part
        FROM used
        CROSS JOIN recording
    ) AS each
    GROUP BY step
)
SELECT
    recording.begin_ns + steps.step * recording.step_ns AS time_ns,
    seconds!(steps.step * recording.step_ns) AS seconds,
    round((
        coalesce(changes.part, 0) + coalesce(sum(coalesce(changes.share, 0)) OVER (
            ORDER BY steps.step ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ), 0)
    ) / 1e6, 3) AS cores
FROM steps
CROSS JOIN recording
LEFT JOIN changes ON changes.step = steps.step
ORDER BY steps.step
