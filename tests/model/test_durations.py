"""Durations that are written for people are read as the same number again."""

from __future__ import annotations

import pytest

from webpf.model import durations


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (604_800, "7d"), (90_000, "25h"), (5_400, "90m"), (3_600, "1h"), (61, "61s"), (1, "1s"),
        (0.25, "0.25s"), (90.5, "90.5s"),
    ],
)  # fmt: skip
def test_text(seconds: float, text: str) -> None:
    assert durations.text(seconds) == text
    assert durations.seconds(text) == seconds
