-- title: Duplicates
-- description: Which command lines ran more than once, and what did that cost? Most total lifetime first. Base:
--   processes that ran a program and whose arguments are known.
-- param recording: integer, default latest; number of the recording
-- column runs: how many processes ran this command line
-- column args: the command line, quoted for a shell
-- column total_ms: sum of the lifetimes, in milliseconds
-- column again_ms: the same minus one run of mean length: the cost of the repetitions
-- column cpu_ms: sum of the CPU times, in milliseconds
-- column mean_ms: mean lifetime, in milliseconds
-- column failed: how many of them ended with a non-zero exit code or by a signal
-- column parents: how many different parents started it
SELECT
    count(*) AS runs,
    c.args,
    round(sum(end_ns - start_ns) / 1e6, 3) AS total_ms,
    round((sum(end_ns - start_ns) - avg(end_ns - start_ns)) / 1e6, 3) AS again_ms,
    round(sum(cpu_ns) / 1e6, 3) AS cpu_ms,
    round(avg(end_ns - start_ns) / 1e6, 3) AS mean_ms,
    coalesce(sum(status <> 0), 0) AS failed,
    count(DISTINCT parent_id) AS parents
FROM by_blocks!(p, param!(recording))
CROSS JOIN commands AS c ON c.id = p.command_id
WHERE c.args IS NOT NULL
GROUP BY c.args
HAVING count(*) > 1
ORDER BY sum(end_ns - start_ns) DESC, runs DESC, c.args
