"""The Kaplan-Meier curve of the saved query equals the curve that lifelines computes from the same lifetimes."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from story import run
from support import exit_, fork, make_recording, seen

from webpf.model.events import Event

END = 1000


def observed_lives(dice: Random, number: int) -> list[tuple[float, float | None]]:
    """Returns starts and ends in ms, from 0 to END. Some begin before 0, and some go on after END (None)."""
    lives: list[tuple[float, float | None]] = []
    for _ in range(number):
        start = dice.choice([-10.0 * dice.randint(1, 40), round(dice.uniform(0, 900), 3)])
        end = round(max(start, 0) + dice.choice([dice.expovariate(1 / 150), dice.randint(1, 9)]), 3)
        lives.append((start, end if end < END else None))
    return lives


def recorded(db: Path, lives: list[tuple[float, float | None]]) -> None:
    """Makes a recording of processes with one name and these lives."""
    events: list[tuple[float, Event]] = []
    for pid, (start, end) in enumerate(lives, 100):
        born = seen(pid, start, comm="true") if start < 0 else fork(pid, start, comm="true")
        events.append((max(start, -1), born))
        if end is not None:
            events.append((end, exit_(pid, start, end)))
    make_recording(db, [event for _, event in sorted(events, key=lambda each: each[0])], end_ms=END, batch=50)


@pytest.mark.parametrize("seed", range(8))
def test_the_curve_equals_that_of_lifelines(tmp_path: Path, seed: int) -> None:
    lifelines = pytest.importorskip("lifelines")
    lives = observed_lives(Random(seed), 20 + 20 * seed)
    recorded(tmp_path / "webpf.db", lives)
    rows = run(tmp_path / "webpf.db", "survival")
    ages = [(END if end is None else end) - start for start, end in lives]
    fitter = lifelines.KaplanMeierFitter()
    fitter.fit(ages, [end is not None for _, end in lives], entry=[max(0, -start) for start, _ in lives])
    expected = fitter.survival_function_at_times([row["time_ms"] + 1e-4 for row in rows]).to_list()
    assert [row["survival"] for row in rows] == pytest.approx(expected, abs=1e-4)
    median = fitter.median_survival_time_
    assert rows[0]["median_ms"] == (None if median == float("inf") else pytest.approx(median, abs=1e-3))
    ended = sorted(end - start for start, end in lives if end is not None)
    assert rows[0]["naive_median_ms"] == pytest.approx(ended[(len(ended) - 1) // 2], abs=1e-3)
    naive = [sum(age > row["time_ms"] + 1e-4 for age in ended) / len(ended) for row in rows]
    assert [row["naive_survival"] for row in rows] == pytest.approx(naive, abs=1e-4)
    assert (rows[0]["processes"], rows[0]["late"]) == (len(lives), sum(start < 0 for start, _ in lives))
    assert rows[0]["running"] == sum(end is None for _, end in lives)


def test_a_step_for_each_twentieth(tmp_path: Path) -> None:
    """If a hundred processes end one by one, each fifth end is a step."""
    db = tmp_path / "webpf.db"
    recorded(db, [(0, float(age)) for age in range(1, 101)])
    rows = run(db, "survival")
    assert [(row["time_ms"], row["survival"]) for row in rows] == [
        (float(age), pytest.approx((100 - age) / 100)) for age in [1, *range(6, 101, 5)]
    ]
    assert (rows[0]["median_ms"], rows[0]["naive_median_ms"]) == (50.0, 50.0)


def test_one_name_only(tmp_path: Path) -> None:
    db = tmp_path / "webpf.db"
    make_recording(db, [exit_(100, 0, 5, comm="a"), exit_(101, 0, 9, comm="b")])
    assert [row["comm"] for row in run(db, "survival", comm="b")] == ["b"]
    assert run(db, "survival", comm="c") == []
