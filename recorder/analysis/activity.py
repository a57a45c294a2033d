"""What happened in the last seconds or minutes, by command, unit, user or container: the numbers of `webpf top`.

Events are summed up by second, so memory doesn't grow with what the machine does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from .followed_process import FollowedProcess

SECOND_NS: Final = 1_000_000_000
LONGEST_SECONDS: Final = 600
_MOST_GROUPS = 5_000  # in one second; more are one group, so that names that are all different don't fill the memory


class Group(NamedTuple):
    """What tells processes apart."""

    command: str
    unit: str
    user: int | None
    container: str


_OTHERS = Group("(others)", "(others)", None, "(others)")
KEYS: Final = Group._fields
"""By what processes can be grouped."""

Name = str | int | None


@dataclass
class Figures:
    """Sums. starts, ends: processes. failed: how many of `ends` failed. cpu_ns, run_delay_ns: of `ends`, as far as they
    are known. max_rss_kib: the highest peak memory of `ends`. alive: processes at the moment.
    """

    starts: int = 0
    ends: int = 0
    failed: int = 0
    cpu_ns: int = 0
    max_rss_kib: int = 0
    run_delay_ns: int = 0
    alive: int = 0

    def add(self, other: Figures) -> None:
        """Adds other figures."""
        self.starts += other.starts
        self.ends += other.ends
        self.failed += other.failed
        self.cpu_ns += other.cpu_ns
        self.max_rss_kib = max(self.max_rss_kib, other.max_rss_kib)
        self.run_delay_ns += other.run_delay_ns

    def add_end(self, process: FollowedProcess) -> None:
        """Adds a process that has ended."""
        self.ends += 1
        self.failed += process.outcome in ("failed", "signalled")
        self.cpu_ns += process.cpu_ns or 0
        self.max_rss_kib = max(self.max_rss_kib, process.max_rss_kib or 0)
        self.run_delay_ns += process.run_delay_ns or 0


class Activity:
    """The figures of the last LONGEST_SECONDS. now_ns: the time up to which they are complete, in Unix ns."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.begun_ns = 0
        self._seconds: dict[int, dict[Group, Figures]] = {}
        self._alive: dict[Group, int] = {}

    def add(
        self,
        now_ns: int,
        started: Iterable[FollowedProcess],
        ended: Iterable[FollowedProcess],
        alive: Iterable[FollowedProcess],
    ) -> None:
        """Adds what started and ended up to a time, and replaces what is alive then."""
        self.begun_ns = self.begun_ns or now_ns
        self.now_ns = max(self.now_ns, now_ns)
        for process in started:
            self._figures(process.start_ns, process).starts += 1
        for process in ended:
            self._figures(process.end_ns or now_ns, process).add_end(process)
        self._alive = {}
        for process in alive:
            group = group_of(process)
            self._alive[group] = self._alive.get(group, 0) + 1
        oldest = self.now_ns // SECOND_NS - LONGEST_SECONDS
        for second in [each for each in self._seconds if each < oldest]:
            del self._seconds[second]

    def length_seconds(self, window_seconds: int) -> float:
        """Returns how long the window is that figures() sums up: shorter at the begin."""
        return max(1.0, min(window_seconds, (self.now_ns - self.begun_ns) / SECOND_NS))

    def figures(self, key: str, window_seconds: int) -> dict[Name, Figures]:
        """Returns the figures of the last seconds, by one of KEYS."""
        at = KEYS.index(key)
        oldest = self.now_ns // SECOND_NS - window_seconds
        sums: dict[Name, Figures] = {}
        for second, groups in self._seconds.items():
            if second > oldest:
                for group, figures in groups.items():
                    sums.setdefault(group[at], Figures()).add(figures)
        for group, count in self._alive.items():
            sums.setdefault(group[at], Figures()).alive += count
        return sums

    def _figures(self, time_ns: int, process: FollowedProcess) -> Figures:
        groups = self._seconds.setdefault(time_ns // SECOND_NS, {})
        group = group_of(process)
        if group not in groups and len(groups) >= _MOST_GROUPS:
            group = _OTHERS
        return groups.setdefault(group, Figures())


def group_of(process: FollowedProcess) -> Group:
    """Returns the group of a process; texts are empty where it has none."""
    return Group(process.comm or "", process.unit or "", process.uid, process.container or "")
