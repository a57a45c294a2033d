"""A quoted command line has at most twice the bytes of argv and 1,024, and says how much it leaves out."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webpf.model import argv

CUT = re.compile(r"…\[(\d+) bytes not shown\]$")
GROWS = (b"'", b"\xff", b"\n", b"\x1b", "\u202e".encode(), "é".encode(), "\U0001f980".encode(), b"a", b"\\", b" ")
ARGUMENT = st.builds(lambda one, times: one * times, st.sampled_from(GROWS), st.integers(0, 3000))


def lay_out(arguments: list[bytes]) -> bytes:
    """Returns the arguments as the kernel stores them."""
    return b"".join(argument + b"\0" for argument in arguments)


def check(raw: bytes) -> str:
    """Returns the line, after checking its length and its note."""
    line = argv.quote(raw, len(raw))
    assert len(line.encode()) <= 2 * len(raw) + 1024
    cut = CUT.search(line)
    if cut:
        assert len(line.encode()) > 0.3 * len(raw), "not less than need be"
        # bash, which has $'...', must read back the beginning of the arguments.
        script = f"printf '%s\\0' {line[: cut.start()]}"
        printed = subprocess.run(["bash"], input=script.encode(), capture_output=True, check=True).stdout
        shown = len(raw) - int(cut[1])
        assert printed.removesuffix(b"\0") == raw[:shown].removesuffix(b"\0")
    return line


@settings(max_examples=60)
@given(st.lists(ARGUMENT, min_size=1, max_size=6))
def test_a_line_is_bounded_and_says_what_is_left_out(arguments: list[bytes]) -> None:
    check(lay_out(arguments))


@pytest.mark.parametrize("kind", [b"'", b"\xff", b"\0", b"\x80", b"\n\0", "\u202e\0".encode()], ids=ascii)
def test_arguments_that_grow_most(kind: bytes) -> None:
    assert CUT.search(check((kind * 32768)[:32768]))


def test_long_plain_lines_are_whole() -> None:
    raw = lay_out([b"gcc", *(b"file%d.c" % number for number in range(3000))])
    assert argv.quote(raw, len(raw)) == shlex.join(raw.decode().removesuffix("\0").split("\0"))


def test_short_lines_of_any_bytes_are_whole() -> None:
    raw = b"\xff" * 500
    assert argv.quote(raw, 500) == "$'" + "\\xff" * 500 + "'"


def test_both_notes_at_once() -> None:
    """The kernel side kept only a part of argv, and not all of that part is shown."""
    line = argv.quote(b"x\0" + b"\xff" * 5000, 9000)
    assert re.search(r"^x \$'(\\xff)+'…\[\d+ bytes not shown\] …\[3998 bytes cut\]$", line)


def test_an_argument_can_not_look_like_a_note() -> None:
    raw = lay_out([b"rm", "…[5 bytes not shown]".encode()])
    assert argv.quote(raw, len(raw)) == "rm '…[5 bytes not shown]'"


def test_no_character_is_cut_in_two() -> None:
    raw = lay_out(["é'".encode() * 5000])
    cut = CUT.search(check(raw))
    assert cut
    assert "\\x" not in argv.quote(raw, len(raw))


def test_every_unprintable_character_is_escaped() -> None:
    """The table of escapes has every character of the plane that the pattern matches."""
    for number in (*range(1, 0xD800), *range(0xE000, 0x10000)):
        line = argv.quote(chr(number).encode() + b"\x01", len(chr(number).encode()) + 1)
        assert not argv.UNPRINTABLE.search(line), hex(number)
    for byte in range(0x80, 0x100):
        assert argv.quote(bytes([byte]), 1) == f"$'\\x{byte:02x}'"
