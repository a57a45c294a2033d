"""How precisely runs must be known to decide a condition: record --runs auto."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy
import pytest
from scipy import stats
from support import make_recording

from webpf.analysis import precision, recording_costs
from webpf.analysis.conditions import Condition
from webpf.analysis.recording_costs import Cost, RecordingCosts
from webpf.analysis.run_groups import RunGroup

BEFORE = [1000, 1040, 990, 1010, 985, 1020]
AFTER = [1100, 1130, 1080, 1120, 1090, 1101]

Group = Callable[[Sequence[int]], RunGroup]


@pytest.fixture
def group(tmp_path: Path) -> Group:
    """Makes a group of runs that took these times in ms."""
    make_recording(tmp_path / "webpf.db", [])
    recording = recording_costs.read(tmp_path / "webpf.db", 1).recording

    def make(times: Sequence[int]) -> RunGroup:
        costs = (Cost(wall_ns=ms * 1_000_000) for ms in times)
        return RunGroup(tmp_path, tuple(RecordingCosts(tmp_path, recording, each, {}) for each in costs))

    return make


def test_pairs(group: Group) -> None:
    low, high = stats.ttest_rel(numpy.log(AFTER), numpy.log(BEFORE)).confidence_interval(0.95)
    found = precision.of_change(Condition.parse("wall>5%"), group(BEFORE), group(AFTER))
    assert math.isclose(found.half_width, (math.exp(high) - math.exp(low)) / 2, rel_tol=1e-9)
    assert (found.wanted, found.is_reached) == (0.025, found.half_width <= 0.025)
    low, high = stats.ttest_rel(AFTER, BEFORE).confidence_interval(0.95)
    found = precision.of_change(Condition.parse("wall>100ms"), group(BEFORE), group(AFTER))
    assert math.isclose(found.half_width, (high - low) / 2 * 1e6, rel_tol=1e-9)
    assert (found.wanted, found.is_reached) == (50e6, True)


def test_one_side(group: Group) -> None:
    low, high = stats.t.interval(0.95, 5, numpy.mean(BEFORE), stats.sem(BEFORE))
    found = precision.of_side(Condition.parse("wall>10%"), group(BEFORE))
    assert math.isclose(found.half_width, (high - low) / 2 / numpy.mean(BEFORE), rel_tol=1e-9)
    assert math.isclose(found.wanted, 0.1 / 2 / math.sqrt(2))
    found = precision.of_side(Condition.parse("wall>1s"), group(BEFORE))
    assert math.isclose(found.half_width, (high - low) / 2 * 1e6, rel_tol=1e-9)


def test_what_cant_get_more_precise(group: Group) -> None:
    """One run decides nothing. What isn't known never will be, and what never varies is known at once."""
    one, several = group(BEFORE[:1]), group(BEFORE)
    assert not precision.of_side(Condition.parse("wall>10%"), one).is_reached
    assert not precision.of_change(Condition.parse("wall>10%"), one, one).is_reached
    for text in ("cpu>5%", "write>1MiB", "failures>0", "processes>0"):
        assert precision.of_side(Condition.parse(text), several).is_reached
        assert precision.of_change(Condition.parse(text), several, several).is_reached
