"""Time zones: local times of a recording's machine, and the Unix times that they stand for."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any

SECOND_NS = 1_000_000_000


class SkippedTime(ValueError):
    """A local time that doesn't exist, because clocks were set forward. before, after: the times next to the gap."""

    def __init__(self, before: datetime, after: datetime) -> None:
        super().__init__(f"{before} to {after}")
        self.before = before
        self.after = after


@dataclass(frozen=True)
class Zone:
    """A time zone. name: for people."""

    name: str
    rules: tzinfo

    @classmethod
    def utc(cls) -> Zone:
        """Returns UTC."""
        return cls("UTC", timezone.utc)

    @classmethod
    def named(cls, name: str | None, offset_s: int | None) -> Zone:
        """Returns the zone of this name in the tz database. If that lacks it: a fixed offset, or UTC without one."""
        if name:
            import zoneinfo  # takes some milliseconds, which most commands don't need

            with contextlib.suppress(ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
                return cls(name, zoneinfo.ZoneInfo(name))
        if offset_s is None or abs(offset_s) >= 86_400:
            return cls.utc()
        rules = timezone(timedelta(seconds=offset_s))
        return cls(str(rules), rules)

    @classmethod
    def of_recording(cls, row: Mapping[str, Any]) -> Zone:
        """Returns the zone of the machine of a recording. row: of the table recordings."""
        name, offset = row.get("zone"), row.get("utc_offset_s")
        return cls.named(name if isinstance(name, str) else None, offset if isinstance(offset, int) else None)

    def unix_ns(self, local: datetime, later: bool = False) -> int:
        """Returns the Unix ns of a local time, which has no zone of its own. Raises SkippedTime.

        later: of a time that clocks show twice, because they were set back, take the second.
        """
        utc = local.replace(tzinfo=self.rules, fold=int(later)).astimezone(timezone.utc)
        if utc.astimezone(self.rules).replace(tzinfo=None) != local:
            raise self._skipped(local)
        return _unix_ns(utc)

    def local(self, unix_ns: int) -> datetime:
        """Returns the local time of Unix ns, with its offset, rounded down to microseconds."""
        utc = datetime.fromtimestamp(unix_ns // SECOND_NS, timezone.utc)
        return (utc + timedelta(microseconds=unix_ns % SECOND_NS // 1000)).astimezone(self.rules)

    def text(self, unix_ns: int, digits: str = "seconds") -> str:
        """Returns Unix ns as local time with the offset: 2026-11-27 03:10:00+01:00. digits: as in isoformat()."""
        try:
            return self.local(unix_ns).isoformat(sep=" ", timespec=digits)
        except (ValueError, OverflowError, OSError):
            return str(unix_ns)

    def _skipped(self, local: datetime) -> SkippedTime:
        """Returns the error for a local time in a gap."""
        # With the offset of after the gap, the time lies before it, and the other way round.
        ahead, behind = (local.replace(tzinfo=self.rules, fold=fold).utcoffset() for fold in (1, 0))
        assert ahead is not None and behind is not None
        early = _unix_ns(local.replace(tzinfo=timezone(ahead))) // SECOND_NS
        late = _unix_ns(local.replace(tzinfo=timezone(behind))) // SECOND_NS
        while late - early > 1:
            middle = (early + late) // 2
            is_before = self.local(middle * SECOND_NS).utcoffset() == behind
            early, late = (middle, late) if is_before else (early, middle)
        before, after = (self.local(each * SECOND_NS).replace(tzinfo=None) for each in (early, late))
        return SkippedTime(before, after)


def _unix_ns(aware: datetime) -> int:
    elapsed = aware - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (elapsed.days * 86_400 + elapsed.seconds) * SECOND_NS + elapsed.microseconds * 1000
