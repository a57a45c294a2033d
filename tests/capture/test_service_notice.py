"""What a recorder tells the service manager: a socket of the test takes systemd's place."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support import DEADLINE_SECONDS, NOBODY, Recorder

from webpf.capture import supervisor_channel
from webpf.host import service_manager

_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


@dataclass
class Manager:
    """A service manager that notes what it is told, and the pid of each sender."""

    address: str
    socket: socket.socket
    told: list[tuple[str, int]] = field(default_factory=list)

    def wait_for(self, state: str) -> None:
        """Waits until a message begins with this."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not any(each.startswith(state) for each, _ in self.told):
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
            text, ancillary, *_ = self.socket.recvmsg(4096, socket.CMSG_SPACE(_CREDENTIALS.size))
            self.told.append((text.decode(), _CREDENTIALS.unpack(ancillary[0][2])[0]))

    def take_rest(self) -> None:
        """Takes what was sent before, without waiting."""
        self.socket.setblocking(False)
        try:
            while text := self.socket.recv(4096):
                self.told.append((text.decode(), 0))
        except BlockingIOError:
            pass

    @property
    def states(self) -> list[str]:
        return [text for text, _ in self.told]


@contextmanager
def managing(address: str) -> Iterator[Manager]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + address[1:] if address.startswith("@") else address)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        yield Manager(address, listening)


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """systemd uses a path; containers and sudo often a name without a file."""
    with managing(str(tmp_path / "notify") if request.param == "path" else f"@webpf-test-{os.getpid()}") as made:
        yield made


@pytest.mark.kernel
def test_a_recording_from_start_to_end(manager: Manager, tmp_path: Path) -> None:
    db = tmp_path / "webpf.db"
    watchdog = {"WATCHDOG_USEC": "900000"}
    recorder = Recorder(db, environment={"NOTIFY_SOCKET": manager.address, **watchdog})
    try:
        manager.wait_for("READY=1")
        with sqlite3.connect(f"file:{db}?mode=ro", uri=True) as connection:
            assert connection.execute("SELECT count(*) FROM recordings").fetchone() == (1,)
        manager.wait_for("STATUS=recording 1: ")
        manager.told = [each for each in manager.told if each[0] != "WATCHDOG=1"]
        begun = time.monotonic()
        for _ in range(3):
            manager.wait_for("WATCHDOG=1")
            manager.told = [each for each in manager.told if each[0] != "WATCHDOG=1"]
        assert time.monotonic() - begun < DEADLINE_SECONDS
        assert {pid for _, pid in manager.told} == {recorder.process.pid}, "systemd takes it from its own child only"
    finally:
        code, errors = recorder.end()
    assert code == 0, errors
    manager.take_rest()
    assert manager.states[:1] == ["READY=1"] and manager.states[-1] == "STOPPING=1"
    assert manager.states.count("READY=1") == manager.states.count("STOPPING=1") == 1
    [text] = [each for each in manager.states if each.startswith("STATUS=")]
    assert text.endswith("events/s, none lost")


@pytest.mark.kernel
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can stop being root")
def test_a_recorder_that_stopped_being_root() -> None:
    """Its supervisor passes on numbers only."""
    with tempfile.TemporaryDirectory() as name, managing(f"{name}/notify") as manager:
        os.chown(name, NOBODY, NOBODY)
        user = {"SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY), "SUDO_USER": "nobody"}
        recorder = Recorder(Path(name, "webpf.db"), (), {"NOTIFY_SOCKET": manager.address, **user})
        try:
            manager.wait_for("READY=1")
        finally:
            code, errors = recorder.end()
        manager.take_rest()
        assert Path(name, "webpf.db").stat().st_uid == NOBODY
    assert manager.states == ["READY=1", "STOPPING=1"]
    assert (code, "complete, no event was lost" in errors) == (0, True), errors


@pytest.mark.kernel
def test_a_failed_start_is_never_ready(tmp_path: Path) -> None:
    """So `systemctl start` fails, with its exit code."""
    with managing(str(tmp_path / "notify")) as manager:
        recorder = Recorder(tmp_path / "webpf.db", ["--program", "/nowhere"], {"NOTIFY_SOCKET": manager.address})
        code, errors = recorder.end(0)
        manager.take_rest()
    assert code == 66 and len(errors.splitlines()) == 1, errors
    assert manager.states == []


@pytest.mark.kernel
def test_a_manager_that_is_gone_disturbs_nothing(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "webpf.db", environment={"NOTIFY_SOCKET": str(tmp_path / "nowhere")})
    recorder.wait_until_recording()
    code, errors = recorder.end()
    assert code == 0 and "complete, no event was lost" in errors


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "77"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "78"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog(environment: dict[str, str], seconds: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert service_manager.watchdog_seconds(77) == seconds


def test_without_a_manager_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("", "vsock:2:1234", "relative"):
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        assert not service_manager.is_listening()
        service_manager.notify(service_manager.READY)


def test_notices_fit_after_the_seal() -> None:
    notice = supervisor_channel.NOTICE + bytes([len(supervisor_channel.NOTICES) - 1])
    assert len(notice) <= supervisor_channel.LONGEST_SEALED


@pytest.mark.kernel
def test_the_journal_gets_one_line_at_the_start_and_one_at_the_end(tmp_path: Path) -> None:
    log = tmp_path / "stderr"
    log.touch()
    status = log.stat()
    journal = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    recorder = Recorder(tmp_path / "webpf.db", environment=journal, stderr=log)
    recorder.wait_until_recording()
    recorder.end(signal.SIGTERM)
    start, end = log.read_text().splitlines()
    assert start == f"<6>webpf: recording 1 goes to {tmp_path}/webpf.db, until it is stopped"
    assert end.startswith(f"<6>webpf: recording 1 in {tmp_path}/webpf.db: ")
    assert "; failed: " in end and "; complete, no event was lost" in end


@pytest.mark.parametrize("is_journal", [True, False])
def test_errors_have_a_priority_in_the_journal_only(is_journal: bool, tmp_path: Path) -> None:
    log = tmp_path / "stderr"
    log.touch()
    status = log.stat()
    stream = f"{status.st_dev}:{status.st_ino if is_journal else status.st_ino + 1}"
    recorder = Recorder(tmp_path / "webpf.db", ["--mode", "0666"], {"JOURNAL_STREAM": stream}, log)
    assert recorder.process.wait(DEADLINE_SECONDS) == 64
    [line] = log.read_text().splitlines()
    assert line.startswith("<3>webpf: --mode must be" if is_journal else "webpf: --mode must be")
