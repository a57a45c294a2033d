"""The user behind sudo, as whom a command is to run: ids, groups, and the environment in which sudo was called."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from . import file_owner

_MAX_ANCESTORS = 6  # sudo may start a process between itself and the command, and a series is one more


class Ids(NamedTuple):
    """Ids of a user. groups: all of its groups."""

    uid: int
    gid: int
    groups: tuple[int, ...]


@dataclass(frozen=True)
class Invoker:
    """The user as whom a command runs. groups: supplementary groups. environment: entries as for execve(2)."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    environment: list[bytes]


def find_ids() -> Ids | None:
    """Returns the ids of the user behind sudo; None without sudo, or if sudo runs webpf as another user than root."""
    ids = file_owner.invoking_user()
    if ids is None:
        return None
    uid, gid = ids
    entry = _account(uid)
    return Ids(uid, gid, tuple(os.getgrouplist(entry.pw_name, gid)) if entry else (gid,))


def find() -> Invoker | None:
    """Returns the user behind sudo; None without sudo, or if sudo runs webpf as another user than root."""
    ids = find_ids()
    if ids is None:
        return None
    entry = _account(ids.uid)
    return Invoker(*ids, _sudos_environment() or (_account_environment(entry) if entry else own_environment()))


def _account(uid: int) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        return None


def own_environment() -> list[bytes]:
    """Returns the environment with which this process was started, entry by entry.

    os.environ can differ: Python changes it where the locale is C, and it has no entries without `=` and no duplicates.
    """
    return _environment("self")


def _environment(pid: int | str) -> list[bytes]:
    entries = Path(f"/proc/{pid}/environ").read_bytes()
    return entries.removesuffix(b"\0").split(b"\0") if entries else []


def _sudos_environment() -> list[bytes] | None:
    """Returns the environment with which sudo was started, which is the user's; None if no ancestor is sudo."""
    pid = os.getppid()
    for _ in range(_MAX_ANCESTORS):
        folder = Path(f"/proc/{pid}")
        try:
            if (folder / "comm").read_bytes().strip() == b"sudo":
                return _environment(pid)
            pid = int((folder / "stat").read_bytes().rpartition(b") ")[2].split()[1])
        except OSError:
            break
    return None


def _account_environment(entry: pwd.struct_passwd) -> list[bytes]:
    """Returns this process's environment with the account's HOME, SHELL, USER and LOGNAME, without sudo's variables."""
    name = entry.pw_name
    account = {"HOME": entry.pw_dir, "SHELL": entry.pw_shell, "USER": name, "LOGNAME": name}
    replaced = tuple(os.fsencode(f"{each}=") for each in account)
    kept = [each for each in own_environment() if not each.startswith((b"SUDO_", *replaced))]
    return kept + [os.fsencode(f"{name}={value}") for name, value in account.items()]
