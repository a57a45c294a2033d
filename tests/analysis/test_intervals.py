"""Confidence intervals of a change are those of scipy, and hold what they promise."""

from __future__ import annotations

import math
import random

import numpy
import pytest
from scipy import stats

from webpf.analysis import intervals
from webpf.analysis.intervals import PAIRED, POOLED, SINGLE, WELCH, Change

BEFORE = [10.1, 10.4, 9.8, 10.0, 10.9]
AFTER = [11.2, 11.9, 11.1, 12.4, 11.3]


def is_close(found: Change | None, value: float, low: float, high: float) -> bool:
    """Whether a change has these numbers."""
    return found is not None and all(
        math.isclose(*both, rel_tol=1e-9) for both in zip(found, (value, low, high), strict=True)
    )


@pytest.mark.parametrize(("before", "after"), [(BEFORE, AFTER), (BEFORE[:2], AFTER), (BEFORE[:3], AFTER[:3])])
@pytest.mark.parametrize("level", [0.95, 0.999])
def test_welch(before: list[float], after: list[float], level: float) -> None:
    value = numpy.mean(after) - numpy.mean(before)
    ends = stats.ttest_ind(after, before, equal_var=False).confidence_interval(level)
    assert is_close(intervals.difference(before, after, level=level), value, *ends)
    logarithms = stats.ttest_ind(numpy.log(after), numpy.log(before), equal_var=False).confidence_interval(level)
    ratio = stats.gmean(after) / stats.gmean(before) - 1
    assert is_close(intervals.share(before, after, level=level), ratio, *(math.exp(each) - 1 for each in logarithms))


def test_pairs() -> None:
    ends = stats.ttest_rel(AFTER, BEFORE).confidence_interval(0.95)
    assert is_close(intervals.difference(BEFORE, AFTER, True), numpy.mean(AFTER) - numpy.mean(BEFORE), *ends)
    logarithms = stats.ttest_rel(numpy.log(AFTER), numpy.log(BEFORE)).confidence_interval(0.95)
    ratio = stats.gmean(AFTER) / stats.gmean(BEFORE) - 1
    assert is_close(intervals.share(BEFORE, AFTER, True), ratio, *(math.exp(each) - 1 for each in logarithms))


def test_one_run_against_several() -> None:
    """The interval in which the next of several runs is expected: the pooled t, which scipy has for one value too."""
    error = numpy.std(AFTER, ddof=1) * math.sqrt(1 + 1 / 5)
    low, high = stats.t.interval(0.95, 4, numpy.mean(AFTER) - 10, error)
    assert is_close(intervals.difference([10], AFTER), numpy.mean(AFTER) - 10, low, high)
    low, high = stats.t.interval(0.95, 4, 10 - numpy.mean(AFTER), error)
    assert is_close(intervals.difference(AFTER, [10]), 10 - numpy.mean(AFTER), low, high)


def test_methods() -> None:
    assert [intervals.method(*each) for each in ((5, 4, False), (5, 5, True), (1, 5, False), (1, 1, False))] == [
        WELCH, PAIRED, POOLED, SINGLE,
    ]  # fmt: skip
    assert intervals.method(1, 1, True) == SINGLE


def test_what_has_no_spread_or_is_0() -> None:
    assert intervals.difference([3, 3], [5, 5, 5]) == (2, 2, 2)
    assert intervals.difference([3], [5]) == (2, 2, 2)
    assert intervals.share([0, 0], [5, 5]) is None
    assert intervals.share([0, 2], [1, 1]) == intervals.difference([0, 2], [1, 1])  # the mean before is 1
    assert intervals.relative_half_width([3, 3, 3]) == 0
    assert intervals.relative_half_width([3]) == math.inf


def test_the_mean() -> None:
    low, high = stats.t.interval(0.95, 4, numpy.mean(BEFORE), stats.sem(BEFORE))
    assert math.isclose(intervals.relative_half_width(BEFORE), (high - low) / 2 / numpy.mean(BEFORE), rel_tol=1e-9)
    assert (intervals.median([3, 1, 2]), intervals.median([4, 1, 2, 3])) == (2, 2.5)
    assert intervals.deviation(BEFORE) == pytest.approx(numpy.std(BEFORE, ddof=1))


@pytest.mark.parametrize("runs", [3, 5, 10])
def test_intervals_hold_the_truth_as_often_as_they_say(runs: int) -> None:
    """Of 2,000 made-up comparisons 95 % hold the true change; three standard deviations of that count are 29."""
    chance = random.Random(1)
    held = 0
    for _ in range(2000):
        before, after = ([math.exp(chance.gauss(mean, 0.05)) for _ in range(runs)] for mean in (0, 0.2))
        found = intervals.share(before, after)
        assert found is not None
        held += found.low <= math.expm1(0.2) <= found.high
    assert abs(held - 1900) <= 30
