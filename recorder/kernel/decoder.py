"""Records in the ring buffer, as bpf/process.c writes them -> events. The hot path: most of a recorder's time is here.

A record is a header of 8 bytes (length and page offset, see kernel/bpf/ringbuf.c) and
`struct fact`, always of one size; behind an exec's fact come its file name and argv. So a run of records without an
exec is decoded by one struct.iter_unpack over the mapped buffer itself, with no copy and no call for each.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from typing import Any

from ..model.bounded import MIB, Remembered
from ..model.events import NUMBERS, Event, Exec, Exit, Fork, Free, exact, text

_FACT = struct.Struct("=I4x6Q8I16s")  # the header's length, then struct fact
HEAD_BYTES = _FACT.size - 8
"""Size of `struct fact`; bpf/process.c is compiled only if it agrees. A header's length doesn't count the header."""

_BUSY = 1 << 31  # BPF_RINGBUF_BUSY_BIT: reserved, not submitted yet
_EXIT, _FREE = NUMBERS[Exit], NUMBERS[Free]

_NAMES_BYTES = 4 * MIB


class Decoder:
    """Turns ring-buffer memory into events."""

    def __init__(self) -> None:
        # Names are remembered, for most processes share a few; and so are file names.
        self._names = Remembered(text, _NAMES_BYTES)
        self._paths = Remembered(exact, _NAMES_BYTES)

    def decode(self, memory: memoryview, start: int, end: int, out: list[Event]) -> int:
        """Appends the events of the records in memory[start:end]; returns where the first undecoded one begins.

        That is `end`, unless a record there is still being written, or goes on behind `end`. An exec of which only the
        head is before `end` may be decoded, so what is behind `end` must be there where a record goes on.
        """
        position, size, names = start, _FACT.size, self._names
        new: Callable[..., Any] = tuple.__new__  # what Fork(...) does, without the call in between
        append = out.append
        # fmt: off
        while end - position >= size:
            run = memory[position : position + (end - position) // size * size]
            for (length, time, born, parent_born, cgroup, cpu, max_rss, kind, pid, ppid, uid, euid, status,
                 kernel, begun, comm) in _FACT.iter_unpack(run):
                if length != HEAD_BYTES:
                    break
                position += size
                if kind == _FREE:
                    append(new(Free, (time, pid, born, status, cpu)))
                elif kind == _EXIT:
                    append(new(Exit, (time, pid, born, ppid, names[comm], status, max_rss, uid, begun)))
                else:
                    append(new(Fork, (time, pid, born, ppid, parent_born, names[comm], uid, euid, cgroup, kernel,
                                      status, begun)))  # what is the status elsewhere is here the number of execs
            else:
                continue
            if length & _BUSY:
                break
            args_size, args_total, name_room, name_size = cpu, begun, ppid, status  # unions in struct fact
            name_at = position + size
            args_at = name_at + name_room
            filename = self._paths[memory[name_at : name_at + name_size].tobytes()]
            argv = memory[args_at : args_at + args_size].tobytes() if args_size or not args_total else None
            append(new(Exec, (time, pid, born, names[comm], uid, euid, cgroup, max_rss, filename, argv, args_total,
                              kernel, parent_born)))
            position += (length + 8 + 7) & ~7
        # fmt: on
        return position


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
