"""Writes a session as lines of JSON instead of into a file: `webpf stream --full`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..host import clock
from ..model.events import KERNEL_KINDS, Event, decode_exact, to_storable
from ..model.source import Counts
from ..model.stream_notes import CgroupPath, DirectoryPath, Head, StreamCounts
from .line_printer import LinePrinter

if TYPE_CHECKING:
    from ..model.process import Process
    from ..storage.columns import EventRows
    from .surroundings import Surroundings


class LineWriter:
    """A writer for a Session, which also needs its print_events(). Methods are as in RecordingWriter.

    A reader who doesn't read is waited for here, so has_room is always true: meanwhile the kernel's buffer fills up.
    """

    has_room = True
    waiting_bytes = 0

    def __init__(self, printer: LinePrinter) -> None:
        self._printer = printer
        self._next_id = 1
        self._written = dict.fromkeys((kind.type for kind in KERNEL_KINDS), 0)
        self._counts = Counts()

    def print_head(self, machine: Surroundings, options: Mapping[str, Any]) -> None:
        """The first line. options: as in `recordings.options`."""
        host = machine.describe_host()
        # As a recording file takes them.
        host = replace(host, host=to_storable(host.host), command=to_storable(host.command))
        self._printer.print([Head(machine.started_ns, host, options, *clock.local_zone())])

    def print_events(self, events: Sequence[Event]) -> None:
        """To be called with all events of the session, in order."""
        self._printer.print(events)

    @property
    def written(self) -> tuple[int, ...]:
        """Events that were printed, by kind; or are counted by the printer, as the reader took no more."""
        return tuple(self._written.values())

    def await_room(self) -> None:
        """There is always room."""

    def reserve_ids(self, count: int) -> int:
        first = self._next_id
        self._next_id += count
        return first

    def write(
        self, events: EventRows, processes: Iterable[Process], until_ns: int, links: Iterable[tuple[int, int]] = ()
    ) -> None:
        """Counts what print_events() has printed. What processes come to is the reader's affair."""
        for kind in self._written:
            self._written[kind] += events.count(kind)

    def forget_process(self, process_id: int) -> None:
        """Nothing is held of processes."""

    def write_cgroups(self, paths: Mapping[int, str | bytes | None]) -> None:
        self._printer.print([CgroupPath(number, _exact(path)) for number, path in paths.items()])

    def write_directories(self, paths: Mapping[tuple[int, int], str | bytes]) -> None:
        self._printer.print([DirectoryPath(*numbers, path) for numbers, path in paths.items()])

    def write_counts(self, counts: Counts, until_ns: int) -> None:
        self._counts = counts
        self._printer.print([StreamCounts(until_ns, None, *counts.attempted, *counts.lost)])

    def finish(self, status: str, ended_ns: int) -> None:
        """The last line."""
        self._printer.print([StreamCounts(ended_ns, ended_ns, *self._counts.attempted, *self._counts.lost)])


def _exact(path: str | bytes | None) -> str | bytes | None:
    return None if path is None else decode_exact(os.fsencode(path))
