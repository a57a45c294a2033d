"""Filters: a recording has only processes that match all of them at some time.

For processes that start during the recording the BPF programs decide, by constants and maps that the loader sets. For
processes that are older than the recording this module decides, by what /proc says.
"""

from __future__ import annotations

import os
import struct
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..errors import UsageError
from ..host.user_ids import uid_of
from ..model import argv
from ..model.events import Seen, decode_escaped

_COMM_BYTES = 16  # TASK_COMM_LEN, include/linux/sched.h: 15 bytes and a NUL
_U32 = struct.Struct("=I")


@dataclass(frozen=True)
class Cgroup:
    """A cgroup v2. level: its depth in the hierarchy; the root has 0."""

    id: int
    level: int


@dataclass(frozen=True)
class Filters:
    """The filters of a recording. An empty tuple or None matches all processes.

    uids: real user ids. names: of processes, as the kernel stores them (at most 15 bytes).
    """

    uids: tuple[int, ...] = ()
    names: tuple[bytes, ...] = ()
    cgroup: Cgroup | None = None

    @property
    def active(self) -> bool:
        """Whether there is any filter."""
        return self != Filters()

    def accepts(self, process: Seen) -> bool:
        """Whether this process matches all filters now. A process in a cgroup below `cgroup` never matches here."""
        return (
            (not self.uids or process.uid in self.uids)
            and (not self.names or process.comm in map(decode_escaped, self.names))
            and (self.cgroup is None or process.cgroup_id == self.cgroup.id)
        )

    def constants(self) -> dict[str, int]:
        """Returns the values of the constants of bpf/process.c."""
        return {
            "FILTERS": int(self.active),
            "FILTERS_BY_UID": int(bool(self.uids)),
            "FILTERS_BY_COMM": int(bool(self.names)),
            "FILTER_CGROUP": self.cgroup.id if self.cgroup else 0,
            "FILTER_CGROUP_LEVEL": self.cgroup.level if self.cgroup else 0,
        }

    def map_keys(self) -> dict[str, list[bytes]]:
        """Returns the keys of the maps of bpf/process.c that have the values to match."""
        return {
            "filter_uids": [_U32.pack(uid) for uid in self.uids],
            "filter_comms": [name.ljust(_COMM_BYTES, b"\0") for name in self.names],
        }


@dataclass(frozen=True)
class FilterOptions:
    """The values of the filter options: users by name or number, processes by name. Each field names its option.

    To add a filter, add a field here, and to Filters its parsed value and the constant and map of bpf/process.c.
    """

    users: tuple[str, ...] = field(default=(), metadata={"option": "--user"})
    names: tuple[str, ...] = field(default=(), metadata={"option": "--comm"})

    def in_use(self) -> dict[str, str]:
        """Returns the options that have a value, each with its first value."""
        values = {each.metadata["option"]: getattr(self, each.name) for each in fields(self)}
        return {option: value[0] for option, value in values.items() if value}

    def recorded(self) -> dict[str, Any]:
        """Returns the values by field, as `recordings.options` stores them."""
        return asdict(self)

    def parse(self) -> Filters:
        """Returns the filters. Raises UsageError for an unknown user, and for a name that no process can have."""
        if "" in self.names:
            raise UsageError("--comm needs the name of a process", "webpf record --comm make")
        return Filters(tuple(map(uid_of, self.users)), tuple(map(_comm, self.names)))


def _comm(name: str) -> bytes:
    """Returns the name as the kernel stores it. Raises UsageError if it is longer than the kernel stores."""
    encoded, max_bytes = os.fsencode(name), _COMM_BYTES - 1
    if len(encoded) > max_bytes:
        short = argv.quote(encoded[:max_bytes], max_bytes)
        message = f"--comm {name}: the kernel keeps {max_bytes} bytes of a name, and this has {len(encoded)}"
        raise UsageError(message, f"webpf record --comm {short}")
    return encoded
