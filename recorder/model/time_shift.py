"""Moves the times of events, after the offset of the clock was measured anew."""

from __future__ import annotations

from .events import Event, Fork


def shift(event: Event, by_ns: int) -> Event:
    """Returns the event with all its times moved by so many ns."""
    moved = event._replace(time_ns=event.time_ns + by_ns, start_ns=event.start_ns + by_ns)
    return moved._replace(parent_start_ns=moved.parent_start_ns + by_ns) if isinstance(moved, Fork) else moved
