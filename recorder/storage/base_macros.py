"""The texts of the SQL macros that depend on what a statement reads: a recording in a file, or a fleet.

The texts for a fleet are in what DuckDB, ClickHouse and Spark understand, or in what webpf.fleet translates for them:
no correlated subquery, no recursion in an order, and no order of rows without ORDER BY.
"""

from __future__ import annotations

from .macro import Macro

MACROS = (
    Macro(
        "is_chosen",
        ("id",),
        "whether this is the number of the recording that the query is about",
        "{id} = param!(recording)",
        pooled="TRUE",
    ),
    Macro(
        "in_block",
        ("id",),
        "whether an event id is in a row of fact_blocks with the name block",
        "{id} BETWEEN block.first_id AND block.first_id + block.size - 1",
    ),
    Macro(
        "by_blocks",
        ("p", "recording"),
        "for FROM: the processes p of a recording by ranges of ids; faster than an index where most rows are read",
        """\
fact_blocks AS block
CROSS JOIN processes AS {p} ON block.recording_id = {recording}
    AND in_block!({p}.id)""",
        one="(SELECT * FROM processes WHERE recording_id = {recording}) AS {p}",
        pooled="processes AS {p}",
    ),
    Macro(
        "blocks_of",
        ("p", "r"),
        "to go on after FROM: joins the processes p of each recording r by ranges of ids",
        """\
CROSS JOIN fact_blocks AS block ON block.recording_id = {r}.id
CROSS JOIN processes AS {p} ON in_block!({p}.id)""",
        one="JOIN processes AS {p} ON {p}.recording_id = {r}.id",
    ),
    Macro(
        "known_from_ns",
        ("p", "r"),
        "from when on a process p was recorded if it ran: the start of its recording r",
        "{r}.started_ns",
        pooled="{p}.known_from_ns",
    ),
    Macro(
        "recording_before",
        ("number",),
        "the number of the recording before this number",
        """\
(
    SELECT max(id)
    FROM recordings
    WHERE id < {number}
)""",
        one="""\
(
    SELECT max(earlier.id)
    FROM recordings AS earlier
    JOIN recordings AS later ON coalesce(later.machine_id, later.host) = coalesce(earlier.machine_id, earlier.host)
    WHERE earlier.id < later.id
        AND later.id = {number}
)""",
    ),
    Macro(
        "begin_ns",
        ("r",),
        "the zero of the times in a recording r: the start of its command, or else of the recording",
        "coalesce(command!({r}, start_ns), {r}.started_ns)",
        one="""\
coalesce(
    (
        SELECT min(of_command.start_ns)
        FROM processes AS of_command
        JOIN recordings AS its ON its.id = of_command.recording_id
        WHERE is_chosen!(its.id)
            AND of_command.start_ns >= its.started_ns
            AND of_command.ppid = its.recorder_pid
            AND replace(its.options, ' ', '') LIKE '%"of":"command"%'
    ),
    {r}.started_ns
)""",
    ),
    Macro(
        "in_order",
        ("column",),
        "ORDER BY this column, unless the rows are in its order anyway, as SQLite reads it in the outer loop",
        "",
        one="ORDER BY {column}",
    ),
    Macro(
        "mean",
        ("value",),
        "the mean of whole numbers that are not NULL; unlike avg(), it is the same in all databases",
        "1.0 * sum({value}) / count({value})",
    ),
    Macro(
        "recording_of",
        ("p",),
        "the number of the recording of a process p, of those that the query is about",
        "param!(recording)",
        one="{p}.recording_id",
    ),
    Macro(
        "each_cgroup",
        ("p",),
        "for GROUP BY: what tells the cgroups of processes p apart: their ids, which several machines can have",
        "{p}.cgroup_id",
        one="{p}.recording_id, {p}.cgroup_id",
    ),
    Macro(
        "same_cgroup",
        ("counted", "c"),
        "for GROUP BY: what tells cgroups apart; among all recordings of a fleet, their paths c.path",
        "{c}.path, {counted}.cgroup_id",
        pooled="{c}.path",
    ),
    Macro(
        "numbers_below",
        ("source", "count", "column", "name"),
        "the text of a CTE of this name: a column with the numbers from 0 to below source.count; source has one row",
        """\
SELECT 0 AS {column}
UNION ALL
SELECT {name}.{column} + 1 FROM {name}, {source} WHERE {name}.{column} + 1 < {source}.{count}""",
        one="SELECT CAST(each_below({source}.{count}) AS INTEGER) AS {column} FROM {source}",
    ),
    Macro(
        "curve_of",
        ("falls", "name"),
        "the text of a CTE of this name: the rows of falls with the product of the factors so far as survival",
        """\
SELECT comm, 0 AS number, 0 AS age, NULL AS at_risk, 1.0 AS survival FROM {falls} WHERE number = 1
UNION ALL
SELECT {falls}.comm, {falls}.number, {falls}.age, {falls}.at_risk, {name}.survival * {falls}.factor
FROM {name}
CROSS JOIN {falls} ON {falls}.comm = {name}.comm AND {falls}.number = {name}.number + 1""",
        one="""\
SELECT
    comm,
    number,
    age,
    at_risk,
    CASE
        WHEN min(factor) OVER past > 0.0
        THEN exp(sum(ln(CASE WHEN factor > 0.0 THEN factor ELSE 1.0 END)) OVER past)
        ELSE 0.0
    END AS survival
FROM {falls}
WINDOW past AS (PARTITION BY comm ORDER BY number ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)""",
    ),
    Macro(
        "family_of",
        ("tops", "depth", "name"),
        "the text of a CTE of this name: tops and all below them, depth first, up to a number of levels",
        """\
SELECT id, 0 AS depth, start_ns FROM {tops}
UNION ALL
SELECT child.id, {name}.depth + 1, child.start_ns
FROM {name}
JOIN processes AS child ON child.parent_id = {name}.id
WHERE {name}.depth < {depth}
    AND is_counted!(child)
-- Takes the deepest process whose children are not yet listed, the first of siblings: this is depth first.
ORDER BY 2 DESC, 3, 1
-- Without the limit, SQLite drops this ORDER BY, as if nothing depended on it.
LIMIT -1""",
        # place: the starts and ids of all from the top down. cut: the one above, or itself, on the last level.
        one="""\
WITH RECURSIVE line (id, depth, place, cut) AS (
    SELECT
        id,
        0,
        lpad(CAST(start_ns AS TEXT), 20, '0') || lpad(CAST(id AS TEXT), 20, '0'),
        CASE WHEN {depth} <= 0 THEN id END
    FROM {tops}
    UNION ALL
    SELECT
        child.id,
        line.depth + 1,
        line.place || lpad(CAST(child.start_ns AS TEXT), 20, '0') || lpad(CAST(child.id AS TEXT), 20, '0'),
        CASE WHEN line.depth + 1 = {depth} THEN child.id ELSE line.cut END
    FROM line
    JOIN processes AS child ON child.parent_id = line.id
    WHERE is_counted!(child)
),
counted AS (
    SELECT
        id,
        depth,
        place,
        CASE WHEN cut IS NOT NULL THEN count(*) OVER (PARTITION BY cut) - 1 END AS below
    FROM line
)
SELECT id, depth, place, below FROM counted WHERE depth = 0 OR depth <= {depth}""",
    ),
    Macro(
        "below",
        ("family", "depth"),
        "how many processes are below one of a family, if it is on the last level that is shown",
        """\
CASE
    WHEN {family}.depth >= {depth} THEN (
        WITH RECURSIVE under (id) AS (
            SELECT {family}.id
            UNION
            SELECT child.id
            FROM under
            JOIN processes AS child ON child.parent_id = under.id
            WHERE is_counted!(child)
        )
        SELECT count(*) - 1 FROM under
    )
END""",
        one="{family}.below",
    ),
)
"""These macros."""
