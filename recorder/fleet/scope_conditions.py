"""The filters of a scope as SQL that every engine has, once it is translated."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pyarrow
from pyarrow import compute

from ..errors import UsageError
from ..model.scope import Scope
from ..storage.scope_filters import Conditions, compile_expression
from .sql_text import literal

_CLASS = re.compile(r"\[(\^?)(\]?[^]]*)\]", re.DOTALL)
_SPECIAL, _ESCAPED = re.compile(r"([][\\^&~])"), r"\\\1"
_NEVER = r"\z."


class FleetConditions(Conditions):
    """The conditions in SQLite's language, as far as the engines have it."""

    def __init__(self, scope: Scope, now: str) -> None:
        self.now = now
        super().__init__(scope)

    def literal(self, value: Any) -> str:
        """Returns SQL for a number or a text."""
        return literal(value) if isinstance(value, str) else str(value)

    def fits(self, value: str, pattern: str) -> str:
        """Returns the condition that a text fits to a pattern."""
        return f"{value} REGEXP {literal(expression_for(pattern))}"

    def in_cgroup(self, condition: str) -> str:
        """Returns the condition that the cgroup of p has this condition."""
        rows = f"SELECT g.recording_id, g.cgroup_id FROM cgroup_paths AS g WHERE {condition}"
        return f"(p.recording_id, p.cgroup_id) IN ({rows})"

    def args_match(self, expressions: Sequence[str]) -> str:
        """Returns the condition for --args. Raises UsageError for what the engines don't know."""
        found = [f"c.args REGEXP {literal(_portable(each))}" for each in expressions]
        return f"p.command_id IN (SELECT c.id FROM commands AS c WHERE {' OR '.join(found)})"


def expression_for(pattern: str) -> str:
    """Returns the regular expression that matches what a pattern of SQLite's GLOB matches."""
    made, at = [], 0
    while at < len(pattern):
        letter, at = pattern[at], at + 1
        if letter == "[":
            found = _CLASS.match(pattern, at - 1)
            if found is None:
                return _NEVER
            made.append(f"[{found[1]}{_SPECIAL.sub(_ESCAPED, found[2])}]")
            at = found.end()
        else:
            made.append({"*": ".*", "?": "."}.get(letter) or re.escape(letter))
    return rf"(?s)\A{''.join(made)}\z"


def _portable(expression: str) -> str:
    """Returns a regular expression for the engines. DuckDB and ClickHouse have those of RE2, as Arrow does."""
    compile_expression(expression)
    try:
        compute.match_substring_regex(pyarrow.array([""]), f"(?s){expression}")
    except pyarrow.ArrowInvalid as error:
        reason = str(error).partition(": ")[2] or str(error)
        message = f"--args {expression!r} is not for a fleet: {reason}"
        raise UsageError(message, "webpf query failures --on fleet --args 'gcc .*\\.c'") from None
    return f"(?s){expression}"
