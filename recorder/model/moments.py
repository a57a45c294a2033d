"""Times as people write them on the command line: 03:00, yesterday 22:00, -2h, 2026-11-27T03:00:00+01:00."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from ..errors import UsageError
from . import durations
from .events import GREATEST
from .zone import SECOND_NS, SkippedTime, Zone

FORMS = "03:00, 'yesterday 22:00', -2h, 2026-11-27 or 2026-11-27T03:00:00+01:00"
"""Examples of every form, for help and errors."""

_CLOCK = r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,9}))?)?"
_ISO = re.compile(
    rf"(?P<date>\d{{4}}-\d\d-\d\d)(?:[T ]{_CLOCK} ?(?P<offset>Z|[+-]\d\d:?\d\d)?)?", re.ASCII | re.IGNORECASE
)
_OF_DAY = re.compile(rf"(?:(?P<day>today|yesterday)\b ?)?(?:{_CLOCK})?", re.ASCII | re.IGNORECASE)
_DAYS_AGO = {"today": 0, "yesterday": 1}
_DAY_SECONDS = 86_400
_COMMANDS = {"--before": "delete"}  # for hints; those of other options show a query


@dataclass(frozen=True)
class Moment:
    """A time that a user wrote. text: as it was written. option: the option it was given to, for errors.

    Either ago_ns is set (before now), or clock_ns (ns since midnight) with a date, with days_ago, or alone: then the
    day follows from the context. offset_s: seconds ahead of UTC; None: in the zone of the recording.
    """

    option: str
    text: str
    ago_ns: int | None = None
    clock_ns: int = 0
    day: date | None = None
    days_ago: int | None = None
    offset_s: int | None = None

    def unix_ns(self, zone: Zone, now_ns: int, after_ns: int | None = None) -> int:
        """Returns it in Unix ns. Raises UsageError for a time that the zone skips, or that no row can have.

        A time without a day is its last occurrence until now_ns. With after_ns: its first occurrence after that.
        Of a time that clocks show twice, it is the first.
        """
        if self.ago_ns is not None:
            return self._checked(now_ns - self.ago_ns)
        if self.offset_s is not None:
            rules = timezone(timedelta(seconds=self.offset_s))
            zone = Zone(str(rules), rules)
        try:
            if self.day is not None:
                return self._on(self.day, zone)
            today = zone.local(now_ns).date()
            if self.days_ago is not None:
                return self._on(today - timedelta(days=self.days_ago), zone)
            if after_ns is not None:
                return self._first_after(after_ns, zone)
            found = self._on(today, zone)
            return found if found <= now_ns else self._on(today - timedelta(days=1), zone)
        except (ValueError, OverflowError) as error:
            raise self._out_of_range() from error

    def _first_after(self, after_ns: int, zone: Zone) -> int:
        day = zone.local(after_ns).date()
        for each in (day, day + timedelta(days=1)):
            for later in (False, True):
                found = self._on(each, zone, later)
                if found > after_ns:
                    return found
        raise self._out_of_range()

    def _on(self, day: date, zone: Zone, later: bool = False) -> int:
        seconds, rest = divmod(self.clock_ns, SECOND_NS)
        local = datetime(day.year, day.month, day.day) + timedelta(seconds=seconds)
        try:
            return self._checked(zone.unix_ns(local, later) + rest)
        except SkippedTime as skipped:
            message = (
                f"{self.option} {self.text}: there is no {local} in {zone.name}, because clocks went from"
                f" {skipped.before} to {skipped.after}"
            )
            raise UsageError(message, _example(self.option, f"'{skipped.after:%Y-%m-%d %H:%M}'")) from None

    def _checked(self, unix_ns: int) -> int:
        if not 0 <= unix_ns <= GREATEST:
            raise self._out_of_range()
        return unix_ns

    def _out_of_range(self) -> UsageError:
        return UsageError(f"{self.option} {self.text} is not between 1970 and 2262", _example(self.option))


def parse(option: str, text: str) -> Moment:
    """Parses a time that was given to an option. Raises UsageError."""
    words = " ".join(text.split())
    if words.lower() == "now":
        return Moment(option, text, ago_ns=0)
    if words.startswith("-"):
        return Moment(option, text, ago_ns=_ago_ns(option, text, words[1:]))
    match = _ISO.fullmatch(words) or (_OF_DAY.fullmatch(words) if words else None)
    if match is None:
        raise _invalid(option, text)
    clock_ns = _clock_ns(match)
    if clock_ns >= _DAY_SECONDS * SECOND_NS:
        raise _invalid(option, text)
    found = match.groupdict()
    if found.get("day"):
        return Moment(option, text, clock_ns=clock_ns, days_ago=_DAYS_AGO[found["day"].lower()])
    if not found.get("date"):
        return Moment(option, text, clock_ns=clock_ns)
    try:
        day = date.fromisoformat(found["date"])
    except ValueError:
        raise _invalid(option, text) from None
    return Moment(option, text, clock_ns=clock_ns, day=day, offset_s=_offset_s(option, text, found["offset"]))


def _clock_ns(match: re.Match[str]) -> int:
    """Returns ns since midnight, a day or more for an invalid time."""
    hour, minute, second = (int(match[name] or 0) for name in ("hour", "minute", "second"))
    if hour > 23 or minute > 59 or second > 59:
        return _DAY_SECONDS * SECOND_NS
    return (hour * 3600 + minute * 60 + second) * SECOND_NS + int((match["fraction"] or "").ljust(9, "0"))


def _offset_s(option: str, text: str, offset: str | None) -> int | None:
    if offset is None:
        return None
    if offset in ("Z", "z"):
        return 0
    hours, minutes = int(offset[1:3]), int(offset[-2:])
    if hours > 23 or minutes > 59:
        raise _invalid(option, text)
    return (-1 if offset[0] == "-" else 1) * (hours * 3600 + minutes * 60)


def _ago_ns(option: str, text: str, duration: str) -> int:
    seconds = durations.seconds(duration)
    if seconds is None:
        raise _invalid(option, text)
    return round(seconds * SECOND_NS)


def _invalid(option: str, text: str) -> UsageError:
    return UsageError(f"{option} takes a time, such as {FORMS}, not {text!r}", _example(option))


def _example(option: str, moment: str = "03:00") -> str:
    return f"webpf {_COMMANDS.get(option, 'query failures')} {option} {moment}"
