"""Reads recordings for the plugin's pages: in threads and on connections of its own, each reading for a limited time.

Datasette has three threads for all pages of all visitors. A timeline of a million processes would keep them busy, so
none of its readings takes one, and what waits takes no thread at all. A page has one reading at a time: a newer one
interrupts it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias, TypeVar

from ..progress import Work
from . import databases

Receive: TypeAlias = Callable[[], Awaitable[Any]]
Result = TypeVar("Result")
Read: TypeAlias = Callable[[Any, Work], Result]

_INSTRUCTIONS = 10_000  # of SQLite's machine, from one look to the next: about a millisecond
_MAX_PENDING = 100


class ReadFailed(Exception):
    """Why there is no answer, and the HTTP status that says so."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class _Reading:
    """A Work that ends at a time, or when it is told to."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self.timed_out = ReadFailed(f"it took more than {seconds:g} s, and was ended", 503)
        self._is_stopped = False
        self._connection: Any = None
        self._lock = threading.Lock()  # so that no closed connection is interrupted, nor another reading's

    def stop(self) -> None:
        """From another thread. SQLite interrupts the statement that runs; one that begins then ends itself."""
        self._is_stopped = True
        with self._lock:
            if self._connection is not None:
                self._connection.interrupt()

    def must_stop(self) -> bool:
        return self._is_stopped or time.monotonic() > self._deadline

    def at(self, done: int, total: int) -> None:
        if self.must_stop():
            raise self.timed_out

    def watch(self, connection: Any) -> None:
        connection.set_progress_handler(self.must_stop, _INSTRUCTIONS)

    def run(self, database: Any, read: Read[Result]) -> Result:
        """In a thread. Raises ReadFailed."""
        self.at(0, 0)
        try:
            with databases.connect(database) as connection, self._interruptible(connection):
                self.watch(connection)
                return read(connection, self)
        except (databases.Error, OSError) as error:
            self.at(0, 0)
            raise ReadFailed(
                f"{database.name} can't be read: {error}", 503 if "locked" in str(error) else 404
            ) from error

    @contextmanager
    def _interruptible(self, connection: Any) -> Iterator[None]:
        with self._lock:
            self._connection = connection
        try:
            yield
        finally:
            with self._lock:
                self._connection = None


class ReadPool:
    """Some threads, and how long a reading may take, the time included for which it waits for one of them."""

    def __init__(self, threads: int, seconds: float) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="webpf")
        self._seconds = seconds
        self._cancellations: dict[object, asyncio.Future[ReadFailed]] = {}  # of each page, what ends its reading

    async def read(self, database: Any, read: Read[Result], page: str, receive: Receive) -> Result:
        """What `read` makes of a connection. Raises ReadFailed.

        page: which page asks, so that its reading before this one ends; '' ends none. receive: tells that it went away.
        """
        if len(self._cancellations) >= _MAX_PENDING:
            raise ReadFailed("too much is asked at a time: try again", 503)
        key = page or object()
        cancellation: asyncio.Future[ReadFailed] = asyncio.get_running_loop().create_future()
        _cancel(self._cancellations.get(key), ReadFailed("this page has asked for something newer", 409))
        self._cancellations[key] = cancellation
        watch = asyncio.ensure_future(_cancel_on_disconnect(receive, cancellation))
        try:
            return await self._run(database, read, cancellation)
        finally:
            watch.cancel()
            if self._cancellations.get(key) is cancellation:
                del self._cancellations[key]

    async def _run(self, database: Any, read: Read[Result], cancellation: asyncio.Future[ReadFailed]) -> Result:
        reading = _Reading(self._seconds)
        running = asyncio.get_running_loop().run_in_executor(self._threads, reading.run, database, read)
        try:
            await asyncio.wait((running, cancellation), timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                return running.result()
            raise cancellation.result() if cancellation.done() else reading.timed_out
        finally:
            reading.stop()
            running.cancel()  # if it waits for a thread still


def _cancel(cancellation: asyncio.Future[ReadFailed] | None, reason: ReadFailed) -> None:
    if cancellation is not None and not cancellation.done():
        cancellation.set_result(reason)


async def _cancel_on_disconnect(receive: Receive, cancellation: asyncio.Future[ReadFailed]) -> None:
    with suppress(asyncio.CancelledError):
        while (await receive())["type"] != "http.disconnect":
            pass
        _cancel(cancellation, ReadFailed("nobody waits for it any more", 503))


TIMELINES = ReadPool(threads=2, seconds=10)
"""For what a page shows."""
RECORDINGS = ReadPool(threads=1, seconds=10)
"""For the row of a recording: a page opens while others' pictures take long."""
TRACES = ReadPool(threads=1, seconds=300)
"""For whole recordings, one at a time."""
