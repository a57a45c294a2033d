"""What a recorder tells the service manager, through its supervisor: the manager takes it only from that process."""

from __future__ import annotations

from ..host import service_manager
from . import supervisor, supervisor_channel


def is_wanted() -> bool:
    """Whether there is a service manager that wants to be told."""
    return supervisor.current() is not None and service_manager.is_listening()


def send(state: str) -> None:
    """Sends one of the states of service_manager."""
    if supervised := supervisor.current():
        supervised.channel.send(supervisor_channel.NOTICE + bytes([supervisor_channel.NOTICES.index(state)]))


def send_text(text: str) -> None:
    """Sends a line for people, which `systemctl status` shows. A recorder that stopped being root can't send any."""
    supervised = supervisor.current()
    if supervised is not None and not supervised.channel.is_sealed:
        supervised.channel.send(supervisor_channel.NOTICE_TEXT + text.encode("utf-8", "replace"))


def watchdog_seconds() -> float | None:
    """Returns after how many seconds without a sign of life the service manager takes the recorder for hung."""
    supervised = supervisor.current()
    return None if supervised is None else service_manager.watchdog_seconds(supervised.pid)
