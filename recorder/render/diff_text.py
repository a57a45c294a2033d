"""A comparison of two recordings as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..analysis import diff
from ..analysis.diff import ActivityChange, Comparison, Cost
from ..output.units import byte_size, duration, size

NOISE = "less than 10 %, 20 ms, 2 MiB, or for an activity 5 % of the whole is taken for noise"
_SHOWN = 8
_SAME = "the same"


_UNKNOWN = "not known"


def _time(ns: int | None) -> str:
    return _UNKNOWN if ns is None else duration(ns)


def _cpu(ns: int | None) -> str:
    return duration(ns) if ns else _UNKNOWN


def _memory(kib: int | None) -> str:
    return size(kib) if kib else _UNKNOWN


def _bytes(number: int | None) -> str:
    return _UNKNOWN if number is None else byte_size(number)


def _number(number: int | None) -> str:
    return _UNKNOWN if number is None else str(number)


MEASURES: dict[str, tuple[str, Callable[[int | None], str]]] = {
    "wall": ("wall", _time), "cpu": ("CPU", _cpu), "rss": ("peak memory", _memory),
    "processes": ("processes", _number), "failures": ("failures", _number),
    "user": ("user", _time), "system": ("system", _time), "read": ("read", _bytes), "write": ("written", _bytes),
    "run_delay": ("waiting for a processor", _time), "faults": ("page faults", _number),
}  # fmt: skip
"""The title of each measure, and the function that formats its values, by the measure's name in --fail-if."""

_MAY_BE_UNKNOWN = (_cpu, _memory)  # 0 then

CHANGES = {
    diff.NEW: "new", diff.GONE: "gone", diff.SLOWER: "slower", diff.MORE_CPU: "more CPU",
    diff.MORE_MEMORY: "more memory", diff.FAILING_MORE: "failing more",
}  # fmt: skip
"""The title of each kind of change."""


def lines(comparison: Comparison) -> Iterator[str]:
    """Yields the lines of the comparison."""
    before, after = comparison.before, comparison.after
    yield f"before: {before.name}; after: {after.name}; {NOISE}"
    for measures in (diff.MEASURES, known_costs(comparison)):
        if measures:
            yield "; ".join(
                f"{MEASURES[each.condition][0]} {_change(*change_parts(each, before.whole, after.whole))}"
                for each in measures
            )
    for kind, title in CHANGES.items():
        changed = [each for each in comparison.activities if kind in each.changes]
        changed.sort(key=lambda each: _rank(each, kind))
        yield from _listed(title, [f"{each.activity} {figures(each, kind)}" for each in changed])


def known_costs(comparison: Comparison) -> tuple[diff.Measure, ...]:
    """Returns the measures of diff.COST_MEASURES that are known for a recording."""
    wholes = comparison.before.whole, comparison.after.whole
    return tuple(each for each in diff.COST_MEASURES if any(each.value(cost) is not None for cost in wholes))


def change_parts(measure: diff.Measure, before: Cost, after: Cost) -> tuple[str, str, str]:
    """Returns the old value of a measure, the new value, and the change in percent; '' if one value isn't known."""
    old, new = (measure.value(cost) for cost in (before, after))
    shown = MEASURES[measure.condition][1]
    if old is None or new is None:
        return shown(old), shown(new), ""
    is_known = shown not in _MAY_BE_UNKNOWN or bool(old and new)
    return shown(old), shown(new), _share(old, new, measure.least, is_known)


def figures(activity: ActivityChange, kind: str) -> str:
    """Returns the numbers behind a change: both values, or for NEW and GONE the number and time of the processes."""
    if kind in (diff.NEW, diff.GONE):
        cost = activity.after or activity.before or Cost()
        return f"({cost.processes:,} x, {duration(cost.wall_ns)})"
    shown = _memory if kind == diff.MORE_MEMORY else _number if kind == diff.FAILING_MORE else _time
    old, new = _values(activity, kind)
    return f"{shown(old)} -> {shown(new)} ({_share(old, new, None)})"


def _values(activity: ActivityChange, kind: str) -> tuple[int, int]:
    """Returns the old and the new value that a kind of change compares."""
    before, after = activity.before or Cost(), activity.after or Cost()
    if kind == diff.MORE_CPU:
        return before.cpu_ns, after.cpu_ns
    if kind == diff.MORE_MEMORY:
        return before.rss_at_most_kib, after.own_rss_kib
    if kind == diff.FAILING_MORE:
        return before.failures, after.failures
    return before.wall_ns, after.wall_ns


def _rank(activity: ActivityChange, kind: str) -> tuple[int, str]:
    """A sort key: the largest change comes first."""
    old, new = _values(activity, kind)
    return -abs(new - old), activity.activity


def _change(old: str, new: str, how: str) -> str:
    if how == _SAME:
        return f"{new}, {how}"
    if old == new:
        return new
    return f"{old} -> {new}" + (f" ({how})" if how else "")


def _share(old: int, new: int, least: int | None, is_known: bool = True) -> str:
    """Returns the change in percent. least: a smaller change is marked as noise; None: none is. is_known: both are."""
    if old == new and (old or is_known):
        return _SAME
    if not is_known:
        return ""
    share = f"{(new - old) / old:+.1%}" if old else "from nothing"
    return share + (", noise" if least is not None and diff.is_noise(old, new, least) else "")


def _listed(title: str, items: Sequence[str]) -> Iterator[str]:
    if items:
        more = f"; and {len(items) - _SHOWN:,} more" if len(items) > _SHOWN else ""
        yield f"{title}: {'; '.join(items[:_SHOWN])}{more}"
