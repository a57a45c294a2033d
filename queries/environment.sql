-- title: Environment
-- theme: relations
-- description: Which environment variables did the programs get, of those that --env keeps? One row for each program and
--   variable, the latest exec first. Base: the execs of a recording with --env. A program that ran before the
--   recording has no row.
-- fleet: per recording
-- param recording: integer, default latest; number of the recording
-- param pid: integer, optional; process id; if several processes had it, the latest
-- param id: integer, optional; id in the table processes, instead of recording and pid
-- param variable: text, optional; name of a variable, to show only this one
-- column time_ns: when the program began to run, in nanoseconds since 1970 (Unix time)
-- column pid: process id
-- column comm: name of the program
-- column name: name of the variable
-- column value: its value, which may be empty; null unless the state is set
-- column state: set; unset; or unknown, because it may be in the part of the environment after the first 65,536 bytes
-- column args: command line, quoted for a shell
-- column process_id: id of the process in the table processes
WITH wanted AS MATERIALIZED (
    SELECT coalesce(
        param!(id),
        CASE WHEN param!(pid) IS NOT NULL THEN latest_owner!(param!(recording), param!(pid)) END
    ) AS process_id
)
SELECT
    e.time_ns,
    e.pid,
    e.comm,
    v.name,
    v.value,
    v.state,
    c.args,
    e.process_id
FROM program_environments AS k
CROSS JOIN programs AS e ON e.id = k.id
CROSS JOIN environment_variables AS v ON v.environment_id = k.environment_id
LEFT JOIN commands AS c ON c.id = e.command_id
CROSS JOIN wanted AS w
WHERE CASE WHEN param!(id) IS NULL THEN is_chosen!(k.recording_id) ELSE TRUE END
    AND CASE WHEN param!(id) IS NULL AND param!(pid) IS NULL THEN TRUE ELSE e.process_id = w.process_id END
    AND (param!(variable) IS NULL OR v.name = param!(variable))
ORDER BY k.id DESC, v.name
