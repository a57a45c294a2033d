"""Confidence intervals of a change between repeated runs, by Student's t. Pure; the tests compare them with scipy.

Methods on ranks can't reach 95 % with fewer than 4 runs a side (or 6 pairs), so they are not used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..model import student

LEVEL = 0.95
"""The level of confidence of all intervals."""

PAIRED, WELCH, POOLED, SINGLE = "paired t", "Welch's t", "Student's t", "none"
"""The methods. POOLED is for one run against several, whose variance is then taken for both sides. SINGLE: there is one
run a side, so there is no interval.
"""


class Change(NamedTuple):
    """A change. low, high: the ends of its interval; the same as value if there is no interval."""

    value: float
    low: float
    high: float

    def map(self, convert: Callable[[float], float]) -> Change:
        """Returns the change with a function applied to each of its numbers."""
        return Change(*map(convert, self))

    @property
    def half_width(self) -> float:
        """Half of the width of the interval."""
        return (self.high - self.low) / 2


def method(before: int, after: int, is_paired: bool) -> str:
    """Returns the method for these numbers of runs."""
    if min(before, after) == 1:
        return SINGLE if before == after or is_paired else POOLED
    return PAIRED if is_paired else WELCH


def difference(
    before: Sequence[float], after: Sequence[float], is_paired: bool = False, level: float = LEVEL
) -> Change:
    """Returns how the mean changed. is_paired: the values at the same position belong together."""
    value = mean(after) - mean(before)
    spread = 0.0
    how = method(len(before), len(after), is_paired)
    if how != SINGLE:
        error, freedom = _error(before, after, how)
        spread = error * student.quantile((1 + level) / 2, freedom) if error else 0.0
    return Change(value, value - spread, value + spread)


def share(
    before: Sequence[float], after: Sequence[float], is_paired: bool = False, level: float = LEVEL
) -> Change | None:
    """Returns how the geometric mean changed, as a share of the one before; None if that is 0.

    The interval is computed on logarithms. If a value is 0, it is the difference of the means, as a share.
    """
    if min(*before, *after) > 0:
        found = difference([math.log(each) for each in before], [math.log(each) for each in after], is_paired, level)
        return found.map(lambda number: math.expm1(min(number, 700.0)))
    base = mean(before)
    return difference(before, after, is_paired, level).map(lambda number: number / base) if base > 0 else None


def relative_half_width(values: Sequence[float], level: float = LEVEL) -> float:
    """Returns half of the width of the mean's interval, as a share of the mean; infinite for fewer than two values."""
    if len(values) < 2 or mean(values) <= 0:
        return math.inf
    return math.sqrt(variance(values) / len(values)) * student.quantile((1 + level) / 2, len(values) - 1) / mean(values)


def mean(values: Sequence[float]) -> float:
    """Returns the arithmetic mean."""
    return math.fsum(values) / len(values)


def variance(values: Sequence[float]) -> float:
    """Returns the sample variance of at least two values."""
    middle = mean(values)
    return math.fsum((each - middle) ** 2 for each in values) / (len(values) - 1)


def deviation(values: Sequence[float]) -> float | None:
    """Returns the sample standard deviation; None for fewer than two values."""
    return math.sqrt(variance(values)) if len(values) > 1 else None


def median(values: Sequence[float]) -> float:
    """Returns the median."""
    ordered, middle = sorted(values), len(values) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _error(before: Sequence[float], after: Sequence[float], how: str) -> tuple[float, float]:
    """Returns the standard error of the difference, and its degrees of freedom."""
    if how == PAIRED:
        pairs = [new - old for old, new in zip(before, after, strict=True)]
        return math.sqrt(variance(pairs) / len(pairs)), len(pairs) - 1
    if how == POOLED:
        several = before if len(before) > 1 else after
        return math.sqrt(variance(several) * (1 / len(before) + 1 / len(after))), len(several) - 1
    parts = [(variance(each) / len(each), len(each) - 1) for each in (before, after)]
    total = sum(part for part, _ in parts)
    if total == 0:
        return 0.0, 1.0
    # The degrees of freedom after Welch and Satterthwaite, from shares of the total: squares of it could underflow.
    return math.sqrt(total), 1 / sum((part / total) ** 2 / freedom for part, freedom in parts)
