"""Two recordings compared: what is new, gone, slower, hungrier, failing now; and what is taken for noise. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..errors import UsageError
from ..output.units import duration, size

NOISE_SHARE, NOISE_NS, NOISE_KIB = 0.1, 20_000_000, 2048
# Of the whole, for a part: who happens to run beside whom changes how long each takes, and that from run to run.
NOISE_OF_WHOLE = 0.05
NOISE = "less than 10 %, 20 ms, 2 MiB, or for a part 5 % of the whole is taken for noise"

_CONDITION = re.compile(r"(wall|cpu|rss|processes|failures)\s*>\s*(\d+(?:\.\d+)?)\s*(%?)")
_SHOWN = 8


@dataclass(frozen=True)
class Cost:
    """What some processes came to. Times in ns, memory in KiB.

    rss is the highest peak of those whose own is known (0: of none), rss_at_most that of all: an image's own peak can't
    be told from that of the image which ran before it, if that was higher.
    """

    wall: int = 0
    cpu: int = 0
    rss: int = 0
    processes: int = 0
    failures: int = 0
    rss_at_most: int = 0

    def __add__(self, other: Cost) -> Cost:
        """Of both together: memory is the higher peak."""
        return Cost(
            self.wall + other.wall,
            self.cpu + other.cpu,
            max(self.rss, other.rss),
            self.processes + other.processes,
            self.failures + other.failures,
            max(self.rss_at_most, other.rss_at_most),
        )


@dataclass(frozen=True)
class Recorded:
    """A recording: what it came to in all, and by what was done (wall: the sum of lifetimes)."""

    name: str
    whole: Cost
    activities: dict[str, Cost]
    caveat: str | None = None


@dataclass(frozen=True)
class Condition:
    """A limit to how much more of something there may be: a share of what there was, or a number."""

    text: str
    what: str
    limit: float
    is_share: bool

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Of `wall>10%` or `failures>0`. Raises UsageError."""
        match = _CONDITION.fullmatch(text.strip())
        if match is None or (not match[3] and match[1] not in ("processes", "failures")):
            message = f"--fail-if takes a share of wall, cpu or rss, or a number of processes or failures, not {text!r}"
            raise UsageError(message, "webpf diff --fail-if 'wall>10%' --fail-if 'failures>0'")
        return cls(text.strip(), match[1], float(match[2]) / (100 if match[3] else 1), bool(match[3]))

    def is_met(self, before: Cost, after: Cost) -> bool:
        """Whether there is more than allowed."""
        old, new = getattr(before, self.what), getattr(after, self.what)
        if self.what == "rss":
            old = old or before.rss_at_most
        return bool(new - old > (self.limit * old if self.is_share else self.limit))


def is_noise(old: float, new: float, least: float) -> bool:
    """Whether a difference says nothing: it is small for what there was, or small at all."""
    return abs(new - old) < max(NOISE_SHARE * old, least)


def lines(before: Recorded, after: Recorded) -> Iterator[str]:
    """The comparison as text."""
    yield f"before: {before.name}; after: {after.name}; {NOISE}"
    old, new = before.whole, after.whole
    yield "; ".join(
        [
            _change("wall", old.wall, new.wall, NOISE_NS, _time),
            _change("CPU", old.cpu, new.cpu, NOISE_NS, _time),
            _change("peak memory", old.rss, new.rss, NOISE_KIB, _memory),
            _change("processes", old.processes, new.processes, 0, str),
            _change("failures", old.failures, new.failures, 0, str),
        ]
    )
    both = [name for name in before.activities if name in after.activities]

    def costs(names: Iterable[str], of: Recorded) -> list[str]:
        found = sorted(names, key=lambda name: (-of.activities[name].wall, name))
        return [f"{name} ({of.activities[name].processes:,} x, {_time(of.activities[name].wall)})" for name in found]

    yield from _listed("new", costs(after.activities.keys() - before.activities.keys(), after))
    yield from _listed("gone", costs(before.activities.keys() - after.activities.keys(), before))
    for title, was, what, least, shown in (
        ("slower", "wall", "wall", NOISE_NS, _time),
        ("more CPU", "cpu", "cpu", NOISE_NS, _time),
        ("more memory", "rss_at_most", "rss", NOISE_KIB, _memory),  # only what is certain
        ("failing more", "failures", "failures", 0, str),
    ):
        if shown is _time:
            least = max(least, NOISE_OF_WHOLE * getattr(old, what))
        pairs = [(getattr(before.activities[name], was), getattr(after.activities[name], what), name) for name in both]
        worse = [each for each in pairs if each[1] > each[0] and not is_noise(each[0], each[1], least)]
        worse.sort(key=lambda each: (each[0] - each[1], each[2]))
        yield from _listed(
            title, [f"{name} {_change('', one, other, least, shown).strip()}" for one, other, name in worse]
        )


def _change(what: str, old: int, new: int, least: float, shown: Callable[[int], str]) -> str:
    if old == new:
        return f"{what} {shown(new)}, the same"
    if shown is _memory and not (old and new):
        return f"{what} {shown(old)} -> {shown(new)}"
    share = f"{(new - old) / old:+.1%}" if old else "from nothing"
    noise = ", noise" if is_noise(old, new, least) else ""
    return f"{what} {shown(old)} -> {shown(new)} ({share}{noise})"


def _listed(title: str, items: Sequence[str]) -> Iterator[str]:
    if items:
        more = f"; and {len(items) - _SHOWN:,} more" if len(items) > _SHOWN else ""
        yield f"{title}: {'; '.join(items[:_SHOWN])}{more}"


def _time(ns: int) -> str:
    return duration(ns)


def _memory(kib: int) -> str:
    return size(kib) if kib else "not known"
