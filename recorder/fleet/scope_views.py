"""The views through which a saved query reads a scope of a tree. They mean what the temporary tables in SQLite do.

They read the views of the tree, and each has the name of one with `scoped_` before it. `processes_in_scope` has the
processes of the scope alone; for queries that need them, `scoped_processes` has their ancestors too, with in_scope = 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from ..model.scope import Scope
from ..storage.macro import Base
from . import views
from .engine import Engine
from .scope_conditions import FleetConditions
from .translate import Translated, translate

PREFIX = "scoped_"
_REMEMBERED = 64  # statements of views: queries in the same scope have the same
_IN_SCOPE, _OUTSIDE = "processes_in_scope", "processes_outside"
_OWN_KEYS = {"programs": "process_id", "snapshot": "process_id"}
_NEEDS_PARENTS = ("parent_id", "recorder_pid", "_written")  # also the start and the counts of a recording
_COUNTED = ("forks", "execs", "exits", "frees")


@dataclass(frozen=True)
class ScopeViews:
    """The views of a scope. Times in Unix ns; None where the stretch is open. sql: of the query that reads them.

    read: the tables that it reads. base: as that of the views of the tree.
    """

    engine: Engine
    scope: Scope
    since_ns: int | None
    until_ns: int | None
    base: Base
    sql: str
    read: frozenset[str]

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Which view a query reads in place of one of the tree."""
        changed = {"recordings", "processes", "incidents", *_OWN_KEYS}
        names = {table: PREFIX + table for table in sorted(changed & (self.read | {"recordings"}))}
        return names | {"processes": PREFIX + "processes" if self._has_parents else _IN_SCOPE}

    @cached_property
    def tables(self) -> set[str]:
        """The tables of the tree that it all reads."""
        needed = {"recordings", "processes"} | self._conditions.tables
        return {*self.read, *needed} | ({"programs"} if self._has_counts else set())

    @cached_property
    def statements(self) -> tuple[str, ...]:
        """The statements that create the views, after those of the tree."""
        return tuple(self._statements())

    def _statements(self) -> Iterator[str]:
        yield from self._create(_IN_SCOPE, self._processes_in_scope())
        if self._has_parents:
            yield from self._create(_OUTSIDE, self._outside(), is_stored=True)
            both = (f"SELECT {', '.join(_columns('processes'))} FROM {each}" for each in (_IN_SCOPE, _OUTSIDE))
            yield from self.engine.create(PREFIX + "processes", "\nUNION ALL\n".join(both))
        for table, key in _OWN_KEYS.items():
            if table in self.tables:
                values = ", ".join(f"t.{name}" for name in _columns(table))
                own = f"SELECT {values}\nFROM {table} AS t\nJOIN {_IN_SCOPE} AS p ON p.id = t.{key}"
                yield from self.engine.create(PREFIX + table, own)
        if "incidents" in self.tables:
            yield from self.engine.create(PREFIX + "incidents", self._incidents())
        yield from self._create(PREFIX + "recordings", self._recordings())

    def translated(self, sql: str) -> Translated:
        """Returns a query of SQLite's language in that of the engine, so that it reads the scope."""
        return translate(sql, self.engine.name, schema(), self.names)

    def count(self) -> str:
        """Returns SQL for how many processes of each recording are in the scope."""
        sql = f"SELECT p.recording_id, count(*) AS processes FROM {_IN_SCOPE} AS p GROUP BY p.recording_id"
        return _translated(sql, self.engine.name)

    def count_alive(self) -> str:
        """Returns SQL for how many processes there were in the stretch of time."""
        sql = f"SELECT count(*) AS processes FROM {self._from_processes(' AND '.join(self._alive()))}"
        return _translated(sql, self.engine.name)

    @cached_property
    def _has_parents(self) -> bool:
        return any(word in self.sql for word in _NEEDS_PARENTS)

    @cached_property
    def _has_counts(self) -> bool:
        return "_written" in self.sql

    @cached_property
    def _conditions(self) -> FleetConditions:
        return FleetConditions(self.scope, self._until("r"))

    def _create(self, name: str, select: str, is_stored: bool = False) -> list[str]:
        return self.engine.create(name, _translated(select, self.engine.name), is_stored)

    def _until(self, r: str) -> str:
        """Returns SQL for the end of the stretch, as far as a recording r goes."""
        until = f"coalesce({r}.ended_ns, {r}.updated_ns)"
        return until if self.until_ns is None else f"min({until}, {_number(self.until_ns)})"

    def _since(self, value: str) -> str:
        return value if self.since_ns is None else f"max({value}, {_number(self.since_ns)})"

    def _alive(self) -> Iterator[str]:
        """Yields the conditions that a process p was alive in the stretch: those of scope_filters.is_alive().

        Most are about one column each: engines skip row groups by them.
        """
        yield "coalesce(p.in_scope, 1) <> 0"  # in a recording that is a part itself
        if self.until_ns is not None:
            yield f"p.start_ns <= {self.until_ns}"
            yield f"p.known_from_ns <= {self.until_ns}"
        if self.since_ns is None:
            return
        yield f"(p.end_ns IS NULL OR p.end_ns >= {self.since_ns})"
        # What vanished in its last recording was alive before that.
        earlier = f" OR (p.known_from_ns < r.started_ns AND r.started_ns >= {self.since_ns})"
        yield (
            f"(p.end_ns IS NOT NULL OR p.start_ns >= {self.since_ns} OR p.state = 'running'"
            f" OR p.freed_ns >= {self.since_ns}{earlier if self.base == 'pooled' else ''})"
        )

    def _from_processes(self, where: str) -> str:
        join = " JOIN recordings AS r ON r.id = p.recording_id" if "r." in where else ""
        return f"processes AS p{join} WHERE {where}"

    def _processes_in_scope(self) -> str:
        in_scope = "coalesce(p.in_scope, 1)"
        if self.until_ns is not None:
            is_later = f"coalesce(p.end_ns, p.freed_ns) > {self.until_ns}"
            in_scope = f"CASE WHEN p.in_scope = 2 OR {is_later} THEN 2 ELSE 1 END"
        where = " AND ".join([*self._alive(), self._conditions.sql])
        return f"SELECT {self._values(in_scope)} FROM {self._from_processes(where)}"

    def _values(self, in_scope: str) -> str:
        """Returns SQL for the columns of a process p."""
        values = {"in_scope": _number(in_scope), "known_from_ns": self._since("p.known_from_ns")}
        columns = (f"{values[name]} AS {name}" if name in values else f"p.{name}" for name in _columns("processes"))
        return ", ".join(columns)

    def _outside(self) -> str:
        """Returns SQL for the ancestors that are not in the scope."""
        return f"""
            WITH RECURSIVE line (id, parent_id, start_ns) AS (
                SELECT p.id, p.parent_id, p.start_ns
                FROM (SELECT DISTINCT parent_id FROM {_IN_SCOPE} WHERE parent_id IS NOT NULL) AS s
                JOIN processes AS p ON p.id = s.parent_id
                UNION ALL
                SELECT p.id, p.parent_id, p.start_ns
                FROM line
                -- A parent starts first, but some starts are known to 10 ms only. In a damaged file, this ends it.
                JOIN processes AS p ON p.id = line.parent_id AND p.start_ns < line.start_ns + 10000000
            )
            SELECT {self._values("0")}
            FROM (SELECT DISTINCT id FROM line) AS l
            JOIN processes AS p ON p.id = l.id
            LEFT JOIN {_IN_SCOPE} AS known ON known.id = p.id
            WHERE known.id IS NULL"""

    def _incidents(self) -> str:
        until = "" if self.until_ns is None else f" AND t.from_ns <= {self.until_ns}"
        columns = ", ".join(f"t.{name}" for name in _columns("incidents"))
        return f"SELECT {columns}\nFROM incidents AS t\nWHERE t.until_ns >= {self.since_ns or 0}{until}"

    def _recordings(self) -> str:
        """Returns SQL for the recordings, cut to the stretch. Their counts are of the rows that the scope has."""
        whole, is_interrupted = "coalesce(r.ended_ns, r.updated_ns)", "r.status = 'interrupted'"
        if self.until_ns is not None:
            is_interrupted += f" AND {whole} <= {self.until_ns}"
        values = {
            "started_ns": self._since("r.started_ns"),
            "ended_ns": f"CASE WHEN {is_interrupted} THEN NULL ELSE {self._until('r')} END",
            "updated_ns": self._until("r"),
            "status": f"CASE WHEN {is_interrupted} THEN 'interrupted' ELSE 'complete' END",
        }
        join = ""
        if self._has_counts:
            join = f" LEFT JOIN ({self._counts()}) AS counted ON counted.id = r.id"
            for kind in _COUNTED:
                values[f"{kind}_written"] = f"coalesce(counted.{kind}, 0)"
                values[f"{kind}_attempted"] = f"coalesce(counted.{kind}, 0) + r.{kind}_lost"
        columns = (f"{values[name]} AS {name}" if name in values else f"r.{name}" for name in _columns("recordings"))
        return f"SELECT {', '.join(columns)} FROM recordings AS r{join}"

    def _counts(self) -> str:
        since = self._since("r.started_ns")
        return f"""
            SELECT p.recording_id AS id, sum(p.in_scope <> 0 AND p.start_ns >= {since}) AS forks,
                count(p.end_ns) AS exits, count(p.freed_ns) AS frees, max(e.execs) AS execs
            FROM scoped_processes AS p
            JOIN recordings AS r ON r.id = p.recording_id
            LEFT JOIN (
                SELECT recording_id, count(*) AS execs FROM scoped_programs GROUP BY recording_id
            ) AS e ON e.recording_id = p.recording_id
            GROUP BY p.recording_id"""


@lru_cache(_REMEMBERED)
def _translated(sql: str, dialect: str) -> str:
    return translate(sql, dialect, schema()).sql


def schema() -> dict[str, dict[str, str]]:
    """Returns the columns of all views with their types, for translate()."""
    known = views.schema()
    processes = dict.fromkeys((_IN_SCOPE, _OUTSIDE), known["processes"])
    return known | processes | {PREFIX + name: columns for name, columns in known.items()}


def _number(value: str | int) -> str:
    """Returns SQL for a number of the type that columns have."""
    return f"CAST({value} AS INTEGER)"


def _columns(table: str) -> list[str]:
    return list(views.schema()[table])
