-- title: Survival
-- description: How long do processes of each name live, if processes that are still running count too? This is the
--   Kaplan-Meier curve: the share of processes that had ended at each age. Processes that were alive when the recording
--   began enter late (left-truncated); processes that are alive at its end leave early (right-censored). The naive
--   median, for comparison, counts only processes whose end was seen. Base: processes (except kernel threads) that
--   exited or are running. With more than 100,000 processes, lifetimes are rounded to three digits. With a million
--   processes, this takes two to three seconds.
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
-- column processes: how many processes have this name
-- column late: how many of them were alive before the recording
-- column running: how many of them were running at the end of the recording
WITH RECURSIVE recording AS MATERIALIZED (
    SELECT id, started_ns, until_ns!(recordings) AS ended_ns
    FROM recordings
    WHERE id = param!(recording)
),
observed AS (
    SELECT
        p.comm,
        max(recording.started_ns - p.start_ns, 0) AS entry,
        coalesce(p.end_ns, recording.ended_ns) - p.start_ns AS age,
        p.end_ns IS NOT NULL AS is_end
    FROM recording
    JOIN processes AS p ON p.recording_id = recording.id
    WHERE is_counted!(p)
        AND p.state <> 'lost'
        AND (param!(comm) IS NULL OR p.comm = param!(comm))
),
-- 1 if lifetimes are rounded to three digits.
size AS MATERIALIZED (SELECT count(*) > 100000 AS is_large FROM observed),
moments AS MATERIALIZED (
    SELECT
        comm,
        CASE
            WHEN NOT (SELECT is_large FROM size) OR age < 100000 THEN age
            WHEN age < 1000000 THEN age / 1000 * 1000
            WHEN age < 10000000 THEN age / 10000 * 10000
            WHEN age < 100000000 THEN age / 100000 * 100000
            WHEN age < 1000000000 THEN age / 1000000 * 1000000
            WHEN age < 10000000000 THEN age / 10000000 * 10000000
            ELSE age / 100000000 * 100000000
        END AS age,
        sum(is_end) AS ends,
        count(*) AS leaves,
        0 AS enters
    FROM observed
    GROUP BY 1, 2
    UNION ALL
    SELECT comm, entry, 0, 0, count(*)
    FROM observed
    GROUP BY 1, 2
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
curve (comm, number, age, at_risk, survival, level) AS (
    SELECT comm, 0, 0, NULL, 1.0, 20 FROM falls WHERE number = 1
    UNION ALL
    SELECT
        falls.comm,
        falls.number,
        falls.age,
        falls.at_risk,
        curve.survival * falls.factor,
        CAST(curve.survival * falls.factor * 20 + 1e-9 AS INTEGER)
    FROM curve
    CROSS JOIN falls ON falls.comm = curve.comm AND falls.number = curve.number + 1
),
medians AS MATERIALIZED (
    SELECT comm, min(age) AS age FROM curve WHERE survival <= 0.5 + 1e-12 GROUP BY comm
),
naive AS MATERIALIZED (
    SELECT comm, min(age) AS age FROM steps WHERE ended * 2 >= all_ended GROUP BY comm
),
totals AS MATERIALIZED (
    SELECT comm, count(*) AS processes, sum(entry > 0) AS late, sum(NOT is_end) AS running FROM observed GROUP BY comm
),
shown AS (
    SELECT *, lag(level) OVER (PARTITION BY comm ORDER BY number) AS level_before FROM curve
)
SELECT
    totals.comm,
    round(shown.survival, 4) AS survival,
    round(shown.age / 1e6, 3) AS time_ms,
    shown.at_risk,
    round(medians.age / 1e6, 3) AS median_ms,
    round(naive.age / 1e6, 3) AS naive_median_ms,
    totals.processes,
    totals.late,
    totals.running
FROM shown
JOIN totals ON totals.comm = shown.comm
LEFT JOIN medians ON medians.comm = shown.comm
LEFT JOIN naive ON naive.comm = shown.comm
WHERE shown.number > 0
    AND shown.level < shown.level_before
ORDER BY totals.processes DESC, totals.comm, shown.number
