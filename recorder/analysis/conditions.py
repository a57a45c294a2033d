"""The conditions of --fail-if: how much a measure may grow, and whether it grew by more."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from ..errors import UsageError
from ..model import durations, sizes
from . import intervals
from .intervals import Change
from .recording_costs import COST_MEASURES, MEASURES, Measure
from .run_groups import RunGroup

_BY_CONDITION = {each.condition: each for each in (*MEASURES, *COST_MEASURES)}
_CONDITION = re.compile(r"(\w+)\s*>\s*(\S.*?)\s*")
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


class Verdict(Enum):
    """Whether a condition holds. UNDECIDED: the runs don't suffice to tell."""

    MET = "met"
    NOT_MET = "not met"
    UNDECIDED = "can't tell"


@dataclass(frozen=True)
class Judgement:
    """A condition, and whether it holds. change: in the condition's own terms; None if a value isn't known."""

    condition: Condition
    verdict: Verdict
    change: Change | None


@dataclass(frozen=True)
class Condition:
    """How much a measure may grow: by `limit` as a share of the old value, or by that number (ns, KiB, bytes)."""

    text: str
    measure: Measure
    limit: float
    is_share: bool

    @classmethod
    def parse(cls, text: str, option: str = "--fail-if", command: str = "diff") -> Condition:
        """Parses a text such as `wall>10%`, `wall>2s`, `rss>50MiB` or `failures>0`. Raises UsageError."""
        match = _CONDITION.fullmatch(text.strip())
        measure = _BY_CONDITION.get(match[1]) if match else None
        limit = _limit(measure, match[2]) if match and measure else None
        if measure is None or limit is None:
            message = (
                f"{option} takes a measure, > and by how much it may grow, as a share or in its own unit (wall>10%,"
                f" wall>2s, rss>50MiB, failures>0), not {text!r}; the measures are {', '.join(_BY_CONDITION)}"
            )
            last = "" if command == "diff" else " -- make"
            raise UsageError(message, f"webpf {command} {option} 'wall>10%' {option} 'failures>0'{last}")
        return cls(text.strip(), measure, *limit)

    def change(self, before: RunGroup, after: RunGroup, is_paired: bool) -> Change | None:
        """Returns the change as the condition counts it; None if a value isn't known.

        What was 0 and grew has no share: it counts as a share above any limit.
        """
        old, new = before.values(self.measure), after.values(self.measure)
        if self.measure.condition == "rss" and old is None:
            # The growth above the highest possible value is certain.
            old = [float(each.whole.rss_at_most_kib) for each in before.runs]
        if old is None or new is None:
            return None
        if not self.is_share:
            return intervals.difference(old, new, is_paired)
        share = intervals.share(old, new, is_paired)
        if share is not None:
            return share
        difference = intervals.difference(old, new, is_paired)
        return difference.map(lambda number: float("inf") if number > 0 else 0.0)

    def judge(self, before: RunGroup, after: RunGroup, is_paired: bool) -> Judgement:
        """Decides on the ends of the interval: MET if even the near end is above the limit, NOT_MET if no end is.

        A cost that isn't known has not grown.
        """
        change = self.change(before, after, is_paired)
        if change is None or change.high <= self.limit:
            return Judgement(self, Verdict.NOT_MET, change)
        return Judgement(self, Verdict.MET if change.low > self.limit else Verdict.UNDECIDED, change)


def _limit(measure: Measure, text: str) -> tuple[float, bool] | None:
    """Returns a limit, and whether it is a share; None if the text is not a limit of the measure."""
    if text.endswith("%"):
        number = text[:-1].strip()
        return (float(number) / 100, True) if _NUMBER.fullmatch(number) else None
    if measure.unit == "number":
        return (float(text), False) if _NUMBER.fullmatch(text) else None
    if _NUMBER.fullmatch(text):  # of which unit?
        return None
    if measure.unit == "time":
        found = durations.seconds(text)
        return None if found is None else (found * 1e9, False)
    size = sizes.to_bytes(text)
    return None if size is None else (size / (1024 if measure.unit == "memory" else 1), False)
