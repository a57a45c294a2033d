"""Quoted arguments: a shell reads back the exact bytes, and the line has no control characters."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from webpf.model import argv

# The characters with Unicode's property Bidi_Control, which unicodedata lacks.
BIDI_MARKS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

NASTY = (
    *(b"'", b'"', b"\\", b"\\\\", b"$'", b"'\\''", b"\\x41", b"\\n", b"\\'", b"$HOME", b"`id`", b"$(id)", b"!", b"~"),
    *(b" ", b"  ", b"*", b"?", b"[a]", b"{a,b}", b"#", b";", b"&", b"|", b"<", b">", b"(", b"=", b"%s", b"--", b"-n"),
    *(b"\n", b"\r", b"\t", b"\x01", b"\x07", b"\x08", b"\x7f", b"\x1b[31m", b"\x1b]0;title\x07", b"\x9b31m", b"\xff"),
    *(b"\xc3", b"\xe2\x80", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xc0\x80", "\x9b".encode(), "\u2028".encode()),
    *(b"a", b"0", b"f", "é".encode(), "好".encode(), "😀".encode(), "\ufeff".encode()),
    *(mark.encode() for mark in BIDI_MARKS),
)
ARGUMENT = st.one_of(
    st.binary(max_size=20).map(lambda raw: raw.replace(b"\0", b"")),
    st.text(max_size=20).map(lambda text: text.replace("\0", "").encode()),
    st.lists(st.sampled_from(NASTY), max_size=8).map(b"".join),
)
ARGUMENTS = st.lists(ARGUMENT, min_size=1, max_size=6)


def join(arguments: list[bytes]) -> bytes:
    """Returns the arguments as the kernel stores them, each ended by a NUL."""
    return b"".join(argument + b"\0" for argument in arguments)


def quoted(arguments: list[bytes]) -> str:
    """Returns the quoted line of these arguments."""
    raw = join(arguments)
    return argv.quote(raw, len(raw))


def read_back(line: str, shell: str = "bash", locale: str = "C.UTF-8") -> list[bytes]:
    """Returns the arguments that a shell reads from the line."""
    printed = subprocess.run(
        [shell, "-c", rf"printf '%s\0' {line}".encode()],
        env={"PATH": "/usr/bin:/bin", "LC_ALL": locale, "HOME": "/nowhere"},
        cwd="/",
        capture_output=True,
        check=True,
    )
    assert printed.stderr == b""
    return printed.stdout.removesuffix(b"\0").split(b"\0")


@settings(max_examples=200)
@given(ARGUMENTS)
@example([b""])
@example([b"", b"", b""])
@example([b"\xff0"])
@example([b"\x1b0", "\u202ef".encode()])
@example([bytes(range(1, 128)), bytes(range(128, 256))])
def test_bash_reads_the_same_bytes_back(arguments: list[bytes]) -> None:
    assert read_back(quoted(arguments)) == arguments


@settings(max_examples=60)
@given(ARGUMENTS)
def test_the_locale_of_the_shell_does_not_matter(arguments: list[bytes]) -> None:
    assert read_back(quoted(arguments), locale="C") == arguments


@settings(max_examples=60)
@given(st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20), min_size=1, max_size=6))
def test_plain_text_needs_no_more_than_a_posix_shell(arguments: list[str]) -> None:
    raw = [argument.encode() for argument in arguments]
    line = quoted(raw)
    assert line == shlex.join(arguments)
    assert read_back(line, shell="sh") == raw


@settings(max_examples=300)
@given(ARGUMENTS, st.integers(0, 100))
def test_the_line_has_no_control_characters(arguments: list[bytes], missing: int) -> None:
    raw = join(arguments)
    line = argv.quote(raw, len(raw) + missing)
    assert not CONTROLS.search(line)
    assert not set(line) & set(BIDI_MARKS)
    line.encode("utf-8")  # no lone surrogates either


@pytest.mark.parametrize("mark", BIDI_MARKS, ids=lambda mark: f"U+{ord(mark):04X}")
def test_marks_that_change_the_reading_direction_are_escaped(mark: str) -> None:
    line = quoted([f"a{mark}b".encode()])
    assert line == "$'a" + "".join(f"\\x{byte:02x}" for byte in mark.encode()) + "b'"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([b"/bin/ls", b"-l"], "/bin/ls -l"),
        ([b"echo", b""], "echo ''"),
        ([b"echo", b"a b"], "echo 'a b'"),
        ([b"echo", b"it's"], "echo 'it'\"'\"'s'"),
        ([b"echo", b"a\nb\tc\r"], "echo $'a\\nb\\tc\\r'"),
        ([b"echo", b"\x1b[1m'\\"], "echo $'\\x1b[1m\\'\\\\'"),
        ([b"echo", b"\xff\xc3\xa9"], "echo $'\\xffé'"),
        ([b"echo", "é".encode()], "echo 'é'"),
    ],
)
def test_what_people_see(arguments: list[bytes], line: str) -> None:
    assert quoted(arguments) == line


def test_no_arguments_are_an_empty_line() -> None:
    assert argv.split(b"") == []
    assert argv.quote(b"", 0) == ""


@given(ARGUMENTS)
def test_split_undoes_what_the_kernel_did(arguments: list[bytes]) -> None:
    assert argv.split(join(arguments)) == arguments


def test_a_cut_line_says_how_much_is_missing() -> None:
    assert argv.quote(b"/bin/echo\0ab", 20) == "/bin/echo ab …[8 bytes cut]"
    assert argv.quote(b"/bin/echo\0ab\0", 14) == "/bin/echo ab …[1 bytes cut]"


def test_a_line_of_which_nothing_was_kept_says_so() -> None:
    assert argv.quote(b"", 70000).strip() == "…[70000 bytes cut]"


def test_a_cut_inside_a_character_stays_printable() -> None:
    assert argv.quote("é".encode()[:1], 3) == "$'\\xc3' …[2 bytes cut]"


def test_an_argument_can_not_look_like_a_cut_one() -> None:
    assert quoted([b"rm", "…[5 bytes cut]".encode()]) == "rm '…[5 bytes cut]'"
