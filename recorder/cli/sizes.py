"""The options that take a size, such as 2GiB or 500M, or a share, such as 5%."""

from __future__ import annotations

import re

from ..errors import UsageError
from ..model import durations, sizes
from ..model.limits import Limits

_SHARE = re.compile(r"(\d+(?:\.\d*)?)\s*%", re.ASCII)
_MOST = 1 << 60


def parse(option: str, text: str | None) -> int | None:
    """Returns a size in bytes, or None if `text` is None. Raises UsageError. K, KB and KiB are all 1,024 bytes."""
    if text is None:
        return None
    size = round(min(sizes.to_bytes(text) or 0, _MOST))
    if not 0 < size < _MOST:
        raise UsageError(f"{option} takes a size, such as 2GiB or 500M, not {text!r}", f"webpf record {option} 2GiB")
    return size


def parse_share(option: str, text: str | None) -> tuple[int | None, float | None]:
    """Returns a size in bytes, or a share from 0 to 1; the other is None. Raises UsageError."""
    match = _SHARE.fullmatch(text.strip()) if text is not None else None
    if match is None:
        try:
            return parse(option, text), None
        except UsageError:
            message = f"{option} takes a part of the file system, such as 5% or 10GiB, not {text!r}"
            raise UsageError(message, f"webpf record {option} 5%") from None
    share = float(match[1]) / 100
    if not 0 < share < 1:
        raise UsageError(f"{option} must be more than 0% and less than 100%, not {text}", f"webpf record {option} 5%")
    return None, share


def parse_limits(keep: str | None, max_size: str | None, keep_free: str | None) -> Limits:
    """Returns what is kept. Raises UsageError."""
    free = parse_share("--keep-free", keep_free)
    return Limits(durations.parse("--keep", keep), parse("--max-size", max_size), *free)
