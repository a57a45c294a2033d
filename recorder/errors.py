"""The errors that webpf expects, each with a message, a hint how to fix it, and an exit code (after sysexits.h)."""

from __future__ import annotations

import os


class WebpfError(Exception):
    """A failure with a message for the user. hint: the command that fixes it; empty if there is none."""

    exit_code = 70

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(WebpfError):
    """The command was called wrongly."""

    exit_code = 64


class DataError(WebpfError):
    """A file is damaged, is not an SQLite database, or is not a recording file."""

    exit_code = 65


class NotFound(WebpfError):
    """A file or a recording that the user named does not exist."""

    exit_code = 66


class Unavailable(WebpfError):
    """This machine lacks something that webpf needs: BCC, BTF, a newer kernel."""

    exit_code = 69


class CannotCreate(WebpfError):
    """The file can't be created or written at the path that the user chose."""

    exit_code = 73


class StorageError(WebpfError):
    """Writing failed: the disk is full or broken."""

    exit_code = 74


class CannotExecute(WebpfError):
    """The command to record can't be executed."""

    exit_code = 126  # the same as in shells


class CommandNotFound(WebpfError):
    """The command to record doesn't exist."""

    exit_code = 127  # the same as in shells


class Undecided(WebpfError):
    """diff: the runs don't suffice to tell whether a condition of --fail-if holds."""

    exit_code = 75


class NoPermission(WebpfError):
    """The user lacks privileges."""

    exit_code = 77


class Signalled(WebpfError):
    """A signal ended the command. The exit code is 128 + signal."""

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal


def from_os_error(error: OSError) -> WebpfError:
    """Returns the WebpfError for an OSError that no other code has handled."""
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
