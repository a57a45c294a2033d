"""`webpf browse`: starts Datasette on a local port, ends at a signal, and reports bad input."""

from __future__ import annotations

import re
import shlex
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from datasette.utils import tilde_decode
from support import DEADLINE_SECONDS, disposition, webpf_command
from visits import browsing

from webpf.web.browse import encode_name

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(params=[signal.SIG_DFL, signal.SIG_IGN])
def inherited_sigint(request: pytest.FixtureRequest) -> Iterator[None]:
    """SIGINT with its default action, and ignored, as a shell sets it for background jobs."""
    with disposition(signal.SIGINT, request.param):
        yield


@pytest.mark.usefixtures("inherited_sigint")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serves_until_a_signal(built: Path, number: signal.Signals) -> None:
    with browsing(built, "--no-open") as browse:
        assert re.search(r"/-/webpf/timeline/webpf/1\?token=[\w-]{43}   \(Ctrl-C ends\)\n$", browse.line)
        visitor = browse.visitor()
        assert "Lifetimes" in visitor.get(f"{browse.site}/webpf/lifetimes")[1]
        assert '"sql_time_limit_ms": 5000' in visitor.get(f"{browse.site}/-/settings.json")[1]
        browse.process.send_signal(number)
        assert browse.process.wait(DEADLINE_SECONDS) == 0  # another test's server may have the port at once


def test_two_servers_use_two_ports(built: Path) -> None:
    with browsing(built, "--no-open") as first, browsing(built, "--no-open") as second:
        assert first.port != second.port


def test_a_port_in_use(built: Path, webpf: Webpf) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        answer = webpf("browse", built, "--port", str(port))
    assert answer.returncode == 69
    message = f"webpf: port {port} is in use or not permitted; without --port, webpf uses a free one; try: "
    assert answer.stderr == f"{message}{shlex.join(webpf_command())} browse\n"


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http"])
def test_an_invalid_port(built: Path, webpf: Webpf, port: str) -> None:
    answer = webpf("browse", built, "--port", port)
    assert (answer.returncode, answer.stderr.count("\n")) == (64, 1)


@pytest.mark.parametrize("command", ["browse", "datasette-config"])
def test_files_that_are_not_recordings(tmp_path: Path, webpf: Webpf, command: str) -> None:
    (tmp_path / "text.db").write_text("no database")
    answer = webpf(command, "text.db")
    assert (answer.returncode, answer.stderr.count("\n")) == (65, 1)


def test_a_missing_file(webpf: Webpf) -> None:
    """`browse` needs the file; `datasette-config` doesn't."""
    assert webpf("browse", "nowhere.db").returncode == 66
    answer = webpf("datasette-config", "nowhere.db")
    assert (answer.returncode, "\n  nowhere:\n" in answer.stdout) == (0, True)


def test_a_file_without_a_recording(tmp_path: Path, webpf: Webpf) -> None:
    from webpf.storage.recording_file import RecordingFile

    RecordingFile(tmp_path / "empty.db").close()
    answer = webpf("browse", "empty.db")
    assert (answer.returncode, "holds no recording yet" in answer.stderr) == (66, True)


@pytest.mark.parametrize("name", ["webpf", "a-b_c", "a.b", "a b/c", "~", "~2E", "ü%", "%2f"])
def test_database_names_in_urls(name: str) -> None:
    """Datasette's tilde_decode() restores them."""
    assert tilde_decode(encode_name(name)) == name
    assert re.fullmatch(r"[\w~-]+", encode_name(name), re.ASCII)
