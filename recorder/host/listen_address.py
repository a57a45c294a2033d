"""The address at which `--metrics` listens."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import UsageError

_ADDRESS = re.compile(r"(?:(\[[0-9a-fA-F:.]+\]|[\w.-]+):)?(\d{1,5})", re.ASCII)
_LOCAL = re.compile(r"127\..*|::1|localhost")


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect to it."""
        return bool(_LOCAL.fullmatch(self.host))


def parse(text: str) -> Address:
    """Returns the address of [ADDR:]PORT. Raises UsageError."""
    found = _ADDRESS.fullmatch(text)
    if found is None or not 0 < int(found[2]) < 65536:
        message = f"--metrics takes a port from 1 to 65535, or ADDRESS:PORT, not {text!r}"
        raise UsageError(message, "webpf record --metrics 9435")
    return Address((found[1] or "127.0.0.1").strip("[]"), int(found[2]))
