"""Durations as people write them on the command line: 90, 0.5, 250ms, 5m, 1h30m."""

from __future__ import annotations

import re
from itertools import pairwise

from ..errors import UsageError

METAVAR = "TIME"
HELP = "such as 90 (seconds), 250ms, 5m or 1h30m"

_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "min": 60.0, "s": 1.0, "": 1.0, "ms": 1e-3, "us": 1e-6}
_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)"
_PART = re.compile(rf"({_NUMBER})\s*(min|ms|us|[dhms]?)", re.ASCII)
_WHOLE = re.compile(rf"(?:{_NUMBER}\s*(?:min|ms|us|[dhms])\s*)*(?:{_NUMBER})?", re.ASCII)
_LEAST_ROTATION = 1.0  # seconds: each segment costs a snapshot of all that runs
_TOO_LONG = 1e9  # seconds: more than thirty years is a mistake


def parse(option: str, text: str | None, command: str = "record") -> float | None:
    """Returns the duration in seconds, or None if `text` is None. Raises UsageError if it isn't a valid duration.

    Units must go from the larger to the smaller, each at most once. A number without a unit is in seconds. The error
    message names `option`, and its hint calls `command`.
    """
    if text is None:
        return None
    hint = f"webpf {command} {option} 90"
    found = seconds(text)
    if found is None:
        raise UsageError(f"{option} takes a time, {HELP}, not {text!r}", hint)
    if not 0 < found < _TOO_LONG:
        raise UsageError(f"{option} must be more than 0 seconds, and less than thirty years, not {text}", hint)
    return found


def seconds(text: str) -> float | None:
    """Returns a duration of any length in seconds; None if the text is not a duration."""
    parts = _PART.findall(text.strip()) if text.strip() and _WHOLE.fullmatch(text.strip()) else []
    units = [_SECONDS[unit] for _, unit in parts]
    if not parts or any(unit <= following for unit, following in pairwise(units)):
        return None
    return sum(float(number) * unit for (number, _), unit in zip(parts, units, strict=True))


def text(found: float) -> str:
    """Returns seconds as seconds() reads them, in the largest unit that makes a whole number: 7d, 90s, 0.5s."""
    units = ((unit, size) for unit, size in _SECONDS.items() if size >= 1)
    unit, size = next(((unit, size) for unit, size in units if found % size == 0), ("s", 1.0))
    return f"{found / size:g}{unit}"


def parse_rotation(text: str | None, command: str = "record") -> float | None:
    """Returns the value of --rotate in seconds; see parse(). Raises UsageError also if it is too short."""
    found = parse("--rotate", text, command)
    if found is not None and found < _LEAST_ROTATION:
        raise UsageError(f"--rotate must be at least {_LEAST_ROTATION:g} s, not {text}", f"webpf {command} --rotate 1h")
    return found
