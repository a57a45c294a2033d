"""Runs a saved query over the recordings of a tree, in an engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from ..analysis import saved_queries
from ..analysis.saved_queries import SavedQuery
from ..errors import DataError, UsageError
from ..model import argv
from . import engines, machines, part_files, selection, views
from .engine import Engine, Row
from .engine_name import EngineName
from .machines import Machine
from .selection import Selection
from .translate import Translated, tables_read, translate

PROCESS_IDS = ("id", "process_id", "of_id")
"""Columns of saved queries that hold the id of a process. The first that a query has comes first over a fleet."""


@dataclass(frozen=True)
class FleetQuery:
    """A saved query over a fleet. hosts: patterns; empty: all. given: values of its parameters.

    per_recording: run it once for each recording, even if it can take all as one base.
    """

    query: SavedQuery
    root: Path
    given: Mapping[str, str]
    engine: EngineName
    hosts: Sequence[str] = ()
    per_recording: bool = False

    @property
    def is_pooled(self) -> bool:
        """Whether it takes all recordings as one base."""
        return self.query.fleet == "pooled" and not self.per_recording

    @cached_property
    def tables(self) -> set[str]:
        """The tables that it reads."""
        return tables_read(self.query.for_fleet(self.given, "one")) | {"recordings"}

    def translated(self, given: Mapping[str, str]) -> Translated:
        """Returns its SQL for the engine, with these parameters."""
        sql = self.query.for_fleet(given, "pooled" if self.is_pooled else "one")
        return translate(sql, self.engine.value, views.schema())

    def statements(self, engine: Engine, chosen: Selection, absent: Mapping[str, set[str]]) -> Iterator[str]:
        """Yields the statements that create the views that it reads."""
        return views.statements(engine, chosen, absent, "pooled" if self.is_pooled else "one", self.tables)


class Result(NamedTuple):
    """The rows of a query, which are read while they are taken, and what must be said of the recordings."""

    columns: list[str]
    rows: Iterator[Row]
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
        yield _result(used, chosen, wanted)
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
    chosen = selection.select(wanted.root, wanted.hosts)
    engine = engines.create(wanted.engine)
    absent = _absent_columns(chosen, wanted)
    return [*engine.settings, *wanted.statements(engine, chosen, absent), *wanted.translated(wanted.given).statements]


def _absent_columns(chosen: Selection, wanted: FleetQuery) -> dict[str, set[str]]:
    return part_files.find_absent_columns(chosen, views.with_needed(wanted.tables))


def _result(engine: Engine, chosen: Selection, wanted: FleetQuery) -> Result:
    absent = _absent_columns(chosen, wanted)
    known = machines.describe(chosen.places)
    columns = list(wanted.query.columns)
    ids = [columns.index(name) for name in PROCESS_IDS if name in columns]
    if wanted.is_pooled:
        _define(engine, wanted.statements(engine, chosen, absent))
        rows = _pooled(engine, wanted, known, ids)
    else:
        rows = _each(engine, chosen, absent, wanted, known, ids)
    caveats = machines.caveats(known.values())
    if wanted.is_pooled and not ids:
        return Result(columns, (row for _, row in rows), caveats)
    order = ids[:1] + [at for at in range(len(columns)) if at not in ids[:1]]
    named = ((machine.host, machine.start, *(row[at] for at in order)) for machine, row in rows if machine is not None)
    return Result(["host", "recording", *(columns[at] for at in order)], named, caveats)


def _define(engine: Engine, statements: Iterator[str]) -> None:
    for statement in statements:
        engine.execute(statement)


def _pooled(
    engine: Engine, wanted: FleetQuery, known: Mapping[int, Machine], ids: Sequence[int]
) -> Iterator[tuple[Machine | None, Row]]:
    """Yields the rows with the files' own ids, each with its machine if it has an id."""
    for row in engine.rows(wanted.translated(wanted.given))[1]:
        number = row[ids[0]] >> views.ID_BITS if ids else 0
        yield known.get(number), _own_ids(row, ids)


def _each(
    engine: Engine,
    chosen: Selection,
    absent: Mapping[str, set[str]],
    wanted: FleetQuery,
    known: Mapping[int, Machine],
    ids: Sequence[int],
) -> Iterator[tuple[Machine | None, Row]]:
    """Yields the rows of each recording, one after the other. `compare` also reads the one before of its machine."""
    before: dict[str, Machine] = {}
    queries: dict[int, Translated] = {}  # by how many recordings it reads: the id that is given depends on that
    for machine in known.values():
        read = [machine]
        if "against" in {parameter.name for parameter in wanted.query.parameters} and machine.identity in before:
            read.insert(0, before[machine.identity])
        before[machine.identity] = machine
        _define(engine, wanted.statements(engine, chosen.only(*(each.place for each in read)), absent))
        if len(read) not in queries:
            given = dict(wanted.given)
            if given.get("id"):
                given["id"] = str((len(read) << views.ID_BITS) + int(given["id"]))
            queries[len(read)] = wanted.translated(given)
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
