-- title: Signals
-- theme: failures
-- description: Which signals ended processes, and what are the names of these processes? Most processes first. Base:
--   processes that a signal ended.
-- fleet: pooled
-- scope: ends
-- param recording: integer, default latest; number of the recording
-- column signal: number of the signal
-- column name: name of the signal without SIG, as on x86 and Arm; null for a real-time signal
-- column comm: name of the processes
-- column processes: how many it ended
-- column core_dumped: how many of them dumped core
-- column median_age_ms: median age at their end (the lower of two middle values), in milliseconds; null if unknown
-- column last_ns: the latest end, in nanoseconds since 1970 (Unix time)
WITH signals (number, name) AS (
    signal_names!()
),
counted AS MATERIALIZED (
    SELECT
        signal,
        comm,
        count(*) AS processes,
        sum(core_dumped) AS core_dumped,
        count(lifetime_ns) AS known,
        max(end_ns) AS last_ns
    FROM processes
    WHERE is_chosen!(recording_id)
        AND status & 127
        AND ended_in_scope!(processes)
    GROUP BY signal, comm
),
ranked AS (
    SELECT signal, comm, lifetime_ns, row_number() OVER (PARTITION BY signal, comm ORDER BY lifetime_ns) AS rank
    FROM processes
    WHERE is_chosen!(recording_id)
        AND status & 127
        AND ended_in_scope!(processes)
        AND lifetime_ns IS NOT NULL
),
middle AS MATERIALIZED (
    SELECT counted.signal, counted.comm, ranked.lifetime_ns
    FROM ranked
    CROSS JOIN counted ON counted.signal = ranked.signal
        AND counted.comm IS ranked.comm
        AND (counted.known + 1) / 2 = ranked.rank
)
SELECT
    counted.signal,
    signals.name,
    counted.comm,
    counted.processes,
    counted.core_dumped,
    round(middle.lifetime_ns / 1e6, 3) AS median_age_ms,
    counted.last_ns
FROM counted
LEFT JOIN middle ON middle.signal = counted.signal AND middle.comm IS counted.comm
LEFT JOIN signals ON signals.number = counted.signal
ORDER BY counted.processes DESC, counted.signal, counted.comm
