"""Files that another user has planted where root will record: refused with one line, and not a byte of them changes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import NOBODY, as_nobody, fork, make_recording, recording_values

from webpf.errors import CannotCreate
from webpf.host import file_owner
from webpf.storage import file_creation
from webpf.storage.recording_file import RecordingFile

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

VICTIM = 12345
SUDO = {"SUDO_UID": str(VICTIM), "SUDO_GID": "23456"}
SECRET = b"somebody's own\n" * 100


@pytest.fixture(autouse=True)
def _without_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SUDO:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder like /tmp: all users can create files in it, and remove their own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o1777)
        yield Path(folder)


@pytest.fixture
def victim(shared: Path) -> Path:
    """A file of another user in the shared folder."""
    path = shared / "precious"
    path.write_bytes(SECRET)
    path.chmod(0o600)
    os.chown(path, VICTIM, VICTIM)
    return path


def refused(answer: subprocess.CompletedProcess[str], *words: str) -> None:
    """Checks for one line with a hint, and the exit code for a file that can't be created."""
    assert answer.returncode == 73, answer.stderr
    assert answer.stdout == ""
    assert len(answer.stderr.splitlines()) == 1, answer.stderr
    for word in (*words, "; try: "):
        assert word in answer.stderr


@pytest.fixture(params=[{}, SUDO], ids=["root", "sudo"])
def environment(request: pytest.FixtureRequest) -> dict[str, str]:
    """As root, and as a user through sudo."""
    return dict(request.param)


@pytest.mark.parametrize("target", ["precious", "not there"])
def test_a_planted_symbolic_link(
    shared: Path, victim: Path, target: str, webpf: Webpf, environment: dict[str, str]
) -> None:
    path = shared / "webpf.db"
    with as_nobody():
        path.symlink_to(shared / target)
    answer = webpf("record", "--duration", "1", "--db", path, env=environment)
    refused(answer, "is a symbolic link", f"{shared}/{target}")
    assert victim.read_bytes() == SECRET
    assert not (shared / "not there").exists()
    with pytest.raises(CannotCreate):
        RecordingFile(path)


def test_a_planted_hard_link(shared: Path, webpf: Webpf, environment: dict[str, str]) -> None:
    """To a recording file, so that its content is no reason to refuse it."""
    original = shared / "roots.db"
    make_recording(original, [fork(100, 1)])
    before = original.read_bytes()
    path = shared / "webpf.db"
    path.hardlink_to(original)
    os.chown(path, 0, 0)
    refused(webpf("record", "--duration", "1", "--db", path, env=environment), "is a hard link", f"rm {path}")
    assert (original.read_bytes(), original.stat().st_uid) == (before, 0)


@pytest.mark.parametrize("content", ["empty", "recording"])
def test_a_file_of_another_user(shared: Path, content: str, webpf: Webpf, environment: dict[str, str]) -> None:
    """Its owner could read the arguments of all processes."""
    path = shared / "webpf.db"
    if content == "recording":
        make_recording(path, [fork(100, 1)])
        os.chown(path, NOBODY, NOBODY)
    else:
        with as_nobody():
            path.touch(0o666)
    before = path.read_bytes()
    answer = webpf("record", "--duration", "1", "--db", path, env=environment)
    refused(answer, f"belongs to another user (uid {NOBODY})", f"sudo chown {environment.get('SUDO_UID', 0)} {path}")
    assert path.read_bytes() == before
    if content == "recording":
        refused(webpf("rebuild", "--db", path), "belongs to another user")


@pytest.mark.parametrize("suffix", file_owner.SIDE_FILE_SUFFIXES)
@pytest.mark.parametrize("plant", ["symbolic link", "hard link", "own file", "folder"])
def test_planted_side_files(
    shared: Path, victim: Path, suffix: str, plant: str, webpf: Webpf, environment: dict[str, str]
) -> None:
    side = shared / f"webpf.db{suffix}"
    if plant == "hard link":
        side.hardlink_to(victim)
    else:
        with as_nobody():
            if plant == "symbolic link":
                side.symlink_to(victim)
            elif plant == "folder":
                side.mkdir()
            else:
                side.touch(0o666)
    path = shared / "webpf.db"
    refused(webpf("record", "--duration", "1", "--db", path, env=environment), "is no file of SQLite's", f"rm {side}")
    assert victim.read_bytes() == SECRET
    assert not path.exists()


def test_side_files_of_a_running_recording_are_accepted(shared: Path) -> None:
    first = RecordingFile(shared / "webpf.db")
    first.begin(recording_values())
    assert (shared / "webpf.db-wal").exists()
    second = RecordingFile(shared / "webpf.db")
    second.close()
    first.close()


def test_a_file_swapped_after_the_check_is_noticed(shared: Path, victim: Path) -> None:
    """The check compares the file that is open, not only its path."""
    path = shared / "webpf.db"
    identity = file_creation.create(path)
    before = file_owner.open_descriptors()
    with victim.open("rb"), pytest.raises(CannotCreate, match="was replaced"):
        file_owner.check_opened(path, identity, before)
    planted = shared / "webpf.db-wal"
    with as_nobody():
        planted.touch()
    with path.open("rb"):
        file_owner.check_opened(path, identity, before)
        with planted.open("rb"), pytest.raises(CannotCreate, match="put there by another user"):
            file_owner.check_opened(path, identity, before)


def test_a_link_that_comes_and_goes_is_never_followed(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process puts a link in place of the file, again and again, while webpf opens it under sudo."""
    for name, value in SUDO.items():
        monkeypatch.setenv(name, value)
    target = shared / "target"
    path = shared / "race.db"
    shared.chmod(0o777)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            with contextlib.suppress(FileExistsError):
                path.unlink(missing_ok=True)
                path.symlink_to(target)
                path.unlink(missing_ok=True)
            stop.wait(0.0005)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(150):
            file = None
            try:
                file = RecordingFile(path)
            except Exception as error:
                assert "race.db" in str(error)
            if file is not None:
                file.close()
            assert not target.exists()
    finally:
        stop.set()
        thread.join()


def test_under_sudo_only_the_file_itself_changes_its_owner(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """During the recording, another file of root took its path."""
    path = shared / "webpf.db"
    file = RecordingFile(path)
    file.begin(recording_values())
    for name, value in SUDO.items():
        monkeypatch.setenv(name, value)
    path.rename(shared / "moved.db")
    path.write_bytes(SECRET)
    file.close()
    assert path.stat().st_uid == 0
    assert path.read_bytes() == SECRET


def test_a_planted_link_changes_no_owner_at_the_end(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = shared / "roots"
    target.write_bytes(SECRET)
    path = shared / "webpf.db"
    file = RecordingFile(path)
    for name, value in SUDO.items():
        monkeypatch.setenv(name, value)
    path.unlink()
    path.symlink_to(target)
    file.close()
    assert target.stat().st_uid == 0
    assert target.read_bytes() == SECRET
