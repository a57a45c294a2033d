"""`webpf browse`: Datasette on a port of this machine, and the page that is opened."""

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
from ..host.signals import ASKING
from ..storage import reader
from .desktop import Desktop

if TYPE_CHECKING:
    from .gate import Gate

HOST = "127.0.0.1"
FIRST_PORT = 8001
_PORTS = 100
_HOST_NAME = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]")


@dataclass(frozen=True)
class ServedPage:
    """What is served. address: lets one browser in, once. tunnel: how to get there from where the user sits, if far."""

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

    port: None takes the first free one. hosts: names besides localhost that requests may give. on_ready is text the
    page's address when it is served. Raises NotFound, DataError, Unavailable or UsageError.
    """
    allowed_hosts = [_check_host(host.lower()) for host in hosts]
    with reader.reading(db) as connection:
        shown = reader.find(connection, db, recording).id
    desktop = Desktop()
    with _end_on_signals(), _open_listener(port) as listener, _MutedOutput() as muted:

        def announce(gate: Gate) -> None:
            from . import server

            number = listener.getsockname()[1]
            page = f"http://{HOST}:{number}/-/webpf/timeline/{encode_name(server.database_name(db))}/{shown}"
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
    """A database's name as Datasette writes it in an address: like %-encoding, but with a tilde."""
    return re.sub(r"%", "~", quote(name.replace("~", "\0"), safe="").replace(".", "%2E").replace("%00", "%7E"))


def _tunnel(desktop: Desktop, port: int) -> str | None:
    return None if desktop.has_display else desktop.tunnel_command(port)


def _open(desktop: Desktop, gate: Gate, address: str) -> bool:
    # All users can read the arguments of a browser: until it has used the address, only its user may.
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
    """A socket that listens: from here on nobody else can take the port."""
    if port is None:
        ports = range(FIRST_PORT, FIRST_PORT + _PORTS)
        found = next((listener for each in ports if (listener := _listen(each))), None)
        if found is None:
            message = f"all ports from {FIRST_PORT} to {FIRST_PORT + _PORTS - 1} are taken"
            raise Unavailable(message, "webpf browse --port 9000")
        return found
    if not 1 <= port <= 65535:
        raise UsageError(f"--port must be from 1 to 65535, not {port}", f"webpf browse --port {FIRST_PORT}")
    found = _listen(port)
    if found is None:
        raise Unavailable(f"port {port} is taken, or this user may not have it; webpf finds a free one", "webpf browse")
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
    """SIGTERM and SIGHUP end it like Ctrl-C; and that also where a shell had it ignored, as in the background."""
    before = {}
    for number in ASKING:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
            before[number] = signal.signal(number, _raise_interrupt)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise_interrupt(number: int, frame: FrameType | None) -> None:
    """Python's own would be replaced by asyncio, with one that waits for what doesn't wait itself."""
    raise KeyboardInterrupt


class _MutedOutput:
    """Keeps from the user what Datasette and its plugins print; why they didn't start can be asked for.

    It is for nobody, and need not be short: where webpf's own stderr is a pipe, nobody may read it.
    """

    def __enter__(self) -> _MutedOutput:
        self._own = sys.stdout, sys.stderr
        self._captured = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="replace", write_through=True)
        sys.stdout = sys.stderr = self._captured
        return self

    def __exit__(self, *error: object) -> None:
        sys.stdout, sys.stderr = self._own

    def show(self, write: Callable[[], None]) -> None:
        """Lets webpf speak once; from then on what is printed isn't kept."""
        null = io.TextIOWrapper(io.FileIO(os.devnull, "w"), encoding="utf-8", errors="replace")
        sys.stdout, sys.stderr = self._own
        write()
        sys.stdout = sys.stderr = null

    def reason(self, error: BaseException) -> str:
        """The last line of what is known of an error, from itself or from what was printed before it."""
        message = "" if isinstance(error, SystemExit) and not isinstance(error.code, str) else str(error)
        self._captured.seek(0)
        lines = (message.strip() or self._captured.read().strip()).splitlines()
        return lines[-1] if lines else repr(error)
