"""Times in which a recording's file could not be written. The recording goes on; what was lost by it is told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..host import lock_holders

LOCKED, FULL, FAILED, SLOW = "locked", "full", "failed", "slow"
"""Another process holds the file; there is no room; SQLite says something else; the disk doesn't answer."""

_WHAT = {LOCKED: "was locked", FULL: "had no room", FAILED: "could not be written", SLOW: "did not answer"}


@dataclass(frozen=True)
class Incident:
    """Unix ns from the first attempt that failed to the first that succeeded. lost: events, of all kinds."""

    from_ns: int
    until_ns: int
    kind: str
    detail: str
    lost: int = 0

    def ended(self, until_ns: int) -> Incident:
        """The same, when it is over."""
        return replace(self, until_ns=until_ns)

    def describe(self, path: Path) -> str:
        """What is told when it is over."""
        seconds = (self.until_ns - self.from_ns) / 1e9
        lost = f"{self.lost:,} events were lost" if self.lost else "no event was lost"
        by = f" ({self.detail})" if self.detail else ""
        return f"{path} {_WHAT[self.kind]} for {seconds:.1f} s{by}; the recording went on, and {lost}"


def begun(error: Exception, path: Path, now_ns: int) -> Incident:
    """What an error of SQLite's begins."""
    message = str(error)
    if "locked" in message:
        return Incident(now_ns, now_ns, LOCKED, lock_holders.describe(path))
    return Incident(now_ns, now_ns, FULL if "full" in message else FAILED, message)
