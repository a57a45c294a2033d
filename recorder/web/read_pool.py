"""Reads recordings for the plugin's pages in its own threads and connections, with a time limit.

Datasette has three threads for all pages of all users. Timelines of a million processes would keep them busy, so their
reads use other threads, and waiting reads use none. A page has one read at a time: a newer one interrupts it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias, TypeVar

from ..progress import Progress
from . import databases

Receive: TypeAlias = Callable[[], Awaitable[Any]]
Result = TypeVar("Result")
Read: TypeAlias = Callable[[Any, Progress], Result]

_INSTRUCTIONS = 10_000  # of SQLite's virtual machine between two checks for cancellation: about a millisecond
_MAX_PENDING = 100


class ReadFailed(Exception):
    """A read was cancelled or failed. status: the HTTP status of the answer."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class ReadTimedOut(ReadFailed):
    """A read took too long, and was cancelled."""

    def in_scope(self) -> ReadFailed:
        """Returns the error for a read in a scope, which can be made smaller."""
        return ReadFailed(f"{self.message}: choose a shorter stretch of time, such as since -1h", self.status)


class _Reading:
    """One read, as a Progress that is cancelled at its deadline or by stop()."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self.timed_out = ReadTimedOut(f"it took more than {seconds:g} s and was cancelled", 503)
        self._is_stopped = False
        self._connection: Any = None
        self._lock = threading.Lock()  # so that stop() doesn't interrupt a closed connection

    def stop(self) -> None:
        """Cancels the read; called from another thread. Interrupts the running statement; later ones end at once."""
        self._is_stopped = True
        with self._lock:
            if self._connection is not None:
                self._connection.interrupt()

    def must_stop(self) -> bool:
        return self._is_stopped or time.monotonic() > self._deadline

    def report(self, done: int, total: int) -> None:
        if self.must_stop():
            raise self.timed_out

    def make_interruptible(self, connection: Any) -> None:
        connection.set_progress_handler(self.must_stop, _INSTRUCTIONS)

    def run(self, database: Any, read: Read[Result]) -> Result:
        """Runs `read` on a new connection, in the calling thread. Raises ReadFailed."""
        self.report(0, 0)
        try:
            with databases.connect(database) as connection, self._interruptible(connection):
                self.make_interruptible(connection)
                return read(connection, self)
        except (databases.Error, OSError) as error:
            self.report(0, 0)
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
    """A pool of threads. seconds: time limit of a read, including the time that it waits for a thread."""

    def __init__(self, threads: int, seconds: float) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="webpf")
        self._seconds = seconds
        self._cancellations: dict[object, asyncio.Future[ReadFailed]] = {}  # by page: cancels its read

    async def read(
        self, database: Any, read: Read[Result], page: str, receive: Receive, more_seconds: float = 0
    ) -> Result:
        """Calls `read` with a connection, and returns its result. Raises ReadFailed.

        page: id of the page that asks. Its previous read is cancelled; with '', none is. receive: ASGI's; the read is
        cancelled when the client disconnects. more_seconds: added to the time limit, for statements of `read` that have
        a limit of their own.
        """
        if len(self._cancellations) >= _MAX_PENDING:
            raise ReadFailed("too many requests at a time: try again", 503)
        key = page or object()
        cancellation: asyncio.Future[ReadFailed] = asyncio.get_running_loop().create_future()
        _cancel(self._cancellations.get(key), ReadFailed("the page has sent a newer request", 409))
        self._cancellations[key] = cancellation
        watch = asyncio.ensure_future(_cancel_on_disconnect(receive, cancellation))
        try:
            return await self._run(database, read, cancellation, more_seconds)
        finally:
            watch.cancel()
            if self._cancellations.get(key) is cancellation:
                del self._cancellations[key]

    async def _run(
        self, database: Any, read: Read[Result], cancellation: asyncio.Future[ReadFailed], more_seconds: float
    ) -> Result:
        reading = _Reading(self._seconds)
        running = asyncio.get_running_loop().run_in_executor(self._threads, reading.run, database, read)
        try:
            limit = self._seconds + more_seconds
            await asyncio.wait((running, cancellation), timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                return running.result()
            raise cancellation.result() if cancellation.done() else reading.timed_out
        finally:
            reading.stop()
            running.cancel()  # in case it still waits for a thread


def _cancel(cancellation: asyncio.Future[ReadFailed] | None, reason: ReadFailed) -> None:
    if cancellation is not None and not cancellation.done():
        cancellation.set_result(reason)


async def _cancel_on_disconnect(receive: Receive, cancellation: asyncio.Future[ReadFailed]) -> None:
    with suppress(asyncio.CancelledError):
        while (await receive())["type"] != "http.disconnect":
            pass
        _cancel(cancellation, ReadFailed("the client has disconnected", 503))


TIMELINES = ReadPool(threads=2, seconds=10)
"""For the data of timelines."""
RECORDINGS = ReadPool(threads=1, seconds=10)
"""For the row of a recording, so that a page opens while the timelines of other pages take long."""
QUERIES = ReadPool(threads=2, seconds=30)
"""For saved queries in a scope. To make that of a day of a million processes takes some 10 s."""
STORIES = ReadPool(threads=1, seconds=60)
"""For the stories of databases' pages. That of a day of 1.4 million processes takes 30 s, most of it for the scope."""
TRACES = ReadPool(threads=1, seconds=300)
"""For traces of whole recordings, one at a time."""
