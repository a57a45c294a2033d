"""The recordings that a query reads, with the names of their machines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..model.recording import INTERRUPTED
from .part_reader import Place

_SHOWN = 8  # characters of a machine_id that tell two machines of one name apart


class Machine(NamedTuple):
    """A recording and its machine. host: for people: the name, and more if several machines have this name.

    start: of the recording, as its folder has it. identity: what tells machines apart.
    """

    place: Place
    host: str | None
    start: str
    identity: str
    lost: int
    is_interrupted: bool


def describe(places: Sequence[Place]) -> dict[int, Machine]:
    """Returns the recordings by their numbers in the view `recordings`: 1, 2, ... in this order."""
    of_name = defaultdict(set)
    for place in places:
        of_name[place.row.get("host")].add(place.row.get("machine_id"))
    made = {}
    for number, place in enumerate(places, 1):
        host, machine_id = place.row.get("host"), place.row.get("machine_id")
        shown = f"{host} ({(machine_id or 'no machine id')[:_SHOWN]})" if len(of_name[host]) > 1 else host
        start = place.path.name.partition("=")[2]
        is_interrupted = place.row.get("status") == INTERRUPTED
        made[number] = Machine(
            place, shown, start, machine_id or host or "", place.row.get("lost") or 0, is_interrupted
        )
    return made


def caveats(recordings: Iterable[Machine]) -> list[str]:
    """Returns warnings for readers of a result from these recordings."""
    known = list(recordings)
    lossy = [each for each in known if each.lost]
    interrupted = sum(each.is_interrupted for each in known)
    found = []
    if lossy:
        lost = sum(each.lost for each in lossy)
        found.append(f"{_count(len(lossy))} lost {lost:,} events: counts and sums are a lower bound")
    if interrupted:
        found.append(f"{_count(interrupted)} interrupted: events after the last commit are missing")
    return found


def _count(number: int) -> str:
    return f"{number} recording{'' if number == 1 else 's'}"
