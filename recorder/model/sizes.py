"""Sizes as people write them on the command line: 2GiB, 500M, 4096."""

from __future__ import annotations

import re

_FACTORS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SIZE = re.compile(r"(\d+(?:\.\d*)?)\s*(?:([kmgt])(?:i?b)?|b)?", re.ASCII | re.IGNORECASE)


def to_bytes(text: str) -> float | None:
    """Returns a size in bytes; None if the text is not a size. K, KB and KiB are all 1,024 bytes."""
    match = _SIZE.fullmatch(text.strip())
    return float(match[1]) * 1024.0 ** _FACTORS[(match[2] or "").lower()] if match else None
