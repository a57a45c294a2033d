"""Files that are written as a whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .errors import CannotCreate, StorageError, UsageError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)


@contextlib.contextmanager
def path(wanted: Path, replaces: bool, makes_folders: bool = False) -> Iterator[Path]:
    """An empty file beside the wanted one, mode 0600, that takes its place when the block is left.

    If that fails, it is gone. replaces: whether one that is there may be replaced. makes_folders: those on its way are
    made where they are missing. Raises UsageError, CannotCreate or StorageError.
    """
    if wanted.is_dir():
        raise CannotCreate(f"{wanted} is a directory", "-o FILE")
    if wanted.exists() and not replaces:
        raise UsageError(f"{wanted} is there already", "--force replaces it")
    missing = [folder for folder in wanted.parents if not folder.exists()] if makes_folders else []
    try:
        if missing:
            missing[0].mkdir(parents=True)
        descriptor, name = tempfile.mkstemp(dir=wanted.parent, prefix=f".{wanted.name}.")
        os.close(descriptor)
        try:
            yield Path(name)
            _put(Path(name), wanted, replaces)
        finally:
            for left in wanted.parent.glob(f"{glob.escape(Path(name).name)}*"):  # with SQLite's files beside it
                left.unlink(missing_ok=True)
    except OSError as error:
        if error.errno in _FULL:
            hint = "free some space, or choose another place with -o"
            raise StorageError(f"{wanted} can't be written: {error.strerror}", hint) from None
        hint = "choose another place with -o FILE"
        raise CannotCreate(f"{wanted} can't be created: {error.strerror}", hint) from None
    finally:
        _remove_empty(missing)


def _remove_empty(folders: list[Path]) -> None:
    """Of folders, the deepest first, those that nothing was put in."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _put(made: Path, wanted: Path, replaces: bool) -> None:
    if replaces:
        made.replace(wanted)
        return
    try:
        os.link(made, wanted)  # fails, if somebody was quicker
    except FileExistsError:
        raise UsageError(f"{wanted} is there already", "--force replaces it") from None
