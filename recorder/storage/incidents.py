"""Incidents: times when the recording file could not be written. The recording goes on; lost events are reported."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..host import lock_holders
from .write_pauses import LogTooLarge, NothingToDelete

LOCKED, FULL, FAILED, SLOW, LOG = "locked", "full", "failed", "slow", "log"
"""Kinds of incidents: locked by another process; no room; another error; the disk doesn't respond; a reader keeps a
large log."""

DELETED = "deleted"
"""Kind of a row that is no incident: the time of a recording that was deleted, to keep the file within its limits."""

_PHRASES = {
    LOCKED: "was locked",
    FULL: "had no room",
    FAILED: "could not be written",
    SLOW: "did not answer",
    LOG: "was not written because of its log",
}


@dataclass(frozen=True)
class Incident:
    """An incident, from the first write that failed to the first that succeeded (Unix ns). lost: events, all kinds."""

    from_ns: int
    until_ns: int
    kind: str
    detail: str
    lost: int = 0

    def end_at(self, until_ns: int) -> Incident:
        """Returns a copy that ends at this time."""
        return replace(self, until_ns=until_ns)

    def describe_begin(self, path: Path) -> str:
        """Returns the message that reports an incident that goes on."""
        return f"{path} {_PHRASES[self.kind]}{f' ({self.detail})' if self.detail else ''}: what is recorded waits"

    def describe(self, path: Path) -> str:
        """Returns the message that reports an incident that has ended."""
        seconds = (self.until_ns - self.from_ns) / 1e9
        lost = f"{self.lost:,} events were lost" if self.lost else "no event was lost"
        by = f" ({self.detail})" if self.detail else ""
        return f"{path} {_PHRASES[self.kind]} for {seconds:.1f} s{by}; the recording went on, and {lost}"


def incident_from_error(error: Exception, path: Path, now_ns: int) -> Incident:
    """Returns the incident that begins with an error of SQLite."""
    message = str(error)
    if isinstance(error, LogTooLarge):
        return Incident(now_ns, now_ns, LOG, message)
    if isinstance(error, NothingToDelete):
        return Incident(now_ns, now_ns, FULL, message)
    if "locked" in message:
        return Incident(now_ns, now_ns, LOCKED, lock_holders.describe(path))
    return Incident(now_ns, now_ns, FULL if "full" in message else FAILED, message)
