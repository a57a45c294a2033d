"""The views that a query over a tree reads: of all that was recorded, or of a scope."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from ..model.scope import Scope
from ..storage import scope_ids, scoped
from ..storage.macro import Base
from . import part_files, scope_recordings, views
from .engine import Engine, Row
from .part_reader import Place
from .scope_recordings import ScopedRecordings
from .scope_views import ScopeViews
from .selection import Selection
from .translate import Translated, tables_read, translate


@dataclass(frozen=True)
class QueryViews:
    """The views of a query. selection: the recordings that are read. sql: of the query, in SQLite's language.

    found: the recordings of the scope; None: the query is about all of the selection.
    """

    engine: Engine
    selection: Selection
    base: Base
    sql: str
    scope: Scope
    found: ScopedRecordings | None

    @property
    def places(self) -> tuple[Place, ...]:
        """The recordings that the query is about."""
        return self.selection.places if self.found is None else self.found.read

    def statements(self, *places: Place) -> Iterator[str]:
        """Yields the statements that create the views, after the engine's settings. places: only of these."""
        until_ns = None if self.found is None else self.found.until_ns
        chosen = self.selection.only(*places) if places else self.selection
        yield from views.statements(self.engine, chosen, self._absent, self.base, self._tables, until_ns)
        if self._scope_views is not None:
            yield from self._scope_views.statements

    def translated(self, sql: str) -> Translated:
        """Returns a query of SQLite's language in that of the engine."""
        if self._scope_views is not None:
            return self._scope_views.translated(sql)
        return translate(sql, self.engine.name, views.schema())

    def count(self) -> Mapping[int, int]:
        """Returns how many processes of each recording are in the scope, by its number; the views must be there.

        Raises NotFound if there are none.
        """
        assert self._scope_views is not None and self.found is not None
        counts = {int(row[0]): int(row[1]) for row in self._rows(self._scope_views.count())}
        if not counts:
            [(alive,)] = self._rows(self._scope_views.count_alive())
            raise scope_ids.nothing_in(self.found.description, self.scope, alive)
        return counts

    def counting(self) -> QueryViews:
        """Returns the views that only count() needs, of each recording alone."""
        return replace(self, base="one", sql="SELECT 1")

    def describe(self, processes: int) -> str | None:
        """Returns what the scope is, for people; None if there is none. processes: how many are in it."""
        return None if self.found is None else scoped.describe(self.found.description, self.scope, processes)

    @cached_property
    def _absent(self) -> Mapping[str, set[str]]:
        return part_files.find_absent_columns(self.selection, views.with_needed(self._tables))

    @cached_property
    def _tables(self) -> set[str]:
        read = tables_read(self.sql) | {"recordings"}
        return read if self._scope_views is None else self._scope_views.tables

    @cached_property
    def _scope_views(self) -> ScopeViews | None:
        if self.found is None:
            return None
        stretch = self.found.since_ns, self.found.until_ns
        return ScopeViews(self.engine, self.scope, *stretch, self.base, self.sql, frozenset(tables_read(self.sql)))

    def _rows(self, sql: str) -> list[Row]:
        return list(self.engine.rows(Translated(sql, frozenset()))[1])


def find(
    engine: Engine, selection: Selection, base: Base, sql: str, scope: Scope, follows_chains: bool = False
) -> QueryViews:
    """Returns the views of a query. follows_chains: see scope_recordings.find(). Raises NotFound and UsageError."""
    found = None if scope.is_everything else scope_recordings.find(selection, scope, follows_chains)
    return QueryViews(engine, selection if found is None else found.chosen, base, sql, scope, found)
