"""The user as which the service records, and the members of its group, who can read the file."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Callable
from typing import Any

from ..errors import NotFound
from ..host import service_place
from . import programs

_COMMENT = "webpf, records processes"


def check_user(name: str) -> None:
    """Raises NotFound unless there is a user of this name."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        raise NotFound(f"there is no user {name}", "getent passwd") from None


def make_service_user() -> bool:
    """Makes the service's user and group. Returns False if they were there. Raises Unavailable."""
    name = service_place.USER
    has_group = _exists(grp.getgrnam)
    if _exists(pwd.getpwnam):
        if not has_group:
            programs.require("groupadd", "--system", name)
        return False
    group = ["--gid", name] if has_group else ["--user-group"]
    places = ["--no-create-home", "--home-dir", str(service_place.FOLDER), "--shell", "/usr/sbin/nologin"]
    programs.require("useradd", "--system", *group, *places, "--comment", _COMMENT, name)
    return True


def add_reader(user: str) -> None:
    """Makes a user a member of the group that can read the file, from the user's next login on. Raises Unavailable."""
    programs.require("usermod", "--append", "--groups", service_place.USER, user)


def _exists(look_up: Callable[[str], Any]) -> bool:
    try:
        look_up(service_place.USER)
    except KeyError:
        return False
    return True
