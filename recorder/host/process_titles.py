"""Reads the arguments of a process from /proc, without the NULs that pad a process title.

A process may write a title over the memory of its arguments (setproctitle(3), nginx, sendmail, PostgreSQL). Most fill
the rest of that memory with NULs, and each of these looks like the end of an empty argument. To tell real empty
arguments from padding, this module reads what the kernel put on the process's stack at its exec: the number of
arguments and the address of each.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

_STACK, _ARG_START, _ARG_END = 25, 45, 46  # fields of /proc/PID/stat after the name: numbers in proc(5) less 3
_MAX_ARGUMENTS = 1 << 20
MOST_BYTES = 6 << 20
"""Maximum of the arguments and the environment of an exec: 3/4 of _STK_LIM (fs/exec.c).

A process can make its arguments longer with PR_SET_MM_MAP: as long as its memory.
"""
_NULS = re.compile(rb"\0+")
_CERTAINLY_PADDING = b"\0\0\0\0"


class Layout(NamedTuple):
    """How many arguments a process had at its exec. starts: their offsets; empty if the pointers were changed."""

    arguments: int
    starts: Sequence[int] = ()


def read_argv(folder: Path) -> bytes:
    """Returns the arguments of a process, each ended by a NUL. A title that the process wrote is one argument.

    If the arguments are longer than MOST_BYTES, only the first MOST_BYTES are read.
    folder: of the process in /proc. Raises FileNotFoundError or ProcessLookupError if the process has ended.
    """
    with (folder / "cmdline").open("rb") as file:
        shown = file.read(MOST_BYTES)
    if b"\0\0" not in shown:
        return shown  # it has no empty argument and no padding
    return without_padding(shown, _read_layout(folder, len(shown)))


def without_padding(shown: bytes, layout: Layout | None) -> bytes:
    """Returns the arguments in a /proc/PID/cmdline.

    layout: of the arguments at the exec; None if unknown. Then four NULs at the end are padding, and fewer are not.
    """
    if layout is None:
        return shown.rstrip(b"\0") + b"\0" if shown.endswith(_CERTAINLY_PADDING) else shown
    ends = [*layout.starts[1:], len(shown)]
    if not layout.starts or any(shown[end - 1] for end in ends):
        # Either a title extends over several arguments, or the pointers are lost. Without pointers, the arguments are
        # unchanged if the number of NULs is right.
        is_unchanged = not layout.starts and shown.count(0) == layout.arguments
        return shown if is_unchanged else _ended(_NULS.sub(b"\0", shown))
    arguments = [shown[start : end - 1] for start, end in zip(layout.starts, ends, strict=True)]
    if not any(0 in argument for argument in arguments):
        return shown
    return _ended(b"\0".join(argument.partition(b"\0")[0] for argument in arguments))


def _ended(arguments: bytes) -> bytes:
    kept = arguments.rstrip(b"\0")
    return kept + b"\0" if kept else b""


def _read_layout(folder: Path, size: int) -> Layout | None:
    """Returns None if this user may not read it, or if the process moved its arguments. size: bytes of cmdline."""
    fields = (folder / "stat").read_bytes().rpartition(b") ")[2].split()
    stack, first, end = (int(fields[number]) for number in (_STACK, _ARG_START, _ARG_END))
    if not stack or end - first != size:
        return None
    try:
        memory = os.open(folder / "mem", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # A 32-bit program has words of 4 bytes. Read as 8 bytes, its count has a pointer in the upper half, so it is
        # too large.
        return _layout_of_words(memory, "Q", stack, first, end) or _layout_of_words(memory, "I", stack, first, end)
    except OSError:
        return None
    finally:
        os.close(memory)


def _layout_of_words(memory: int, word: str, stack: int, first: int, end: int) -> Layout | None:
    size = struct.calcsize(f"={word}")
    (count,) = struct.unpack(f"={word}", os.pread(memory, size, stack).ljust(size, b"\xff"))
    if not 0 < count <= min(_MAX_ARGUMENTS, end - first):
        return None
    raw = os.pread(memory, count * size, stack + size)
    pointers = struct.unpack(f"={len(raw) // size}{word}", raw[: len(raw) // size * size])
    is_untouched = len(pointers) == count and pointers[0] == first and pointers[-1] < end
    if is_untouched and all(a < b for a, b in pairwise(pointers)):
        return Layout(count, [pointer - first for pointer in pointers])
    return Layout(count)
