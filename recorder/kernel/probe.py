"""The kernel side: attaches the BPF programs and drains their ring buffer."""

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
from ..model.events import KERNEL_KINDS, NUMBERS, Event
from ..model.source import Counts
from . import bcc_loader, btf, compiler, decoder
from .filters import Filters
from .preflight import kernel_version
from .ring_buffer import Ring

_log = get_logger(__name__)

TRACEPOINTS = tuple(str(kind.tracepoint) for kind in KERNEL_KINDS)

_MIB = 1024 * 1024
_GATE_OPEN, _GATE_FREES_ONLY = 1, 2  # bpf/process.c
_SETTLED_NS = 1_000_000_000  # no record is written so long after its time
_MISSES = re.compile(rb"^recursion_misses:\s*(\d+)$", re.MULTILINE)


class Probe:
    """The attached programs and their buffer: a Source of what the kernel reports from started_ns (Unix ns) on.

    buffer_mib: size of the ring buffer in MiB, a power of two. max_args: bytes of argv kept of one exec.
    interruptible: whether a task can interrupt the programs (default: since Linux 7.0), so that each needs a second.
    follows: report only who is named by adopt() and follow(), and all that they start from then on. filters: report
    only those that these want, and who is named by follow().
    Raises Unavailable if the program can't be compiled, loaded or attached.
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
            **_of_machine(),
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
            self._ring = Ring(self._bpf[b"ring"].map_fd, ring_bytes)
        except OSError as error:
            self._bpf.cleanup()
            raise Unavailable(f"the buffer can't be mapped: {error.strerror}", "webpf record --buffer-mib 1") from None
        _log.info("a ring buffer of %d MiB is mapped, %d bytes of arguments are kept of an exec", buffer_mib, max_args)
        self._closed = self._is_detached = False
        self._gate = self._bpf[b"gate"]
        self._skipped_before = self._skipped(self._cells()[2])
        self._skipped_at_stop: list[int] | None = None
        self._turn_gate(_GATE_OPEN)
        # Not before: on a slow machine, what began in between would be missing from a recording that seems to hold it.
        self.started_ns = clock.boot_ns() + clock_offset
        # What is reported from between belongs to no recording: who was born then is found alive, or has ended.
        self._early = [0] * len(KERNEL_KINDS)
        self._may_be_early = True

    def adopt(self, pid: int) -> None:
        """What this process starts from now on is followed; 0: nothing more."""
        self._bpf[b"adopter"][ctypes.c_int(0)] = ctypes.c_uint32(pid)

    def follow(self, pid: int) -> None:
        """This process is followed, until it ends; without filters all that it starts from now on too."""
        self._bpf[b"named"][ctypes.c_uint32(pid)] = ctypes.c_uint8(1)

    def unfollow(self, pid: int) -> None:
        """Takes follow() back, if nothing was reported of it since."""
        with contextlib.suppress(KeyError):
            del self._bpf[b"named"][ctypes.c_uint32(pid)]

    def wake_on(self, descriptor: int) -> None:
        """wait() returns early too when there is something to be read here; a pidfd, for instance."""
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
        """Those from started_ns on. The others are counted: the books are kept without them."""
        for event in events:
            if event.time_ns < self.started_ns:
                self._early[NUMBERS[type(event)]] += 1
            elif event.time_ns > self.started_ns + _SETTLED_NS:
                self._may_be_early = False
        return [event for event in events if event.time_ns >= self.started_ns]

    def counts(self) -> Counts:
        attempted, without_room, rescued = self._cells()
        skipped_now = self._skipped_at_stop or self._skipped(rescued)
        skipped = [max(0, now - before) for now, before in zip(skipped_now, self._skipped_before, strict=True)]
        reported = map(sub, attempted, self._early)
        return Counts(tuple(map(add, reported, skipped)), tuple(map(add, without_room, skipped)))

    def _cells(self) -> list[list[int]]:
        """By kind: attempts, failures, rescued."""
        table = self._bpf[b"counts"]
        totals = [sum(table[ctypes.c_int(slot)]) for slot in range(3 * len(KERNEL_KINDS))]
        return [totals[at : at + len(KERNEL_KINDS)] for at in range(0, len(totals), len(KERNEL_KINDS))]

    def _skipped(self, rescued: list[int]) -> list[int]:
        """By kind, how often the kernel passed over a program and no second one stepped in (see bpf/process.c).

        The kernel counts it since 5.12. Whether it was the event of a process or of a thread can't be known.
        """
        functions = (self._bpf.funcs[f"raw_tracepoint__{tracepoint}".encode()] for tracepoint in TRACEPOINTS)
        return list(map(sub, (_misses(function.fd) for function in functions), rescued))

    def stop_intake(self) -> None:
        """From this moment the programs report frees only."""
        self._skipped_at_stop = self._skipped(self._cells()[2])
        self._turn_gate(_GATE_FREES_ONLY)

    def _turn_gate(self, state: int) -> None:
        self._gate[ctypes.c_int(0)] = ctypes.c_uint32(state)

    def detach(self) -> None:
        """Ends reporting. What is in the buffer can still be drained."""
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
    """How often the kernel passed over this program."""
    found = _MISSES.search(syscalls.read_once(f"/proc/self/fdinfo/{program_fd}"))
    return int(found[1]) if found else 0


def _of_machine() -> dict[str, int]:
    """Macros that depend on the machine and on nothing that was asked for."""
    major, minor, patch = kernel_version()
    return {
        **btf.definitions(),
        "HEAD_BYTES": decoder.HEAD_BYTES,
        "WEBPF_PAGE_SIZE": mmap.PAGESIZE,
        "WEBPF_LINUX_VERSION_CODE": (major << 16) + (minor << 8) + min(patch, 255),
    }


def _attach_second(bpf: Any, tracepoint: str) -> int:
    """A descriptor that keeps the second program attached. BCC itself knows but one for each tracepoint."""
    bcc = bcc_loader.load()
    name = tracepoint.replace("sched_process", "second")
    descriptor: int = bcc.lib.bpf_attach_raw_tracepoint(
        bpf.load_func(name.encode(), bcc.BPF.RAW_TRACEPOINT).fd, tracepoint.encode()
    )
    if descriptor < 0:
        raise Unavailable(f"the kernel takes no second program for {tracepoint}", "webpf doctor")
    return descriptor
