"""The filters of a scope as SQL conditions over a process p."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from ..errors import UsageError
from ..model.events import GREATEST
from ..model.scope import Scope

_PATTERN = re.compile(r"[*?\[]")
_REMEMBERED = 10_000  # command lines
_NEVER = 0


class Filters:
    """The conditions of a scope. schema: of the tables that they read. values: for the names in the conditions.

    prefix: of these names, so that one statement can have the conditions of two scopes.
    """

    def __init__(self, scope: Scope, schema: str, prefix: str = "value") -> None:
        self.values: dict[str, Any] = {}
        self._schema = schema
        self._prefix = prefix
        self.sql = " AND ".join([*self._conditions(scope)]) or "TRUE"
        self._expressions = [_compiled(text) for text in scope.args]

    def add_functions(self, connection: sqlite3.Connection) -> None:
        """Adds the SQL function that --args needs to a connection."""
        expressions = self._expressions

        @lru_cache(_REMEMBERED)
        def matches(args: str | None) -> bool:
            return args is not None and any(each.search(args) for each in expressions)

        connection.create_function("webpf_args_match", 1, matches, deterministic=True)

    def _conditions(self, scope: Scope) -> Iterator[str]:
        yield from self._any_of(f"p.uid = {self._name(uid)}" for uid in scope.uids)
        yield from self._any_of(self._is_like("p.comm", comm) for comm in scope.comms)
        paths = (self._is_like("g.path", path, "/*") for path in scope.cgroups)
        units = (self._is_like("g.unit", unit if _has_type(unit) else f"{unit}.service") for unit in scope.units)
        containers = (self._is_like("g.container", container, "*") for container in scope.containers)
        for conditions in (paths, units, containers):
            for condition in self._any_of(conditions):
                yield (
                    f"EXISTS (SELECT 1 FROM {self._schema}.cgroup_paths AS g WHERE g.recording_id = p.recording_id"
                    f" AND g.cgroup_id = p.cgroup_id AND {condition})"
                )
        if scope.failed:
            yield "p.status <> 0"
        codes = (f"(p.status & 127 = 0 AND p.status >> 8 & 255 = {self._name(code)})" for code in scope.exit_codes)
        signals = (f"p.status & 127 = {self._name(signal)}" for signal in scope.signals)
        yield from self._any_of([*codes, *signals])
        if scope.args:
            yield f"webpf_args_match((SELECT args FROM {self._schema}.commands WHERE id = p.command_id))"
        if scope.min_lifetime_ns is not None:
            end = "coalesce(p.end_ns, CASE p.state WHEN 'running' THEN :now_ns END)"
            yield f"{end} - p.start_ns >= {self._name(scope.min_lifetime_ns)}"

    def _any_of(self, conditions: Iterable[str]) -> Iterator[str]:
        """Yields one condition: that one of these holds. Yields none if there are none."""
        listed = list(conditions)
        if listed:
            yield f"({' OR '.join(listed)})"

    def _is_like(self, column: str, text: str, more: str = "") -> str:
        """Returns the condition that a value is this text, or fits to it as a pattern. more: what may follow it."""
        value = f"CAST({column} AS TEXT)"
        if _PATTERN.search(text):
            return f"{value} GLOB {self._name(text)}"
        same = f"{value} = {self._name(text)}"
        return f"({same} OR {value} GLOB {self._name(text.rstrip('/') + more)})" if more else same

    def _name(self, value: Any) -> str:
        """Returns a name for a value in SQL."""
        name = f"{self._prefix}{len(self.values)}"
        self.values[name] = value
        return f":{name}"


def is_alive(since_ns: int | None, until_ns: int | None) -> tuple[str, dict[str, int]]:
    """Returns the condition that a process p was alive in a stretch, with values. A lost one is, until it is freed.

    It reads what is in the index processes_by_time first, so most rows that don't fit are not looked up.
    """
    sql = (
        "p.start_ns <= :until_ns AND (p.start_ns >= :since_ns OR p.end_ns >= :since_ns"
        " OR (p.end_ns IS NULL AND (p.state = 'running' OR p.freed_ns >= :since_ns)))"
    )
    values = {
        "since_ns": _NEVER if since_ns is None else since_ns,
        "until_ns": GREATEST if until_ns is None else until_ns,
    }
    return sql, values


def _has_type(unit: str) -> bool:
    return "." in unit or _PATTERN.search(unit) is not None


def _compiled(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.DOTALL)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(
            f"--args {text!r} is not a regular expression: {error}", "webpf tree --args 'gcc .*\\.c'"
        ) from None
