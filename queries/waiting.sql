-- title: Waiting for a processor
-- theme: costs
-- description: Which processes were ready to run, but waited because all processors were busy? Longest first. The rest of
--   a lifetime, beside this and the CPU time, is sleep: until a child ends, for storage, the network, a lock or a timer.
--   Base: processes (except kernel threads) that waited, and of which this is known: those that started in the recording
--   and have ended, and those that were running at the end, with the threads that they had then.
-- fleet: pooled
-- param recording: integer, default latest; number of the recording
-- param limit: integer, default 100; maximum number of rows
-- column pid: process id
-- column comm: name
-- column run_delay_ms: time for which its threads waited for a processor, in milliseconds
-- column cpu_ms: CPU time of all its threads, without children, in milliseconds
-- column lifetime_ms: time from start to end, in milliseconds; null if it was running at the end
-- column args: command line of its latest program, quoted for a shell; null if it ran no program of its own
-- column run_delay_percent: the same in percent of its lifetime until then; above 100 if several threads waited at the
--   same time
-- column involuntary_switches: how often it was preempted
-- column uid: real user id
-- column ppid: process id of the parent
-- column start_ns: start, in nanoseconds since 1970 (Unix time)
-- column id: its id in the table processes
WITH ordered AS (
    -- Sort only ids: to sort whole rows would take three times as long.
    SELECT id, row_number() OVER (ORDER BY run_delay_ns DESC, id) AS position
    FROM processes
    WHERE is_chosen!(recording_id)
        AND is_counted!(processes)
        AND run_delay_ns > 0
)
SELECT
    p.pid,
    p.comm,
    round(p.run_delay_ns / 1e6, 3) AS run_delay_ms,
    round(p.cpu_ns / 1e6, 3) AS cpu_ms,
    round(p.lifetime_ns / 1e6, 3) AS lifetime_ms,
    c.args,
    percent_of_life!(p.run_delay_ns, p, r) AS run_delay_percent,
    p.involuntary_switches,
    p.uid,
    p.ppid,
    p.start_ns,
    p.id
FROM ordered
CROSS JOIN processes AS p ON p.id = ordered.id
CROSS JOIN recordings AS r ON r.id = p.recording_id
LEFT JOIN commands AS c ON c.id = p.command_id
in_order!(ordered.position)
LIMIT param!(limit)
