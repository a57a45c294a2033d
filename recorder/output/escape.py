"""Text from processes made harmless for a terminal."""

from __future__ import annotations

from ..model.argv import UNPRINTABLE


def safe(text: str) -> str:
    """The text with what a terminal would act on (escape sequences, reversed writing) shown as \\x1b or \\u202e."""
    return UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
