"""Filters: only processes that match all of them at some time are recorded.

The kernel side decides, with conditions that are compiled into it. Processes that are older than the recording are
read from /proc, and this module decides.
"""

from __future__ import annotations

import os
import pwd
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..errors import UsageError
from ..model import argv
from ..model.events import Alive, text

_COMM_BYTES = 16  # TASK_COMM_LEN, include/linux/sched.h: 15 and a NUL
_TWO_WORDS = struct.Struct("=QQ")


@dataclass(frozen=True)
class Cgroup:
    """A cgroup v2, by its id; level: how deep it is below the root of the hierarchy."""

    id: int
    level: int


@dataclass(frozen=True)
class Filters:
    """uids: real user ids; names: as the kernel keeps them, at most 15 bytes. An empty tuple or None matches all."""

    uids: tuple[int, ...] = ()
    names: tuple[bytes, ...] = ()
    cgroup: Cgroup | None = None

    @property
    def active(self) -> bool:
        """Whether they leave any process out."""
        return self != Filters()

    def accepts(self, process: Alive) -> bool:
        """Whether this process matches as it is now. For processes in cgroups below `cgroup` it is False, always."""
        return (
            (not self.uids or process.uid in self.uids)
            and (not self.names or process.comm in map(text, self.names))
            and (self.cgroup is None or process.cgroup_id == self.cgroup.id)
        )

    def macros(self) -> dict[str, str | int]:
        """What bpf/process.c is compiled with."""
        return {
            "FILTERS": int(self.active),
            "BY_COMM": int(bool(self.names)),
            "WANTED_UID(uid)": _any_of([f"(uid)=={uid}U" for uid in self.uids]),
            "WANTED_COMM(a,b)": _any_of([_has_name(name) for name in self.names]),
            "WANTED_CGROUP": f"{self.cgroup.id if self.cgroup else 0}ULL",
            "WANTED_LEVEL": self.cgroup.level if self.cgroup else 0,
        }


@dataclass(frozen=True)
class FilterOptions:
    """Filters as they are given: users by name or number, processes by name. Each field names its option.

    A new filter is one more field here, and what the kernel side makes of it in Filters.
    """

    users: tuple[str, ...] = field(default=(), metadata={"option": "--user"})
    names: tuple[str, ...] = field(default=(), metadata={"option": "--comm"})

    def in_use(self) -> dict[str, str]:
        """The options that are given, each with its first value."""
        values = {each.metadata["option"]: getattr(self, each.name) for each in fields(self)}
        return {option: value[0] for option, value in values.items() if value}

    def recorded(self) -> dict[str, Any]:
        """By field, as `recordings.options` keeps them."""
        return asdict(self)

    def parse(self) -> Filters:
        """Raises UsageError for a user that doesn't exist, and for a name that a process can't have."""
        if "" in self.names:
            raise UsageError("--comm needs the name of a process", "webpf record --comm make")
        return Filters(tuple(map(_uid, self.users)), tuple(map(_comm, self.names)))


def _comm(name: str) -> bytes:
    """As the kernel keeps it. Raises UsageError for one that is longer: of that, only the beginning is kept."""
    encoded, most = os.fsencode(name), _COMM_BYTES - 1
    if len(encoded) > most:
        short = argv.quote(encoded[:most], most)
        message = f"--comm {name}: the kernel keeps {most} bytes of a name, and this has {len(encoded)}"
        raise UsageError(message, f"webpf record --comm {short}")
    return encoded


def _uid(user: str) -> int:
    try:
        return pwd.getpwnam(user).pw_uid
    except (KeyError, ValueError):
        if user.isascii() and user.isdigit() and int(user) < 2**32 - 1:
            return int(user)
    raise UsageError(f"--user {user}: there is no such user", "getent passwd")


def _any_of(conditions: Sequence[str]) -> str:
    return f"({'||'.join(conditions)})" if conditions else "1"


def _has_name(name: bytes) -> str:
    """Compares up to the NUL: before Linux 5.16 what is behind it may be left from a longer name."""
    values = _TWO_WORDS.unpack(name.ljust(_COMM_BYTES, b"\0"))
    masks = _TWO_WORDS.unpack((b"\xff" * (len(name) + 1)).ljust(_COMM_BYTES, b"\0"))
    words = zip("ab", masks, values, strict=True)
    return "&&".join(f"((({word})&{mask}ULL)=={value}ULL)" for word, mask, value in words)
