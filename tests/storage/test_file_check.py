"""Which paths webpf accepts for a recording file, which it refuses and with which message, and who owns a new file."""

from __future__ import annotations

import os
import socket
import sqlite3
import stat
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import NOBODY, PROJECT, as_nobody, fork, make_recording, recording_values

from webpf.errors import CannotCreate, DataError, NoPermission, NotFound, WebpfError
from webpf.host import file_owner
from webpf.host.invocation import sudo_command
from webpf.storage import file_check, file_creation
from webpf.storage.recording_file import RecordingFile

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture(autouse=True)
def _without_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests themselves may run under sudo."""
    for name in ("SUDO_UID", "SUDO_GID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def under_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets the environment as if user 12345 had called sudo."""
    monkeypatch.setenv("SUDO_UID", "12345")
    monkeypatch.setenv("SUDO_GID", "23456")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path


def recording(path: Path) -> Path:
    """A real recording file."""
    make_recording(path, [fork(100, 0)])
    return path


def database(path: Path, application_id: int = 0, version: int = 0) -> Path:
    """An SQLite database."""
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA application_id = {application_id}")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.execute("CREATE TABLE notes (text)")
    connection.close()
    return path


def refusal(check: Callable[[Path], object], path: Path) -> tuple[type[WebpfError], str, str]:
    """Returns how a check refuses a path: class, message and hint, with PATH in place of the path."""
    with pytest.raises(WebpfError) as caught:
        check(path)
    error = caught.value
    return type(error), error.message.replace(str(path), "PATH"), error.hint.replace(str(path), "PATH")


BOTH = pytest.mark.parametrize("check", [file_check.check_readable, file_check.check_writable])
ELSEWHERE = "webpf record --db ~/webpf.db"
NO_DATABASE = (DataError, "PATH is no SQLite database", ELSEWHERE)


# Accepted


@BOTH
def test_a_recording_file_is_accepted(tmp_path: Path, check: Callable[[Path], None]) -> None:
    check(recording(tmp_path / "webpf.db"))


@BOTH
def test_a_recording_file_that_is_being_written_is_accepted(tmp_path: Path, check: Callable[[Path], None]) -> None:
    file = RecordingFile(tmp_path / "webpf.db")
    check(tmp_path / "webpf.db")
    file.close()


@BOTH
def test_a_link_to_a_recording_file_is_accepted(tmp_path: Path, check: Callable[[Path], None]) -> None:
    (tmp_path / "link.db").symlink_to(recording(tmp_path / "webpf.db"))
    check(tmp_path / "link.db")


def test_a_new_file_may_be_written(tmp_path: Path) -> None:
    file_check.check_writable(tmp_path / "webpf.db")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_may_be_written(tmp_path: Path) -> None:
    (tmp_path / "webpf.db").touch()
    file_check.check_writable(tmp_path / "webpf.db")


def test_a_name_without_a_folder_is_in_the_current_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file_check.check_writable(Path("webpf.db"))
    recording(Path("webpf.db"))
    file_check.check_readable(Path("webpf.db"))


# Refused because of the content


@BOTH
@pytest.mark.parametrize(
    "content",
    [b"x", b"some notes\n" * 50, b"SQLite format 3\0", b"SQLite format 3\0" + bytes(83), b"SQLite format 4\0" * 50],
    ids=["a byte", "text", "magic only", "99 bytes", "another magic"],
)
def test_a_file_that_is_not_a_database(tmp_path: Path, check: Callable[[Path], None], content: bytes) -> None:
    path = tmp_path / "webpf.db"
    path.write_bytes(content)
    assert refusal(check, path) == NO_DATABASE
    assert path.read_bytes() == content


@BOTH
@pytest.mark.parametrize("application_id", [0, 1, file_check.APPLICATION_ID + 1])
def test_another_programs_database(tmp_path: Path, check: Callable[[Path], None], application_id: int) -> None:
    path = database(tmp_path / "notes.db", application_id, file_check.SCHEMA_VERSION)
    assert refusal(check, path) == (
        DataError,
        "PATH is another program's SQLite database, and webpf doesn't touch it",
        ELSEWHERE,
    )


@BOTH
def test_a_file_of_a_newer_version(tmp_path: Path, check: Callable[[Path], None]) -> None:
    known = file_check.SCHEMA_VERSION
    path = database(tmp_path / "webpf.db", file_check.APPLICATION_ID, known + 1)
    assert refusal(check, path) == (
        DataError,
        f"PATH was made by a newer webpf (schema {known + 1}; this one knows {known})",
        f"git -C {PROJECT} pull",
    )


def test_the_header_is_where_sqlite_says(tmp_path: Path) -> None:
    """The numbers that identify a recording are at the offsets documented in sqlite.org/fileformat.html."""
    header = recording(tmp_path / "webpf.db").read_bytes()[:100]
    assert struct.unpack_from(">I", header, 60) == (file_check.SCHEMA_VERSION,)
    assert header[68:72] == b"wbPF"


# Refused because of the path


@BOTH
def test_a_directory(tmp_path: Path, check: Callable[[Path], None]) -> None:
    path = tmp_path / "webpf.db"
    path.mkdir()
    kind = CannotCreate if check is file_check.check_writable else DataError
    hint = "webpf record --db PATH/webpf.db" if check is file_check.check_writable else "ls PATH"
    said = "PATH is a directory" if check is file_check.check_writable else "PATH is a directory, not a recording file"
    assert refusal(check, path) == (kind, said, hint)


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    assert refusal(file_check.check_writable, folder / "webpf.db") == (
        CannotCreate,
        f"there is no folder {folder}",
        f"mkdir -p {folder}",
    )


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert refusal(file_check.check_writable, tmp_path / "file" / "webpf.db")[0] is CannotCreate


def test_a_file_that_does_not_exist_can_not_be_read(tmp_path: Path) -> None:
    expected = (NotFound, "there is no recording file PATH", "sudo webpf record --db PATH")
    assert refusal(file_check.check_readable, tmp_path / "webpf.db") == expected
    (tmp_path / "link.db").symlink_to(tmp_path / "nowhere.db")
    assert refusal(file_check.check_readable, tmp_path / "link.db") == expected


def test_an_empty_file_holds_nothing_to_read(tmp_path: Path) -> None:
    path = tmp_path / "webpf.db"
    path.touch()
    assert refusal(file_check.check_readable, path) == (
        DataError,
        "PATH is empty: nothing has been recorded in it yet",
        "sudo webpf record --db PATH",
    )


@pytest.mark.parametrize("kind", ["fifo", "socket", "device"])
def test_a_path_that_is_not_a_regular_file(tmp_path: Path, kind: str) -> None:
    """The check doesn't block on a pipe that has no writer."""
    path = tmp_path / "webpf.db"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    else:
        path = Path("/dev/null")
    assert refusal(file_check.check_writable, path) == (
        CannotCreate,
        "PATH is not a regular file",
        ELSEWHERE,
    )
    assert refusal(file_check.check_readable, path)[0] is DataError


@BOTH
def test_a_name_that_is_too_long(tmp_path: Path, check: Callable[[Path], None]) -> None:
    """It is reported as an expected error, not with a traceback."""
    assert issubclass(refusal(check, tmp_path / ("x" * 300))[0], WebpfError)


# Refused because of permissions


@needs_root
def test_another_users_file_can_not_be_read(open_folder: Path) -> None:
    path = recording(open_folder / "webpf.db")
    with as_nobody():
        assert refusal(file_check.check_readable, path) == (
            NoPermission,
            "PATH belongs to root, and you may not read it",
            sudo_command(),
        )


@needs_root
def test_another_users_folder_can_not_be_searched(open_folder: Path) -> None:
    path = recording(open_folder / "webpf.db")
    open_folder.chmod(0o700)
    with as_nobody():
        expected = (NoPermission, "PATH is in a folder of root, and you may not look into it", sudo_command())
        assert refusal(file_check.check_readable, path) == expected
        assert refusal(file_check.check_writable, path)[0] in (CannotCreate, DataError)


@needs_root
def test_another_users_folder_can_not_be_written(open_folder: Path) -> None:
    expected = (CannotCreate, "PATH can't be written: permission denied", ELSEWHERE)
    with as_nobody():
        assert refusal(file_check.check_writable, open_folder / "webpf.db") == expected
    path = recording(open_folder / "webpf.db")
    path.chmod(0o644)
    with as_nobody():
        file_check.check_readable(path)
        assert refusal(file_check.check_writable, path) == expected


@needs_root
def test_a_file_that_could_not_be_created_after_all(open_folder: Path) -> None:
    """An error that the check can't foresee, for example if the folder's mode changes in between."""
    with as_nobody():
        assert refusal(file_creation.create, open_folder / "webpf.db") == (
            CannotCreate,
            "PATH can't be created: Permission denied",
            ELSEWHERE,
        )


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A read-only file system with a recording file in it."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", tmp_path], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a file system can't be mounted here: {mounted.stderr.strip()}")
    try:
        recording(tmp_path / "webpf.db")
        subprocess.run(["mount", "-o", "remount,ro", tmp_path], check=True)
        yield tmp_path
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@needs_root
@pytest.mark.parametrize("name", ["webpf.db", "new.db"])
def test_a_read_only_file_system(read_only: Path, name: str) -> None:
    assert refusal(file_check.check_writable, read_only / name) == (
        CannotCreate,
        "PATH can't be written: the file system is read-only",
        ELSEWHERE,
    )


@needs_root
def test_a_read_only_file_system_can_be_read(read_only: Path) -> None:
    file_check.check_readable(read_only / "webpf.db")


# New files


def mode(path: Path) -> int:
    """Returns the permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_a_new_file_is_its_owners_only(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        file_creation.create(tmp_path / "webpf.db")
    finally:
        os.umask(before)
    assert mode(tmp_path / "webpf.db") == 0o600
    assert (tmp_path / "webpf.db").read_bytes() == b""


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_side_files_are_its_owners_only_too(tmp_path: Path, umask: int) -> None:
    """The rollback journal, while the tables are created; then the WAL and its index."""
    path = tmp_path / "webpf.db"
    modes: dict[str, int] = {}
    before = os.umask(umask)
    try:
        file_creation.create(path)
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE a (b)")
        modes |= {entry.name: mode(entry) for entry in tmp_path.iterdir()}
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("INSERT INTO a VALUES (1)")
        modes |= {entry.name: mode(entry) for entry in tmp_path.iterdir()}
        connection.close()
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("webpf.db", "webpf.db-journal", "webpf.db-wal", "webpf.db-shm"), 0o600)


def test_an_empty_file_becomes_its_owners_only(tmp_path: Path) -> None:
    """For example from `touch`: nothing is recorded in it yet, so nobody shares it on purpose."""
    path = tmp_path / "webpf.db"
    path.touch(0o644)
    file_creation.create(path)
    assert mode(path) == 0o600


def test_an_existing_file_is_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "webpf.db"
    path.write_bytes(b"content")
    path.chmod(0o640)
    file_creation.create(path)
    assert (path.read_bytes(), mode(path)) == (b"content", 0o640)


def test_a_file_made_through_a_link_is_its_owners_only_too(tmp_path: Path) -> None:
    """If the link is refused, there is no file."""
    target = tmp_path / "target.db"
    (tmp_path / "link.db").symlink_to(target)
    before = os.umask(0o022)
    try:
        RecordingFile(tmp_path / "link.db").close()
    except CannotCreate:
        pass
    finally:
        os.umask(before)
    assert not target.exists() or mode(target) == 0o600


@needs_root
@pytest.mark.usefixtures("under_sudo")
def test_under_sudo_a_new_file_belongs_to_the_invoking_user(tmp_path: Path) -> None:
    file_creation.create(tmp_path / "webpf.db")
    status = (tmp_path / "webpf.db").stat()
    assert (status.st_uid, status.st_gid, mode(tmp_path / "webpf.db")) == (12345, 23456, 0o600)
    assert file_owner.invoking_user() == (12345, 23456)


@needs_root
@pytest.mark.usefixtures("under_sudo")
def test_under_sudo_side_files_belong_to_the_user_too(tmp_path: Path) -> None:
    file = RecordingFile(tmp_path / "webpf.db")
    file.begin(recording_values())
    owners = {entry.name: entry.stat().st_uid for entry in tmp_path.iterdir()}
    file.close()
    assert owners == {"webpf.db": 12345, "webpf.db-wal": 12345, "webpf.db-shm": 12345}


@needs_root
def test_without_sudo_a_new_file_belongs_to_root(tmp_path: Path) -> None:
    assert file_owner.invoking_user() is None
    file_creation.create(tmp_path / "webpf.db")
    assert (tmp_path / "webpf.db").stat().st_uid == 0


@needs_root
@pytest.mark.parametrize(("user", "group"), [("12345", ""), ("", "5"), ("me", "us")])
def test_values_that_sudo_never_sets_are_ignored(monkeypatch: pytest.MonkeyPatch, user: str, group: str) -> None:
    monkeypatch.setenv("SUDO_UID", user)
    monkeypatch.setenv("SUDO_GID", group)
    assert file_owner.invoking_user() is None


@needs_root
@pytest.mark.usefixtures("under_sudo")
def test_a_user_can_not_give_files_to_another(open_folder: Path) -> None:
    """webpf ignores SUDO_UID in the environment of an ordinary user."""
    open_folder.chmod(0o777)
    with as_nobody():
        assert file_owner.invoking_user() is None
        file_creation.create(open_folder / "webpf.db")
    assert (open_folder / "webpf.db").stat().st_uid == NOBODY


@pytest.mark.usefixtures("under_sudo")
@pytest.mark.parametrize("exists", [True, False])
def test_under_sudo_links_are_not_followed(tmp_path: Path, exists: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a user could make root write to any file, and become its owner."""
    monkeypatch.setattr("sys.argv", ["webpf", "record", "--db", "webpf.db", "--", "make"])
    target = tmp_path / "target.db"
    if exists:
        recording(target)
    path = tmp_path / "webpf.db"
    path.symlink_to(target)
    assert refusal(file_check.check_writable, path) == (
        CannotCreate,
        "PATH is a symbolic link, which webpf doesn't follow under sudo",
        f"webpf record --db {target} -- make",
    )
    with pytest.raises(CannotCreate):
        RecordingFile(path)
    assert target.exists() == exists


@needs_root
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_log_that_is_just_being_given_to_the_owner(
    mode: int, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that runs as root creates it; until it changes the owner, the user can't open or can't write it."""
    path = recording(open_folder / "webpf.db")
    os.chown(path, NOBODY, NOBODY)
    open_folder.chmod(0o777)
    sides = [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm")]
    for side in sides:
        side.touch(mode)
    waits = []

    def give(seconds: float) -> None:
        waits.append(seconds)
        os.seteuid(0)
        for side in sides:
            os.chown(side, NOBODY, NOBODY)
        os.seteuid(NOBODY)

    monkeypatch.setattr(time, "sleep", give)
    with as_nobody():
        file = RecordingFile(path)
        file.mark_interrupted()
        file.close()
    assert len(waits) == 1


def test_a_file_of_more_than_two_gib(tmp_path: Path, webpf: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    path = recording(tmp_path / "webpf.db")
    os.truncate(path, 3 << 30)  # with a hole; SQLite relies on the number of pages in the header
    for command in (
        ("query", "lifetimes"),
        ("tree", path),
        ("report", path),
        ("sql", "SELECT count(*) FROM processes"),
    ):
        ended = webpf(*command)
        assert (ended.returncode, "Traceback" in ended.stderr) == (0, False), ended
