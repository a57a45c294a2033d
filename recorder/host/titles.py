"""Arguments of a process as /proc shows them now, without the NULs that pad a title which it wrote over them.

A process may write over the memory of its arguments (setproctitle(3), nginx, sendmail, PostgreSQL). What is left over
behind the title is mostly filled with NULs, each of which would pass for the end of an empty argument. Which ones are
real is told by what the kernel put on the process's stack when it started: how many arguments, and where each begins.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

_STACK, _ARG_START, _ARG_END = 25, 45, 46  # in /proc/PID/stat, counted from behind the name (proc(5): less 3)
_MOST_ARGUMENTS = 1 << 20
_NULS = re.compile(rb"\0+")
_CERTAINLY_PADDING = b"\0\0\0\0"


class Layout(NamedTuple):
    """Arguments as they were at the exec. starts: offset of each; empty if the process has changed its pointers."""

    arguments: int
    starts: Sequence[int] = ()


def read_argv(folder: Path) -> bytes:
    """The arguments of the process of this folder of /proc, each ended by a NUL; a title that it wrote is one.

    Raises FileNotFoundError or ProcessLookupError if it has ended.
    """
    shown = (folder / "cmdline").read_bytes()
    if b"\0\0" not in shown:
        return shown  # no argument is empty, and nothing is padded
    return without_padding(shown, _read_layout(folder, len(shown)))


def without_padding(shown: bytes, layout: Layout | None) -> bytes:
    """What /proc/PID/cmdline shows, as arguments. layout: None if it isn't known; then many NULs are padding."""
    if layout is None:
        return shown.rstrip(b"\0") + b"\0" if shown.endswith(_CERTAINLY_PADDING) else shown
    ends = [*layout.starts[1:], len(shown)]
    if not layout.starts or any(shown[end - 1] for end in ends):
        # A title across the borders of arguments; or the pointers are gone, then the number of NULs must do.
        is_whole = not layout.starts and shown.count(0) == layout.arguments
        return shown if is_whole else _ended(_NULS.sub(b"\0", shown))
    arguments = [shown[start : end - 1] for start, end in zip(layout.starts, ends, strict=True)]
    if not any(0 in argument for argument in arguments):
        return shown
    return _ended(b"\0".join(argument.partition(b"\0")[0] for argument in arguments))


def _ended(arguments: bytes) -> bytes:
    kept = arguments.rstrip(b"\0")
    return kept + b"\0" if kept else b""


def _read_layout(folder: Path, size: int) -> Layout | None:
    """None if this user may not know it, or the process has moved its arguments. size: bytes of cmdline."""
    fields = (folder / "stat").read_bytes().rpartition(b") ")[2].split()
    stack, first, end = (int(fields[number]) for number in (_STACK, _ARG_START, _ARG_END))
    if not stack or end - first != size:
        return None
    try:
        memory = os.open(folder / "mem", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # A program of 32 bits has smaller words; the count is then followed by a pointer in the upper half.
        return _layout_of_words(memory, "Q", stack, first, end) or _layout_of_words(memory, "I", stack, first, end)
    except OSError:
        return None
    finally:
        os.close(memory)


def _layout_of_words(memory: int, word: str, stack: int, first: int, end: int) -> Layout | None:
    size = struct.calcsize(f"={word}")
    (count,) = struct.unpack(f"={word}", os.pread(memory, size, stack).ljust(size, b"\xff"))
    if not 0 < count <= min(_MOST_ARGUMENTS, end - first):
        return None
    raw = os.pread(memory, count * size, stack + size)
    pointers = struct.unpack(f"={len(raw) // size}{word}", raw[: len(raw) // size * size])
    is_untouched = len(pointers) == count and pointers[0] == first and pointers[-1] < end
    if is_untouched and all(a < b for a, b in pairwise(pointers)):
        return Layout(count, [pointer - first for pointer in pointers])
    return Layout(count)
