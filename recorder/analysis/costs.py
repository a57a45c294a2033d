"""What processes cost, and sums of it. What isn't known (None) is not the same as 0."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Costs(NamedTuple):
    """The costs of a process, or of several. None: not known, or not known of any.

    Times are in ns. run_delay_ns: for which its threads waited for a processor.
    """

    user_ns: int | None = None
    system_ns: int | None = None
    minor_faults: int | None = None
    major_faults: int | None = None
    read_bytes: int | None = None
    write_bytes: int | None = None
    run_delay_ns: int | None = None

    @property
    def faults(self) -> int | None:
        """All page faults."""
        return add_known(self.minor_faults, self.major_faults)


NO_COSTS = Costs()
"""The costs of a process of which none is known."""

COLUMNS = ", ".join(f"p.{name}" for name in Costs._fields)
"""SQL: the columns of a process p with its costs, in the order of Costs."""


def add_known(one: int | None, other: int | None) -> int | None:
    """Returns the sum of what is known; None if neither is."""
    return other if one is None else one if other is None else one + other


def sum_known(values: Iterable[int | None]) -> int | None:
    """Returns the sum of the values that are known; None if none is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


class CostSum:
    """Adds up the costs of processes."""

    def __init__(self) -> None:
        self._sums: list[int | None] = [None] * len(Costs._fields)

    def add(self, costs: Sequence[int | None]) -> None:
        """Adds the costs of a process, in the order of Costs."""
        for number, value in enumerate(costs):
            if value is not None:
                self._sums[number] = (self._sums[number] or 0) + value

    @property
    def costs(self) -> Costs:
        """The sums."""
        return Costs(*self._sums)


def total(each: Iterable[Costs]) -> Costs:
    """Returns the sums over some costs."""
    sums = CostSum()
    for costs in each:
        sums.add(costs)
    return sums.costs
