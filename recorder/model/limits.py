"""How much of a chain of recordings is kept: --keep, --max-size and --keep-free."""

from __future__ import annotations

from dataclasses import dataclass

SEGMENTS = 16
"""--max-size holds about so many segments: then little more than what must go is deleted."""

LEAST_BYTES = 64 * 1024 * 1024
"""The least --max-size: a sixteenth of it must have room for what a storm writes until old rows are deleted."""

_LONGEST_SEGMENT = 3600.0
_KEPT_SEGMENTS = 24  # in the time of --keep


@dataclass(frozen=True)
class Limits:
    """How much is kept. None: any. keep_seconds: age of a segment's end. most_bytes: of the file with its log.

    free_bytes, free_share: what must stay free of the file system, in bytes, or from 0 to 1.
    """

    keep_seconds: float | None = None
    most_bytes: int | None = None
    free_bytes: int | None = None
    free_share: float | None = None

    @property
    def in_use(self) -> dict[str, float]:
        """The options that are given, with their values."""
        given = {
            "--keep": self.keep_seconds,
            "--max-size": self.most_bytes,
            "--keep-free": self.free_bytes if self.free_share is None else self.free_share,
        }
        return {option: value for option, value in given.items() if value is not None}

    @property
    def rotation(self) -> float | None:
        """The length of a segment in seconds, if the user gave none; None: there is nothing to delete."""
        if not self.in_use:
            return None
        return min(_LONGEST_SEGMENT, (self.keep_seconds or _LONGEST_SEGMENT * _KEPT_SEGMENTS) / _KEPT_SEGMENTS)

    @property
    def segment_bytes(self) -> int | None:
        """The size at which a segment ends before its time; None: at no size."""
        return None if self.most_bytes is None else self.most_bytes // SEGMENTS

    @property
    def log_bytes(self) -> int | None:
        """The size that the log should have at most, if no reader keeps it; None: SQLite's."""
        return None if self.segment_bytes is None else self.segment_bytes // 2


NO_LIMITS = Limits()
"""Everything is kept."""
