"""Records in the ring buffer, as bpf/process.c writes them -> events. The hot path: most of a recorder's time is here.

A record is a header of 8 bytes (length and page offset, see kernel/bpf/ringbuf.c) and
`struct fact`, always of one size; behind an exec's fact come its file name and argv. So a run of records without an
exec is decoded by one struct.iter_unpack over the mapped buffer itself, with no copy and no call for each.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from .events import PF_KTHREAD, Event, Exec, Exit, Fork, Free, text

_FACT = struct.Struct("=I4x6Q8I16s")  # the header's length, then struct fact
_EXEC_TAIL = struct.Struct("=IiI4x")  # struct exec_fact behind its head
_FACT_LENGTH = _FACT.size - 8  # a header's length doesn't count the header
_BUSY = 1 << 31  # BPF_RINGBUF_BUSY_BIT: reserved, not submitted yet
_EXIT, _FREE = 2, 3  # of the enum in bpf/process.c

_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
_KNOWN_NAMES = 65536


class Decoder:
    """Turns ring-buffer memory into events. It remembers names, for most processes share a few."""

    def __init__(self, clock_offset: int) -> None:
        self._offset = clock_offset
        self._name = lru_cache(maxsize=_KNOWN_NAMES)(text)

    def decode(self, memory: memoryview, start: int, end: int, out: list[Event]) -> int:
        """Appends the events of the records in memory[start:end]; returns where the first undecoded one begins.

        That is `end`, unless a record there is still being written.
        """
        position, offset, size = start, self._offset, _FACT.size
        new: Callable[..., Any] = tuple.__new__  # what Fork(...) does, without the call in between
        append, name_of = out.append, self._name
        # fmt: off
        while end - position >= size:
            run = memory[position : position + (end - position) // size * size]
            for (length, time, born, parent_born, cgroup, cpu, rss, kind, pid, ppid, uid, euid, status, flags,
                 args_total, comm) in _FACT.iter_unpack(run):  # noqa: B007
                if length != _FACT_LENGTH:
                    break
                position += size
                if kind == _FREE:
                    append(new(Free, (time + offset, pid, born + offset, status, cpu)))
                elif kind == _EXIT:
                    append(new(Exit, (time + offset, pid, born + offset, ppid, name_of(comm), status, rss * _PAGE_KIB)))
                else:
                    append(new(Fork, (time + offset, pid, born + offset, ppid, parent_born + offset, name_of(comm), uid,
                                      euid, cgroup, 1 if flags & PF_KTHREAD else 0)))
            else:
                continue
            if length & _BUSY:
                break
            filename, argv = self._program(memory, position + size, args_total)
            append(new(Exec, (time + offset, pid, born + offset, name_of(comm), uid, euid, cgroup, rss * _PAGE_KIB,
                              filename, argv, args_total)))
            position += (length + 8 + 7) & ~7
        # fmt: on
        return position

    def _program(self, memory: memoryview, tail_at: int, args_total: int) -> tuple[str, bytes | None]:
        """File name and argv of an exec, whose tail begins at tail_at."""
        name_room, name_size, args_size = _EXEC_TAIL.unpack_from(memory, tail_at)
        name_at = tail_at + _EXEC_TAIL.size
        args_at = name_at + name_room
        filename = self._name(bytes(memory[name_at : name_at + name_size]) if name_size > 0 else b"")
        if args_total and not args_size:
            return filename, None
        return filename, bytes(memory[args_at : args_at + args_size])


def settled(memory: memoryview, start: int, end: int) -> int:
    """Where the first record that is still being written begins, or `end`. Looks at headers only.

    For processors that may read a record's body before its header: check first, pass a barrier, then decode.
    """
    position = start
    while position < end:
        length = int.from_bytes(memory[position : position + 4], sys.byteorder)
        if length & _BUSY:
            break
        position += (length + 8 + 7) & ~7
    return position
