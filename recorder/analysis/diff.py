"""Compares two recordings, or two groups of runs: what is new, gone, worse or better, and what is only noise.

Where there are several runs a side, noise is measured: a change is told if its interval doesn't hold 0. Where there is
one run a side, it is guessed: a change is told if it is larger than NOISE_SHARE.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from . import intervals, run_groups
from .conditions import Condition, Judgement
from .intervals import Change
from .recording_costs import COST_MEASURES, MEASURES, NOISE_KIB, NOISE_NS, Cost, Measure, RecordingCosts
from .run_groups import RunGroup

NOISE_SHARE = 0.1
"""With one run a side, a difference is noise if it is less than this share of the old value, or than its `least`."""
NOISE_OF_WHOLE = 0.05
"""Then the time of an activity must change by more than this share of the whole, too.

What runs at the same time, and slows others down, changes from run to run.
"""

FAILING_MORE, NEW, SLOWER, MORE_CPU, MORE_MEMORY = WORSE = (
    "failing_more", "new", "slower", "more_cpu", "more_memory",
)  # fmt: skip
GONE, FASTER, LESS_CPU, LESS_MEMORY, FAILING_LESS = BETTER = (
    "gone", "faster", "less_cpu", "less_memory", "failing_less",
)  # fmt: skip
CHANGES = (*WORSE, *BETTER)
"""All changes that an activity can have, in the order in which they are shown."""


class _Kind(NamedTuple):
    """A kind of change of an activity that both sides have: in which direction (sign) the number goes.

    attributes: of Cost, before and after. Of memory, only what is certain counts: growth above the highest possible
    peak, and the other way round.
    """

    name: str
    sign: int
    attributes: tuple[str, str]
    least: int

    def old(self, cost: Cost) -> int:
        """Returns the number before."""
        return int(getattr(cost, self.attributes[0]))

    def new(self, cost: Cost) -> int:
        """Returns the number after."""
        return int(getattr(cost, self.attributes[1]))

    def is_known(self, before: Cost, after: Cost) -> bool:
        """Whether the number is known on both sides: CPU time and memory of 0 aren't."""
        return self.attributes in (_WALL, _FAILURES) or bool(self.old(before) and self.new(after))


_WALL, _CPU, _FAILURES = (("wall_ns",) * 2, ("cpu_ns",) * 2, ("failures",) * 2)
_KINDS = (
    _Kind(FAILING_MORE, 1, _FAILURES, 0),
    _Kind(SLOWER, 1, _WALL, NOISE_NS),
    _Kind(MORE_CPU, 1, _CPU, NOISE_NS),
    _Kind(MORE_MEMORY, 1, ("rss_at_most_kib", "own_rss_kib"), NOISE_KIB),
    _Kind(FASTER, -1, _WALL, NOISE_NS),
    _Kind(LESS_CPU, -1, _CPU, NOISE_NS),
    _Kind(LESS_MEMORY, -1, ("own_rss_kib", "rss_at_most_kib"), NOISE_KIB),
    _Kind(FAILING_LESS, -1, _FAILURES, 0),
)
_Told = Callable[[_Kind, str], bool]
"""Returns whether an activity has a change of this kind that is more than noise."""


def values(kind: str, before: Cost, after: Cost) -> tuple[int, int]:
    """Returns the old and the new number that a kind of change compares, except of NEW and GONE."""
    found = next(each for each in _KINDS if each.name == kind)
    return found.old(before), found.new(after)


@dataclass(frozen=True)
class ActivityChange:
    """How an activity changed. before, after: its medians; None if it isn't there. changes: some of CHANGES."""

    activity: str
    before: Cost | None
    after: Cost | None
    changes: tuple[str, ...]

    @property
    def wall_change_ns(self) -> int:
        """How much longer its processes lived, in ns; negative: shorter."""
        return (self.after or Cost()).wall_ns - (self.before or Cost()).wall_ns


@dataclass(frozen=True)
class MeasureChange:
    """How a measure of the whole changed. before, after: its values in each run; None if one of them isn't known.

    share: None if a value isn't known, or if the old value is 0.
    """

    measure: Measure
    before: list[float] | None
    after: list[float] | None
    difference: Change | None
    share: Change | None
    method: str

    @property
    def is_noise(self) -> bool | None:
        """Whether the change is noise; None if it isn't known."""
        if self.before is None or self.after is None or self.difference is None:
            return None
        if self.method == intervals.SINGLE:
            return is_noise(self.before[0], self.after[0], self.measure.least)
        interval = self.share or self.difference
        return interval.low <= 0 <= interval.high and interval.low != interval.high


@dataclass(frozen=True)
class Comparison:
    """The comparison of two sides. activities: those of both, sorted by name. is_paired: see run_groups.pair()."""

    before: RunGroup
    after: RunGroup
    is_paired: bool
    activities: tuple[ActivityChange, ...]

    @property
    def method(self) -> str:
        """How intervals are computed; see intervals.method()."""
        return intervals.method(len(self.before.runs), len(self.after.runs), self.is_paired)

    @property
    def is_same(self) -> bool:
        """Whether both sides are the same recordings."""
        return self.before.file == self.after.file and self.before.ids == self.after.ids

    @cached_property
    def measures(self) -> tuple[MeasureChange, ...]:
        """The changes of the main measures, and of the others as far as they are known."""
        found = (self._measure(each) for each in (*MEASURES, *COST_MEASURES))
        return tuple(each for each in found if each.measure in MEASURES or each.before or each.after)

    def judge(self, conditions: Sequence[Condition]) -> list[Judgement]:
        """Decides conditions of --fail-if."""
        return [each.judge(self.before, self.after, self.is_paired) for each in conditions]

    def _measure(self, measure: Measure) -> MeasureChange:
        old, new = self.before.values(measure), self.after.values(measure)
        if old is None or new is None:
            return MeasureChange(measure, old, new, None, None, self.method)
        difference, share = (each(old, new, self.is_paired) for each in (intervals.difference, intervals.share))
        return MeasureChange(measure, old, new, difference, share, self.method)


def is_noise(old: float, new: float, least: float) -> bool:
    """Returns whether a difference between single runs is too small to matter: see NOISE_SHARE."""
    return abs(new - old) < max(NOISE_SHARE * old, least)


def compare_recordings(before: RecordingCosts, after: RecordingCosts) -> Comparison:
    """Returns how each activity changed between two recordings."""
    return compare(RunGroup(before.file, (before,)), RunGroup(after.file, (after,)))


def compare(before: RunGroup, after: RunGroup) -> Comparison:
    """Returns how each activity changed. Raises NotFound if runs were recorded in turn, but no pair succeeded."""
    before, after, is_paired = run_groups.pair(before, after)
    names = sorted(before.activities.keys() | after.activities.keys())
    is_single = intervals.method(len(before.runs), len(after.runs), is_paired) == intervals.SINGLE
    told = _single_changes(before, after) if is_single else _measured_changes(before, after, is_paired, len(names))
    found = []
    for name in names:
        old, new = before.activities.get(name), after.activities.get(name)
        if old is None or new is None:
            side, kind = (after, NEW) if old is None else (before, GONE)
            # What is in some of the runs only comes and goes by chance.
            changes: tuple[str, ...] = (kind,) if all(name in each.activities for each in side.runs) else ()
        else:
            changes = tuple(kind.name for kind in _KINDS if kind.is_known(old, new) and told(kind, name))
        found.append(ActivityChange(name, old, new, changes))
    return Comparison(before, after, is_paired, tuple(found))


def _single_changes(before: RunGroup, after: RunGroup) -> _Told:
    whole = {_WALL: before.whole.wall_ns, _CPU: before.whole.cpu_ns}

    def told(kind: _Kind, name: str) -> bool:
        old, new = kind.old(before.activities[name]), kind.new(after.activities[name])
        least = max(kind.least, NOISE_OF_WHOLE * whole.get(kind.attributes, 0))
        return kind.sign * (new - old) > 0 and not is_noise(old, new, least)

    return told


def _measured_changes(before: RunGroup, after: RunGroup, is_paired: bool, activities: int) -> _Told:
    """Returns what tells changes whose intervals don't hold 0, and that are large enough to matter.

    All activities are compared at once, so each interval is that of a level at which all of them together hold with
    intervals.LEVEL (Bonferroni's correction).
    """
    level = 1 - (1 - intervals.LEVEL) / max(activities, 1)

    def told(kind: _Kind, name: str) -> bool:
        old, new = ([float(kind.old(each)) for each in before.costs_of(name)],
                    [float(kind.new(each)) for each in after.costs_of(name)])  # fmt: skip
        if abs(intervals.median(new) - intervals.median(old)) < kind.least:
            return False
        found = intervals.share(old, new, is_paired, level) or intervals.difference(old, new, is_paired, level)
        return found.low > 0 if kind.sign > 0 else found.high < 0

    return told
