"""Escapes characters in text from processes on which a terminal would act."""

from __future__ import annotations

from ..model.argv import UNPRINTABLE


def safe(text: str) -> str:
    """Escapes control characters, and marks that change the reading direction, as \\x1b or \\u202e."""
    return UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
