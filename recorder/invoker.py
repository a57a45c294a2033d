"""The user behind sudo, as whom a command is to run: ids, groups; and the environment that webpf was called in."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from . import ownership

_MOST_ABOVE = 4  # sudo may put a process of its own between itself and what it runs


@dataclass(frozen=True)
class Invoker:
    """Who a command runs as. groups: all of his, besides the first."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    environment: dict[str, str]


def find() -> Invoker | None:
    """The user behind sudo; None without sudo, or where sudo runs webpf as somebody else than root."""
    ids = ownership.invoking_user()
    if ids is None:
        return None
    uid, gid = ids
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Invoker(uid, gid, (gid,), _of_sudo() or own_environment())
    groups = tuple(os.getgrouplist(entry.pw_name, gid))
    return Invoker(uid, gid, groups, _of_sudo() or _of_account(entry))


def own_environment() -> dict[str, str]:
    """The environment that this process was started with: Python changes its own, where the locale is C."""
    return _environment("self")


def _environment(pid: int | str) -> dict[str, str]:
    given = Path(f"/proc/{pid}/environ").read_bytes()
    pairs = (os.fsdecode(each).partition("=") for each in given.split(b"\0") if b"=" in each)
    return {name: value for name, _, value in pairs}


def _of_sudo() -> dict[str, str] | None:
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


def _of_account(entry: pwd.struct_passwd) -> dict[str, str]:
    """What sudo left, with what the account itself says."""
    kept = {name: value for name, value in own_environment().items() if not name.startswith("SUDO_")}
    name = entry.pw_name
    return kept | {"HOME": entry.pw_dir, "SHELL": entry.pw_shell, "USER": name, "LOGNAME": name}
