"""Decodes the ring-buffer records that bpf/process.c writes. A recorder spends most of its time here.

A record is a header of 8 bytes (length and page offset, see kernel/bpf/ringbuf.c) and a `struct event`, which has the
same size for all kinds. After an exec's event follow its file name and argv. So records without an exec between them
are decoded by one struct.iter_unpack over the mapped buffer, without a copy and without a function call for each.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from typing import Any

from ..model.bounded_cache import MIB, BoundedCache
from ..model.events import NUMBERS, Event, Exec, Exit, Fork, Free, decode_escaped, decode_exact

_EVENT_HEAD = struct.Struct("=I4x6Q8I16s")  # the length in the record's header, then struct event
EVENT_HEAD_BYTES = _EVENT_HEAD.size - 8
"""Size of `struct event` in bytes, without the record's header. Compiling bpf/process.c fails if it differs there."""

UNKNOWN = 2**64 - 1
"""In a free event, in place of a number that the kernel doesn't have or that the BPF programs can't know."""

_PAIR = struct.Struct("=2Q")  # the last two numbers of a free event, where others have the name
_BUSY = 1 << 31  # BPF_RINGBUF_BUSY_BIT: the record is reserved, but not submitted yet
_EXIT, _FREE = NUMBERS[Exit], NUMBERS[Free]

_NAMES_BYTES = 4 * MIB


class Decoder:
    """Turns ring-buffer memory into events."""

    def __init__(self) -> None:
        # Most processes have one of a few names and file names, so these are decoded once.
        self._names = BoundedCache(decode_escaped, _NAMES_BYTES)
        self._paths = BoundedCache(decode_exact, _NAMES_BYTES)

    def decode(self, memory: memoryview, start: int, end: int, out: list[Event]) -> int:
        """Appends the events of the records in memory[start:end]; returns the position of the first undecoded record.

        That is `end`, unless a record before it is still being written or continues after `end`. An exec whose event
        head ends before `end` is decoded even if its file name and argv end after it, so that memory must be readable.
        """
        position, size, names = start, _EVENT_HEAD.size, self._names
        new: Callable[..., Any] = tuple.__new__  # as Fork(...) calls it, but with one function call less
        append, unpack_pair, unknown = out.append, _PAIR.unpack, UNKNOWN
        # fmt: off
        while end - position >= size:
            run = memory[position : position + (end - position) // size * size]
            for (length, time, start_ns, parent_start, cgroup, cpu, max_rss, kind, pid, ppid, uid, euid, status,
                 kernel, begun, comm) in _EVENT_HEAD.iter_unpack(run):
                if length != EVENT_HEAD_BYTES:
                    break
                position += size
                if kind == _FREE:  # parent_start, cgroup, max_rss, ppid, uid, euid and kernel are in unions with others
                    write_bytes, run_delay = unpack_pair(comm)
                    if run_delay == unknown or max_rss == unknown or write_bytes == unknown:
                        max_rss, write_bytes, run_delay = _known(max_rss), _known(write_bytes), _known(run_delay)
                    append(new(Free, (time, pid, start_ns, status, cpu, parent_start, cgroup, ppid, uid, euid, kernel,
                                      max_rss, write_bytes, run_delay)))
                elif kind == _EXIT:
                    append(new(Exit, (time, pid, start_ns, ppid, names[comm], status, max_rss, uid, begun)))
                else:
                    append(new(Fork, (time, pid, start_ns, ppid, parent_start, names[comm], uid, euid, cgroup, kernel,
                                      status, begun)))  # a fork has its number of execs where others have the status
            else:
                continue
            if length & _BUSY:
                break
            args_size, args_total, name_room, name_size = cpu, begun, ppid, status  # unions in struct event
            name_at = position + size
            args_at = name_at + name_room
            filename = self._paths[memory[name_at : name_at + name_size].tobytes()]
            argv = memory[args_at : args_at + args_size].tobytes() if args_size or not args_total else None
            append(new(Exec, (time, pid, start_ns, names[comm], uid, euid, cgroup, max_rss, filename, argv, args_total,
                              kernel, parent_start)))
            position += (length + 8 + 7) & ~7
        # fmt: on
        return position


def _known(number: int) -> int | None:
    return None if number == UNKNOWN else number


def find_busy(memory: memoryview, start: int, end: int) -> int:
    """Returns the position of the first record that is still being written, or `end`. Reads only the headers.

    It is needed where a processor may load a record's body before its header: call it, pass a load barrier, and decode
    up to the position that it returned.
    """
    position = start
    while position < end:
        length = int.from_bytes(memory[position : position + 4], sys.byteorder)
        if length & _BUSY:
            break
        position += (length + 8 + 7) & ~7
    return position
