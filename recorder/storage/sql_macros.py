"""Macros for SQL, written `name!(argument, ...)`: one definition for SQL that many statements share.

The result is plain SQL. In SQL, `!` occurs only before `=`, so a macro that is not expanded is a syntax error in every
database. Strings, quoted names and comments stay unchanged.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Macro:
    """A named piece of SQL. Its text has {argument} for each argument, and may use other macros."""

    name: str
    arguments: tuple[str, ...]
    description: str
    text: str

    @property
    def call(self) -> str:
        """The form of a call: name!(argument, ...)."""
        return f"{self.name}!({', '.join(self.arguments)})"


MACROS = {
    macro.name: macro
    for macro in (
        Macro("latest_recording", (), "the number of the latest recording", "(SELECT max(id) FROM recordings)"),
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
        ),
        Macro(
            "until_ns",
            ("r",),
            "the end of a recording r; during a recording, its latest commit",
            "coalesce({r}.ended_ns, {r}.updated_ns)",
        ),
        Macro(
            "option",
            ("r", "name"),
            "the value of an option of a recording r; NULL if it was not set",
            "CASE WHEN json_valid({r}.options) THEN json_extract({r}.options, '$.{name}') END",
        ),
        Macro(
            "command",
            ("r", "column"),
            "a column of the process that `record -- COMMAND` started, in a recording r; NULL if there was no command",
            # Uses the index processes_by_time, so this is fast.
            """\
(
    SELECT of_command.{column}
    FROM processes AS of_command
    WHERE of_command.recording_id = {r}.id
        AND of_command.start_ns >= {r}.started_ns
        AND of_command.ppid = {r}.recorder_pid
        AND option!({r}, of) = 'command'
    ORDER BY of_command.start_ns, of_command.id
    LIMIT 1
)""",
        ),
        Macro(
            "begin_ns",
            ("r",),
            "the zero of the times in a recording r: the start of its command, or else of the recording",
            "coalesce(command!({r}, start_ns), {r}.started_ns)",
        ),
        Macro(
            "is_counted",
            ("p",),
            "whether queries count and show a process p: true unless it is a kernel thread",
            "{p}.kernel IS NOT 1",
        ),
        Macro(
            "is_counted_or_kernel",
            ("p", "shows_kernel"),
            "the same, but true for kernel threads too if the second argument is true",
            "({p}.kernel IS NOT 1 OR {shows_kernel})",
        ),
        Macro(
            "percent_of_life",
            ("ns", "p", "r"),
            "a time in ns as a percentage of the life of a process p, so far if it runs, in its recording r",
            """\
round(100.0 * {ns}
    / nullif(CASE WHEN {p}.state = 'running' THEN until_ns!({r}) ELSE {p}.end_ns END - {p}.start_ns, 0), 1
)""",
        ),
        Macro(
            "by_blocks",
            ("p", "recording"),
            "for FROM: the processes p of a recording by ranges of ids; faster than an index where most rows are read",
            """\
fact_blocks AS block
CROSS JOIN processes AS {p} ON block.recording_id = {recording}
    AND {p}.id BETWEEN block.first_id AND block.first_id + block.size - 1""",
        ),
        Macro(
            "last_ns",
            ("p", "until_ns"),
            "where the bar of a process p ends: its end; the second argument if it is running; its start if it is lost",
            "coalesce({p}.end_ns, CASE {p}.state WHEN 'running' THEN {until_ns} ELSE {p}.start_ns END)",
        ),
        Macro(
            "three_digits",
            ("ns",),
            "a time in ns, rounded down to three digits if it is 100 us or longer",
            """\
CASE
    WHEN {ns} < 100000 THEN {ns}
    WHEN {ns} < 1000000 THEN {ns} / 1000 * 1000
    WHEN {ns} < 10000000 THEN {ns} / 10000 * 10000
    WHEN {ns} < 100000000 THEN {ns} / 100000 * 100000
    WHEN {ns} < 1000000000 THEN {ns} / 1000000 * 1000000
    WHEN {ns} < 10000000000 THEN {ns} / 10000000 * 10000000
    ELSE {ns} / 100000000 * 100000000
END""",
        ),
        Macro(
            "owners_of_pid",
            ("recording", "pid"),
            "a SELECT of the ids of the processes that had a pid in a recording, latest first",
            """\
SELECT id
FROM processes
WHERE recording_id = {recording}
    AND pid = {pid}
ORDER BY start_ns DESC, id DESC""",
        ),
        Macro(
            "latest_owner",
            ("recording", "pid"),
            "the id of the latest process that had a pid in a recording; NULL if none had it",
            """\
(
    owners_of_pid!({recording}, {pid})
    LIMIT 1
)""",
        ),
        Macro(
            "moment",
            ("r", "time_ns"),
            "a time as text, with the UTC offset that the machine had when a recording r began; in UTC if unknown",
            """\
strftime('%Y-%m-%d %H:%M:%f', {time_ns} / 1e9 + coalesce({r}.utc_offset_s, 0), 'unixepoch')
    || CASE WHEN {r}.utc_offset_s < 0 THEN '-' ELSE '+' END
    || strftime('%H:%M', abs(coalesce({r}.utc_offset_s, 0)), 'unixepoch')""",
        ),
        Macro(
            "signal_names",
            (),
            "rows with the number and name of each signal, without SIG, as on x86 and Arm",
            """\
VALUES (1, 'HUP'), (2, 'INT'), (3, 'QUIT'), (4, 'ILL'), (5, 'TRAP'), (6, 'ABRT'), (7, 'BUS'), (8, 'FPE'), (9, 'KILL'),
    (10, 'USR1'), (11, 'SEGV'), (12, 'USR2'), (13, 'PIPE'), (14, 'ALRM'), (15, 'TERM'), (16, 'STKFLT'), (24, 'XCPU'),
    (25, 'XFSZ'), (26, 'VTALRM'), (27, 'PROF'), (29, 'IO'), (30, 'PWR'), (31, 'SYS')""",
        ),
    )
}
"""All macros, by name. In addition, each saved query's head defines `param!(name)`."""

PARAMETER = "param"
_QUOTED = r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|/\*.*?(?:\*/|\Z)"""
_CALL = re.compile(rf"{_QUOTED}|(?P<name>\w*)!(?!=)(?P<open>\(?)", re.DOTALL)
_WITHIN = re.compile(rf"{_QUOTED}|[(),]", re.DOTALL)


def expand(sql: str, parameters: Mapping[str, str] | None = None, line: int = 1) -> str:
    """Returns the SQL with each macro replaced by its text. Raises ValueError, with the line, for a wrong call.

    parameters: SQL for the value of each parameter, for param!(name); it may use macros. line: the number of the first
    line of the SQL, for messages.
    """
    return "".join(_pieces(sql, parameters or {}, line))


def _pieces(sql: str, parameters: Mapping[str, str], line: int) -> Iterator[str]:
    done = 0
    while match := _next_call(sql, done):
        here = line + sql.count("\n", 0, match.start())
        arguments, end = _arguments(sql, match, here)
        before = sql[: match.start()].rpartition("\n")[2]
        indent = "\n" + before[: len(before) - len(before.lstrip())]
        text, names = _definition(match["name"], arguments, parameters, here)
        expanded = [expand(argument, parameters, here) for argument in arguments]
        yield sql[done : match.start()]
        yield expand(text, parameters, here).replace("\n", indent).format(**dict(zip(names, expanded, strict=True)))
        done = end
    yield sql[done:]


def _next_call(sql: str, position: int) -> re.Match[str] | None:
    return next((match for match in _CALL.finditer(sql, position) if match["name"] is not None), None)


def _arguments(sql: str, call: re.Match[str], line: int) -> tuple[list[str], int]:
    """Returns the arguments of a call as they are written, and the position behind the call."""
    if not call["name"] or not call["open"]:
        raise ValueError(f"line {line}: a macro is written name!(...), not {call[0]!r}")
    found: list[str] = []
    begin, depth = call.end(), 0
    for match in _WITHIN.finditer(sql, begin):
        if match[0] == ")" and depth == 0:
            last = sql[begin : match.start()].strip()
            return found + ([last] if found or last else []), match.end()
        if match[0] == "," and depth == 0:
            found.append(sql[begin : match.start()].strip())
            begin = match.end()
        depth += {"(": 1, ")": -1}.get(match[0], 0)
    raise ValueError(f"line {line}: {call[0]} is not closed")


def _definition(
    name: str, arguments: list[str], parameters: Mapping[str, str], line: int
) -> tuple[str, tuple[str, ...]]:
    """Returns the text of a macro, and the names of its arguments. Raises ValueError."""
    wanted = ("name",) if name == PARAMETER else MACROS[name].arguments if name in MACROS else None
    if wanted is None:
        near = difflib.get_close_matches(name, [*MACROS, PARAMETER], n=1)
        raise ValueError(f"line {line}: there is no macro {name}!" + (f": did you mean {near[0]}!?" if near else ""))
    if len(arguments) != len(wanted) or "" in arguments:
        raise ValueError(f"line {line}: {name}! is called as {name}!({', '.join(wanted)}): {len(arguments)} given")
    if name != PARAMETER:
        return MACROS[name].text, wanted
    if arguments[0] not in parameters:
        raise ValueError(f"line {line}: there is no parameter {arguments[0]!r}")
    return parameters[arguments[0]].replace("{", "{{").replace("}", "}}"), wanted
