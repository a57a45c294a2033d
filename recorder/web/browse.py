"""`webpf browse`: runs Datasette on a local port, and opens the recording's page in the user's browser."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import signal
import socket
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..errors import Unavailable, UsageError, WebpfError
from ..host.signals import STOP_SIGNALS
from ..storage import reader
from .desktop import Desktop

if TYPE_CHECKING:
    from .entry_gate import Gate

HOST = "127.0.0.1"
FIRST_PORT = 8001
_PORTS = 100
_HOST_NAME = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]")


@dataclass(frozen=True)
class ServedPage:
    """The page that is served.

    address: its URL, which lets in one browser, once. is_open: whether a browser was started. tunnel: the ssh command
    that makes the page reachable from the user's own machine; None if webpf runs on that machine.
    """

    address: str
    is_open: bool
    tunnel: str | None


def serve(
    db: Path,
    recording: str | None,
    port: int | None,
    opens_browser: bool,
    on_ready: Callable[[ServedPage], None],
    hosts: Collection[str] = (),
) -> int:
    """Serves the file until Ctrl-C, SIGTERM or SIGHUP; returns the exit code.

    port: None for the first free one from 8001. on_ready: called once, when the page can be opened. hosts: host names
    that requests may use besides localhost. Raises NotFound, DataError, Unavailable or UsageError.
    """
    allowed_hosts = [_check_host(host.lower()) for host in hosts]
    with reader.reading(db) as connection:
        found = reader.find(connection, db, recording)
    is_chain = recording is None and found.row.get("chain") is not None  # then the page shows the end of the chain
    shown = "" if is_chain else f"/{found.id}"
    desktop = Desktop()
    with _end_on_signals(), _open_listener(port) as listener, _MutedOutput() as muted:

        def announce(gate: Gate) -> None:
            from . import server

            number = listener.getsockname()[1]
            page = f"http://{HOST}:{number}/-/webpf/timeline/{encode_name(server.database_name(db))}{shown}"
            address = gate.entry_url(page)
            is_open = opens_browser and _open(desktop, gate, address)
            muted.show(lambda: on_ready(ServedPage(address, is_open, _tunnel(desktop, number))))

        try:
            from . import server

            server.serve(db, listener, allowed_hosts, announce)
        except WebpfError:
            raise
        except (Exception, SystemExit) as error:
            hint = shlex.join([sys.executable, "-m", "datasette", "--version"])
            raise Unavailable(f"Datasette doesn't start: {muted.reason(error)}", hint) from error
    return 0


def encode_name(name: str) -> str:
    """Returns a database's name as Datasette writes it in URLs: like percent-encoding, but with a tilde."""
    return re.sub(r"%", "~", quote(name.replace("~", "\0"), safe="").replace(".", "%2E").replace("%00", "%7E"))


def _tunnel(desktop: Desktop, port: int) -> str | None:
    return None if desktop.has_display else desktop.tunnel_command(port)


def _open(desktop: Desktop, gate: Gate, address: str) -> bool:
    # All users can read a browser's arguments. So only the browser's user (or root) may use the address.
    gate.users = {0, desktop.uid}
    is_open = desktop.open(address)
    if not is_open:
        gate.users = None
    return is_open


def _check_host(host: str) -> str:
    if not _HOST_NAME.fullmatch(host):
        raise UsageError(f"--allow-host takes a name without a port, not {host}", "webpf browse --help")
    return host


def _open_listener(port: int | None) -> socket.socket:
    """Returns a listening socket. It exists before Datasette starts, so no other program can take the port."""
    if port is None:
        ports = range(FIRST_PORT, FIRST_PORT + _PORTS)
        found = next((listener for each in ports if (listener := _listen(each))), None)
        if found is None:
            message = f"all ports from {FIRST_PORT} to {FIRST_PORT + _PORTS - 1} are in use"
            raise Unavailable(message, "webpf browse --port 9000")
        return found
    if not 1 <= port <= 65535:
        raise UsageError(f"--port must be from 1 to 65535, not {port}", f"webpf browse --port {FIRST_PORT}")
    found = _listen(port)
    if found is None:
        message = f"port {port} is in use or not permitted; without --port, webpf uses a free one"
        raise Unavailable(message, "webpf browse")
    return found


def _listen(port: int) -> socket.socket | None:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError:
        listener.close()
        return None
    return listener


@contextlib.contextmanager
def _end_on_signals() -> Iterator[None]:
    """Makes SIGINT, SIGTERM and SIGHUP end the block, even if the shell ignored SIGINT for a background job."""
    before = {}
    for number in STOP_SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # ignored: as nohup wants
            before[number] = signal.signal(number, _raise_interrupt)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise_interrupt(number: int, frame: FrameType | None) -> None:
    """Handles SIGINT, because asyncio.run() replaces Python's own handler with one that can't end blocking code."""
    raise KeyboardInterrupt


class _MutedOutput:
    """Captures what Datasette and its plugins print, so that the reason of a failed start can be reported.

    The output isn't shown: there can be a lot of it, and it would block webpf if its stderr were a pipe without a
    reader.
    """

    def __enter__(self) -> _MutedOutput:
        self._own = sys.stdout, sys.stderr
        self._captured = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="replace", write_through=True)
        sys.stdout = sys.stderr = self._captured
        return self

    def __exit__(self, *error: object) -> None:
        sys.stdout, sys.stderr = self._own

    def show(self, write: Callable[[], None]) -> None:
        """Calls `write` with the real output; from then on, other output is discarded instead of captured."""
        null = io.TextIOWrapper(io.FileIO(os.devnull, "w"), encoding="utf-8", errors="replace")
        sys.stdout, sys.stderr = self._own
        write()
        sys.stdout = sys.stderr = null

    def reason(self, error: BaseException) -> str:
        """Returns the last line of the error's message, or of the captured output if it has no message."""
        message = "" if isinstance(error, SystemExit) and not isinstance(error.code, str) else str(error)
        self._captured.seek(0)
        lines = (message.strip() or self._captured.read().strip()).splitlines()
        return lines[-1] if lines else repr(error)
