"""The BPF ring buffer as mapped memory: where it has been written, and where it has been read (5.8+).

Layout, from kernel/bpf/ringbuf.c: one page with the consumer's position, which the reader writes; one with the
producer's; then the data, mapped twice in a row, so that a record which wraps around is still contiguous.
Positions only grow; the place in the data is the position modulo the size.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import select
import threading
from collections.abc import Callable

from . import decoder

DRAIN_BYTES = 4 * 1024 * 1024  # at once; a larger buffer would become gigabytes of Python's objects

_TSO = ("x86_64", "i686", "s390x")  # processors that never reorder two loads


class Ring:
    """Reads a ring-buffer map in bulk."""

    def __init__(self, map_fd: int, size: int) -> None:
        page = mmap.PAGESIZE
        self._size = size
        self._consumer = mmap.mmap(map_fd, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=0)
        # Populated at once: a page fault for each page of the first round would be paid while events come.
        flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
        self._shared = mmap.mmap(map_fd, page + 2 * size, flags, mmap.PROT_READ, offset=page)
        self._data = memoryview(self._shared)[page:]
        # 64-bit accesses in one piece: the kernel reads and writes these words at the same time.
        self._read_to = ctypes.c_uint64.from_buffer(self._consumer)
        self._written_to = memoryview(self._shared)[:8].cast("Q")
        self._barrier = None if platform.machine() in _TSO else threading.Lock()
        self._has_more = False
        self._epoll = select.epoll()
        self._epoll.register(map_fd, select.EPOLLIN | select.EPOLLET)

    def wake_on(self, descriptor: int) -> None:
        """wait() returns early also when this becomes readable."""
        self._epoll.register(descriptor, select.EPOLLIN | select.EPOLLET)

    def wait(self, seconds: float) -> None:
        """Sleeps, but returns early when the kernel says that the buffer fills."""
        self._epoll.poll(seconds)

    def has_more(self) -> bool:
        """Whether the last drain() stopped at DRAIN_BYTES, with something behind it."""
        return self._has_more

    def drain(self, decode: Callable[[memoryview, int, int], int]) -> None:
        """Hands what has been written to decode(memory, start, end), which returns how far it got.

        At most DRAIN_BYTES at once. The end can then be within a record: that is not decoded, or decoded whole.
        """
        position = self._read_to.value
        waiting = self._written_to[0] - position
        self._has_more = False
        if not waiting:
            return
        start = position % self._size
        end = start + min(waiting, DRAIN_BYTES)
        if self._barrier:
            end = decoder.settled(self._data, start, end)
            with self._barrier:  # taking a lock is a load barrier, giving it back a store barrier
                pass
        reached = decode(self._data, start, end)
        self._has_more = start < reached < start + waiting and waiting > DRAIN_BYTES
        self._read_to.value = position + reached - start

    def close(self) -> None:
        self._epoll.close()
        del self._read_to
        self._written_to.release()
        self._data.release()
        self._shared.close()
        self._consumer.close()
