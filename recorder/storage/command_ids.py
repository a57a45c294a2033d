"""Gives the command lines of a recording their ids, so that each is written once, and its events refer to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from ..model import argv
from ..model.bounded_cache import MIB, BoundedDict
from ..model.events import Exec, Seen
from .environment_ids import EnvironmentIds

CommandLine: TypeAlias = tuple[str | bytes | None, bytes | None, int | None]
"""filename, argv and argv_bytes of an event."""

FIELDS = ("filename", "argv", "argv_bytes")
"""The fields of an event that make its command line. They follow each other."""

KINDS = (Seen, Exec)
"""The kinds of events that have a command line."""

COLUMNS = ("id", "filename", "argv", "argv_bytes", "args")
"""The columns of CommandIds.take_new(), in order."""

_NO_COMMAND: CommandLine = (None, None, None)
_KNOWN_BYTES = 8 * MIB  # some 20,000 command lines of 60 bytes


class CommandIds:
    """The ids of the command lines of one recording that have been written, or will be with the next batch.

    It is bounded: a command line that was dropped from it gets another id, and is written again. environments: the ids
    of the environments of the same recording.
    """

    def __init__(self) -> None:
        self._ids: BoundedDict[CommandLine, int] = BoundedDict(_KNOWN_BYTES)
        self._new: list[Any] = []
        self.environments = EnvironmentIds()

    def ids_of(self, event_ids: Iterable[int], lines: Iterable[CommandLine]) -> list[int | None]:
        """Returns the id of the command line of each event; None for an event without one.

        The id of a new command line is the id of its event.
        """
        known = self._ids
        return [known.get(line) or self._add(event_id, line) for event_id, line in zip(event_ids, lines, strict=True)]

    def _add(self, event_id: int, line: CommandLine) -> int | None:
        if line == _NO_COMMAND:
            return None
        self._ids[line] = event_id
        filename, raw, argv_bytes = line
        # sqlite3 binds a bytearray faster than bytes: it doesn't search for an adapter.
        self._new += (event_id, filename, raw and bytearray(raw), argv_bytes, args_of(raw, argv_bytes))
        return event_id

    def carry_over(self, ids: Mapping[int, int]) -> CommandIds:
        """Returns those of the next recording, which has copies of some command lines. ids: of the copies, by id."""
        following = CommandIds()
        for line, id in self._ids.items():
            if id in ids:
                following._ids[line] = ids[id]
        return following

    def take_new(self) -> list[Any]:
        """Returns the command lines that are new since the last call: the values of COLUMNS, all in one list."""
        new, self._new = self._new, []
        return new


def args_of(raw: bytes | None, argv_bytes: int | None) -> str | None:
    """Returns the value of the column args."""
    return None if raw is None or argv_bytes is None else argv.quote(raw, argv_bytes, is_cached=False)
