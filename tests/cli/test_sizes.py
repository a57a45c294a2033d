"""Sizes on the command line, and the options that say what is kept."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from webpf.cli import sizes
from webpf.errors import UsageError
from webpf.model.limits import Limits

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2GiB", 2 << 30),
        ("500M", 500 << 20),
        ("1.5 k", 1536),
        ("7", 7),
        ("7B", 7),
        ("1TB", 1 << 40),
        (" 3mb ", 3 << 20),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert sizes.parse("--max-size", text) == size


@pytest.mark.parametrize("text", ["", "GiB", "-1", "0", "2 X", "1e9", "2GiBs", "5%", "9999999T"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match=r"--max-size takes a size, such as 2GiB or 500M, not ") as raised:
        sizes.parse("--max-size", text)
    assert raised.value.hint == "webpf record --max-size 2GiB"


def test_shares() -> None:
    assert sizes.parse_share("--keep-free", "5%") == (None, 0.05)
    assert sizes.parse_share("--keep-free", "0.5 %") == (None, 0.005)
    assert sizes.parse_share("--keep-free", "10GiB") == (10 << 30, None)
    for text in ("0%", "100%", "-5%", "five"):
        with pytest.raises(UsageError, match=r"--keep-free "):
            sizes.parse_share("--keep-free", text)


def test_a_segment_is_short_enough() -> None:
    assert Limits().rotation is None
    assert sizes.parse_limits("7d", "2GiB", "5%") == Limits(7 * 86400, 2 << 30, None, 0.05)
    assert Limits(keep_seconds=7 * 86400).rotation == Limits(most_bytes=1).rotation == 3600
    assert Limits(keep_seconds=3600).rotation == 150
    assert (Limits(most_bytes=1600).segment_bytes, Limits(most_bytes=1600).log_bytes) == (100, 50)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--keep", "soon"), "--keep takes a time"),
        (("--max-size", "big"), "--max-size takes a size"),
        (("--keep-free", "120%"), "--keep-free must be more than 0% and less than 100%"),
        (("--keep", "5m", "--rotate", "1h"), "--keep 5m is shorter than --rotate 1h"),
        (("--max-size", "600KiB"), "--max-size must be at least 64MiB"),
        (("--keep", "7d", "--", "true"), "--keep can't be used with a command"),
        (("--max-size", "1G", "--", "true"), "--max-size can't be used with a command"),
    ],
)
def test_wrong_calls(webpf: Webpf, arguments: tuple[str, ...], words: str) -> None:
    ended = webpf("record", *arguments)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (64, 1)
    assert words in ended.stderr and "try: " in ended.stderr
