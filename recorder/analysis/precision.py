"""Whether the runs so far suffice to decide a condition of --fail-if: `webpf record --runs auto`."""

from __future__ import annotations

import math
from typing import NamedTuple

from . import intervals
from .conditions import Condition
from .run_groups import RunGroup


class Precision(NamedTuple):
    """Half of the width of an interval, and the most that suffices: both as the condition counts."""

    condition: Condition
    half_width: float
    wanted: float

    @property
    def is_reached(self) -> bool:
        """Whether the interval is narrow enough."""
        return self.half_width <= self.wanted


def of_change(condition: Condition, before: RunGroup, after: RunGroup) -> Precision:
    """Returns how precisely a change between pairs is known. Half of the limit suffices.

    Then a change of nothing, and one of twice the limit, are decided nearly always. What isn't known counts as precise:
    more runs wouldn't help.
    """
    change = condition.change(before, after, is_paired=True)
    half_width = math.inf if len(before.runs) < 2 else 0.0 if change is None else change.half_width
    return Precision(condition, half_width, condition.limit / 2)


def of_side(condition: Condition, group: RunGroup) -> Precision:
    """Returns how precisely the mean of one side is known.

    The interval of a change between two such sides is wider by the root of 2, so less suffices.
    """
    values = group.values(condition.measure)
    half_width = math.inf if len(group.runs) < 2 else 0.0
    if values is not None and len(values) > 1 and intervals.mean(values) > 0:
        share = intervals.relative_half_width(values)
        half_width = share if condition.is_share else share * intervals.mean(values)
    return Precision(condition, half_width, condition.limit / 2 / math.sqrt(2))
