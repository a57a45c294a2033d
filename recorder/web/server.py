"""Datasette on one recording file, in this process: nothing of it is left when webpf ends, however that ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import uvicorn  # comes with Datasette, which serves with it
from datasette.app import Datasette
from datasette.database import Database
from datasette.utils import sqlite3

from ..output.escape import safe
from .gate import Gate

# A few saved queries take two or three seconds on a million processes, and facets more than Datasette's 0.2.
_SETTINGS = {"sql_time_limit_ms": 5000, "facet_time_limit_ms": 1000}
_OWN_NAMES = {"-", "_internal", "_memory"}  # what these are in addresses is Datasette's
_LAST_ANSWERS_SECONDS = 1
_POLL_SECONDS = 0.1


class RecordingFile(Database):  # type: ignore[misc]  # Datasette has no types
    """Exactly this file. Datasette itself puts names into URIs as they are: with # or ? they name another file."""

    def __init__(self, datasette: Any, path: Path) -> None:
        super().__init__(datasette, path=_as_text(path))
        self._file = path.absolute()

    def connect(self, write: bool = False) -> Any:
        """A connection that can only read, whatever for."""
        connection = sqlite3.connect(f"{self._file.as_uri()}?mode=ro", uri=True, check_same_thread=False)
        _open_connections(self).append(connection)
        return connection

    def reopened(self) -> RecordingFile:
        """The same file, when Datasette has closed this one."""
        return RecordingFile(self.ds, self._file)


def _open_connections(database: Any) -> list[Any]:
    """What a database of Datasette's has open: in 1.0 under the first name, in 0.65 under the second."""
    name = "_all_connections" if hasattr(database, "_all_connections") else "_all_file_connections"
    found: list[Any] = getattr(database, name)
    return found


def _interrupt_statements(datasette: Any) -> None:
    """Ends each statement from now on: the end of the program waits for the threads that run them."""
    while True:
        for database in list(datasette.databases.values()):
            for connection in list(_open_connections(database)):
                with contextlib.suppress(sqlite3.Error):  # closed already
                    connection.interrupt()
        time.sleep(_POLL_SECONDS)


def database_name(path: Path) -> str:
    """The file's name as a database of Datasette's."""
    name = safe(path.stem)
    return f"{name}_" if name in _OWN_NAMES else name


def serve(path: Path, listener: socket.socket, hosts: Collection[str], on_ready: Callable[[Gate], None]) -> None:
    """Serves the file on a socket that listens already, until SIGINT, SIGTERM or SIGHUP.

    hosts: see Gate. on_ready is called in a thread, when requests are answered. Raises what Datasette and its plugins
    raise, SystemExit too, and KeyboardInterrupt.
    """
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # a browser may go away in the middle of an answer
    asyncio.run(_serve(path, listener, Gate(hosts), on_ready))


async def _serve(path: Path, listener: socket.socket, gate: Gate, on_ready: Callable[[Gate], None]) -> None:
    datasette = Datasette(memory=True, settings=_SETTINGS)
    datasette.remove_database("_memory")  # which it has if it is given no file
    datasette.add_database(RecordingFile(datasette, path), name=database_name(path))
    await datasette.invoke_startup()
    config = uvicorn.Config(
        gate.guard(datasette.app()),
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,  # anybody can send them: the gate asks where a connection really comes from
        timeout_graceful_shutdown=_LAST_ANSWERS_SECONDS,
    )
    server = uvicorn.Server(config)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, server.handle_exit)  # as uvicorn takes SIGINT and SIGTERM
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started and not serving.done():
            await asyncio.wait([serving], timeout=_POLL_SECONDS / 10)
        threading.Thread(target=on_ready, args=[gate], daemon=True).start()
        while not server.should_exit and not serving.done():
            await asyncio.wait([serving], timeout=_POLL_SECONDS)
    finally:
        threading.Thread(target=_interrupt_statements, args=[datasette], daemon=True).start()
    await serving


def _as_text(path: Path) -> str:
    """The file for all that Datasette does with it but opening it; a name that is no UTF-8 would fail in its pages."""
    text = str(path.absolute())
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"/proc/self/fd/{os.open(path, os.O_RDONLY | os.O_CLOEXEC)}"
    return text
