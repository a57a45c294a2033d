"""Reads a BPF ring buffer through mapped memory (Linux 5.8 or newer).

Layout, from kernel/bpf/ringbuf.c: a page with the consumer position, which the reader writes; a page with the producer
position, which the kernel writes; then the data, mapped twice in a row, so that a record at the end of the buffer is
contiguous in memory. Positions only grow: the offset into the data is the position modulo the size.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import select
import threading
from collections.abc import Callable

from . import decoder

DRAIN_BYTES = 4 * 1024 * 1024  # decoded in one step: a whole large buffer would become gigabytes of Python objects

_TSO = ("x86_64", "i686", "s390x")  # architectures that never reorder two loads (total store order)


class RingBuffer:
    """Reads a ring-buffer map in bulk. size: of the data, in bytes."""

    def __init__(self, map_fd: int, size: int) -> None:
        page = mmap.PAGESIZE
        self._size = size
        self._consumer = mmap.mmap(map_fd, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=0)
        # MAP_POPULATE: the page faults happen now, and not while events arrive.
        flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
        self._shared = mmap.mmap(map_fd, page + 2 * size, flags, mmap.PROT_READ, offset=page)
        self._data = memoryview(self._shared)[page:]
        # Each access must be a single one of 64 bits: the kernel reads and writes these positions at the same time.
        self._consumer_position = ctypes.c_uint64.from_buffer(self._consumer)
        self._producer_position = memoryview(self._shared)[:8].cast("Q")
        self._barrier = None if platform.machine() in _TSO else threading.Lock()
        self._has_more = False
        self._epoll = select.epoll()
        self._epoll.register(map_fd, select.EPOLLIN | select.EPOLLET)

    def wake_on(self, descriptor: int) -> None:
        """Makes wait() return early also when this descriptor becomes readable."""
        self._epoll.register(descriptor, select.EPOLLIN | select.EPOLLET)

    def wait(self, seconds: float) -> None:
        """Sleeps, but returns early when the BPF programs wake the reader."""
        self._epoll.poll(seconds)

    def has_more(self) -> bool:
        """Whether the last drain() stopped at DRAIN_BYTES and left records in the buffer."""
        return self._has_more

    @property
    def read_position(self) -> int:
        """The position up to which everything has been drained. Positions only grow."""
        return int(self._consumer_position.value)

    @property
    def write_position(self) -> int:
        """The position at which the next record begins."""
        return int(self._producer_position[0])

    def drain(self, decode: Callable[[memoryview, int, int], int], until: int | None = None) -> None:
        """Calls decode(memory, start, end) for what has been written; it returns the end of what it decoded.

        until: position of the first record that is left for later; default: none. It passes at most DRAIN_BYTES.
        `end` may then be in the middle of a record, which decode() decodes whole or leaves for the next call.
        """
        position = self._consumer_position.value
        unread = (self._producer_position[0] if until is None else until) - position
        self._has_more = False
        if not unread:
            return
        start = position % self._size
        end = start + min(unread, DRAIN_BYTES)
        if self._barrier:
            end = decoder.find_busy(self._data, start, end)
            with self._barrier:  # to acquire a lock is a load barrier, to release it a store barrier
                pass
        reached = decode(self._data, start, end)
        self._has_more = start < reached < start + unread and unread > DRAIN_BYTES
        self._consumer_position.value = position + reached - start

    def close(self) -> None:
        self._epoll.close()
        del self._consumer_position
        self._producer_position.release()
        self._data.release()
        self._shared.close()
        self._consumer.close()
