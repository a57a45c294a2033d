"""Faults during webpf upgrade: in any case, the old file is unchanged or the new file is complete."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import old_files
import pytest
from small_disks import fill, small_disk
from support import NOBODY, as_nobody, let_others_in, wait_until, webpf_command

from webpf.errors import CannotCreate
from webpf.storage.file_check import SCHEMA_VERSION
from webpf.storage.upgrade import upgrade
from webpf.storage.verify import verify

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]

SUDO = {"SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY)}
MANY = 100_000  # processes, about 60 MiB

is_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to change users and to mount")


@pytest.fixture(autouse=True)
def _without_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests themselves may run under sudo."""
    for name in SUDO:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with only the files that a test creates."""
    made = tmp_path / "folder"
    made.mkdir()
    return made


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file whose upgrade takes some time."""
    path = old_files.copy("schema-3", tmp_path_factory.mktemp("large") / "old.db")
    old_files.add_processes(path, MANY)
    return path


def digest(path: Path) -> str:
    """Returns a digest of all bytes of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else file.read().hex()


def version(path: Path) -> int:
    """Returns the schema version of a file."""
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def start(path: Path, *command: str) -> subprocess.Popen[str]:
    """Starts an upgrade in the background. command: the command of webpf, default `upgrade`."""
    arguments = [*webpf_command(), *(command or ["upgrade", str(path)])]
    return subprocess.Popen(arguments, cwd=path.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def temporary_bytes(folder: Path) -> int:
    """Returns how many bytes the temporary files have."""
    total = 0
    for path in folder.glob(".webpf-*"):
        with suppress(FileNotFoundError):  # SQLite removes its own files beside it
            total += path.stat().st_size
    return total


def names(folder: Path) -> list[str]:
    """Returns the names of the files in a folder."""
    return sorted(path.name for path in folder.iterdir())


def assert_complete(path: Path) -> None:
    """Checks that the file is current, sound, and the only file in its folder."""
    assert version(path) == SCHEMA_VERSION
    assert names(path.parent) == [path.name]
    assert next(verify(path)).problems == ()


@pytest.mark.parametrize("mib", [0, 1, 10, 30])
def test_kill_9_in_the_middle(mib: int, large: Path, folder: Path) -> None:
    """The next upgrade removes the temporary file that is left."""
    path = Path(shutil.copyfile(large, folder / "old.db"))
    process = start(path)
    wait_until(lambda: temporary_bytes(folder) >= mib << 20 and names(folder) != ["old.db"], "nothing is written")
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.communicate()
    assert digest(path) == digest(large)
    # SQLite may have files beside it.
    [left] = {re.sub("-(journal|wal|shm)$", "", name) for name in names(folder)} - {"old.db"}
    assert left.startswith(".webpf-")
    assert start(path).communicate()[1] == f"webpf: {path} is upgraded from schema 3 to schema 5\n"
    assert names(folder) == ["old.db"]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM processes").fetchone() == (MANY + 30,)
        assert connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("mib", [0, 20])
def test_signals_in_the_middle(mib: int, number: signal.Signals, large: Path, folder: Path) -> None:
    path = Path(shutil.copyfile(large, folder / "old.db"))
    process = start(path)
    wait_until(lambda: temporary_bytes(folder) >= mib << 20 and names(folder) != ["old.db"], "nothing is written")
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == 128 + number, errors
    assert errors == "webpf: the upgrade was interrupted: nothing is changed, and no unfinished file is left\n"
    assert digest(path) == digest(large)
    assert names(folder) == ["old.db"]


@pytest.mark.kernel
@pytest.mark.parametrize("rest", [["--", "touch", "ran"], ["--duration", "1"]], ids=["command", "machine"])
def test_a_signal_while_a_recorder_upgrades(rest: list[str], large: Path, folder: Path) -> None:
    """Nothing is recorded, and the command is not started."""
    path = Path(shutil.copyfile(large, folder / "old.db"))
    process = start(path, "record", "--db", "old.db", *rest)
    wait_until(lambda: temporary_bytes(folder) > 1 << 20, "nothing is written")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 128 + signal.SIGINT, errors
    assert errors == "webpf: the upgrade was interrupted: nothing is changed, and no unfinished file is left\n"
    assert digest(path) == digest(large)
    assert names(folder) == ["old.db"]


@is_root
def test_a_full_disk(folder: Path, webpf: Webpf) -> None:
    with small_disk(folder, "6m"):
        path = old_files.copy("schema-3", folder / "old.db")
        old_files.add_processes(path, 7_000)
        before = digest(path)
        assert path.stat().st_size > shutil.disk_usage(folder).free
        for command in (["upgrade", path], ["rebuild", "--db", path]):
            ended = webpf(*command)
            assert (ended.returncode, len(ended.stderr.splitlines())) == (74, 1), ended
            assert f"{path} can't be upgraded: database or disk is full; it is unchanged; try: " in ended.stderr
            assert names(folder) == ["old.db"]
            assert digest(path) == before
        fill(folder, 0)  # no room even for empty tables
        ended = webpf("upgrade", path)
        assert (ended.returncode, len(ended.stderr.splitlines())) == (74, 1), ended
        assert digest(path) == before
        elsewhere = webpf("upgrade", path, "-o", "new.db")
        assert elsewhere.returncode == 0, elsewhere


@is_root
def test_a_read_only_file_system(folder: Path, webpf: Webpf) -> None:
    with small_disk(folder, "6m"):
        path = old_files.copy("schema-3", folder / "old.db")
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        ended = webpf("upgrade", path)
        assert (ended.returncode, len(ended.stderr.splitlines())) == (73, 1), ended
        assert f"{path} can't be written: the file system is read-only; try: " in ended.stderr
        assert "-o " in ended.stderr
        assert webpf("upgrade", path, "-o", "new.db").returncode == 0


@is_root
@pytest.mark.parametrize("mode", [(0o755, 0o600), (0o777, 0o400)], ids=["folder", "file"])
def test_without_write_permission(mode: tuple[int, int], folder: Path) -> None:
    path = old_files.copy("schema-3", folder / "old.db")
    os.chown(path, NOBODY, NOBODY)
    folder.chmod(mode[0])
    path.chmod(mode[1])
    let_others_in(folder)
    before = digest(path)
    with as_nobody(), pytest.raises(CannotCreate, match="can't be written: permission denied"):
        upgrade(path)
    assert digest(path) == before
    assert names(folder) == ["old.db"]


def test_a_symbolic_link_is_kept(folder: Path, tmp_path: Path, webpf: Webpf) -> None:
    path = old_files.copy("schema-3", folder / "old.db")
    link = tmp_path / "link.db"
    link.symlink_to("folder/old.db")
    assert webpf("upgrade", link).returncode == 0
    assert str(link.readlink()) == "folder/old.db"
    assert_complete(path)


@is_root
@pytest.mark.parametrize("environment", [{}, SUDO], ids=["root", "sudo"])
def test_owner_and_mode_are_kept(environment: dict[str, str], folder: Path, webpf: Webpf) -> None:
    path = old_files.copy("schema-3", folder / "old.db")
    os.chown(path, NOBODY, 12)
    path.chmod(0o640)
    ended = webpf("upgrade", path, env=environment)
    assert ended.returncode == 0, ended
    status = path.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (NOBODY, 12, 0o640)
    assert_complete(path)


@is_root
def test_a_link_under_sudo_is_not_followed(folder: Path, tmp_path: Path, webpf: Webpf) -> None:
    path = old_files.copy("schema-3", folder / "old.db")
    before = digest(path)
    (tmp_path / "link.db").symlink_to(path)
    ended = webpf("upgrade", "link.db", env=SUDO)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (73, 1), ended
    assert "link.db is a symbolic link, which webpf doesn't follow under sudo; try: " in ended.stderr
    assert ended.stderr.endswith(f"webpf upgrade {path}\n")
    assert digest(path) == before


@is_root
def test_a_log_that_another_user_planted(folder: Path, webpf: Webpf) -> None:
    path = old_files.copy("schema-3", folder / "old.db")
    planted = folder / "old.db-wal"
    planted.write_bytes(b"planted")
    os.chown(planted, NOBODY, NOBODY)
    before = digest(path)
    ended = webpf("upgrade", path)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (73, 1), ended
    assert "was put there" in ended.stderr
    assert (digest(path), planted.read_bytes()) == (before, b"planted")


def test_two_at_once(large: Path, folder: Path) -> None:
    """One upgrades; the other waits for it and finds a current file. If it waits too long, it names the process."""
    path = Path(shutil.copyfile(large, folder / "old.db"))
    both = [start(path) for _ in range(2)]
    ended = [(process.communicate()[1].removeprefix(f"webpf: {path} is "), process.returncode) for process in both]
    upgraded = ("upgraded from schema 3 to schema 5\n", 0)
    assert upgraded in ended
    ended.remove(upgraded)
    [(said, code)] = ended
    pids = [process.pid for process in both]
    assert (said, code) == ("current already (schema 5)\n", 0) or (
        code == 74 and any(said.startswith(f"open, by pid {pid} (") for pid in pids)
    )
    assert_complete(path)


def test_a_file_that_is_replaced_meanwhile(large: Path, folder: Path) -> None:
    """A file that another process puts at the path during the upgrade is kept."""
    path = Path(shutil.copyfile(large, folder / "old.db"))
    process = start(path)
    wait_until(lambda: temporary_bytes(folder) > 1 << 20, "nothing is written")
    (folder / "mine").write_text("mine")
    (folder / "mine").rename(path)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (73, f"webpf: {path} was replaced while it was being upgraded\n")
    assert path.read_text() == "mine"
    assert names(folder) == ["old.db"]


def test_only_unlocked_temporary_files_are_removed(large: Path, folder: Path) -> None:
    """Upgrades of two files in one folder don't disturb each other."""
    paths = [Path(shutil.copyfile(large, folder / f"{number}.db")) for number in range(3)]
    (folder / ".webpf-settings").touch()
    processes = [start(path) for path in paths]
    for process in processes:
        assert process.communicate()[1].endswith("is upgraded from schema 3 to schema 5\n")
    assert names(folder) == [".webpf-settings", "0.db", "1.db", "2.db"]
    assert [version(path) for path in paths] == [SCHEMA_VERSION] * 3
