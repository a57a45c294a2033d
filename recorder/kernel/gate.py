"""Whether the BPF programs report events, and by which clock offset: struct gate in bpf/process.c."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ..host import clock

if TYPE_CHECKING:
    from .loader import LoadedPrograms

_OPEN, _FREES_ONLY = 1, 2
_GATE = struct.Struct("=5Q")
_FIRST = struct.pack("=I", 0)  # the key of an array with one entry
_NOT_YET = 2**64 - 1


class Gate:
    """Opens at once. started_ns: Unix ns when the recording began, by the offset in use."""

    def __init__(self, programs: LoadedPrograms, clock_offset: int) -> None:
        self._programs = programs
        self._state = _OPEN
        self._opened = _NOT_YET
        self._clock = 0  # number of the offset in use
        self._offsets = [clock_offset, 0]
        self._write()
        # Read after the gate is open: else a recording would seem to cover a time in which it can miss processes.
        self._opened = clock.boot_ns()
        self._write()

    @property
    def started_ns(self) -> int:
        return self._opened + self._offsets[self._clock]

    def let_frees_through(self) -> None:
        """Makes the BPF programs report only frees from now on."""
        self._state = _FREES_ONLY
        self._write()

    def move_offset(self, by_ns: int) -> None:
        """Moves the clock offset, with one write: an event has the one before, or the new one."""
        other = 1 - self._clock
        self._offsets[other] = self._offsets[self._clock] + by_ns
        self._write()
        self._clock = other
        self._write()

    def _write(self) -> None:
        offsets = (offset % 2**64 for offset in self._offsets)
        value = _GATE.pack(self._state, self._opened, self._clock, *offsets)
        self._programs.set_value("gate", _FIRST, value)
