"""What `webpf verify` checks of a chain: its segments follow each other, and no process gets lost between two."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from ..model.recording import COMPLETE, Recording

_RUNNING = "SELECT pid, start_ns FROM processes WHERE recording_id = ? AND state = 'running'"
_SNAPSHOT = "SELECT pid, start_ns FROM snapshot WHERE recording_id = ? AND exact IS NOT NULL"


@dataclass(frozen=True)
class Chain:
    """A chain of recordings. number: of the chain. segments: those that are in the file, in order."""

    number: int
    segments: Sequence[Recording]


def chains(recordings: Iterable[Recording]) -> list[Chain]:
    """Returns the chains among the recordings of a file."""
    members = [each for each in recordings if _number(each) is not None]
    ordered = sorted(members, key=lambda each: (_number(each) or 0, _segment(each), each.id))
    return [Chain(number or 0, tuple(segments)) for number, segments in groupby(ordered, _number)]


def find_mismatches(connection: sqlite3.Connection, chain: Chain) -> Iterator[str]:
    """Yields what is wrong between the segments of a chain."""
    for before, following in pairwise(chain.segments):
        gap = f"recordings {before.id} and {following.id}"
        if _segment(following) != _segment(before) + 1:
            yield f"{gap}: segment {_segment(following)} follows on segment {_segment(before)}"
            continue
        if before.status != COMPLETE or before.boot_id != following.boot_id:
            yield f"{gap}: the first is {before.status}, or they are not of the same boot"
        if _since_boot(before, before.ended_ns) != _since_boot(following, following.started_ns):
            yield f"{gap}: the second doesn't begin when the first ends"
        missing = _identities(connection, _RUNNING, before) - _identities(connection, _SNAPSHOT, following)
        if missing:
            yield f"{gap}: {len(missing)} processes that were running are not in the second, such as {min(missing)[0]}"


def _identities(connection: sqlite3.Connection, sql: str, recording: Recording) -> set[tuple[int, int | None]]:
    """Returns pid and start of processes, which are the same in all segments."""
    return {(pid, _since_boot(recording, start_ns)) for pid, start_ns in connection.execute(sql, [recording.id])}


def _since_boot(recording: Recording, time_ns: int | None) -> int | None:
    offset_ns = recording.clock_offset_ns
    return None if time_ns is None else time_ns - (offset_ns or 0)


def _number(recording: Recording) -> int | None:
    number = recording.row["chain"]
    return number if isinstance(number, int) else None


def _segment(recording: Recording) -> int:
    segment = recording.row["segment"]
    return segment if isinstance(segment, int) else 0
