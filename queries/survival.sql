-- title: Survival
-- theme: processes
-- description: How long do processes of each name live, if processes that are still running count too? This is the
--   Kaplan-Meier curve: the share of processes that had ended at each age. Processes that were alive when the recording
--   began enter late (left-truncated); processes that are alive at its end leave early (right-censored). The naive
--   median, for comparison, counts only processes whose end was seen. Base: processes (except kernel threads) that
--   exited or are running. With more than 20,000 processes, lifetimes are rounded to three digits. With a million
--   processes, this takes more than a second.
-- fleet: pooled
-- param recording: integer, default latest; number of the recording
-- param comm: text, optional; only processes of this name
-- column comm: name, at most 15 bytes
-- column survival: share of processes that live longer than time_ms; one row for each twentieth that the curve
--   falls below
-- column time_ms: lifetime, in milliseconds
-- column at_risk: how many observed processes had lived that long
-- column median_ms: lifetime that half of them reach, by this curve, in milliseconds; null if the curve stays above it
-- column naive_median_ms: median of the lifetimes whose end was seen (the lower of two middle values), in
--   milliseconds
-- column naive_survival: the same share as survival, but only of processes whose end was seen
-- column processes: how many processes have this name
-- column late: how many of them were alive before the recording
-- column running: how many of them were running at the end of the recording
WITH RECURSIVE recording AS MATERIALIZED (
    SELECT id, started_ns, until_ns!(recordings) AS ended_ns
    FROM recordings
    WHERE is_chosen!(id)
),
observed AS NOT MATERIALIZED (
    SELECT
        p.comm,
        p.start_ns,
        known_from_ns!(p, recording) AS started_ns,
        coalesce(p.end_ns, recording.ended_ns) - p.start_ns AS age,
        p.end_ns IS NOT NULL AS is_end
    FROM recording
    JOIN processes AS p ON p.recording_id = recording.id
    WHERE is_counted!(p)
        AND p.state <> 'lost'
        AND (param!(comm) IS NULL OR p.comm = param!(comm))
),
-- 1 if lifetimes are rounded to three digits.
size AS MATERIALIZED (SELECT count(*) > 20000 AS is_large FROM observed),
left_at AS MATERIALIZED (
    SELECT
        comm,
        CASE WHEN size.is_large THEN three_digits!(age) ELSE age END AS age,
        sum(is_end) AS ends,
        count(*) AS leaves
    FROM size
    CROSS JOIN observed
    GROUP BY 1, 2
),
late AS MATERIALIZED (
    SELECT comm, started_ns - start_ns AS age, count(*) AS enters
    FROM observed
    WHERE start_ns < started_ns
    GROUP BY 1, 2
),
totals AS MATERIALIZED (
    SELECT comm, sum(leaves) AS processes, sum(enters) AS late, sum(leaves) - sum(ends) AS running
    FROM (
        SELECT comm, ends, leaves, 0 AS enters FROM left_at
        UNION ALL
        SELECT comm, 0, 0, enters FROM late
    ) AS each
    GROUP BY comm
),
-- Processes that are not late enter at the age 0.
moments AS (
    SELECT comm, age, ends, leaves, 0 AS enters FROM left_at
    UNION ALL
    SELECT comm, age, 0, 0, enters FROM late
    UNION ALL
    SELECT comm, 0, 0, 0, processes - late FROM totals WHERE processes > late
),
-- A process is at risk at an age if it entered before that age and didn't leave before it.
steps AS MATERIALIZED (
    SELECT
        comm,
        age,
        sum(ends) AS ends,
        sum(sum(enters)) OVER before - sum(sum(leaves)) OVER before AS at_risk,
        sum(sum(ends)) OVER (PARTITION BY comm ORDER BY age) AS ended,
        sum(sum(ends)) OVER (PARTITION BY comm) AS all_ended
    FROM moments
    GROUP BY comm, age
    WINDOW before AS (PARTITION BY comm ORDER BY age ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
),
falls AS MATERIALIZED (
    SELECT
        comm,
        age,
        1.0 * (at_risk - ends) / at_risk AS factor,
        at_risk,
        row_number() OVER (PARTITION BY comm ORDER BY age) AS number
    FROM steps
    WHERE ends > 0
        AND at_risk > 0
),
curve AS (
    curve_of!(falls, curve)
),
medians AS MATERIALIZED (
    SELECT comm, min(age) AS age FROM curve WHERE survival <= 0.5 + 1e-10 GROUP BY comm
),
naive AS MATERIALIZED (
    SELECT comm, min(age) AS age FROM steps WHERE ended * 2 >= all_ended GROUP BY comm
),
shown AS (
    SELECT *, lag(level, 1, 20) OVER (PARTITION BY comm ORDER BY number) AS level_before
    FROM (SELECT *, CAST(survival * 20 + 1e-9 AS INTEGER) AS level FROM curve) AS leveled
)
SELECT
    totals.comm,
    -- Where it is in the middle between two numbers of four digits, no error of 1e-16 decides.
    round(shown.survival + 1e-10, 4) AS survival,
    round(shown.age / 1e6, 3) AS time_ms,
    shown.at_risk,
    round(medians.age / 1e6, 3) AS median_ms,
    round(naive.age / 1e6, 3) AS naive_median_ms,
    round(1.0 * (steps.all_ended - steps.ended) / steps.all_ended + 1e-10, 4) AS naive_survival,
    totals.processes,
    totals.late,
    totals.running
FROM shown
JOIN totals ON totals.comm = shown.comm
JOIN steps ON steps.comm = shown.comm AND steps.age = shown.age
LEFT JOIN medians ON medians.comm = shown.comm
LEFT JOIN naive ON naive.comm = shown.comm
WHERE shown.level < shown.level_before
ORDER BY totals.processes DESC, totals.comm, shown.number
