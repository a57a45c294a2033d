"""The errors that webpf expects: what happened, what mends it, and the exit code (after sysexits.h)."""

from __future__ import annotations

import os


class WebpfError(Exception):
    """A failure with a message for the user and, where there is one, the command or step that mends it."""

    exit_code = 70

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(WebpfError):
    """The command was called wrongly."""

    exit_code = 64


class DataError(WebpfError):
    """A file is not what it should be: no SQLite database, or not one of webpf's."""

    exit_code = 65


class NotFound(WebpfError):
    """A file or a recording that was asked for is not there."""

    exit_code = 66


class Unavailable(WebpfError):
    """This machine lacks something that recording needs: BCC, BTF, a newer kernel."""

    exit_code = 69


class CannotCreate(WebpfError):
    """The database can't be created or written where the user wants it."""

    exit_code = 73


class StorageError(WebpfError):
    """Writing failed under way: the disk is full or broken."""

    exit_code = 74


class CannotExecute(WebpfError):
    """The command that is to be recorded can't be run."""

    exit_code = 126  # as shells have it


class CommandNotFound(WebpfError):
    """The command that is to be recorded doesn't exist."""

    exit_code = 127  # as shells have it


class NoPermission(WebpfError):
    """The user lacks the privileges."""

    exit_code = 77


class Signalled(WebpfError):
    """A signal ended it."""

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal


def of_system(error: OSError) -> WebpfError:
    """What is to be said of a failure that nothing nearer to it has dealt with."""
    if isinstance(error, FileNotFoundError) and _is_folder_gone():
        return NotFound("the current folder was deleted", "cd")
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    message = f"{where}{error.strerror or error}"
    return NoPermission(message) if isinstance(error, PermissionError) else StorageError(message)


def _is_folder_gone() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - pathlib is not imported here
    except OSError:
        return True
    return False
