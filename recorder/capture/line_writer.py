"""Writes a recording as lines of JSON instead of a file: `webpf stream --full`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..model.event_source import Counts
from ..model.events import KERNEL_KINDS, OPTIONAL_KINDS, Event, decode_exact, to_storable
from ..model.stream_metadata import CgroupPath, DirectoryPath, Head, StreamCounts
from .line_printer import LinePrinter

if TYPE_CHECKING:
    from ..model.process import Process
    from ..storage.event_rows import EventRows
    from .surroundings import Surroundings


class LineWriter:
    """A writer for a Session, with the methods of RecordingWriter. print_events() must be the session's on_events.

    Its methods block while the reader doesn't read, so has_room is always true. The kernel's ring buffer fills up
    meanwhile.
    """

    has_room = True
    left_out = OPTIONAL_KINDS
    waiting_bytes = 0
    committed_ns: int | None = None

    def __init__(self, printer: LinePrinter) -> None:
        self._printer = printer
        self._next_id = 1
        self._written = dict.fromkeys((kind.type for kind in KERNEL_KINDS), 0)
        self._counts = Counts()

    def print_head(self, machine: Surroundings, options: Mapping[str, Any]) -> None:
        """Prints the first line. options: as in `recordings.options`."""
        host = machine.describe_host()
        # In the form in which a recording file stores them.
        texts = {name: to_storable(getattr(host, name)) for name in ("host", "command", "zone")}
        self._printer.print([Head(machine.started_ns, replace(host, **texts), options)])

    def print_events(self, events: Sequence[Event]) -> None:
        """Prints events. Must get all events of the session, in order."""
        self._printer.print(events)

    @property
    def written(self) -> tuple[int, ...]:
        """Number of events by kind. Includes events that the reader didn't take, which LinePrinter.unread counts."""
        return tuple(self._written.values())

    def await_room(self) -> None:
        """Returns at once: there is always room."""

    def reserve_ids(self, count: int) -> int:
        first = self._next_id
        self._next_id += count
        return first

    def write(
        self, events: EventRows, processes: Iterable[Process], until_ns: int, links: Iterable[tuple[int, int]] = ()
    ) -> None:
        """Counts the events, which print_events() has printed. Processes aren't printed: a replay makes them again."""
        for kind in self._written:
            self._written[kind] += events.counts[kind]

    def forget_process(self, process_id: int) -> None:
        """Does nothing: no processes are kept in memory."""

    def write_cgroups(self, paths: Mapping[int, str | bytes | None]) -> None:
        self._printer.print([CgroupPath(number, _exact(path)) for number, path in paths.items()])

    def write_directories(self, paths: Mapping[tuple[int, int], str | bytes]) -> None:
        self._printer.print([DirectoryPath(*numbers, path) for numbers, path in paths.items()])

    def write_counts(self, counts: Counts, until_ns: int) -> None:
        self._counts = counts
        self._printer.print([StreamCounts(until_ns, None, *counts.attempted, *counts.lost)])

    def finish(self, status: str, ended_ns: int) -> None:
        """Prints the last line."""
        self._printer.print([StreamCounts(ended_ns, ended_ns, *self._counts.attempted, *self._counts.lost)])


def _exact(path: str | bytes | None) -> str | bytes | None:
    return None if path is None else decode_exact(os.fsencode(path))
