"""Datasette on one recording file: which port, with which settings, and the page that is opened."""

from __future__ import annotations

import contextlib
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

from . import catalog
from .errors import Unavailable, UsageError

HOST = "127.0.0.1"
FIRST_PORT = 8001
_PORTS = 100
_START_SECONDS = 30.0
# A few saved queries take two or three seconds on a million processes, and facets more than Datasette's 0.2.
_SETTINGS = {"sql_time_limit_ms": 5000, "facet_time_limit_ms": 1000}


def serve(db: Path, port: int | None, opens: bool, on_ready: Callable[[str, bool], None]) -> int:
    """Serves the file until Ctrl-C or SIGTERM; returns Datasette's exit code.

    port: None takes the first free one. on_ready is told the page's address, and whether a browser was opened on it.
    Raises NotFound, DataError, Unavailable or UsageError.
    """
    with catalog.reading(db) as connection:
        latest = catalog.which(connection, db, None)
    number = _free_port() if port is None else _checked(port)
    settings = [word for name, value in _SETTINGS.items() for word in ("--setting", name, str(value))]
    command = [sys.executable, "-m", "datasette", "serve", str(db), "--host", HOST, "--port", str(number), *settings]
    with _ended_by_signals(), _running(command) as server:
        _await(server, number)
        page = f"http://{HOST}:{number}/-/webpf/timeline/{encoded(db.stem)}/{latest}"
        on_ready(page, opens and _open(page))
        return server.wait()


def encoded(name: str) -> str:
    """A database's name as Datasette writes it in an address: like %-encoding, but with a tilde."""
    return re.sub(r"%", "~", quote(name.replace("~", "\0"), safe="").replace(".", "%2E").replace("%00", "%7E"))


def _free_port() -> int:
    for port in range(FIRST_PORT, FIRST_PORT + _PORTS):
        if _is_free(port):
            return port
    raise Unavailable(f"all ports from {FIRST_PORT} to {FIRST_PORT + _PORTS - 1} are taken", "webpf browse --port 9000")


def _checked(port: int) -> int:
    if not 1 <= port <= 65535:
        raise UsageError(f"--port must be from 1 to 65535, not {port}", f"webpf browse --port {FIRST_PORT}")
    if not _is_free(port):
        raise Unavailable(f"port {port} is taken, or this user may not have it; webpf finds a free one", "webpf browse")
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """The server; whatever happens, it ends with us. Ctrl-C reaches it as well as us."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield server
    except KeyboardInterrupt:
        pass
    finally:
        server.terminate()
        server.communicate()


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM ends it like Ctrl-C; and Ctrl-C does also where a shell had it ignored, as in the background."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _await(server: subprocess.Popen[bytes], port: int) -> None:
    """Waits until the server answers."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.05)
    server.terminate()
    assert server.stderr is not None
    lines = server.stderr.read().decode(errors="replace").strip().splitlines()
    raise Unavailable(
        f"Datasette doesn't start{': ' + lines[-1] if lines else ''}",
        shlex.join([sys.executable, "-m", "datasette", "--version"]),
    )


def _open(page: str) -> bool:
    """Whether there is a browser that could be told to open the page."""
    try:
        return webbrowser.open(page)
    except webbrowser.Error:
        return False
