"""One side of a comparison: a recording, or the runs of a command that were recorded under one name."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import NotFound
from ..model import argv
from ..model.recording import COMPLETE, GOING_ON, Recording
from ..model.scope import EVERYTHING, Scope
from ..model.series import AGAINST, SeriesRun
from ..storage import reader
from . import recording_costs
from .costs import Costs
from .intervals import median
from .recording_costs import Cost, Measure, RecordingCosts

_RUNS = """SELECT id FROM recordings AS r
WHERE r.chain IS NULL AND r.name IS :name AND r.run_group IS :run_group ORDER BY r.run, r.id"""

_OF_SERIES = "SELECT id FROM recordings WHERE run_group = :run_group AND run = :run ORDER BY id DESC"


class LeftOut(NamedTuple):
    """A run that isn't compared, and why: a clause such as `exit 2`."""

    recording: Recording
    reason: str


@dataclass(frozen=True)
class RunGroup:
    """The runs that are compared, in their order. left_out: the other recordings of the same group."""

    file: Path
    runs: tuple[RecordingCosts, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def is_repeated(self) -> bool:
        """Whether there are several recordings, including those that are left out."""
        return len(self.runs) + len(self.left_out) > 1

    @property
    def label(self) -> str | None:
        """The name that the recordings share; None if they have none."""
        return self.runs[0].recording.name

    @property
    def name(self) -> str:
        """File and name of the runs with their numbers, or of the only recording, for people."""
        if not self.is_repeated:
            return self.runs[0].name
        count = "1 run" if len(self.runs) == 1 else f"{len(self.runs)} runs"
        return f"{self.file}:{self.label or self.runs[0].recording.id} ({count})"

    @property
    def command(self) -> str | None:
        """The command line that was recorded, for people; None without a command."""
        return self.runs[0].command

    @property
    def ids(self) -> frozenset[int]:
        """The numbers of the recordings that are compared."""
        return frozenset(each.recording.id for each in self.runs)

    @cached_property
    def whole(self) -> Cost:
        """The medians of what the runs cost as a whole."""
        return middle([each.whole for each in self.runs])

    @cached_property
    def activities(self) -> dict[str, Cost]:
        """The medians of what each activity cost, where a run without it counts as 0."""
        return {activity: middle(self.costs_of(activity)) for each in self.runs for activity in each.activities}

    def costs_of(self, activity: str) -> list[Cost]:
        """Returns what an activity cost in each run."""
        return [each.activities.get(activity, Cost()) for each in self.runs]

    def values(self, measure: Measure) -> list[float] | None:
        """Returns the values of a measure in each run; None if one isn't known."""
        values = [measure.value(each.whole) for each in self.runs]
        known = [float(value) for value in values if value is not None and (value or not measure.is_unknown_at_0)]
        return known if len(known) == len(values) else None

    def only(self, runs: frozenset[Any], reason: str) -> RunGroup:
        """Returns the group with only these of its runs. reason: why the others are left out."""
        kept = tuple(each for each in self.runs if each.recording.row["run"] in runs)
        left_out = tuple(LeftOut(each.recording, reason) for each in self.runs if each not in kept)
        return RunGroup(self.file, kept, (*self.left_out, *left_out))


def read(file: Path, wanted: int | str | None, scope: Scope = EVERYTHING) -> RunGroup:
    """Returns the recording with this number, or the runs that share this name; by default the latest ones.

    The runs of a name are the recordings that share it and the run_group of the latest of them. If there are several,
    those that failed, or aren't complete, are left out. Raises NotFound if none is left.
    """
    with reader.reading(file) as connection:
        found = reader.find(connection, file, wanted)
        is_alone = str(found.id) == str(wanted) or (wanted is None and found.row["run_group"] is None)
        runs = [] if is_alone or found.row["chain"] is not None else _runs_with(connection, found)
    return _read_runs(file, runs, scope) if len(runs) > 1 else _alone(file, wanted, scope)


def last_two(file: Path, scope: Scope = EVERYTHING) -> tuple[RunGroup, RunGroup]:
    """Returns the last two recordings or groups of runs, the earlier first. Raises NotFound if there are not two.

    Of two groups that were recorded in turn, that of --against comes first.
    """
    with reader.reading(file) as connection:
        reader.find(connection, file)  # explains an empty file
        sides: dict[object, Recording] = {}
        for each in reader.recordings(connection):
            group = each.row["run_group"]
            sides[each.id if group is None else (group, each.name)] = each
        *earlier, latest = sorted(sides.values(), key=lambda each: each.id)
        before = reader.find(connection, file, earlier[-1].id if earlier else latest.id - 1)
        if before.row["run_group"] is not None and before.row["run_group"] == latest.row["run_group"]:
            before, latest = sorted((before, latest), key=lambda each: not each.options.get(AGAINST))
        chosen = [[] if each.row["run_group"] is None else _runs_with(connection, each) for each in (before, latest)]
    one, other = (
        _read_runs(file, runs, scope) if len(runs) > 1 else _alone(file, each.id, scope)
        for each, runs in zip((before, latest), chosen, strict=True)
    )
    return one, other


def find_run(file: Path, run: SeriesRun) -> Recording | None:
    """Returns the recording of a run of a series; None if there is none, or if it isn't complete."""
    with reader.reading(file) as connection:
        rows = connection.execute(_OF_SERIES, {"run_group": run.group, "run": run.number}).fetchall()
        found = [reader.recordings(connection, id)[0] for (id,) in rows]
    of_side = (each for each in found if bool(each.options.get(AGAINST)) == run.is_against)
    return next((each for each in of_side if each.status == COMPLETE), None)


def _alone(file: Path, wanted: int | str | None, scope: Scope) -> RunGroup:
    return RunGroup(file, (recording_costs.read(file, wanted, scope),))


def _runs_with(connection: sqlite3.Connection, found: Recording) -> list[Recording]:
    """Returns the recordings that share the name and the run_group of this one, in their order."""
    values = {"name": found.name, "run_group": found.row["run_group"]}
    ids = connection.execute(_RUNS, values).fetchall()
    return [reader.recordings(connection, id)[0] for (id,) in ids]


def _read_runs(file: Path, recordings: Sequence[Recording], scope: Scope) -> RunGroup:
    runs, left_out = [], []
    for each in recordings:
        costs = recording_costs.read(file, each.id, scope) if each.status == COMPLETE else None
        if costs is not None and costs.outcome in (None, "exit 0"):
            runs.append(costs)
        else:
            unfinished = "is still being recorded" if each.status == GOING_ON else "was interrupted"
            left_out.append(LeftOut(each, unfinished if costs is None else f"ended with {costs.outcome}"))
    if not runs:
        shown = ", ".join(f"recording {each.id} {reason}" for each, reason in left_out[:3])
        message = f"{file} has no complete run of {recordings[0].name or 'this group'} that succeeded: {shown}"
        raise NotFound(message, f"webpf recordings {argv.file_word(file)}")
    return RunGroup(file, tuple(runs), tuple(left_out))


def pair(before: RunGroup, after: RunGroup) -> tuple[RunGroup, RunGroup, bool]:
    """Returns both sides, and whether their runs are pairs: then both have the same runs in the same order.

    Runs are pairs if they were recorded in turn, or if both sides are the same recordings.
    """
    if before.file == after.file and before.ids == after.ids:
        return before, after, True
    one, other = (each.runs[0].recording.row for each in (before, after))
    if before.file != after.file or one["run_group"] is None or one["run_group"] != other["run_group"]:
        return before, after, False
    both = frozenset.intersection(
        *(frozenset(each.recording.row["run"] for each in side.runs) for side in (before, after))
    )
    if not both:
        message = "no run succeeded on both sides, so there are no pairs to compare"
        raise NotFound(message, f"webpf recordings {argv.file_word(before.file)}")
    reason = "has no partner that succeeded"
    return before.only(both, reason), after.only(both, reason), True


def middle(costs: Sequence[Cost]) -> Cost:
    """Returns the medians of costs. longest_id: of the process that lived longest in all of them."""
    if len(costs) == 1:
        return costs[0]
    longest = max(costs, key=lambda each: each.longest_ns)

    def of(value: Callable[[Cost], int]) -> int:
        return round(median([value(each) for each in costs]))

    return Cost(
        wall_ns=of(lambda each: each.wall_ns),
        cpu_ns=of(lambda each: each.cpu_ns),
        own_rss_kib=of(lambda each: each.own_rss_kib),
        processes=of(lambda each: each.processes),
        failures=of(lambda each: each.failures),
        rss_at_most_kib=of(lambda each: each.rss_at_most_kib),
        longest_ns=longest.longest_ns,
        longest_id=longest.longest_id,
        costs=Costs(*(_median_known([each.costs[at] for each in costs]) for at in range(len(Costs._fields)))),
    )


def _median_known(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return round(median(known)) if known else None
