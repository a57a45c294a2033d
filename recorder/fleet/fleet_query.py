"""Runs a saved query over the recordings of a tree, in an engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ..analysis import saved_queries
from ..analysis.saved_queries import SavedQuery
from ..errors import DataError, UsageError
from ..model import argv
from ..model.scope import EVERYTHING, Scope
from . import engines, machines, query_views, scope_recordings, selection, views
from .engine import Engine, Row
from .engine_name import EngineName
from .machines import Machine
from .query_views import QueryViews
from .selection import Selection
from .translate import Translated

PROCESS_IDS = ("id", "process_id", "of_id")
"""Columns of saved queries that hold the id of a process. The first that a query has comes first over a fleet."""


@dataclass(frozen=True)
class FleetQuery:
    """A saved query over a fleet. hosts: patterns; empty: all. given: values of its parameters.

    per_recording: run it once for each recording, even if it can take all as one base. scope: without one, it is about
    all that was recorded.
    """

    query: SavedQuery
    root: Path
    given: Mapping[str, str]
    engine: EngineName
    hosts: Sequence[str] = ()
    per_recording: bool = False
    scope: Scope = EVERYTHING

    @property
    def is_pooled(self) -> bool:
        """Whether it takes all recordings as one base."""
        return self.query.fleet == "pooled" and not self.per_recording

    @property
    def base(self) -> Literal["one", "pooled"]:
        """What its SQL reads."""
        return "pooled" if self.is_pooled else "one"

    def sql(self, given: Mapping[str, str]) -> str:
        """Returns its SQL with these parameters, in SQLite's language."""
        return self.query.for_fleet(given, self.base)

    def views(self, engine: Engine, chosen: Selection) -> QueryViews:
        """Returns the views that it reads. Raises NotFound and UsageError for the scope."""
        # What ended in a stretch of time, did so in a recording of that time.
        follows_chains = self.is_pooled and self.query.scope != "ends"
        return query_views.find(engine, chosen, self.base, self.sql(self.given), self.scope, follows_chains)


class Result(NamedTuple):
    """The rows of a query, which are read while they are taken, and what must be said of the recordings.

    about: the scope that it is limited to, for people; None: it is about all that was recorded. heading: the same, or
    machines, stretch of time and number of all recordings.
    """

    columns: list[str]
    rows: Iterator[Row]
    about: str | None
    heading: str
    caveats: list[str]


def check(wanted: FleetQuery) -> None:
    """Raises UsageError if the query can't run over a fleet, or not with these parameters."""
    name, word = wanted.query.name, argv.file_word(wanted.root)
    if wanted.query.fleet == "no":
        raise UsageError(f"the query {name} runs in SQLite only", f"webpf import {word} -o fleet.db")
    for parameter in ("recording", "against"):
        if parameter in wanted.given:
            message = f"the recordings of a fleet have no numbers, so that -p {parameter} can't name one"
            raise UsageError(message, f"webpf query {name} --on {word} --per-recording")
    if wanted.scope.under is not None:
        message = "the processes of a fleet have no ids of their own, so that --under can't name one"
        raise UsageError(message, f"webpf import {word} -o fleet.db")
    saved_queries.check_scope(wanted.query, wanted.scope)
    saved_queries.bind(wanted.query, wanted.given)


@contextmanager
def run(wanted: FleetQuery, engine: Engine | None = None) -> Iterator[Result]:
    """Runs it. Raises NotFound, DataError, UsageError or Unavailable, also while rows are taken.

    engine: one that is open and goes on; None: starts one, and ends it.
    """
    check(wanted)
    chosen = selection.select(wanted.root, wanted.hosts)
    used = engine or engines.start(wanted.engine)
    try:
        yield _result(used, wanted.views(used, chosen), wanted)
    except used.errors() as error:
        lines = str(error).strip().splitlines()
        raise DataError(f"{used.name}: {lines[0] if lines else type(error).__name__}") from error
    finally:
        if engine is None:
            used.close()


def write_script(wanted: FleetQuery) -> list[str]:
    """Returns statements that run the query in the engine: its settings, the views, and the query.

    A query that runs once for each recording has the latest.
    """
    check(wanted)
    engine = engines.create(wanted.engine)
    made = wanted.views(engine, selection.select(wanted.root, wanted.hosts))
    return [*engine.settings, *made.statements(), *made.translated(wanted.sql(wanted.given)).statements]


def _result(engine: Engine, made: QueryViews, wanted: FleetQuery) -> Result:
    known = machines.describe(made.selection.places)
    columns = list(wanted.query.columns)
    ids = [columns.index(name) for name in PROCESS_IDS if name in columns]
    counted = made if wanted.is_pooled else made.counting()
    if wanted.is_pooled or made.found is not None:
        _define(engine, counted.statements())
    counts = None if made.found is None else counted.count()
    if wanted.is_pooled:
        rows = _pooled(engine, made, wanted, known, ids)
    else:
        rows = _each(
            engine, made, wanted, [known[number] for number in known if counts is None or number in counts], ids
        )
    about = wanted.query.about(made.describe(sum((counts or {}).values())))
    heading = about or scope_recordings.whole(made.selection).description
    caveats = machines.caveats(each for each in known.values() if each.place in made.places)
    if wanted.is_pooled and not ids:
        return Result(columns, (row for _, row in rows), about, heading, caveats)
    order = ids[:1] + [at for at in range(len(columns)) if at not in ids[:1]]
    named = ((machine.host, machine.start, *(row[at] for at in order)) for machine, row in rows if machine is not None)
    return Result(["host", "recording", *(columns[at] for at in order)], named, about, heading, caveats)


def _define(engine: Engine, statements: Iterator[str]) -> None:
    for statement in statements:
        engine.execute(statement)


def _pooled(
    engine: Engine, made: QueryViews, wanted: FleetQuery, known: Mapping[int, Machine], ids: Sequence[int]
) -> Iterator[tuple[Machine | None, Row]]:
    """Yields the rows with the files' own ids, each with its machine if it has an id."""
    for row in engine.rows(made.translated(wanted.sql(wanted.given)))[1]:
        number = row[ids[0]] >> views.ID_BITS if ids else 0
        yield known.get(number), _own_ids(row, ids)


def _each(
    engine: Engine, made: QueryViews, wanted: FleetQuery, known: Sequence[Machine], ids: Sequence[int]
) -> Iterator[tuple[Machine | None, Row]]:
    """Yields the rows of each recording, one after the other. `compare` also reads the one before of its machine."""
    before: dict[str, Machine] = {}
    queries: dict[int, Translated] = {}  # by how many recordings it reads: the id that is given depends on that
    for machine in known:
        read = [machine]
        if "against" in {parameter.name for parameter in wanted.query.parameters} and machine.identity in before:
            read.insert(0, before[machine.identity])
        before[machine.identity] = machine
        _define(engine, made.statements(*(each.place for each in read)))
        if len(read) not in queries:
            given = dict(wanted.given)
            if given.get("id"):
                given["id"] = str((len(read) << views.ID_BITS) + int(given["id"]))
            queries[len(read)] = made.translated(wanted.sql(given))
        for row in engine.rows(queries[len(read)])[1]:
            yield machine, _own_ids(row, ids)


def _own_ids(row: Row, ids: Sequence[int]) -> Row:
    """Returns a row with the files' own ids, and with the types that SQLite has."""
    values = [_plain(value) for value in row]
    for at in ids:
        if values[at] is not None:
            values[at] &= (1 << views.ID_BITS) - 1
    return tuple(values)


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value
