-- title: Rate
-- theme: recording
-- description: How many processes start and end, second by second? Steps without starts and ends are shown too. Base:
--   processes except kernel threads; starts and ends during the recording.
-- fleet: per recording
-- param recording: integer, default latest; number of the recording
-- param step_ms: number, default 1000; length of a step, in milliseconds; at least 1, and a millionth of the recording
-- column time_ns: start of the step, in nanoseconds since 1970 (Unix time)
-- column seconds: the same, in seconds from the start of the recording
-- column starts: processes that started in the step
-- column ends: processes that ended in the step
-- column failures: how many of them ended with a non-zero exit code or by a signal
WITH RECURSIVE recording AS MATERIALIZED (
    SELECT
        id,
        started_ns,
        until_ns!(recordings) AS ended_ns,
        CAST(max(
            max(param!(step_ms), 1) * 1e6,
            (until_ns!(recordings) - started_ns) / 1e6
        ) AS INTEGER) AS step_ns
    FROM recordings
    WHERE is_chosen!(id)
),
divided AS MATERIALIZED (
    SELECT max((ended_ns - started_ns + step_ns - 1) / step_ns, 1) AS steps FROM recording
),
-- The steps in their order.
ordered AS (
    numbers_below!(divided, steps, position, ordered)
),
started AS MATERIALIZED (
    SELECT (p.start_ns - recording.started_ns) / recording.step_ns AS step, count(*) AS starts
    FROM recording
    JOIN processes AS p ON p.recording_id = recording.id
    WHERE is_counted!(p)
        AND p.start_ns >= recording.started_ns
    GROUP BY 1
),
ended AS MATERIALIZED (
    SELECT (p.end_ns - recording.started_ns) / recording.step_ns AS step, count(*) AS ends, sum(p.status <> 0) AS failures
    FROM recording
    JOIN processes AS p ON p.recording_id = recording.id
    WHERE is_counted!(p)
        AND p.end_ns IS NOT NULL
    GROUP BY 1
)
SELECT
    recording.started_ns + ordered.position * recording.step_ns AS time_ns,
    round(ordered.position * recording.step_ns / 1e9, 3) AS seconds,
    coalesce(started.starts, 0) AS starts,
    coalesce(ended.ends, 0) AS ends,
    coalesce(ended.failures, 0) AS failures
FROM ordered
CROSS JOIN recording
LEFT JOIN started ON started.step = ordered.position
LEFT JOIN ended ON ended.step = ordered.position
in_order!(ordered.position)
