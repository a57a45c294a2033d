"""Attaches the BPF programs of bpf/process.c, and reads their events and counts."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import re
from operator import add, sub
from typing import Any

from ..errors import Unavailable
from ..host import clock, syscalls
from ..log import get_logger, suppressed
from ..model.event_source import Counts
from ..model.events import KERNEL_KINDS, NUMBERS, Event
from . import bcc_loader, btf, compiler, decoder
from .filters import Filters
from .preflight import kernel_version
from .ring_buffer import RingBuffer

_log = get_logger(__name__)

TRACEPOINTS = tuple(str(kind.tracepoint) for kind in KERNEL_KINDS)

_MIB = 1024 * 1024
_GATE_OPEN, _GATE_FREES_ONLY = 1, 2  # bpf/process.c
_MAX_DELAY_NS = 1_000_000_000  # an event is written less than this after its time
_MISSES = re.compile(rb"^recursion_misses:\s*(\d+)$", re.MULTILINE)


class Probe:
    """The attached BPF programs and their ring buffer. A Source of the kernel's events from started_ns (Unix ns) on.

    clock_offset: ns from boot time to Unix time. buffer_mib: size of the ring buffer in MiB, a power of two. max_args:
    bytes of argv that are kept of one exec. interruptible: whether a task can interrupt a BPF program, so that each
    needs a second one; by default since Linux 7.0. follows: report only the pids passed to follow(), the children
    of the pid passed to follow_children(), and the descendants of both. filters: report only processes that match,
    and the pids passed to follow().
    Raises Unavailable if the BPF programs can't be compiled, loaded or attached.
    """

    def __init__(
        self,
        clock_offset: int,
        buffer_mib: int = 16,
        max_args: int = 32768,
        interruptible: bool | None = None,
        follows: bool = False,
        filters: Filters | None = None,
    ) -> None:
        if interruptible is None:
            interruptible = kernel_version() >= (7, 0, 0)
        self._decoder = decoder.Decoder()
        ring_bytes = buffer_mib * _MIB
        macros: dict[str, int | str] = {
            **_machine_macros(),
            **{kind.macro: number for number, kind in enumerate(KERNEL_KINDS)},
            "INTERRUPTIBLE": int(interruptible),
            "FOLLOWS": int(follows),
            **(filters or Filters()).macros(),
            "CLOCK_OFFSET": f"{clock_offset}ULL",
            "RING_BYTES": ring_bytes,
            "WAKE_BYTES": max(ring_bytes // 4 // (os.cpu_count() or 1), 4096),
            "MAX_ARGS": max_args,
        }
        self._bpf = compiler.load(macros)
        self._second_links = [_attach_second(self._bpf, tracepoint) for tracepoint in TRACEPOINTS if interruptible]
        try:
            self._ring = RingBuffer(self._bpf[b"ring"].map_fd, ring_bytes)
        except OSError as error:
            self._bpf.cleanup()
            message = f"the ring buffer can't be mapped: {error.strerror}"
            raise Unavailable(message, "webpf record --buffer-mib 1") from None
        _log.info("a ring buffer of %d MiB is mapped, %d bytes of arguments are kept of an exec", buffer_mib, max_args)
        self._closed = self._is_detached = False
        self._gate = self._bpf[b"gate"]
        self._skipped_before = self._skipped(self._cells()[2])
        self._skipped_at_stop: list[int] | None = None
        self._set_gate(_GATE_OPEN)
        # Read after the gate is open: else a recording would seem to cover a time in which it can miss processes.
        self.started_ns = clock.boot_ns() + clock_offset
        # Events before started_ns belong to no recording: their processes are in the snapshot, or have ended.
        self._early = [0] * len(KERNEL_KINDS)
        self._may_be_early = True

    def follow_children(self, pid: int) -> None:
        """Follows the processes that this one starts from now on, and their descendants; 0: no more of them."""
        self._bpf[b"parent_to_follow"][ctypes.c_int(0)] = ctypes.c_uint32(pid)

    def follow(self, pid: int) -> None:
        """Follows this process until it ends; without filters, the processes that it starts from now on too."""
        self._bpf[b"followed_pids"][ctypes.c_uint32(pid)] = ctypes.c_uint8(1)

    def unfollow(self, pid: int) -> None:
        """Undoes follow(). It has no effect if an event of the process was reported since."""
        with contextlib.suppress(KeyError):
            del self._bpf[b"followed_pids"][ctypes.c_uint32(pid)]

    def wake_on(self, descriptor: int) -> None:
        """Makes wait() return early also when this descriptor (a pidfd, for instance) becomes readable."""
        self._ring.wake_on(descriptor)

    def wait(self, seconds: float) -> None:
        self._ring.wait(seconds)

    def drain(self) -> list[Event]:
        while True:
            events: list[Event] = []
            self._ring.drain(lambda memory, start, end: self._decoder.decode(memory, start, end, events))  # noqa: B023
            kept = self._without_early(events) if self._may_be_early else events
            if kept or not self.has_more():
                return kept

    def has_more(self) -> bool:
        return self._ring.has_more()

    def _without_early(self, events: list[Event]) -> list[Event]:
        """Returns the events from started_ns on. It counts the others, for counts() to leave out."""
        for event in events:
            if event.time_ns < self.started_ns:
                self._early[NUMBERS[type(event)]] += 1
            elif event.time_ns > self.started_ns + _MAX_DELAY_NS:
                self._may_be_early = False
        return [event for event in events if event.time_ns >= self.started_ns]

    def counts(self) -> Counts:
        attempted, lost, rescued = self._cells()
        skipped_now = self._skipped_at_stop or self._skipped(rescued)
        skipped = [max(0, now - before) for now, before in zip(skipped_now, self._skipped_before, strict=True)]
        reported = map(sub, attempted, self._early)
        return Counts(tuple(map(add, reported, skipped)), tuple(map(add, lost, skipped)))

    def _cells(self) -> list[list[int]]:
        """Returns three lists by kind: events attempted, lost, and rescued (see `counts` in bpf/process.c)."""
        table, kinds = self._bpf[b"counts"], len(KERNEL_KINDS)
        totals = [sum(table[ctypes.c_int(slot)]) for slot in range(3 * kinds)]
        return [totals[first : first + kinds] for first in range(0, len(totals), kinds)]

    def _skipped(self, rescued: list[int]) -> list[int]:
        """Returns by kind how often the kernel skipped a BPF program and no second one replaced it (see bpf/process.c).

        The kernel counts this since 5.12. Some of it may be events of threads, which webpf doesn't record: the count
        can't tell.
        """
        functions = (self._bpf.funcs[f"raw_tracepoint__{tracepoint}".encode()] for tracepoint in TRACEPOINTS)
        return list(map(sub, (_misses(function.fd) for function in functions), rescued))

    def stop_intake(self) -> None:
        """Makes the BPF programs report only frees from now on."""
        self._skipped_at_stop = self._skipped(self._cells()[2])
        self._set_gate(_GATE_FREES_ONLY)

    def _set_gate(self, state: int) -> None:
        self._gate[ctypes.c_int(0)] = ctypes.c_uint32(state)

    def detach(self) -> None:
        """Detaches the BPF programs. The events in the ring buffer can still be drained."""
        if self._is_detached:
            return
        self._is_detached = True
        for tracepoint in TRACEPOINTS:
            with suppressed(__name__, f"detaching {tracepoint}", Exception):  # BCC raises nothing more exact
                self._bpf.detach_raw_tracepoint(tracepoint.encode())
        while self._second_links:
            os.close(self._second_links.pop())
        _log.info("detached from the tracepoints")

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.detach()
            self._ring.close()
            self._bpf.cleanup()


def _misses(program_fd: int) -> int:
    """Returns how often the kernel skipped this BPF program; 0 before Linux 5.12."""
    match = _MISSES.search(syscalls.read_once(f"/proc/self/fdinfo/{program_fd}"))
    return int(match[1]) if match else 0


def _machine_macros() -> dict[str, int]:
    """Returns the macros that depend on the machine only, and not on the options of the recording."""
    major, minor, patch = kernel_version()
    return {
        **btf.definitions(),
        "EVENT_HEAD_BYTES": decoder.EVENT_HEAD_BYTES,
        "WEBPF_PAGE_SIZE": mmap.PAGESIZE,
        "WEBPF_LINUX_VERSION_CODE": (major << 16) + (minor << 8) + min(patch, 255),
    }


def _attach_second(bpf: Any, tracepoint: str) -> int:
    """Attaches the second BPF program of a tracepoint; returns a descriptor that keeps it attached.

    BCC's own attach_raw_tracepoint() allows only one BPF program for each tracepoint.
    """
    bcc = bcc_loader.load()
    name = tracepoint.replace("sched_process", "second")
    descriptor: int = bcc.lib.bpf_attach_raw_tracepoint(
        bpf.load_func(name.encode(), bcc.BPF.RAW_TRACEPOINT).fd, tracepoint.encode()
    )
    if descriptor < 0:
        raise Unavailable(f"the kernel doesn't attach a second BPF program to {tracepoint}", "webpf doctor")
    return descriptor
