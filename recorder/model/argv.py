"""argv as bytes from the kernel -> one printable line that a shell would read back as the same arguments."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from .bounded import MIB, Remembered

# C0 and C1 controls, and the marks that turn the reading direction: what a terminal would act on instead of showing.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")

LONGEST = 2 << 20
"""Bytes that are taken apart at most: of one exec, no more is recorded. A damaged file can hold more."""

_REMEMBERED = 512  # bytes
_MOST_GROWTH, _QUOTES = 5, 4  # a ' becomes '"'"'; around it $'' and a space
_SHARE, _ALWAYS = 2, 1024  # of a line: bytes for each of argv, and bytes besides


def split(argv: bytes) -> list[bytes]:
    """The arguments. The kernel ends each with a NUL; a cut argv may lack the last one."""
    if not argv:
        return []
    return argv.removesuffix(b"\0").split(b"\0")


def quote(argv: bytes, argv_bytes: int) -> str:
    """The arguments quoted for a POSIX shell, with $'...' where bytes are no text; says so where argv was cut.

    Quoting can take five times the bytes. A line has at most twice as many as argv, and 1,024: what doesn't go into it
    is left out at its end, which says for how many bytes of argv it stands. An ellipsis outside of quotes is webpf's:
    an argument with one is quoted.
    """
    # The same short lines come again and again.
    line = _lines[argv] if len(argv) <= _REMEMBERED else _quote(argv)
    missing = argv_bytes - len(argv)
    return f"{line} …[{missing} bytes cut]" if missing > 0 else line


def word(text: str) -> str:
    """One word of a command line that is to be pasted; the shell reads it back, whatever bytes it has."""
    return _quote_one(os.fsencode(text))


def file_word(path: Path) -> str:
    """A file's name for a command line that is to be pasted: the shell reads it back, and no program as an option."""
    name = os.fsencode(path)
    return _quote_one(b"./" + name if name.startswith(b"-") else name)


def _quote(argv: bytes) -> str:
    arguments = split(argv)
    words = list(map(_quote_one, arguments))
    line = " ".join(words)
    room = _SHARE * len(argv) + _ALWAYS
    return line if _size(line) <= room else _beginning_of(arguments, words, len(argv), room)


def _beginning_of(arguments: list[bytes], words: list[str], left: int, room: int) -> str:
    """As much as has room in so many bytes of UTF-8, and how much of the `left` bytes of argv isn't shown.

    words: the arguments, quoted.
    """
    room -= len(f"…[{left} bytes not shown]".encode())
    shown: list[str] = []
    for argument, word in zip(arguments, words, strict=True):
        size = _size(word) + 1
        if size > room:
            some = _beginning(argument, (room - _QUOTES) // _MOST_GROWTH)
            shown.append(_quote_one(some) if some else "")
            left -= len(some)
            break
        shown.append(word)
        room -= size
        left -= len(argument) + 1
    return f"{' '.join(shown)}…[{left} bytes not shown]"


def _beginning(argument: bytes, size: int) -> bytes:
    """Fewer bytes of an argument, at most so many, and no part of a character, if it is UTF-8."""
    size = max(size, 0)
    character = next((at for at in range(size, max(size - 4, 0), -1) if argument[at] & 0xC0 != 0x80), size)
    return argument[:character]


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


_lines = Remembered(_quote, 4 * MIB)


# Within $'...': what UNPRINTABLE finds, byte by byte, and what a shell takes for more than itself.
_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\", "'": "\\'"}


def _quote_one(argument: bytes) -> str:
    text = argument.decode("utf-8", "surrogateescape")
    if not UNPRINTABLE.search(text):
        return shlex.quote(text)
    return "$'" + text.translate(_IN_QUOTES) + "'"


def _in_quotes() -> dict[int, str]:
    """By code point, what stands for it; of the surrogates those that stand for a byte that is no UTF-8."""
    escapes = {ord(character): escape for character, escape in _ESCAPES.items()}
    for number in (*range(0xA0), *range(0x600, 0x700), *range(0x2000, 0x2070), *range(0xDC80, 0xDD00), 0xFEFF):
        if number not in escapes and UNPRINTABLE.match(chr(number)):
            raw = chr(number).encode("utf-8", "surrogateescape")
            escapes[number] = "".join(f"\\x{byte:02x}" for byte in raw)
    return escapes


_IN_QUOTES = _in_quotes()
