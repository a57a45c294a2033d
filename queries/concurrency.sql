-- title: Concurrency
-- theme: recording
-- description: How many processes were alive in each step, from the start of the recording or of its command? Base:
--   processes (except kernel threads) that exited or are running. The others are left out: their exit events were lost,
--   so their ends are unknown.
-- fleet: per recording
-- param recording: integer, default latest; number of the recording
-- param steps: integer, default 200; number of steps that the recording is divided into, at most 10000
-- column time_ns: start of the step, in nanoseconds since 1970 (Unix time)
-- column seconds: the same, in seconds from the start of the recording or of the command that was recorded
-- column alive: processes that were alive at the start of the step
-- column mean_alive: processes that were alive, on average over the time of the step
-- column starts: processes that started in the step
-- column ends: processes that ended in the step
WITH RECURSIVE recording AS MATERIALIZED (
    equal_steps!(param!(steps))
),
steps AS (
    numbers_below!(recording, steps, step, steps)
),
-- For each step: how many processes started in it, and how long they would be alive in it if none ended.
started AS MATERIALIZED (
    SELECT
        max((p.start_ns - recording.begin_ns) / recording.step_ns, -1) AS step,
        count(*) AS starts,
        sum(recording.step_ns - (p.start_ns - recording.begin_ns) % recording.step_ns) AS ns
    FROM recording
    JOIN processes AS p ON p.recording_id = recording.id
    WHERE is_counted!(p)
        AND p.state <> 'lost'
        AND p.start_ns >= recording.begin_ns
    GROUP BY 1
),
ended AS MATERIALIZED (
    SELECT
        (p.end_ns - recording.begin_ns) / recording.step_ns AS step,
        count(*) AS ends,
        sum(recording.step_ns - (p.end_ns - recording.begin_ns) % recording.step_ns) AS ns
    FROM recording
    JOIN processes AS p ON p.recording_id = recording.id
    WHERE is_counted!(p)
        AND p.end_ns >= recording.begin_ns
    GROUP BY 1
),
before AS MATERIALIZED (
    SELECT count(*) AS alive
    FROM recording
    JOIN processes AS p ON p.recording_id = recording.id
    WHERE is_counted!(p)
        AND p.state <> 'lost'
        AND p.start_ns < recording.begin_ns
        AND (p.end_ns IS NULL OR p.end_ns >= recording.begin_ns)
),
counted AS (
    SELECT
        steps.step,
        coalesce(started.starts, 0) AS starts,
        coalesce(ended.ends, 0) AS ends,
        coalesce(started.ns, 0) - coalesce(ended.ns, 0) AS ns,
        before.alive + coalesce(sum(coalesce(started.starts, 0) - coalesce(ended.ends, 0)) OVER (
            ORDER BY steps.step ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ), 0) AS alive
    FROM before
    CROSS JOIN steps
    LEFT JOIN started ON started.step = steps.step
    LEFT JOIN ended ON ended.step = steps.step
)
SELECT
    recording.begin_ns + counted.step * recording.step_ns AS time_ns,
    seconds!(counted.step * recording.step_ns) AS seconds,
    counted.alive,
    round(counted.alive + 1.0 * counted.ns / recording.step_ns, 2) AS mean_alive,
    counted.starts,
    counted.ends
FROM counted
CROSS JOIN recording
ORDER BY counted.step
