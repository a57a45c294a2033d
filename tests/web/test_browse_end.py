"""`webpf browse` doesn't hang when Datasette prints a lot, ends at once at a signal, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest
from sites import PYTHONS
from support import DEADLINE_SECONDS, children_of, disposition, wait_until
from visits import Browse, browsing

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture(params=sorted(PYTHONS))
def browse(request: pytest.FixtureRequest, built: Path, tmp_path: Path) -> Iterator[Browse]:
    """A running `webpf browse` in each Datasette, with its own folder for temporary files."""
    (tmp_path / "temporary").mkdir()
    with browsing(
        built, "--no-open", version=request.param, environment={"TMPDIR": str(tmp_path / "temporary")}
    ) as browse:
        yield browse


def cpu_seconds(pid: int) -> float:
    """Returns the CPU time of a process, from /proc."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def test_unread_output_does_not_block(browse: Browse) -> None:
    """Causes more errors than a pipe can hold, while nobody reads stderr after the first line."""
    visitor = browse.visitor()
    for number in range(150):
        for path in ("/.well-known/appspecific/com.chrome.devtools.json", "/webpf?sql=nonsense", "/webpf/nothing"):
            status, _, _ = visitor.get(f"{browse.site}{path}{'&' if '?' in path else '?'}x={number}{'x' * 500}")
            assert status in (400, 404)  # not 500, which an error in Datasette's error handler would cause
    assert visitor.get(f"{browse.site}/webpf")[0] == 200
    browse.process.terminate()
    rest = browse.process.stderr.read() if browse.process.stderr else ""
    assert re.fullmatch(r"webpf: .*ssh -L .*\n", rest), rest


def test_browsers_that_disconnect(browse: Browse) -> None:
    """The server keeps running when browsers disconnect in the middle of an answer."""
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browse.visitor().jar)
    for _ in range(30):
        with socket.create_connection(("127.0.0.1", browse.port)) as connection:
            connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
            )  # close() resets the connection
            connection.sendall(f"GET /webpf.db HTTP/1.1\r\nHost: localhost\r\nCookie: {cookies}\r\n\r\n".encode() * 5)
            connection.recv(10)
    assert browse.process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_it_at_once(browse: Browse, number: signal.Signals, tmp_path: Path) -> None:
    """Queries are running that would take five seconds, Datasette's limit. No file is left."""
    visitor = browse.visitor()

    def ask() -> None:
        with suppress(OSError):  # the server may end before it answers
            visitor.get(f"{browse.site}/webpf/-/query?sql={quote(ENDLESS)}")
        with suppress(OSError):
            visitor.get(f"{browse.site}/webpf?sql={quote(ENDLESS)}")

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(18)]
    before = cpu_seconds(browse.process.pid)
    for thread in threads:
        thread.start()
    wait_until(lambda: cpu_seconds(browse.process.pid) > before + 1, "no query runs")
    browse.process.send_signal(number)
    assert browse.process.wait(DEADLINE_SECONDS) == 0
    assert list((tmp_path / "temporary").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["temporary", "webpf.db"]


def test_no_server_is_left_after_sigkill(browse: Browse) -> None:
    browse.visitor()
    left = children_of(browse.process.pid)
    browse.process.kill()
    browse.process.wait(DEADLINE_SECONDS)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in left), "something goes on")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", browse.port))


def test_nohup_ignores_sighup(built: Path) -> None:
    with disposition(signal.SIGHUP, signal.SIG_IGN), browsing(built, "--no-open") as browse:
        browse.process.send_signal(signal.SIGHUP)
        assert browse.visitor().get(f"{browse.site}/webpf")[0] == 200


PLUGIN = """
import sys
from datasette import hookimpl
from datasette.plugins import pm
class Plugin:
    __name__ = "plugin"
    @hookimpl
    def startup(self, datasette):
        {body}
pm.register(Plugin())
"""
START = "import sys, time\n{before}\nsys.argv[0] = 'webpf'\nfrom webpf.__main__ import main\nmain()"
FAILURES = {
    "a library is missing": ("sys.modules['uvicorn'] = None", "uvicorn"),
    "a plugin fails": (
        PLUGIN.format(body=r"raise RuntimeError('first\nthe plugin is broken')"),
        "the plugin is broken",
    ),
    "a plugin fails without a word": (PLUGIN.format(body="raise RuntimeError"), "RuntimeError"),
    "a plugin gives up": (PLUGIN.format(body="print('no licence', file=sys.stderr); sys.exit(3)"), "no licence"),
}


@pytest.mark.parametrize("version", sorted(PYTHONS))
@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_start_is_reported(failure: str, version: str, built: Path) -> None:
    """The error is one line, with the reason."""
    before, expected = FAILURES[failure]
    command = [str(PYTHONS[version]), "-c", START.format(before=before), "browse", str(built), "--no-open"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert re.fullmatch(
        rf"webpf: Datasette doesn't start: .*{expected}.*; try: .*python.* -m datasette --version\n", answer.stderr
    )
    assert (answer.returncode, answer.stdout) == (69, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_it_during_the_start(number: signal.Signals, built: Path, tmp_path: Path) -> None:
    """Even if a plugin blocks the start for 1,000 s."""
    body = f"open({str(tmp_path / 'starting')!r}, 'w').close(); [time.sleep(1) for _ in range(1000)]"
    start = START.format(before="import time\n" + PLUGIN.replace("import sys", "import sys, time").format(body=body))
    command = [sys.executable, "-c", start, "browse", str(built), "--no-open"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until((tmp_path / "starting").exists, "it doesn't begin")
            process.send_signal(number)
            assert process.wait(DEADLINE_SECONDS) == 0
            assert process.stderr is not None
            assert process.stderr.read() == ""
        finally:
            process.kill()
