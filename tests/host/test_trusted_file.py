"""Files that root can rely on: whatever others own, or could replace, is refused."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from private_folder import private_folder
from support import NOBODY, as_nobody

from webpf.errors import DataError
from webpf.host import trusted_file

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make files of other users")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in which only root can write, as are those above it: /tmp is not."""
    with private_folder() as path:
        yield path


def of_nobody(path: Path) -> None:
    """Gives it to another user."""
    os.chown(path, NOBODY, NOBODY)


def writable(path: Path, who: int) -> None:
    """Lets others write it."""
    path.chmod(stat.S_IMODE(path.stat().st_mode) | who)


def test_what_was_written_is_read(folder: Path) -> None:
    path = folder / "own" / "file"
    trusted_file.write(path, b"content", 5)
    assert trusted_file.read(path, 100) == b"content"
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent)] == [0o644, 0o755]
    trusted_file.write(path, b"other", 5)
    assert trusted_file.read(path, 5) == b"other"
    assert [each.name for each in path.parent.iterdir()] == ["file"]


def test_a_file_that_is_too_large(folder: Path) -> None:
    (folder / "file").write_bytes(b"123456")
    with pytest.raises(DataError, match="too large"):
        trusted_file.read(folder / "file", 5)


@pytest.mark.parametrize(
    "spoil",
    [
        of_nobody,
        lambda path: writable(path, 0o020),
        lambda path: writable(path, 0o002),
        lambda path: writable(path, 0o1002),
    ],
    ids=["other owner", "group", "others", "sticky"],
)
@pytest.mark.parametrize("place", [".", "a", "a/b", "a/b/file"])
def test_what_others_can_write(spoil: Callable[[Path], None], place: str, folder: Path) -> None:
    """The file and each folder on the way."""
    path = folder / "a" / "b" / "file"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"content")
    assert trusted_file.read(path, 100) == b"content"
    spoil(folder / place)
    with pytest.raises(DataError, match=r"belongs to another user|can be written by other users"):
        trusted_file.read(path, 100)
    if place != "a/b/file":
        with pytest.raises(DataError):
            trusted_file.write(path, b"new", 5)
        assert path.read_bytes() == b"content"


def test_links(folder: Path, tmp_path: Path) -> None:
    """The file can't be one. A folder can, and is judged by where it leads."""
    (folder / "real").mkdir()
    (folder / "real" / "file").write_bytes(b"content")
    (folder / "link").symlink_to(folder / "real" / "file")
    (folder / "linked").symlink_to(folder / "real")
    with pytest.raises(OSError, match="symbolic links"):
        trusted_file.read(folder / "link", 100)
    assert trusted_file.read(folder / "linked" / "file", 100) == b"content"
    (tmp_path / "file").write_bytes(b"planted")
    tmp_path.chmod(0o1777)
    (folder / "away").symlink_to(tmp_path)
    with pytest.raises(DataError, match="can be written by other users"):
        trusted_file.read(folder / "away" / "file", 100)


def test_files_that_are_no_files(folder: Path) -> None:
    """A FIFO doesn't make it wait."""
    os.mkfifo(folder / "fifo")
    (folder / "folder").mkdir()
    for name in ("fifo", "folder"):
        with pytest.raises(DataError, match="not a regular file"):
            trusted_file.read(folder / name, 100)


def test_a_link_in_the_place_of_the_temporary_file(folder: Path) -> None:
    """Whoever could put it there could do more; it is not followed all the same."""
    target = folder / "target"
    target.write_bytes(b"stays")
    (folder / f".file.{os.getpid()}").symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        trusted_file.write(folder / "file", b"new", 5)
    assert target.read_bytes() == b"stays"


def test_only_the_newest_stay(folder: Path) -> None:
    for number in range(7):
        path = folder / "own" / f"file-{number}"
        trusted_file.write(path, b"", 3)
        os.utime(path, (number + 1, number + 1))
    trusted_file.write(folder / "own" / "last", b"", 3)
    assert {each.name for each in (folder / "own").iterdir()} == {"last", "file-6", "file-5"}


def test_another_user_takes_roots_and_its_own(folder: Path) -> None:
    (folder / "roots").write_bytes(b"of root")
    (folder / "own").mkdir()
    of_nobody(folder / "own")
    (folder / "foreign").write_bytes(b"of another")
    os.chown(folder / "foreign", NOBODY - 1, NOBODY - 1)
    with as_nobody():
        assert trusted_file.read(folder / "roots", 100) == b"of root"
        trusted_file.write(folder / "own" / "file", b"of nobody", 5)
        assert trusted_file.read(folder / "own" / "file", 100) == b"of nobody"
        with pytest.raises(DataError, match="belongs to another user"):
            trusted_file.read(folder / "foreign", 100)
        with pytest.raises(PermissionError):
            trusted_file.write(folder / "file", b"", 5)
    with pytest.raises(DataError, match="belongs to another user"):
        trusted_file.read(folder / "own" / "file", 100)
