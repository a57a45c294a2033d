"""Gives the kept environments of a recording their ids, so that each set of variables is written once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..model.bounded_cache import MIB, BoundedDict
from ..model.environment import Environment
from .bulk_insert import BulkInsert

FIELD = "environment"
"""The last field of an exec. The table of execs has no such column: program_environments has its id."""

_PROGRAM_COLUMNS = ("id", "environment_id")
_VARIABLE_COLUMNS = ("environment_id", "name", "state", "value")
_KNOWN_BYTES = 4 * MIB

_FOREIGN = """SELECT count(*) FROM program_environments AS e LEFT JOIN programs AS x ON x.id = e.id
WHERE e.recording_id = ?1 AND x.recording_id IS NOT ?1"""
_WITHOUT_VARIABLES = """SELECT count(*) FROM program_environments AS e WHERE e.recording_id = ?1 AND NOT EXISTS (
    SELECT 1 FROM environment_variables AS v WHERE v.environment_id = e.environment_id AND v.recording_id = ?1
)"""
_WRONG_STATES = """SELECT count(*) FROM environment_variables
WHERE recording_id = ? AND (state = 'set') IS NOT (value IS NOT NULL)"""


class EnvironmentIds:
    """The ids of the environments of one recording that have been written, or will be with the next batch.

    It is bounded: an environment that was dropped from it gets another id, and is written again.
    """

    def __init__(self) -> None:
        self._ids: BoundedDict[Environment, int] = BoundedDict(_KNOWN_BYTES)

    def rows_of(
        self, event_ids: Iterable[int], environments: Sequence[Environment | None]
    ) -> tuple[list[Any], list[Any]]:
        """Returns rows for program_environments, and those of new environments for environment_variables.

        The values of all rows are in one list, as inserts() takes them. The id of a new environment is the id of its
        exec. An exec without an environment has no row.
        """
        programs: list[Any] = []
        variables: list[Any] = []
        if not any(environments):
            return programs, variables
        for event_id, environment in zip(event_ids, environments, strict=True):
            if environment:
                programs += (event_id, self._ids.get(environment) or self._add(event_id, environment, variables))
        return programs, variables

    def _add(self, event_id: int, environment: Environment, variables: list[Any]) -> int:
        self._ids[environment] = event_id
        for variable in environment:
            variables += (event_id, *variable)
        return event_id


def take_column(values: list[Any], width: int) -> list[Environment | None]:
    """Removes the last column from rows of this width, and returns it."""
    column = values[width - 1 :: width]
    del values[width - 1 :: width]
    return column


def inserts(recording_id: int) -> tuple[BulkInsert, BulkInsert]:
    """Returns inserts for the results of EnvironmentIds.rows_of()."""

    def insert(table: str, columns: Sequence[str]) -> BulkInsert:
        return BulkInsert(table, (*columns, "recording_id"), [*"?" * len(columns), str(recording_id)])

    return insert("program_environments", _PROGRAM_COLUMNS), insert("environment_variables", _VARIABLE_COLUMNS)


def payload_bytes(variables: Sequence[Any]) -> int:
    """Returns about how many bytes the values in rows for environment_variables have."""
    width = len(_VARIABLE_COLUMNS)
    return sum(map(len, filter(None, variables[_VARIABLE_COLUMNS.index("value") :: width])))


def find_mismatches(connection: sqlite3.Connection, recording_id: int) -> Iterator[str]:
    """Yields what is wrong in the environments of a recording."""
    for sql, message in (
        (_FOREIGN, "program_environments: {} rows are of execs of another recording"),
        (_WITHOUT_VARIABLES, "program_environments: {} rows refer to an environment without variables"),
        (_WRONG_STATES, "environment_variables: of {} rows, the state doesn't fit the value"),
    ):
        [wrong] = connection.execute(sql, [recording_id]).fetchone()
        if wrong:
            yield message.format(wrong)
