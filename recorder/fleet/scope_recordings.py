"""Finds the recordings of a tree that a scope is about, before any engine reads them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property

from ..errors import NotFound, UsageError
from ..model import argv
from ..model.scope import EVERYTHING, Scope
from ..model.zone import Zone
from ..storage.scope_base import open_stretch_text, overlapping, stretch_text
from . import part_reader
from .part_reader import Place
from .selection import Selection


@dataclass(frozen=True)
class ScopedRecordings:
    """The recordings of a scope. Times in Unix ns.

    read: those that have a part of the stretch. later: segments of their chains after it, where processes go on that
    were alive at its end. since_ns, until_ns: the stretch; None where it is open.
    """

    selection: Selection
    read: tuple[Place, ...]
    later: tuple[Place, ...]
    since_ns: int | None
    until_ns: int | None
    zone: Zone

    @cached_property
    def chosen(self) -> Selection:
        """All that an engine reads."""
        if len(self.read) == len(self.selection.places):
            return self.selection
        used = {*map(id, (*self.read, *self.later))}
        return self.selection.only(*(place for place in self.selection.places if id(place) in used))

    @property
    def description(self) -> str:
        """Machines, stretch of time and number of recordings, for people."""
        begin_ns = max(min(place.started_ns for place in self.read), self.since_ns or 0)
        end_ns = max(place.until_ns for place in self.read)
        end_ns = end_ns if self.until_ns is None else min(end_ns, self.until_ns)
        return f"{_of_machines(self.read)}, {stretch_text(self.zone, begin_ns, end_ns)}, {_count(len(self.read))}"


def whole(selection: Selection) -> ScopedRecordings:
    """Returns all recordings of a selection, as a scope without limits."""
    zone, _, _ = _stretch(selection.places, EVERYTHING)
    return ScopedRecordings(selection, selection.places, (), None, None, zone)


def find(selection: Selection, scope: Scope, follows_chains: bool) -> ScopedRecordings:
    """Returns the recordings of a selection that a scope is about.

    follows_chains: whether processes are looked up in later segments too. Raises NotFound if there are none, and
    UsageError for times that don't exist, or that mean different times on the machines.
    """
    zone, since, until = _stretch(selection.places, scope)
    read = overlapping(selection.places, since, until)
    if not read:
        raise _nothing_then(selection, zone, since, until)
    chains = {_chain(place) for place in read if place.row.get("chain") is not None}
    later = [
        place
        for place in selection.places
        if follows_chains and until is not None and place.started_ns > until and _chain(place) in chains
    ]
    return ScopedRecordings(selection, tuple(read), tuple(later), since, until, zone)


def _chain(place: Place) -> tuple[object, ...]:
    """Returns what segments of a chain have in common if a process can live in both."""
    return place.row.get("machine_id") or place.host, place.row.get("boot_id"), place.row.get("chain")


def _stretch(places: tuple[Place, ...], scope: Scope) -> tuple[Zone, int | None, int | None]:
    """Returns the stretch, and the zone for messages: that of the machines if they have one."""
    zones = {zone.name: zone for zone in (Zone.of_recording(place.row) for place in places)}
    now_ns = time.time_ns()
    meant = {scope.stretch(zone, now_ns) for zone in zones.values()}
    if len(meant) > 1:
        given = " and ".join(each.option for each in (scope.since, scope.until) if each is not None)
        message = f"{given}: the machines are in different time zones ({', '.join(sorted(zones))})"
        raise UsageError(f"{message}: say whose times these are", "webpf query failures --on fleet --since 03:00 --utc")
    [(since, until)] = meant
    return scope.zone or (next(iter(zones.values())) if len(zones) == 1 else Zone.utc()), since, until


def _nothing_then(selection: Selection, zone: Zone, since: int | None, until: int | None) -> NotFound:
    places = selection.places
    known = stretch_text(zone, min(place.started_ns for place in places), max(place.until_ns for place in places))
    wanted, count = open_stretch_text(zone, since, until), _count(len(places))
    message = f"{selection.root} has nothing {wanted}: it has {count} of {_of_machines(places)} from {known}"
    return NotFound(message, f"webpf query losses --on {argv.file_word(selection.root)}")


def _of_machines(places: tuple[Place, ...]) -> str:
    return part_reader.machines_of(sorted({place.host for place in places}))


def _count(recordings: int) -> str:
    return "1 recording" if recordings == 1 else f"{recordings:,} recordings"
