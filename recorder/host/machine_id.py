"""The id of this machine, which stays the same over boots and changes of its name."""

from __future__ import annotations

from pathlib import Path

from .digests import hmac_digest

_PATH = Path("/etc/machine-id")
_APPLICATION = bytes.fromhex("0a629cd4e16046ebbd59ab4f9de5c99d")  # random; it must never change


def hashed(path: Path = _PATH) -> str | None:
    """Returns the machine's id, hashed for webpf; None if this machine has no id.

    machine-id(5) asks not to publish the id itself. The result is that of sd_id128_get_machine_app_specific(3), as
    32 hexadecimal digits.
    """
    try:
        machine = bytes.fromhex(path.read_bytes().decode("ascii").strip())
    except (OSError, ValueError):  # a first boot writes `uninitialized`
        return None
    if len(machine) != 16 or not any(machine):
        return None
    digest = bytearray(hmac_digest(machine, _APPLICATION, "sha256")[:16])
    digest[6] = digest[6] & 0x0F | 0x40  # the version and the variant of a random UUID
    digest[8] = digest[8] & 0x3F | 0x80
    return digest.hex()
