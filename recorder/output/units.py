"""Formats durations, sizes, times and signals for people, in the same way everywhere."""

from __future__ import annotations

import signal
from datetime import datetime

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


def moment(ns: int) -> str:
    """Returns Unix ns as local time, to the microsecond; the number itself if it is outside of datetime's range."""
    seconds, rest = divmod(ns, 1_000_000_000)
    try:
        return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M:%S}.{rest // 1000:06d}"
    except _NOT_A_TIME:
        return str(ns)


def short_moment(ns: int) -> str:
    """Returns Unix ns as local time without the year, to the millisecond, for narrow tables."""
    try:
        return datetime.fromtimestamp(ns / 1e9).strftime("%m-%d %H:%M:%S.%f")[:-3]
    except _NOT_A_TIME:
        return str(ns)


def zoned_moment(ns: int) -> str | None:
    """Returns Unix ns as local time with its offset from UTC, to the second; None if outside of datetime's range."""
    try:
        return datetime.fromtimestamp(ns / 1e9).astimezone().isoformat(sep=" ", timespec="seconds")
    except _NOT_A_TIME:
        return None


def signal_name(number: int) -> str:
    """Returns number and name of a signal, as 9 KILL; only the number if the signal has no name."""
    try:
        return f"{number} {signal.Signals(number).name.removeprefix('SIG')}"
    except ValueError:
        return str(number)
