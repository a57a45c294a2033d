"""Finds the recordings that a scope is about: one recording, or the segments of a chain in a stretch of time."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from ..errors import NotFound
from ..model import argv
from ..model.events import GREATEST
from ..model.recording import Recording
from ..model.scope import Scope
from ..model.zone import SECOND_NS, Zone
from . import reader

R = TypeVar("R", bound="HasTimes")

DEFAULT_HOURS = 24
"""Of a chain, without a time: so much of its end."""

_FINE_SECONDS = 10  # shorter stretches are shown in milliseconds
_SHOWN = 3  # recordings that an error lists


class HasTimes(Protocol):
    """A recording with the times in Unix ns from which on and until which it is complete."""

    @property
    def started_ns(self) -> int:
        """Its begin."""

    @property
    def until_ns(self) -> int:
        """Its end."""


@dataclass(frozen=True)
class Base:
    """The recordings that a scope reads, oldest first. Times in Unix ns.

    later: the segments of the chain after them: there, processes go on that were alive at the end. since_ns, until_ns:
    the stretch that was asked for; None where it is open. is_default: it was not asked for.
    """

    recordings: tuple[Recording, ...]
    later: tuple[Recording, ...]
    since_ns: int | None
    until_ns: int | None
    zone: Zone
    is_default: bool

    @property
    def number(self) -> int:
        """The number that the joined recording has: that of its last segment."""
        return self.recordings[-1].id

    @property
    def begin_ns(self) -> int:
        """The begin of the stretch, as far as something was recorded."""
        return max(self.recordings[0].started_ns, self.since_ns or 0)

    @property
    def end_ns(self) -> int:
        """The end of the stretch, as far as something was recorded."""
        until_ns = self.recordings[-1].until_ns
        return until_ns if self.until_ns is None else min(until_ns, self.until_ns)

    @property
    def description(self) -> str:
        """Machine, stretch of time and numbers of the recordings, for people."""
        numbers = _numbers(self.recordings)
        default = f" (the last {DEFAULT_HOURS} hours of a chain, by default)" if self.is_default else ""
        return (
            f"{self.recordings[-1].machine_name}, {stretch_text(self.zone, self.begin_ns, self.end_ns)},"
            f" {numbers}{default}"
        )


def describe(recording: Recording) -> str:
    """Returns machine, stretch of time and number of a recording as a whole, for people."""
    return Base((recording,), (), None, None, Zone.of_recording(recording.row), False).description


def find(
    connection: sqlite3.Connection, path: Path, wanted: int | str | None, scope: Scope, id: int | None = None
) -> Base | None:
    """Returns the recordings of a scope; None if the scope is one recording as a whole.

    wanted: a recording by number or name; then segments are not joined. Else it is the latest recording or chain that
    has something in the stretch. id: of a process; else it is the recording or chain that has it. Raises NotFound, and
    UsageError for times.
    """
    latest = reader.find(connection, path, wanted)
    of_process = scope.under if id is None else id
    chains = [[latest]] if wanted is not None else _chains(reader.recordings(connection))
    if wanted is None and of_process is not None:
        chains, latest = _of_process(connection, chains, of_process)
    if scope.is_everything and (wanted is not None or latest.row.get("chain") is None):
        return None
    zone = Zone.of_recording(latest.row)
    since, until = scope.stretch(zone, time.time_ns())
    chain = next((each for each in chains if overlapping(each, since, until)), None)
    if chain is None:
        raise _nothing_then(path, chains, scope.zone or zone, since, until)
    is_limited = wanted is None and chain[-1].row.get("chain") is not None and not scope.whole_chain
    is_default = is_limited and not scope.has_times
    if is_default and latest in chain:
        until = latest.until_ns
    if is_limited and since is None:
        since = min(until or GREATEST, chain[-1].until_ns) - DEFAULT_HOURS * 3600 * SECOND_NS
    read = overlapping(chain, since, until)
    if scope.is_everything and chain == read and len(chain) == 1 and chain[0].started_ns >= (since or 0):
        return None
    later = chain[chain.index(read[-1]) + 1 :]
    return Base(tuple(read), tuple(later), since, until, scope.zone or zone, is_default)


def _chains(recordings: Iterable[Recording]) -> list[list[Recording]]:
    """Returns the recordings by chain, the latest first. A recording without a chain is alone."""
    found: dict[tuple[str, int], list[Recording]] = {}
    for each in recordings:
        chain = each.row.get("chain")
        found.setdefault(("recording", each.id) if chain is None else ("chain", chain), []).append(each)
    for segments in found.values():
        segments.sort(key=lambda each: (each.row.get("segment") or 0, each.id))
    return sorted(found.values(), key=lambda segments: -max(each.id for each in segments))


def _of_process(
    connection: sqlite3.Connection, chains: Sequence[list[Recording]], id: int
) -> tuple[list[list[Recording]], Recording]:
    """Returns the chain that has a process, and the segment. If there is no such process: all, and the latest."""
    row = connection.execute("SELECT recording_id FROM processes WHERE id = ?", [id]).fetchone()
    for chain in chains:
        for each in chain:
            if row is not None and each.id == row[0]:
                return [chain], each
    return list(chains), chains[0][-1]


def overlapping(recordings: Iterable[R], since: int | None, until: int | None) -> list[R]:
    """Returns the recordings that have a part of a stretch."""
    return [
        each
        for each in recordings
        if (until is None or each.started_ns <= until) and (since is None or each.until_ns >= since)
    ]


def _nothing_then(
    path: Path, chains: Sequence[Sequence[Recording]], zone: Zone, since: int | None, until: int | None
) -> NotFound:
    known = "; ".join(
        f"{_numbers(chain)} of {chain[-1].machine_name} {'is' if len(chain) == 1 else 'are'} from"
        f" {stretch_text(zone, chain[0].started_ns, chain[-1].until_ns)}"
        for chain in chains[:_SHOWN]
    )
    more = f"; and {len(chains) - _SHOWN} more" if len(chains) > _SHOWN else ""
    wanted = open_stretch_text(zone, since, until)
    return NotFound(f"{path} has nothing {wanted}: {known}{more}", f"webpf recordings {argv.file_word(path)}")


def _numbers(recordings: Sequence[Recording]) -> str:
    """Returns the numbers of recordings in their order, for people."""
    first, last = recordings[0].id, recordings[-1].id
    return f"recording {last}" if first == last else f"recordings {first} to {last}"


def open_stretch_text(zone: Zone, since: int | None, until: int | None) -> str:
    """Returns a stretch for people, of which one of the two ends is known."""
    if since is None:
        return f"before {zone.text(until or 0)}"
    return f"since {zone.text(since)}" if until is None else f"from {stretch_text(zone, since, until)}"


def stretch_text(zone: Zone, since: int, until: int) -> str:
    """Returns a stretch for people, in milliseconds if it is short."""
    digits = "seconds" if until - since >= _FINE_SECONDS * SECOND_NS else "milliseconds"
    return f"{zone.text(since, digits)} to {zone.text(until, digits)}"
