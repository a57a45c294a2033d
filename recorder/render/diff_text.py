"""A comparison of two recordings or groups of runs as text, in tables of at most 80 columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..analysis import diff, intervals
from ..analysis.conditions import Judgement, Verdict
from ..analysis.diff import ActivityChange, Comparison, MeasureChange
from ..analysis.intervals import Change
from ..analysis.precision import Precision
from ..analysis.recording_costs import Cost, Measure, Unit
from ..output.text_width import cut, fit
from ..output.units import byte_size, duration, size

WIDTH = 80
"""The width of the tables."""

NOISE = "less than 10 %, 20 ms, 2 MiB, or for an activity 5 % of the whole is taken for noise"
_SHOWN = 8
_COMMAND = 60  # characters of a command line
_NOTHING = "-"
SAME = "the same"
_UNKNOWN = "not known"

_FORMATS: dict[Unit, Callable[[float], str]] = {
    "time": duration,
    "memory": lambda kib: size(round(kib)) if kib >= 0 else f"-{size(round(-kib))}",
    "bytes": lambda number: byte_size(round(number)) if number >= 0 else f"-{byte_size(round(-number))}",
    "number": lambda number: f"{number:,.1f}".removesuffix(".0"),
}
TITLES = {
    "wall": "wall", "cpu": "CPU", "rss": "peak memory", "processes": "processes", "failures": "failures",
    "user": "user", "system": "system", "read": "read", "write": "written", "run_delay": "waiting for a CPU",
    "faults": "page faults",
}  # fmt: skip
"""The title of each measure, by its name in --fail-if."""

CHANGES = {
    diff.FAILING_MORE: "failing more", diff.NEW: "new", diff.SLOWER: "slower", diff.MORE_CPU: "more CPU",
    diff.MORE_MEMORY: "more memory", diff.GONE: "gone", diff.FASTER: "faster", diff.LESS_CPU: "less CPU",
    diff.LESS_MEMORY: "less memory", diff.FAILING_LESS: "failing less",
}  # fmt: skip
"""The title of each kind of change."""


def lines(comparison: Comparison) -> Iterator[str]:
    """Yields the lines of the comparison."""
    yield f"before: {comparison.before.name}; after: {comparison.after.name}"
    yield from notes(comparison)
    yield ""
    is_measured = comparison.method != intervals.SINGLE
    header = ["", "before", "after", "change", *(["95 % interval"] if is_measured else [])]
    yield from _table(header, [row(each) for each in comparison.measures], range(1, len(header)))
    changes = [each for kind in CHANGES for each in _rows_of(comparison, kind)]
    if changes:
        yield ""
        yield from _table(["change", "activity", "before", "after", ""], changes, (2, 3, 4), cut_at=1)


def notes(comparison: Comparison, quote: Callable[[str], str] = lambda text: cut(text, _COMMAND)) -> Iterator[str]:
    """Yields what a reader must know: what is left out, whether commands differ, and how noise was measured.

    quote: makes text harmless that webpf hasn't written itself.
    """
    for side in (comparison.before, comparison.after):
        for recording, reason in side.left_out:
            yield f"not compared: recording {recording.id} of {quote(side.label or str(side.file))}, which {reason}"
    if comparison.is_same:
        yield "both sides are the same recordings, so nothing differs"
        return
    if len(commands := _commands(comparison)) > 1:
        yield f"the commands differ: {'; '.join('none' if each is None else quote(each) for each in commands)}"
    if comparison.method == intervals.SINGLE:
        yield f"one run a side, so noise isn't measured: {NOISE}"
    else:
        pairs = "pairs recorded in turn" if comparison.is_paired else "separate groups"
        yield f"{pairs}: median ± standard deviation, 95 % interval by {comparison.method}"


def _commands(comparison: Comparison) -> list[str | None]:
    """Returns the different command lines, those before first."""
    found = (run.command for side in (comparison.before, comparison.after) for run in side.runs)
    return list(dict.fromkeys(found))[:3]


def row(change: MeasureChange) -> list[str]:
    """Returns the cells of a measure: its title, the values before and after, its change, its interval if it has one.

    The change is `the same`, `noise`, or a share; with one run a side, noise is marked. If the old value is 0, the
    change is a number.
    """
    measure = change.measure
    cells = [TITLES[measure.condition], *(_values(measure, each) for each in (change.before, change.after))]
    if change.difference is None or change.before is None or change.after is None:
        return [*cells, "", *([""] if change.method != intervals.SINGLE else [])]
    is_same = change.difference == (0, 0, 0)
    if change.method == intervals.SINGLE:
        shown = SAME if is_same else share_text(change.before[0], change.after[0])
        return [*cells, f"{shown}, noise" if change.is_noise and not is_same else shown]
    if is_same:
        return [*cells, SAME, ""]
    found, text = interval_texts(measure, change.difference, change.share)
    return [*cells, "noise" if change.is_noise else found, text]


def interval_texts(measure: Measure, difference: Change, share: Change | None) -> tuple[str, str]:
    """Returns a change, and its interval: as shares, or as numbers if there are no shares."""
    shown = [_signed(measure, each) for each in difference] if share is None else [_percent(each) for each in share]
    value, low, high = shown
    return value, f"{low} to {high}"


def judgement_text(judgement: Judgement) -> str:
    """Returns a condition with the interval that decided."""
    condition, change = judgement.condition, judgement.change
    if change is None or change.low == change.high or abs(change.high) == float("inf"):
        return condition.text
    share = change if condition.is_share else None
    return f"{condition.text} ({interval_texts(condition.measure, change, share)[1]})"


def precision_text(precision: Precision) -> str:
    """Returns a condition with half of the width of its interval, and how much suffices."""
    condition = precision.condition

    def shown(number: float) -> str:
        if number == float("inf"):
            return "unknown"
        return f"{number:.1%}" if condition.is_share else _FORMATS[condition.measure.unit](number)

    return f"{condition.text} (±{shown(precision.half_width)}, wanted ±{shown(precision.wanted)})"


def texts(judgements: Sequence[Judgement], verdict: Verdict) -> list[str]:
    """Returns the conditions with this verdict, with their intervals."""
    return [judgement_text(each) for each in judgements if each.verdict is verdict]


def _values(measure: Measure, values: list[float] | None) -> str:
    """Returns the median of a measure's values with their standard deviation, as a share if they have a unit."""
    if values is None:
        return _UNKNOWN
    middle, deviation = intervals.median(values), intervals.deviation(values)
    shown = _FORMATS[measure.unit](middle)
    if not deviation or not middle:
        return shown
    spread = deviation / intervals.mean(values)
    return f"{shown} ±{spread:.1%}" if spread < 0.0995 else f"{shown} ±{spread:.0%}"


def _percent(share: float) -> str:
    return f"{share:+,.1%}" if abs(share) < 9.995 else f"{share:+,.0%}"


def _signed(measure: Measure, number: float) -> str:
    return f"{'+' if number > 0 else ''}{_FORMATS[measure.unit](number)}"


def share_text(old: float, new: float) -> str:
    """Returns the change between two values as a share."""
    return SAME if old == new else _percent((new - old) / old) if old else "from nothing"


def figures(activity: ActivityChange, kind: str) -> tuple[str, str, str]:
    """Returns the value before, the value after, and the change; of NEW and GONE, this is the number of processes."""
    if kind in (diff.NEW, diff.GONE):
        cost = activity.after or activity.before or Cost()
        shown = duration(cost.wall_ns)
        before, after = (_NOTHING, shown) if kind == diff.NEW else (shown, _NOTHING)
        return before, after, f"{cost.processes:,} x"
    old, new = diff.values(kind, activity.before or Cost(), activity.after or Cost())
    unit: Unit = "time"
    if kind in (diff.MORE_MEMORY, diff.LESS_MEMORY):
        unit = "memory"
    elif kind in (diff.FAILING_MORE, diff.FAILING_LESS):
        unit = "number"
    return _FORMATS[unit](old), _FORMATS[unit](new), share_text(old, new)


def _rows_of(comparison: Comparison, kind: str) -> Iterator[list[str]]:
    """Yields the rows of the activities that changed in one way, the largest change first."""
    changed = [each for each in comparison.activities if kind in each.changes]
    changed.sort(key=lambda each: (-abs(_growth(each, kind)), each.activity))
    for each in changed[:_SHOWN]:
        yield [CHANGES[kind], each.activity, *figures(each, kind)]
    if len(changed) > _SHOWN:
        yield [CHANGES[kind], f"and {len(changed) - _SHOWN:,} more", "", "", ""]


def _growth(activity: ActivityChange, kind: str) -> int:
    if kind in (diff.NEW, diff.GONE):
        return activity.wall_change_ns
    old, new = diff.values(kind, activity.before or Cost(), activity.after or Cost())
    return new - old


def _table(
    header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int], cut_at: int | None = None
) -> Iterator[str]:
    """Yields the lines of a table. right: numbers of the columns to align there. cut_at: the one to cut to fit."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    if cut_at is not None:
        others = sum(widths) - widths[cut_at] + 2 * (len(widths) - 1)
        widths[cut_at] = min(widths[cut_at], max(WIDTH - others, 20))
    for cells in (header, *rows):
        sized = enumerate(zip(cells, widths, strict=True))
        shown = (cell.rjust(width) if at in right else fit(cell, width) for at, (cell, width) in sized)
        yield "  ".join(shown).rstrip()
