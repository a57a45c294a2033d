"""Attaches the BPF programs of bpf/process.c, and reads their events and counts."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from operator import add, sub
from pathlib import Path

from ..errors import Unavailable
from ..log import get_logger
from ..model import environment
from ..model.event_source import Counts
from ..model.events import KERNEL_KINDS, NUMBERS, Event
from . import bpf_source, decoder
from .filters import Filters
from .gate import Gate
from .preflight import kernel_version
from .program_options import ProgramOptions, load_programs
from .ring_buffer import RingBuffer

_log = get_logger(__name__)

_MIB = 1024 * 1024
_U32 = struct.Struct("=I")
_FIRST = _U32.pack(0)  # the key of an array with one entry
_MAX_DELAY_NS = 1_000_000_000  # an event is written less than this after its time


class Probe:
    """The attached BPF programs and their ring buffer. A Source of the kernel's events from started_ns (Unix ns) on.

    clock_offset: ns from boot time to Unix time. buffer_mib: size of the ring buffer in MiB, a power of two. max_args:
    bytes of argv that are kept of one exec. interruptible: whether a task can interrupt a BPF program, so that each
    needs a second one; by default since Linux 7.0. follows: report only the pids passed to follow(), the children
    of the pid passed to follow_children(), and the descendants of both. filters: report only processes that match,
    and the pids passed to follow().
    program: file with the compiled BPF programs; default: see program_source.find(). variables: names of the
    environment variables to keep of each exec; max_environment: bytes of an environment that are read for them.
    Raises Unavailable if the BPF programs can't be compiled, loaded or attached, and DataError or NotFound for a
    program that can't be used.
    """

    def __init__(
        self,
        clock_offset: int,
        buffer_mib: int = 16,
        max_args: int = 32768,
        interruptible: bool | None = None,
        follows: bool = False,
        filters: Filters | None = None,
        program: Path | None = None,
        variables: Sequence[str] = (),
        max_environment: int = environment.MAX_BYTES,
    ) -> None:
        if interruptible is None:
            interruptible = kernel_version() >= (7, 0, 0)
        max_environment = max_environment if variables else 0
        filters = filters or Filters()
        options = ProgramOptions(buffer_mib * _MIB, max_args, interruptible, follows, filters, max_environment)
        self._decoder = decoder.Decoder(variables)
        self._switched_at: int | None = None  # position in the ring up to which records may have the offset before
        self._shift_ns = 0  # how far the offset in use is ahead of that one
        self._programs, compiled = load_programs(program, options)
        self.bcc_version = compiled.bcc_version
        try:
            self._ring = RingBuffer(self._programs.map_descriptor("ring"), buffer_mib * _MIB)
            self._programs.attach()
        except OSError as error:
            self._programs.close()
            message = f"the ring buffer can't be mapped: {error.strerror}"
            raise Unavailable(message, "webpf record --buffer-mib 1") from None
        except BaseException:
            self._programs.close()
            raise
        _log.info("a ring buffer of %d MiB is mapped, %d bytes of arguments are kept of an exec", buffer_mib, max_args)
        self._closed = self._is_detached = False
        self._skipped_before = self._skipped(self._cells()[2])
        self._skipped_at_stop: list[int] | None = None
        self._gate = Gate(self._programs, clock_offset)
        # Events before started_ns belong to no recording: their processes are in the snapshot, or have ended.
        self._early = [0] * len(KERNEL_KINDS)
        self._may_be_early = True

    @property
    def started_ns(self) -> int:
        """Unix ns when the recording began."""
        return self._gate.started_ns

    def follow_children(self, pid: int) -> None:
        """Follows the processes that this one starts from now on, and their descendants; 0: no more of them."""
        self._programs.set_value("parent_to_follow", _FIRST, _U32.pack(pid))

    def follow(self, pid: int) -> None:
        """Follows this process until it ends; without filters, the processes that it starts from now on too."""
        self._programs.set_value("followed_pids", _U32.pack(pid), b"\1")

    def unfollow(self, pid: int) -> None:
        """Undoes follow(). It has no effect if an event of the process was reported since."""
        self._programs.remove_key("followed_pids", _U32.pack(pid))

    def wake_on(self, descriptor: int) -> None:
        """Makes wait() return early also when this descriptor (a pidfd, for instance) becomes readable."""
        self._ring.wake_on(descriptor)

    def wait(self, seconds: float) -> None:
        self._ring.wait(seconds)

    def drain(self) -> list[Event]:
        while True:
            events: list[Event] = []
            self._drain_ring(events)
            kept = self._without_early(events) if self._may_be_early else events
            if kept or not self.has_more():
                return kept

    def _drain_ring(self, events: list[Event]) -> None:
        decoder, ring, until, by_ns = self._decoder, self._ring, self._switched_at, self._shift_ns
        if until is not None:
            ring.drain(lambda memory, start, end: decoder.decode_both(memory, start, end, events, by_ns), until)
            if ring.read_position < until:
                return
            self._switched_at = None
        ring.drain(lambda memory, start, end: decoder.decode(memory, start, end, events))

    def has_more(self) -> bool:
        return self._ring.has_more()

    def shift_clock(self, by_ns: int) -> bool:
        if self._switched_at is not None and self._ring.read_position < self._switched_at:
            return False  # there may still be records with the offset that would be replaced now
        self._gate.move_offset(by_ns)
        self._decoder.switch_clock()
        # Later records get their space after the switch, and so have the new offset: see fill_head() in bpf/process.c.
        self._shift_ns, self._switched_at = by_ns, self._ring.write_position
        return True

    def _without_early(self, events: list[Event]) -> list[Event]:
        """Returns the events from started_ns on. It counts the others, for counts() to leave out."""
        started_ns = self.started_ns
        for event in events:
            if event.time_ns < started_ns:
                self._early[NUMBERS[type(event)]] += 1
            elif event.time_ns > started_ns + _MAX_DELAY_NS:
                self._may_be_early = False
        return [event for event in events if event.time_ns >= started_ns]

    def counts(self) -> Counts:
        attempted, lost, rescued = self._cells()
        skipped_now = self._skipped_at_stop or self._skipped(rescued)
        skipped = [max(0, now - before) for now, before in zip(skipped_now, self._skipped_before, strict=True)]
        reported = map(sub, attempted, self._early)
        return Counts(tuple(map(add, reported, skipped)), tuple(map(add, lost, skipped)))

    def _cells(self) -> list[list[int]]:
        """Returns three lists by kind: events attempted, lost, and rescued (see `counts` in bpf/process.c)."""
        kinds = len(KERNEL_KINDS)
        totals = [self._programs.sum_of_cpus("counts", _U32.pack(slot)) for slot in range(3 * kinds)]
        return [totals[first : first + kinds] for first in range(0, len(totals), kinds)]

    def _skipped(self, rescued: list[int]) -> list[int]:
        """Returns by kind how often the kernel skipped a BPF program and no second one replaced it (see bpf/process.c).

        The kernel counts this since 5.12. Some of it may be events of threads, which webpf doesn't record: the count
        can't tell.
        """
        return list(map(sub, map(self._programs.misses, bpf_source.FIRST_PROGRAMS), rescued))

    def stop_intake(self) -> None:
        """Makes the BPF programs report only frees from now on."""
        self._skipped_at_stop = self._skipped(self._cells()[2])
        self._gate.let_frees_through()

    def hand_over(self, hold: Callable[[int], int]) -> None:
        """Closes the descriptors of the BPF programs, which stay attached: see LoadedPrograms.hand_over()."""
        self._programs.hand_over(hold)

    def detach(self) -> None:
        """Detaches the BPF programs. The events in the ring buffer can still be drained."""
        if self._is_detached:
            return
        self._is_detached = True
        self._programs.detach()
        _log.info("detached from the tracepoints")

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.detach()
            self._ring.close()
            self._programs.close()
