"""argv as bytes from the kernel -> one printable line that a shell would read back as the same arguments."""

from __future__ import annotations

import os
import re
import shlex
from functools import lru_cache
from pathlib import Path

# C0 and C1 controls, and the marks that turn the reading direction: what a terminal would act on instead of showing.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")

LONGEST = 2 << 20
"""Bytes that are taken apart at most: of one exec, no more is recorded. A damaged file can hold more."""

_REMEMBERED = 512  # bytes


def split(argv: bytes) -> list[bytes]:
    """The arguments. The kernel ends each with a NUL; a cut argv may lack the last one."""
    if not argv:
        return []
    return argv.removesuffix(b"\0").split(b"\0")


def quote(argv: bytes, argv_bytes: int) -> str:
    """The arguments quoted for a POSIX shell, with $'...' where bytes are no text; says so where argv was cut."""
    # The same short lines come again and again. Long ones aren't remembered: they could fill the memory.
    return _quote_remembered(argv, argv_bytes) if len(argv) <= _REMEMBERED else _quote(argv, argv_bytes)


def file_word(path: Path) -> str:
    """A file's name for a command line that is to be pasted: the shell reads it back, and no program as an option."""
    name = os.fsencode(path)
    return _quote_one(b"./" + name if name.startswith(b"-") else name)


def _quote(argv: bytes, argv_bytes: int) -> str:
    line = " ".join(_quote_one(argument) for argument in split(argv))
    missing = argv_bytes - len(argv)
    return f"{line} …[{missing} bytes cut]" if missing > 0 else line


_quote_remembered = lru_cache(maxsize=8192)(_quote)


def _quote_one(argument: bytes) -> str:
    text = argument.decode("utf-8", "surrogateescape")
    if not UNPRINTABLE.search(text):
        return shlex.quote(text)
    return "$'" + UNPRINTABLE.sub(_escape, text.replace("\\", "\\\\").replace("'", "\\'")) + "'"


def _escape(match: re.Match[str]) -> str:
    raw = match[0].encode("utf-8", "surrogateescape")
    return {b"\n": "\\n", b"\t": "\\t", b"\r": "\\r"}.get(raw) or "".join(f"\\x{byte:02x}" for byte in raw)
