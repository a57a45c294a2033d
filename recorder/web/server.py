"""Runs Datasette for one recording file in webpf's own process, so that no server is left however webpf ends."""

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

import uvicorn  # a dependency of Datasette
from datasette.app import Datasette
from datasette.database import Database
from datasette.utils import sqlite3

from ..output.escape import safe
from .entry_gate import Gate

# On a million processes a few saved queries take 2 to 3 s, and facets more than Datasette's default of 0.2 s.
_SETTINGS = {"sql_time_limit_ms": 5000, "facet_time_limit_ms": 1000}
_RESERVED_NAMES = {"-", "_internal", "_memory"}  # have a meaning of their own in Datasette's URLs
_LAST_ANSWERS_SECONDS = 1
_POLL_SECONDS = 0.1


class RecordingFile(Database):  # type: ignore[misc]  # Datasette has no types
    """A database that opens exactly this file.

    Datasette doesn't quote file names in SQLite URIs, so a name with # or ? would open another file.
    """

    def __init__(self, datasette: Any, path: Path) -> None:
        super().__init__(datasette, path=_as_text(path))
        self._file = path.absolute()

    def connect(self, write: bool = False) -> Any:
        """Returns a read-only connection, even if `write` is true."""
        connection = sqlite3.connect(f"{self._file.as_uri()}?mode=ro", uri=True, check_same_thread=False)
        _open_connections(self).append(connection)
        return connection

    def reopened(self) -> RecordingFile:
        """Returns a new database for the same file, to use after Datasette has closed this one."""
        return RecordingFile(self.ds, self._file)


def _open_connections(database: Any) -> list[Any]:
    """Returns a database's list of open connections. It has one name in Datasette 1.0, and another in 0.65."""
    name = "_all_connections" if hasattr(database, "_all_connections") else "_all_file_connections"
    found: list[Any] = getattr(database, name)
    return found


def _interrupt_statements(datasette: Any) -> None:
    """Interrupts all statements from now on, because Python waits at exit for the threads that run them."""
    while True:
        for database in list(datasette.databases.values()):
            for connection in list(_open_connections(database)):
                with contextlib.suppress(sqlite3.Error):  # already closed
                    connection.interrupt()
        time.sleep(_POLL_SECONDS)


def database_name(path: Path) -> str:
    """Returns the name that the file has in Datasette."""
    name = safe(path.stem)
    return f"{name}_" if name in _RESERVED_NAMES else name


def serve(path: Path, listener: socket.socket, hosts: Collection[str], on_ready: Callable[[Gate], None]) -> None:
    """Serves the file on a listening socket until SIGINT, SIGTERM or SIGHUP.

    hosts: see Gate. on_ready: called in another thread when requests are answered. Raises KeyboardInterrupt, and
    whatever Datasette and its plugins raise, including SystemExit.
    """
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # a browser may disconnect in the middle of an answer
    asyncio.run(_serve(path, listener, Gate(hosts), on_ready))


async def _serve(path: Path, listener: socket.socket, gate: Gate, on_ready: Callable[[Gate], None]) -> None:
    datasette = Datasette(memory=True, settings=_SETTINGS)
    datasette.remove_database("_memory")  # Datasette adds it if it gets no file
    datasette.add_database(RecordingFile(datasette, path), name=database_name(path))
    await datasette.invoke_startup()
    config = uvicorn.Config(
        gate.guard(datasette.app()),
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,  # anybody can send these headers, and the gate needs the connection's real address
        timeout_graceful_shutdown=_LAST_ANSWERS_SECONDS,
    )
    server = uvicorn.Server(config)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, server.handle_exit)  # like uvicorn's own handling of SIGINT and SIGTERM
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
    """Returns the path that Datasette shows and stats; its pages would fail at a name that isn't UTF-8."""
    text = str(path.absolute())
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"/proc/self/fd/{os.open(path, os.O_RDONLY | os.O_CLOEXEC)}"
    return text
