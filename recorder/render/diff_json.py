"""A comparison as JSON, with all activities of both sides."""

from __future__ import annotations

from collections.abc import Iterable

from ..analysis import diff, intervals, recording_costs
from ..analysis.conditions import Judgement, Verdict
from ..analysis.diff import Comparison, MeasureChange
from ..analysis.intervals import Change
from ..analysis.recording_costs import COST_MEASURES, MEASURES, Cost
from ..analysis.run_groups import RunGroup
from .json_document import Document, head, recording_value


def diff_document(comparison: Comparison, judgements: Iterable[Judgement]) -> Document:
    """Returns the document of a comparison. judgements: of the conditions of --fail-if."""
    is_single = comparison.method == intervals.SINGLE
    changes = {each.measure: each for each in comparison.measures}
    return {
        **head("diff"),
        "before": _side(comparison.before),
        "after": _side(comparison.after),
        "is_paired": comparison.is_paired,
        "method": None if is_single else comparison.method,
        "level": None if is_single else intervals.LEVEL,
        "noise": {
            "share": diff.NOISE_SHARE,
            "time_ns": recording_costs.NOISE_NS,
            "memory_kib": recording_costs.NOISE_KIB,
            "bytes": recording_costs.NOISE_BYTES,
            "faults": recording_costs.NOISE_FAULTS,
            "share_of_whole": diff.NOISE_OF_WHOLE,
        },
        "is_noise": {
            each.attribute: changes[each].is_noise if each in changes else None for each in (*MEASURES, *COST_MEASURES)
        },
        "measures": (_measure(each) for each in comparison.measures),
        "conditions": [_condition(each) for each in judgements],
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


def _side(side: RunGroup) -> Document:
    return {
        "recording": recording_value(side.file, side.runs[0].recording),
        "name": side.label,
        "command": side.command,
        "recordings": [each.recording.id for each in side.runs],
        "left_out": [{"recording": each.recording.id, "reason": each.reason} for each in side.left_out],
        **_cost(side.whole),
    }


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


def _measure(change: MeasureChange) -> Document:
    return {
        "measure": change.measure.attribute,
        "before": change.before,
        "after": change.after,
        "difference": _interval(change.difference),
        "share": _interval(change.share),
    }


def _condition(judgement: Judgement) -> Document:
    return {
        "condition": judgement.condition.text,
        "is_met": None if judgement.verdict is Verdict.UNDECIDED else judgement.verdict is Verdict.MET,
        "change": _interval(judgement.change),
    }


def _interval(change: Change | None) -> list[float] | None:
    """Returns a change and the ends of its interval; None if it isn't known, or infinite: from nothing."""
    return None if change is None or any(abs(each) == float("inf") for each in change) else list(change)
