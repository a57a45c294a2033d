"""The user behind sudo, as whom a command is to run: ids, groups; and the environment that webpf was called in."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from . import file_owner

_MOST_ABOVE = 4  # sudo may put a process of its own between itself and what it runs


@dataclass(frozen=True)
class Invoker:
    """Who a command runs as. groups: all of theirs, besides the first. environment: entries as execve(2) takes them."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    environment: list[bytes]


def find() -> Invoker | None:
    """The user behind sudo; None without sudo, or where sudo runs webpf as somebody else than root."""
    ids = file_owner.invoking_user()
    if ids is None:
        return None
    uid, gid = ids
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Invoker(uid, gid, (gid,), _of_sudo() or own_environment())
    groups = tuple(os.getgrouplist(entry.pw_name, gid))
    return Invoker(uid, gid, groups, _of_sudo() or _of_account(entry))


def own_environment() -> list[bytes]:
    """The environment that this process was started with, entry by entry.

    Not os.environ: Python changes its own where the locale is C, and an entry need not be a pair, nor the only one.
    """
    return _environment("self")


def _environment(pid: int | str) -> list[bytes]:
    given = Path(f"/proc/{pid}/environ").read_bytes()
    return given.removesuffix(b"\0").split(b"\0") if given else []


def _of_sudo() -> list[bytes] | None:
    """The environment that sudo was started with: the user's own, which it keeps from what it runs."""
    pid = os.getppid()
    for _ in range(_MOST_ABOVE):
        folder = Path(f"/proc/{pid}")
        try:
            if (folder / "comm").read_bytes().strip() == b"sudo":
                return _environment(pid)
            pid = int((folder / "stat").read_bytes().rpartition(b") ")[2].split()[1])
        except OSError:
            break
    return None


def _of_account(entry: pwd.struct_passwd) -> list[bytes]:
    """What sudo left, with what the account itself says."""
    name = entry.pw_name
    account = {"HOME": entry.pw_dir, "SHELL": entry.pw_shell, "USER": name, "LOGNAME": name}
    replaced = tuple(os.fsencode(f"{each}=") for each in account)
    kept = [each for each in own_environment() if not each.startswith((b"SUDO_", *replaced))]
    return kept + [os.fsencode(f"{name}={value}") for name, value in account.items()]
