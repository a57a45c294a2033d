"""Decodes the ring-buffer records that bpf/process.c writes. A recorder spends most of its time here.

A record is a header of 8 bytes (length and page offset, see kernel/bpf/ringbuf.c) and a `struct event`, which has the
same size for all kinds. After an exec's event follow more numbers, its file name and argv, and perhaps its interpreter.
So records without an exec between them are decoded by one struct.iter_unpack over the mapped buffer, without a copy and
without a function call for each.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterable
from typing import Any

from ..model.bounded_cache import MIB, BoundedCache
from ..model.environment_lookup import EnvironmentLookup
from ..model.events import NUMBERS, Event, Exec, Exit, Fork, Free, decode_escaped, decode_exact
from ..model.time_shift import shift

_EVENT_HEAD = struct.Struct("=I4x6Q8I16s")  # the length in the record's header, then struct event
EVENT_HEAD_BYTES = _EVENT_HEAD.size - 8
"""Size of `struct event` in bytes, without the record's header. Compiling bpf/process.c fails if it differs there."""

UNKNOWN = 2**64 - 1
"""In a free event, in place of a number that the kernel doesn't have or that the BPF programs can't know."""

# The numbers of a struct exec_event after its head. An inode number is read as a signed one, for SQLite has no others.
_EXEC_TAIL = struct.Struct("=Qq2I")
EXEC_HEAD_BYTES = EVENT_HEAD_BYTES + _EXEC_TAIL.size
"""Size of `struct exec_event` in bytes, without the texts that follow."""

# struct environment: its true length, how many bytes of it were read, and the room for it at the end of the record.
_ENVIRONMENT_HEAD = struct.Struct("=Q2I")
ENVIRONMENT_HEAD_BYTES = _ENVIRONMENT_HEAD.size
"""Size of `struct environment` in bytes. It follows the file name of an exec."""

_INTERPRETER_ROOM = 256  # bytes at the end of an exec's record, if it has an interpreter
_NO_LOGINUID = 2**32 - 1
_SIGN = 2**63

_PAIR = struct.Struct("=2Q")  # the last two numbers of a free event, where others have the name
CLOCK_BIT = 256
"""In the kind of an event that was made with the second of the clock offsets: see struct gate in bpf/process.c."""

_KIND_AT = 56  # in a record, with its header
_U32_BYTES = 4
_BUSY = 1 << 31  # BPF_RINGBUF_BUSY_BIT: the record is reserved, but not submitted yet
_EXIT, _FREE = NUMBERS[Exit], NUMBERS[Free]

_NAMES_BYTES = 4 * MIB
_MAX_SESSIONS = 4096


class Decoder:
    """Turns ring-buffer memory into events. variables: names of the environment variables to keep.

    With variables, the records must be those of BPF programs whose MAX_ENVIRONMENT is not 0, and else those of others.
    """

    def __init__(self, variables: Iterable[str] = ()) -> None:
        # Most processes have one of a few names and file names, so these are decoded once.
        self._names = BoundedCache(decode_escaped, _NAMES_BYTES)
        self._paths = BoundedCache(decode_exact, _NAMES_BYTES)
        self._sessions = _Sessions()
        self._clock = 0
        variables = tuple(variables)
        self._variables = EnvironmentLookup(variables)
        self._rest_of = self._rest_with_environment if variables else self._rest_of_exec

    def decode(self, memory: memoryview, start: int, end: int, out: list[Event]) -> int:
        """Appends the events of the records in memory[start:end]; returns the position of the first undecoded record.

        That is `end`, unless a record before it is still being written or continues after `end`. An exec whose event
        head ends before `end` is decoded even if its file name and argv end after it, so that memory must be readable.
        """
        position, size, names = start, _EVENT_HEAD.size, self._names
        new: Callable[..., Any] = tuple.__new__  # as Fork(...) calls it, but with one function call less
        append, rest_of, unpack_pair, unknown = out.append, self._rest_of, _PAIR.unpack, UNKNOWN
        sessions = self._sessions
        is_exit, is_free = _EXIT | self._clock, _FREE | self._clock
        # fmt: off
        while end - position >= size:
            run = memory[position : position + (end - position) // size * size]
            for (length, time, start_ns, parent_start, cgroup, cpu, max_rss, kind, pid, ppid, uid, euid, status,
                 kernel, begun, comm) in _EVENT_HEAD.iter_unpack(run):
                if length != EVENT_HEAD_BYTES:
                    break
                position += size
                if kind == is_free:  # parent_start, cgroup, max_rss, ppid, uid, euid and kernel are in unions
                    write_bytes, run_delay = unpack_pair(comm)
                    if run_delay == unknown or max_rss == unknown or write_bytes == unknown:
                        max_rss, write_bytes, run_delay = _known(max_rss), _known(write_bytes), _known(run_delay)
                    append(new(Free, (time, pid, start_ns, status, cpu, parent_start, cgroup, ppid, uid, euid, kernel,
                                      max_rss, write_bytes, run_delay)))
                    continue
                sid, loginuid = sessions[cpu]  # unions in struct event: the session, and for a fork ns_pid and execs
                if kind == is_exit:
                    append(new(Exit, (time, pid, start_ns, ppid, names[comm], status, max_rss, uid, begun, sid,
                                      loginuid)))
                else:
                    append(new(Fork, (time, pid, start_ns, ppid, parent_start, names[comm], uid, euid, cgroup, kernel,
                                      sid, loginuid, status, begun, max_rss)))
            else:
                continue
            if length & _BUSY:
                break
            # Unions: ppid is name_room, status is name_size, cpu is args_size, and begun is args_total.
            append(new(Exec, (time, pid, start_ns, names[comm], uid, euid, cgroup, max_rss)  # noqa: RUF005 it is slower
                       + rest_of(memory, position, length, ppid, status, cpu, begun, kernel, parent_start)))
            position += (length + 8 + 7) & ~7
        # fmt: on
        return position

    def switch_clock(self) -> None:
        """From now on, decode() takes records that were made with the other clock offset."""
        self._clock ^= CLOCK_BIT

    def decode_both(self, memory: memoryview, start: int, end: int, out: list[Event], by_ns: int) -> int:
        """As decode(), also for records that were made with the offset before, whose times it moves by by_ns.

        It is slower: each record is looked at alone.
        """
        position = start
        while end - position >= _EVENT_HEAD.size:
            length, kind = (_read_u32(memory, position + at) for at in (0, _KIND_AT))
            if length & _BUSY:
                break
            events: list[Event] = []
            is_old = kind & CLOCK_BIT != self._clock
            if is_old:
                self.switch_clock()
            position = self.decode(memory, position, position + ((length + 8 + 7) & ~7), events)
            if is_old:
                self.switch_clock()
            out += [shift(event, by_ns) for event in events] if is_old else events
        return position

    # fmt: off
    def _rest_of_exec(
        self, memory: memoryview, position: int, length: int, name_room: int, name_size: int, args_size: int,
        args_total: int, cwd_device: int, cwd_inode: int
    ) -> tuple[Any, ...]:
        """Returns the values of the exec whose record begins at this position, from its file name on."""
        session, inode, device, interpreter_size = _EXEC_TAIL.unpack_from(memory, position + _EVENT_HEAD.size)
        name_at = position + 8 + EXEC_HEAD_BYTES
        args_at = name_at + name_room
        filename = self._paths[memory[name_at : name_at + name_size].tobytes()]
        argv = memory[args_at : args_at + args_size].tobytes() if args_size or not args_total else None
        interpreter = None
        if interpreter_size:
            at = position + 8 + length - _INTERPRETER_ROOM
            interpreter = self._paths[memory[at : at + interpreter_size].tobytes()]
        if cwd_inode >= _SIGN:
            cwd_inode -= 2 * _SIGN
        sid, loginuid = self._sessions[session]
        return filename, argv, args_total, cwd_device, cwd_inode, interpreter, device, inode, sid, loginuid, None

    def _rest_with_environment(
        self, memory: memoryview, position: int, length: int, name_room: int, *others: int
    ) -> tuple[Any, ...]:
        """As _rest_of_exec(), for a record with an environment."""
        args_at = position + 8 + EXEC_HEAD_BYTES + name_room
        total, size, room = _ENVIRONMENT_HEAD.unpack_from(memory, args_at - ENVIRONMENT_HEAD_BYTES)
        *values, _ = self._rest_of_exec(memory, position, length - room, name_room, *others)
        begin = position + 8 + length - room
        return *values, self._variables.find(memory[begin : begin + size].tobytes(), total)
    # fmt: on


class _Sessions(dict[int, tuple[int, int | None]]):
    """Session ids and loginuids, by the number in which an event has both. Most events have one of a few."""

    def __missing__(self, session: int) -> tuple[int, int | None]:
        if len(self) >= _MAX_SESSIONS:
            self.clear()
        loginuid = session >> 32
        found = self[session] = session & 0xFFFF_FFFF, None if loginuid == _NO_LOGINUID else loginuid
        return found


def _read_u32(memory: memoryview, at: int) -> int:
    return int.from_bytes(memory[at : at + _U32_BYTES], sys.byteorder)


def _known(number: int) -> int | None:
    return None if number == UNKNOWN else number


def find_busy(memory: memoryview, start: int, end: int) -> int:
    """Returns the position of the first record that is still being written, or `end`. Reads only the headers.

    It is needed where a processor may load a record's body before its header: call it, pass a load barrier, and decode
    up to the position that it returned.
    """
    position = start
    while position < end:
        length = _read_u32(memory, position)
        if length & _BUSY:
            break
        position += (length + 8 + 7) & ~7
    return position
