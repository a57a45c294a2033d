-- title: Signals
-- description: Which signals ended processes, and what are the names of these processes? Most processes first. Base:
--   processes that a signal ended.
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
ended AS (
    SELECT
        signal,
        comm,
        core_dumped,
        end_ns,
        lifetime_ns,
        row_number() OVER (PARTITION BY signal, comm ORDER BY lifetime_ns IS NULL, lifetime_ns) AS rank,
        count(lifetime_ns) OVER (PARTITION BY signal, comm) AS known
    FROM processes
    WHERE recording_id = param!(recording)
        AND status & 127
)
SELECT
    ended.signal,
    signals.name,
    ended.comm,
    count(*) AS processes,
    sum(ended.core_dumped) AS core_dumped,
    round(max(CASE WHEN ended.rank = (ended.known + 1) / 2 THEN ended.lifetime_ns END) / 1e6, 3) AS median_age_ms,
    max(ended.end_ns) AS last_ns
FROM ended
LEFT JOIN signals ON signals.number = ended.signal
GROUP BY ended.signal, ended.comm
ORDER BY processes DESC, ended.signal, ended.comm
