"""Which processes of a machine are recorded: those that, at some time, are all that is asked for.

The kernel side decides, with conditions that are compiled into it; what was there before the recording is looked up in
/proc, and decided here.
"""

from __future__ import annotations

import os
import pwd
import struct
from collections.abc import Sequence
from dataclasses import dataclass

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
    """uids: real user ids; names: as the kernel keeps them, of 15 bytes at most. None of them: any."""

    uids: tuple[int, ...] = ()
    names: tuple[bytes, ...] = ()
    cgroup: Cgroup | None = None

    @property
    def active(self) -> bool:
        """Whether they leave anything out."""
        return bool(self.uids or self.names or self.cgroup)

    def accepts(self, process: Alive) -> bool:
        """Whether this process is wanted, as it is now. Of cgroups below the one asked for nothing is known here."""
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


def parse(users: Sequence[str], names: Sequence[str]) -> Filters:
    """Of users' names or numbers, and processes' names. Raises UsageError for what can't be one."""
    if "" in names:
        raise UsageError("--comm needs the name of a process", "webpf record --comm make")
    return Filters(tuple(_uid(user) for user in users), tuple(_comm(name) for name in names))


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
    raise UsageError(f"--uid {user}: there is no such user", "getent passwd")


def _any_of(conditions: Sequence[str]) -> str:
    return f"({'||'.join(conditions)})" if conditions else "1"


def _has_name(name: bytes) -> str:
    """Compares up to the NUL: before Linux 5.16 what is behind it may be left from a longer name."""
    values = _TWO_WORDS.unpack(name.ljust(_COMM_BYTES, b"\0"))
    masks = _TWO_WORDS.unpack((b"\xff" * (len(name) + 1)).ljust(_COMM_BYTES, b"\0"))
    words = zip("ab", masks, values, strict=True)
    return "&&".join(f"((({word})&{mask}ULL)=={value}ULL)" for word, mask, value in words)
