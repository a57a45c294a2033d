"""Macros for SQL, written `name!(argument, ...)`: one definition for SQL that many statements share.

The result is plain SQL. In SQL, `!` occurs only before `=`, so a macro that is not expanded is a syntax error in every
database. Strings, quoted names and comments stay unchanged.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping

from . import base_macros, macro_texts
from .macro import Base

MACROS = {macro.name: macro for macro in (*macro_texts.MACROS, *base_macros.MACROS)}
"""All macros, by name. In addition, each saved query's head defines `param!(name)`."""

PARAMETER = "param"
_QUOTED = r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|/\*.*?(?:\*/|\Z)"""
_CALL = re.compile(rf"{_QUOTED}|(?P<name>\w*)!(?!=)(?P<open>\(?)", re.DOTALL)
_WITHIN = re.compile(rf"{_QUOTED}|[(),]", re.DOTALL)


def expand(sql: str, parameters: Mapping[str, str] | None = None, line: int = 1, base: Base = "file") -> str:
    """Returns the SQL with each macro replaced by its text. Raises ValueError, with the line, for a wrong call.

    parameters: SQL for the value of each parameter, for param!(name); it may use macros. line: the number of the first
    line of the SQL, for messages. base: what the SQL reads. A macro whose text is empty is removed with its line.
    """
    return "".join(_pieces(sql, parameters or {}, line, base))


def _pieces(sql: str, parameters: Mapping[str, str], line: int, base: Base) -> Iterator[str]:
    done = 0
    while match := _next_call(sql, done):
        here = line + sql.count("\n", 0, match.start())
        arguments, end = _arguments(sql, match, here)
        before = sql[: match.start()].rpartition("\n")[2]
        indent = "\n" + before[: len(before) - len(before.lstrip())]
        text, names = _definition(match["name"], arguments, parameters, here, base)
        expanded = [expand(argument, parameters, here, base) for argument in arguments]
        yield sql[done : match.start()] if text else sql[done : match.start()].rstrip()
        yield (
            expand(text, parameters, here, base).replace("\n", indent).format(**dict(zip(names, expanded, strict=True)))
        )
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
    name: str, arguments: list[str], parameters: Mapping[str, str], line: int, base: Base
) -> tuple[str, tuple[str, ...]]:
    """Returns the text of a macro, and the names of its arguments. Raises ValueError."""
    wanted = ("name",) if name == PARAMETER else MACROS[name].arguments if name in MACROS else None
    if wanted is None:
        near = difflib.get_close_matches(name, [*MACROS, PARAMETER], n=1)
        raise ValueError(f"line {line}: there is no macro {name}!" + (f": did you mean {near[0]}!?" if near else ""))
    if len(arguments) != len(wanted) or "" in arguments:
        raise ValueError(f"line {line}: {name}! is called as {name}!({', '.join(wanted)}): {len(arguments)} given")
    if name != PARAMETER:
        return MACROS[name].text_for(base), wanted
    if arguments[0] not in parameters:
        raise ValueError(f"line {line}: there is no parameter {arguments[0]!r}")
    return parameters[arguments[0]].replace("{", "{{").replace("}", "}}"), wanted
