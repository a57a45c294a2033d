"""Quotes an argv from the kernel as one printable line, which a shell would read back as the same arguments."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from .bounded_cache import MIB, BoundedCache

# What a terminal would act on instead of showing: C0 and C1 controls, and marks that change the reading direction.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")

MAX_ARGV_BYTES = 2 << 20
"""Longest argv in bytes that is split: the kernel side writes no longer one, but a damaged file can have it."""

_MAX_CACHED_BYTES = 512
_HARMLESS = re.compile(rb"[\w@%+=:,./-]+(?:\0[\w@%+=:,./-]+)*\0?")  # arguments that shlex.quote() doesn't change
_MAX_GROWTH, _QUOTES = 5, 4  # a ' becomes '"'"'; around a word are $'' and a space
_FACTOR, _EXTRA = 2, 1024  # a line has at most _FACTOR bytes for each byte of argv, and _EXTRA more


def split(argv: bytes) -> list[bytes]:
    """Returns the arguments. The kernel ends each with a NUL, but the last one may be missing in a cut argv."""
    if not argv:
        return []
    return argv.removesuffix(b"\0").split(b"\0")


def quote(argv: bytes, argv_bytes: int, is_cached: bool = True) -> str:
    """Returns the arguments quoted for a POSIX shell, with $'...' for bytes that are not printable text.

    argv_bytes: the true length; if it is more than len(argv), the line ends with a note that says how much was cut.
    Quoting can make text five times as long. A line is at most twice as long as argv, plus 1,024 bytes; if the rest of
    argv doesn't fit, a note at the end says how many bytes of it are not shown. Both notes begin with an ellipsis
    outside of quotes; an argument with an ellipsis is quoted, so it can't look like a note.
    is_cached: keep the result in a cache, for callers that quote the same arguments many times.
    """
    line = _lines[argv] if is_cached and len(argv) <= _MAX_CACHED_BYTES else _quote(argv)
    missing = argv_bytes - len(argv)
    return f"{line} …[{missing} bytes cut]" if missing > 0 else line


def word(text: str) -> str:
    """Quotes a word for a command line that the user can paste. It may have any bytes (surrogateescape)."""
    return _quote_one(os.fsencode(text))


def file_word(path: Path) -> str:
    """Quotes a path for a command line that the user can paste, so that no program takes it as an option."""
    name = os.fsencode(path)
    return _quote_one(b"./" + name if name.startswith(b"-") else name)


def _quote(argv: bytes) -> str:
    if _HARMLESS.fullmatch(argv):  # most command lines: this takes a tenth of the time
        return argv.removesuffix(b"\0").replace(b"\0", b" ").decode()
    arguments = split(argv)
    words = list(map(_quote_one, arguments))
    line = " ".join(words)
    max_bytes = _FACTOR * len(argv) + _EXTRA
    return line if _size(line) <= max_bytes else _shortened(arguments, words, len(argv), max_bytes)


def _shortened(arguments: list[bytes], words: list[str], left: int, room: int) -> str:
    """Returns as many words as fit into `room` bytes of UTF-8, and a note about the bytes of argv that are not shown.

    words: the arguments, quoted. left: bytes of argv.
    """
    room -= len(f"…[{left} bytes not shown]".encode())
    shown: list[str] = []
    for argument, word in zip(arguments, words, strict=True):
        size = _size(word) + 1
        if size > room:
            beginning = _beginning(argument, (room - _QUOTES) // _MAX_GROWTH)
            shown.append(_quote_one(beginning) if beginning else "")
            left -= len(beginning)
            break
        shown.append(word)
        room -= size
        left -= len(argument) + 1
    return f"{' '.join(shown)}…[{left} bytes not shown]"


def _beginning(argument: bytes, size: int) -> bytes:
    """Returns at most `size` bytes of a longer argument. In UTF-8 it cuts between characters."""
    size = max(size, 0)
    end = next((end for end in range(size, max(size - 4, 0), -1) if argument[end] & 0xC0 != 0x80), size)
    return argument[:end]


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


_lines = BoundedCache(_quote, 4 * MIB)


# Within $'...', these and all bytes of what UNPRINTABLE matches are escaped.
_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\", "'": "\\'"}


def _quote_one(argument: bytes) -> str:
    text = argument.decode("utf-8", "surrogateescape")
    if not UNPRINTABLE.search(text):
        return shlex.quote(text)
    return "$'" + text.translate(_IN_QUOTES) + "'"


def _in_quotes() -> dict[int, str]:
    """Returns the escapes within $'...' by code point, also for surrogates, which stand for bytes that aren't UTF-8."""
    escapes = {ord(character): escape for character, escape in _ESCAPES.items()}
    for number in (*range(0xA0), *range(0x600, 0x700), *range(0x2000, 0x2070), *range(0xDC80, 0xDD00), 0xFEFF):
        if number not in escapes and UNPRINTABLE.match(chr(number)):
            raw = chr(number).encode("utf-8", "surrogateescape")
            escapes[number] = "".join(f"\\x{byte:02x}" for byte in raw)
    return escapes


_IN_QUOTES = _in_quotes()
