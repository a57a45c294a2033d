"""A comparison of two recordings as JSON, with all activities of both."""

from __future__ import annotations

from collections.abc import Iterable

from ..analysis import diff
from ..analysis.diff import Comparison, Condition, Cost, Measure, RecordingCosts
from .json_document import Document, head, recording_value


def diff_document(comparison: Comparison, conditions: Iterable[tuple[Condition, bool]]) -> Document:
    """Returns the document of a comparison. conditions: those of --fail-if, each with whether it is met."""
    before, after = comparison.before, comparison.after
    return {
        **head("diff"),
        "before": _costs(before),
        "after": _costs(after),
        "noise": {
            "share": diff.NOISE_SHARE,
            "time_ns": diff.NOISE_NS,
            "memory_kib": diff.NOISE_KIB,
            "bytes": diff.NOISE_BYTES,
            "faults": diff.NOISE_FAULTS,
            "share_of_whole": diff.NOISE_OF_WHOLE,
        },
        "is_noise": {
            each.attribute: _is_noise(each, before.whole, after.whole) for each in (*diff.MEASURES, *diff.COST_MEASURES)
        },
        "conditions": [{"condition": each.text, "is_met": is_met} for each, is_met in conditions],
        "activities": (
            {
                "activity": each.activity,
                "changes": each.changes,
                "before": _activity_cost(each.before),
                "after": _activity_cost(each.after),
            }
            for each in comparison.activities
        ),
    }


def _costs(costs: RecordingCosts) -> Document:
    return {"recording": recording_value(costs.file, costs.recording), **_cost(costs.whole)}


def _cost(cost: Cost) -> Document:
    return {
        "wall_ns": cost.wall_ns,
        "cpu_ns": cost.cpu_ns or None,
        "own_rss_kib": cost.own_rss_kib or None,
        "rss_at_most_kib": cost.rss_at_most_kib or None,
        "processes": cost.processes,
        "failures": cost.failures,
        "longest_id": cost.longest_id,
        **cost.costs._asdict(),
    }


def _activity_cost(cost: Cost | None) -> Document | None:
    return None if cost is None else _cost(cost)


def _is_noise(measure: Measure, before: Cost, after: Cost) -> bool | None:
    """Returns whether the difference is noise; None if one of the values isn't known."""
    old, new = (measure.value(cost) for cost in (before, after))
    if old is None or new is None or (measure.condition in ("cpu", "rss") and not (old and new)):
        return None
    return diff.is_noise(old, new, measure.least)
