"""Checks the path of a recording file: who owns it, whether webpf can write or read it.

The checks read only the first bytes of the file, so webpf refuses a wrong path before it compiles or opens anything.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import CannotCreate, DataError, NoPermission, NotFound
from ..host import file_owner
from ..host.invocation import sudo_command, update_hint
from ..model import argv

# These are here and not in schema.py, because that imports sqlite3 and these checks must be quick.
APPLICATION_ID = 0x77625046  # "wbPF": marks an SQLite database as a recording file
SCHEMA_VERSION = 5  # PRAGMA user_version; incremented with each change of the tables

_MAX_PATH_BYTES = 504  # MAX_PATHNAME in SQLite's os_unix.c, minus the suffixes of the files beside the database
_MAGIC = b"SQLite format 3\0"
HEADER_BYTES = 100
"""How many bytes at the start of a file identify it."""

_HEADER = struct.Struct(">60xI4xI")  # https://www.sqlite.org/fileformat.html: user_version at 60, application_id at 68

_SCHEMA_ROWS = slice(HEADER_BYTES + 3, HEADER_BYTES + 5)  # their number; the table sqlite_schema begins at page 1
_FIRST_BYTES = HEADER_BYTES + 8

_SIZE = struct.Struct(">16xH10xI")  # page size at 16 (1: 65536), number of pages at 28


def _check_path(path: Path) -> None:
    """Raises CannotCreate for a path that SQLite can't open, whether or not the file exists."""
    try:
        full = path.absolute()
    except FileNotFoundError:
        message = f"the current folder was deleted, so {path} can't be in it"
        raise CannotCreate(message, "cd") from None
    if len(os.fsencode(full)) > _MAX_PATH_BYTES:
        message = (
            f"the path of {path.name} has {len(os.fsencode(full))} bytes, and SQLite takes at most {_MAX_PATH_BYTES}"
        )
        raise CannotCreate(message, f"webpf record --db {argv.file_word(Path('/tmp') / path.name)}")


def check_writable(path: Path) -> None:
    """Raises CannotCreate or DataError if webpf can't write a recording to this path, not even after an upgrade."""
    _check_path(path)
    folder = path.parent
    if not folder.is_dir():
        raise CannotCreate(f"there is no folder {folder}", f"mkdir -p {argv.file_word(folder)}")
    try:
        path.exists()
    except OSError as error:  # the name is too long, or the folder can't be looked into
        raise CannotCreate(f"{path}: {error.strerror}", "webpf record --db ~/webpf.db") from None
    if path.is_dir():
        raise CannotCreate(f"{path} is a directory", f"webpf record --db {argv.file_word(path / 'webpf.db')}")
    file_owner.resolve_link(path)
    if path.exists():
        if not path.is_file():
            raise CannotCreate(f"{path} is not a regular file", "webpf record --db ~/webpf.db")
        file_owner.check_owner(path, path.stat())
        _check_header(path, accepts_older=True, may_be_new=True)
    file_owner.check_side_files(path.resolve())
    # The folder must be writable too: SQLite creates files beside the database while it writes.
    if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise CannotCreate(f"{path} can't be written: {why_unwritable(folder)}", "webpf record --db ~/webpf.db")


def check_readable(path: Path, accepts_older: bool = False) -> None:
    """Raises NotFound, DataError or CannotCreate if this path has no recording file, or it can't be opened.

    accepts_older: whether a file of an older schema is accepted.
    """
    _check_path(path)
    try:
        path.stat()
        exists = True
    except (FileNotFoundError, NotADirectoryError):
        exists = False
    except PermissionError:
        raise _not_readable(path, _closed_folder(path)) from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}", "webpf recordings --db webpf.db") from None
    if not exists:
        raise NotFound(f"there is no recording file {path}", _record_hint(path))
    if path.is_dir():
        word = argv.file_word(path)
        is_tree = (path / "recordings").is_dir()  # of Parquet files
        hint = f"webpf query summary --on {word}" if is_tree else f"ls {word}"
        raise DataError(f"{path} is a directory, not a recording file", hint)
    if not path.is_file():  # a pipe or device may never end
        raise DataError(f"{path} is not a regular file", f"ls -l {argv.file_word(path)}")
    _check_header(path, accepts_older)


def is_recording(path: Path) -> bool:
    """True for a recording file that this version can read or upgrade."""
    try:
        if not path.is_file():  # opening a pipe would block
            return False
        with path.open("rb") as file:
            return is_recording_header(file.read(HEADER_BYTES))
    except OSError:
        return False


def is_recording_header(header: bytes) -> bool:
    """True if these bytes begin a recording file that this version can read or upgrade."""
    if len(header) < HEADER_BYTES or not header.startswith(_MAGIC):
        return False
    version, application = _HEADER.unpack_from(header)
    return bool(application == APPLICATION_ID and version <= SCHEMA_VERSION)


def file_size_in_header(header: bytes) -> int:
    """Returns the size in bytes that the header says the file has; 0 if it doesn't say."""
    if len(header) < HEADER_BYTES:
        return 0
    page, pages = _SIZE.unpack_from(header)
    return int(pages) * (65536 if page == 1 else int(page))


def older_schema_error(path: Path, version: int) -> DataError:
    """Returns the error for a file of an older schema."""
    message = f"{path} was made by webpf's schema {version}, this is schema {SCHEMA_VERSION}"
    return DataError(message, f"webpf upgrade {argv.file_word(path)}")


def _check_header(path: Path, accepts_older: bool, may_be_new: bool = False) -> None:
    """Raises DataError. may_be_new: accepts a file without tables: another recorder may be making it."""
    try:
        with path.open("rb") as file:
            header = file.read(_FIRST_BYTES)
    except PermissionError:
        raise _not_readable(path, path) from None
    if header and (not header.startswith(_MAGIC) or len(header) < HEADER_BYTES):
        raise DataError(f"{path} is no SQLite database", "webpf record --db ~/webpf.db")
    version, application = _HEADER.unpack_from(header) if header else (0, 0)
    if not header or (version == application == 0 and header[_SCHEMA_ROWS] == b"\0\0"):
        if may_be_new:
            return
        raise DataError(f"{path} is empty: nothing has been recorded in it yet", _record_hint(path))
    if application != APPLICATION_ID:
        raise DataError(
            f"{path} is another program's SQLite database, and webpf doesn't touch it", "webpf record --db ~/webpf.db"
        )
    if version > SCHEMA_VERSION:
        raise DataError(
            f"{path} was made by a newer webpf (schema {version}; this one knows {SCHEMA_VERSION})",
            update_hint(),
        )
    if 0 < version < SCHEMA_VERSION and not accepts_older:
        raise older_schema_error(path, version)


def _closed_folder(path: Path) -> Path:
    """Returns the first folder on the way to a path that this process may not look into."""
    folders = path.absolute().parents
    return next((each for each in reversed(folders) if not os.access(each, os.X_OK)), path.parent)


def _not_readable(path: Path, closed: Path) -> NoPermission:
    """Returns the error for a file that this user may not read. closed: the file itself, or a folder on the way."""
    status = closed.stat()
    message = f"{path} belongs to {_name(pwd.getpwuid, status.st_uid)}, and you may not read it"
    if closed != path:
        message = f"{path} is in a folder of {_name(pwd.getpwuid, status.st_uid)}, and you may not look into it"
    if status.st_gid != 0 and status.st_mode & stat.S_IRGRP:
        group = _name(grp.getgrgid, status.st_gid)
        message += f"; members of the group {group} may, from their next login on"
        return NoPermission(
            message, f"sudo usermod -aG {argv.word(group)} {argv.word(_name(pwd.getpwuid, os.getuid()))}"
        )
    return NoPermission(message, sudo_command())


def _name(look_up: Callable[[int], Sequence[Any]], number: int) -> str:
    """Returns the name of a user or group, or its number if it has none."""
    try:
        return str(look_up(number)[0])
    except KeyError:
        return str(number)


def _record_hint(path: Path) -> str:
    return f"sudo webpf record --db {argv.file_word(path)}"


def why_unwritable(folder: Path) -> str:
    """Returns the reason why nothing can be written in a folder."""
    read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
    return "the file system is read-only" if read_only else "permission denied"
