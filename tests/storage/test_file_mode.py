"""`--mode`: the file and the files beside it have these permissions from their first byte on, whatever the umask."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import old_files
import pytest
from support import NOBODY, Recorder, fork, let_others_in, make_recording, recording_values, wait_until

from webpf.capture.record_options import RecordOptions
from webpf.errors import CannotCreate, UsageError
from webpf.storage import compact, upgrade
from webpf.storage.recording_file import RecordingFile

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]
SIDES = ("webpf.db", "webpf.db-shm", "webpf.db-wal")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def modes(folder: Path) -> dict[str, int]:
    """Returns the permission bits of all files in a folder."""
    return {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in folder.iterdir()}


@contextmanager
def umask(value: int) -> Iterator[None]:
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def all_modes_seen(path: Path) -> Iterator[set[int]]:
    """Collects every mode in which another thread sees a file that is not empty."""
    seen: set[int] = set()
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.is_set():
            for each in (path, *(path.with_name(f"{path.name}-{side}") for side in ("wal", "shm", "journal"))):
                try:
                    status = each.stat()
                except FileNotFoundError:
                    continue
                if status.st_size:
                    seen.add(stat.S_IMODE(status.st_mode))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        is_over.set()
        watcher.join()


@pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o777])
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_all_files_have_the_mode_from_the_first_byte(tmp_path: Path, mask: int, mode: int) -> None:
    with umask(mask), all_modes_seen(tmp_path / "webpf.db") as seen:
        file = RecordingFile(tmp_path / "webpf.db", mode)
        file.begin(recording_values())
        assert modes(tmp_path) == dict.fromkeys(SIDES, mode)
        file.close()
        assert modes(tmp_path) == {"webpf.db": mode}
    assert seen == {mode}


def test_an_existing_file_gets_the_mode(tmp_path: Path) -> None:
    """Also the log that a killed recorder has left: the file can be read only with it."""
    make_recording(tmp_path / "webpf.db", [fork(100, 1)])
    with sqlite3.connect(tmp_path / "webpf.db") as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("UPDATE recordings SET name = 'changed'")
        connection.commit()
        for name in SIDES:
            shutil.copy(tmp_path / name, tmp_path / f"copy-{name}")
    connection.close()
    for name in SIDES:
        (tmp_path / f"copy-{name}").rename(tmp_path / name)
        (tmp_path / name).chmod(0o600)
    file = RecordingFile(tmp_path / "webpf.db", 0o640)
    assert modes(tmp_path) == dict.fromkeys(SIDES, 0o640)
    file.close()
    assert modes(tmp_path) == {"webpf.db": 0o640}


def test_without_the_option_a_mode_stays(tmp_path: Path) -> None:
    RecordingFile(tmp_path / "webpf.db", 0o640).close()
    file = RecordingFile(tmp_path / "webpf.db")
    file.begin(recording_values())
    assert modes(tmp_path) == dict.fromkeys(SIDES, 0o640)
    file.close()


@needs_root
@pytest.mark.parametrize("sudo", [False, True])
def test_the_group_is_that_of_a_setgid_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sudo: bool) -> None:
    if sudo:
        monkeypatch.setenv("SUDO_UID", "12345")
        monkeypatch.setenv("SUDO_GID", "23456")
    os.chown(tmp_path, -1, NOBODY)
    tmp_path.chmod(0o2750)
    file = RecordingFile(tmp_path / "webpf.db", 0o640)
    file.begin(recording_values())
    owners = {entry.name: (entry.stat().st_uid, entry.stat().st_gid) for entry in tmp_path.iterdir()}
    file.close()
    owner = (12345 if sudo else 0, NOBODY)
    assert owners == dict.fromkeys(SIDES, owner)
    assert ((tmp_path / "webpf.db").stat().st_uid, (tmp_path / "webpf.db").stat().st_gid) == owner


def test_a_file_system_without_modes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on FAT with the mount option `quiet`: chmod() says that it works, and changes nothing."""
    monkeypatch.setattr(os, "fchmod", lambda descriptor, mode: None)
    with umask(0o077), pytest.raises(CannotCreate, match=r"can't have the mode 0640: .* leaves it at 0600"):
        RecordingFile(tmp_path / "webpf.db", 0o640)


@needs_root
def test_upgrade_keeps_owner_group_and_mode(tmp_path: Path) -> None:
    path = old_files.copy(old_files.OLDER[0], tmp_path / "webpf.db")
    os.chown(path, 12345, 23456)
    path.chmod(0o640)
    assert upgrade.upgrade(path) is not None
    status = path.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12345, 23456, 0o640)


def test_an_upgrade_by_the_owner_calls_no_chown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The filter of a service kills what calls it, even if it would change nothing."""

    def refuse(*arguments: object) -> None:
        raise AssertionError("chown was called")

    path = old_files.copy(old_files.OLDER[0], tmp_path / "webpf.db")
    path.chmod(0o640)
    for name in ("chown", "fchown", "lchown"):
        monkeypatch.setattr(os, name, refuse)
    assert upgrade.upgrade(path) is not None
    assert modes(tmp_path) == {"webpf.db": 0o640}


def test_compact_keeps_the_mode(tmp_path: Path) -> None:
    make_recording(tmp_path / "webpf.db", [fork(100, 1)])
    (tmp_path / "webpf.db").chmod(0o640)
    compact.compact(tmp_path / "webpf.db")
    assert modes(tmp_path) == {"webpf.db": 0o640}


@pytest.mark.parametrize("text", ["0660", "0400", "0750", "2640", "640x", "", "rw-r-----", "6400", "0x1a0", "-640"])
def test_a_bad_mode(text: str) -> None:
    with pytest.raises(UsageError, match="--mode must be 0600, 0640, 0604 or 0644, not "):
        RecordOptions(mode=text).validate()


def test_a_bad_mode_is_refused_in_one_line(webpf: Webpf, tmp_path: Path) -> None:
    answer = webpf("record", "--mode", "0660", "--duration", "1")
    assert answer.returncode == 64
    [line] = answer.stderr.splitlines()
    assert "not '0660': " in line and line.endswith("webpf record --mode 0640")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["0640", "640", "0o640"])
def test_ways_to_write_a_mode(text: str) -> None:
    options = RecordOptions(mode=text)
    options.validate()
    assert options.file_mode == 0o640


@pytest.mark.kernel
@needs_root
def test_a_reader_of_the_group_reads_while_it_records(tmp_path: Path) -> None:
    """Python's sqlite3, as a user of the folder's group; and after kill -9, with the log that is left."""
    let_others_in(tmp_path / "webpf.db")
    os.chown(tmp_path, -1, NOBODY)
    tmp_path.chmod(0o2750)
    db = tmp_path / "webpf.db"
    sql = "SELECT count(*) > 0 FROM processes"
    script = f"import sqlite3; print(*sqlite3.connect('file:{db}?mode=ro', uri=True).execute('{sql}').fetchone())"

    def ask_as(group: int) -> str:
        user = ["setpriv", "--reuid=4321", f"--regid={group}", "--clear-groups"]
        command = [*user, "/usr/bin/python3", "-I", "-c", script]
        return subprocess.run(command, check=False, capture_output=True, text=True, cwd="/").stdout.strip()

    with umask(0o077):
        recorder = Recorder(db, ["--mode", "0640"])
    try:
        recorder.wait_until_recording()
        wait_until(lambda: ask_as(NOBODY) == "1", "the reader sees no process")
        assert ask_as(4321) == ""
        assert modes(tmp_path) == dict.fromkeys(SIDES, 0o640)
    finally:
        recorder.end(signal.SIGKILL)
    assert ask_as(NOBODY) == "1"
