"""Formats durations, sizes, times and signals for people, in the same way everywhere."""

from __future__ import annotations

import pwd
import signal
from datetime import datetime, tzinfo
from functools import cache

_NOT_A_TIME = (ValueError, OverflowError, OSError)  # raised by datetime for a time outside of its range


def duration(ns: float) -> str:
    """Returns nanoseconds as 812 us, 3.20 ms, 1.52 s, 2 min 5 s or 3 h 12 min."""
    if ns < 0:
        return f"-{duration(-ns)}"
    if ns < 999.5e3:
        return f"{ns / 1e3:.0f} us"
    if ns < 999.995e6:
        return f"{ns / 1e6:.2f} ms"
    if ns < 59.995e9:
        return f"{ns / 1e9:.2f} s"
    minutes, seconds = divmod(round(ns / 1e9), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def size(kib: int) -> str:
    """Returns KiB as 812 KiB, 8.05 MiB, 82.1 MiB or 1.52 GiB, with three digits from 1 MiB on."""
    if kib < 1024:
        return f"{kib} KiB"
    number, unit = (kib / 1024, "MiB") if kib < 1023.5 * 1024 else (kib / 1024 / 1024, "GiB")
    decimals = 2 if number < 9.995 else 1 if number < 99.95 else 0
    return f"{number:,.{decimals}f} {unit}"


def byte_size(number: int) -> str:
    """Returns bytes as 812 B, or from 1 KiB on as size() does."""
    return f"{number} B" if abs(number) < 1024 else size(round(number / 1024))


def short_moment(ns: int, zone: tzinfo | None = None) -> str:
    """Returns Unix ns as time in a zone (None: local) without the year, to the millisecond, for narrow tables."""
    try:
        return _datetime(ns, zone).strftime("%m-%d %H:%M:%S.%f")[:-3]
    except _NOT_A_TIME:
        return str(ns)


def time_of_day(ns: int, zone: tzinfo | None = None, has_milliseconds: bool = True) -> str:
    """Returns Unix ns as the time of the day in a zone (None: local)."""
    try:
        text = f"{_datetime(ns, zone):%H:%M:%S.%f}"
    except _NOT_A_TIME:
        return str(ns)
    return text[:-3] if has_milliseconds else text[:-7]


def minute(ns: int, zone: tzinfo | None = None) -> str:
    """Returns Unix ns as time in a zone (None: local), to the minute."""
    try:
        return f"{_datetime(ns, zone):%Y-%m-%d %H:%M}"
    except _NOT_A_TIME:
        return str(ns)


def zoned_moment(ns: int, zone: tzinfo | None = None, timespec: str = "seconds") -> str | None:
    """Returns Unix ns as time in a zone (None: local) with its offset from UTC; None if outside of datetime's range.

    timespec: as of datetime.isoformat().
    """
    try:
        moment = _datetime(ns, zone)
        return (moment.astimezone() if zone is None else moment).isoformat(sep=" ", timespec=timespec)
    except _NOT_A_TIME:
        return None


def _datetime(ns: int, zone: tzinfo | None = None) -> datetime:
    """Returns Unix ns as a datetime. A float of nanoseconds would be off by some of them."""
    seconds, rest = divmod(ns, 1_000_000_000)
    return datetime.fromtimestamp(seconds, zone).replace(microsecond=rest // 1000)


def signal_name(number: int) -> str:
    """Returns number and name of a signal, as 9 KILL; only the number if the signal has no name."""
    name = short_signal_name(number)
    return name if name == str(number) else f"{number} {name}"


def short_signal_name(number: int) -> str:
    """Returns the name of a signal without SIG, as KILL; the number if it has no name."""
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return str(number)


def user_name(uid: int, is_known: bool = True) -> str:
    """Returns the name of a user; the number if there is none. is_known: False, if only root's name is known."""
    return _user_name(uid) if is_known else "root" if uid == 0 else str(uid)


@cache
def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return str(uid)
