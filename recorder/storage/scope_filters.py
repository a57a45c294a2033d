"""The filters of a scope as SQL conditions over a process p."""

from __future__ import annotations

import re
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from ..errors import UsageError
from ..model.events import GREATEST
from ..model.scope import Scope

_PATTERN = re.compile(r"[*?\[]")
_REMEMBERED = 10_000  # command lines
_NEVER = 0


class Conditions(ABC):
    """The conditions of a scope, in the SQL of a database. sql: all of them. tables: those that they read besides.

    now: SQL for the time until which a process that runs is known.
    """

    now: str

    def __init__(self, scope: Scope) -> None:
        self.tables = {"cgroup_paths"} if scope.cgroups or scope.units or scope.containers else set[str]()
        self.tables |= {"commands"} if scope.args else set()
        self.sql = " AND ".join([*self._conditions(scope)]) or "TRUE"

    @abstractmethod
    def literal(self, value: Any) -> str:
        """Returns SQL for a number or a text."""

    @abstractmethod
    def fits(self, value: str, pattern: str) -> str:
        """Returns the condition that a text fits to a pattern with *, ? and [, as with GLOB in SQLite."""

    @abstractmethod
    def in_cgroup(self, condition: str) -> str:
        """Returns the condition that the cgroup of p has this condition. There, its row is called g."""

    @abstractmethod
    def args_match(self, expressions: Sequence[str]) -> str:
        """Returns the condition that the command line of p matches one of these regular expressions."""

    def _conditions(self, scope: Scope) -> Iterator[str]:
        yield from self._any_of(f"p.uid = {self.literal(uid)}" for uid in scope.uids)
        yield from self._any_of(self._is_like("p.comm", comm) for comm in scope.comms)
        paths = (self._is_like("g.path", path, "/*") for path in scope.cgroups)
        units = (self._is_like("g.unit", unit if _has_type(unit) else f"{unit}.service") for unit in scope.units)
        containers = (self._is_like("g.container", container, "*") for container in scope.containers)
        for conditions in (paths, units, containers):
            for condition in self._any_of(conditions):
                yield self.in_cgroup(condition)
        if scope.failed:
            yield "p.status <> 0"
        codes = (f"(p.status & 127 = 0 AND p.status >> 8 & 255 = {self.literal(code)})" for code in scope.exit_codes)
        signals = (f"p.status & 127 = {self.literal(signal)}" for signal in scope.signals)
        yield from self._any_of([*codes, *signals])
        if scope.args:
            yield self.args_match(scope.args)
        if scope.min_lifetime_ns is not None:
            end = f"coalesce(p.end_ns, CASE p.state WHEN 'running' THEN {self.now} END)"
            yield f"{end} - p.start_ns >= {self.literal(scope.min_lifetime_ns)}"

    def _any_of(self, conditions: Iterable[str]) -> Iterator[str]:
        """Yields one condition: that one of these holds. Yields none if there are none."""
        listed = list(conditions)
        if listed:
            yield f"({' OR '.join(listed)})"

    def _is_like(self, column: str, text: str, more: str = "") -> str:
        """Returns the condition that a value is this text, or fits to it as a pattern. more: what may follow it."""
        value = f"CAST({column} AS TEXT)"
        if _PATTERN.search(text):
            return self.fits(value, text)
        same = f"{value} = {self.literal(text)}"
        return f"({same} OR {self.fits(value, text.rstrip('/') + more)})" if more else same


class Filters(Conditions):
    """The conditions in SQLite. schema: of the tables that they read. values: for the names in the conditions.

    prefix: of these names, so that one statement can have the conditions of two scopes.
    """

    now = ":now_ns"

    def __init__(self, scope: Scope, schema: str, prefix: str = "value") -> None:
        self.values: dict[str, Any] = {}
        self._schema = schema
        self._prefix = prefix
        super().__init__(scope)
        self._expressions = [compile_expression(text) for text in scope.args]

    def add_functions(self, connection: sqlite3.Connection) -> None:
        """Adds the SQL function that --args needs to a connection."""
        expressions = self._expressions

        @lru_cache(_REMEMBERED)
        def matches(args: str | None) -> bool:
            return args is not None and any(each.search(args) for each in expressions)

        connection.create_function("webpf_args_match", 1, matches, deterministic=True)

    def literal(self, value: Any) -> str:
        """Returns a name for a value in SQL."""
        name = f"{self._prefix}{len(self.values)}"
        self.values[name] = value
        return f":{name}"

    def fits(self, value: str, pattern: str) -> str:
        """Returns the condition that a text fits to a pattern."""
        return f"{value} GLOB {self.literal(pattern)}"

    def in_cgroup(self, condition: str) -> str:
        """Returns the condition that the cgroup of p has this condition."""
        return (
            f"EXISTS (SELECT 1 FROM {self._schema}.cgroup_paths AS g WHERE g.recording_id = p.recording_id"
            f" AND g.cgroup_id = p.cgroup_id AND {condition})"
        )

    def args_match(self, expressions: Sequence[str]) -> str:
        """Returns the condition for --args, with a function that add_functions() adds."""
        return f"webpf_args_match((SELECT args FROM {self._schema}.commands WHERE id = p.command_id))"


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


def compile_expression(text: str) -> re.Pattern[str]:
    """Returns a regular expression of --args. Raises UsageError."""
    try:
        return re.compile(text, re.DOTALL)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(
            f"--args {text!r} is not a regular expression: {error}", "webpf tree --args 'gcc .*\\.c'"
        ) from None
