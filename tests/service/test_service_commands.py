"""`webpf service`, as far as a machine without the service shows it; `make service` tries the rest."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from json_page import documented, keys_of
from support import NOBODY, T0, as_nobody, fork, let_others_in, make_recording

from webpf.cli import recording_choice
from webpf.errors import CannotCreate, NoPermission, NotFound, WebpfError
from webpf.host import file_owner, service_place
from webpf.render import service_json, service_text
from webpf.service import installation, service_state, systemd
from webpf.storage import file_check, reader

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]
has_no_systemd = pytest.mark.skipif(systemd.is_running(), reason="systemd runs here")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@has_no_systemd
@pytest.mark.parametrize("command", ["install", "uninstall", "status"])
def test_without_systemd(command: str, webpf: Webpf) -> None:
    answer = webpf("service", command)
    assert (answer.returncode, answer.stdout) == (69, "")
    [line] = answer.stderr.splitlines()
    assert "systemd doesn't run here" in line and "; try: " in line


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place of the service's file that is like its own; systemd's programs are not called."""
    folder = tmp_path / "state"
    folder.mkdir()
    monkeypatch.setattr(service_place, "FOLDER", folder)
    monkeypatch.setattr(service_place, "DB", folder / "webpf.db")
    monkeypatch.setattr(service_place, "UNIT_FILE", tmp_path / "webpf.service")
    monkeypatch.setattr(systemd, "is_running", lambda: True)
    return folder


@needs_root
@pytest.mark.parametrize("act", [lambda: installation.install([]), installation.uninstall])
def test_only_root_installs(act: Callable[[], object], place: Path) -> None:
    with as_nobody(), pytest.raises(NoPermission, match="only root"):
        act()


@needs_root
def test_a_service_that_exists_already(place: Path) -> None:
    service_place.UNIT_FILE.write_text("# somebody's\n")
    with pytest.raises(WebpfError, match=r"exists already, as .*webpf\.service; --force") as refused:
        installation.install([])
    assert (refused.value.exit_code, refused.value.hint) == (64, "webpf service status")
    with pytest.raises(WebpfError, match="was not made by webpf service install"):
        installation.uninstall()
    assert service_place.UNIT_FILE.read_text() == "# somebody's\n"


@needs_root
def test_a_reader_who_does_not_exist(place: Path) -> None:
    with pytest.raises(NotFound, match="there is no user no-such-user"):
        installation.install([], ["no-such-user"])
    assert not service_place.UNIT_FILE.exists()


@needs_root
def test_no_service(place: Path) -> None:
    for act in (installation.uninstall, service_state.read_state):
        with pytest.raises(NotFound) as missing:
            act()
        assert missing.value.hint == "sudo webpf service install"


def test_the_default_file(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--db or FILE, then $WEBPF_DB, then webpf.db here, then the service's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WEBPF_DB", raising=False)

    def chosen(file: str | None = None) -> Path:
        return recording_choice.choose_file(file, None)

    assert chosen() == Path("webpf.db"), "there is no service"
    service_place.DB.touch()
    assert chosen() == service_place.DB
    service_place.DB.unlink()
    service_place.UNIT_FILE.touch()
    assert chosen() == service_place.DB, "an ordinary user doesn't see the file, but the unit"
    (tmp_path / "webpf.db").touch()
    assert chosen() == Path("webpf.db")
    monkeypatch.setenv("WEBPF_DB", "other.db")
    assert chosen() == Path("other.db")
    assert chosen("third.db") == Path("third.db")


@needs_root
@pytest.mark.parametrize("closed", ["folder", "file"])
def test_who_can_not_read_learns_how_to(closed: str, place: Path) -> None:
    make_recording(service_place.DB, [fork(100, 1)])
    let_others_in(service_place.DB)
    place.chmod(0o750 if closed == "folder" else 0o755)
    service_place.DB.chmod(0o640)
    for path in (place, service_place.DB):
        os.chown(path, 0, 4)
    with as_nobody(), pytest.raises(NoPermission) as refused:
        file_check.check_readable(service_place.DB)
    assert re.search("; members of the group adm may, from their next login on$", refused.value.message)
    assert refused.value.hint == "sudo usermod -aG adm nobody"
    place.chmod(0o700)
    with as_nobody(), pytest.raises(NoPermission) as refused:
        file_check.check_readable(service_place.DB)
    assert "group" not in refused.value.message


@needs_root
def test_root_leaves_the_services_file_to_its_user(place: Path) -> None:
    """A chown, which the message for other files proposes, would break the service."""
    make_recording(service_place.DB, [fork(100, 1)])
    os.chown(service_place.DB, NOBODY, NOBODY)
    with pytest.raises(CannotCreate, match="belongs to the service") as refused:
        file_owner.check_owner(service_place.DB, service_place.DB.stat())
    assert refused.value.hint.startswith("sudo -u webpf ")


@pytest.fixture
def with_file(place: Path) -> Path:
    """The service is installed, and its file has two recordings, of which the first lost an event."""
    service_place.UNIT_FILE.touch()
    for _ in range(2):
        make_recording(service_place.DB, [fork(100, 1), fork(101, 2), fork(102, 3, kernel=1)])
    with closing(sqlite3.connect(service_place.DB)) as connection, connection:
        connection.execute("UPDATE recordings SET execs_lost = 3 WHERE id = 1")
        connection.execute("UPDATE recordings SET started_ns = started_ns - 7000000000 WHERE id = 1")
    return place


def properties(active: str) -> dict[str, str]:
    """What systemd says of a unit."""
    values = {"active": ("running", "success", "0"), "failed": ("failed", "exit-code", "77")}[active]
    found = dict(zip(("SubState", "Result", "ExecMainStatus"), values, strict=True))
    return {"ActiveState": active, "UnitFileState": "enabled", "ActiveEnterTimestamp": "@1700000000", **found}


@pytest.mark.parametrize("active", ["active", "failed"])
def test_status(active: str, with_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "properties", lambda *names: properties(active))
    state = service_state.read_state()
    text = "\n".join(service_text.lines(state))
    assert re.search(rf"^service +{active} \(", text, re.MULTILINE)
    assert ("since 2023-11-1" in text.splitlines()[0]) == (active == "active")
    assert ("exit-code (exit code 77)" in text) == (active == "failed")
    assert re.search(r"^processes +4 in 2 recordings$", text, re.MULTILINE)
    assert re.search(r"^lost +3 events$", text, re.MULTILINE)
    assert re.search(r"^recording +2 complete, since 2023", text, re.MULTILINE)
    assert state.file is not None and state.file.oldest_ns == T0 - 7_000_000_000
    assert state.file.bytes == service_place.DB.stat().st_size
    assert not state.is_recording, "the recording has ended"


def test_a_process_in_two_segments_of_a_chain_is_one(with_file: Path) -> None:
    """Process 100 began before the second segment."""
    with closing(sqlite3.connect(service_place.DB)) as connection, connection:
        connection.execute("UPDATE recordings SET chain = 1, segment = 7 + id")
        connection.execute("UPDATE recordings SET started_ns = ? WHERE id = 2", [T0 + 1_500_000])
        assert reader.count_processes(connection) == 3


def test_status_as_json_is_documented(with_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "properties", lambda *names: properties("active"))
    document: dict[str, Any] = json.loads(json.dumps(service_json.state_document(service_state.read_state())))
    keys, objects = documented("service")
    assert set(keys_of(document)) - objects == keys


@needs_root
def test_status_for_who_can_not_read(with_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "properties", lambda *names: properties("active"))
    let_others_in(with_file / "webpf.db")
    with_file.chmod(0o750)
    os.chown(with_file, 0, 4)
    with as_nobody():
        state = service_state.read_state()
    assert state.file is None and state.is_recording
    assert "sudo usermod -aG adm nobody" in "\n".join(service_text.lines(state))
