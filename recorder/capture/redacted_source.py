"""A source of events whose arguments are redacted before anything else sees them."""

from __future__ import annotations

from ..model.event_source import Counts, Source
from ..model.events import Event
from ..model.redaction import Redaction


class RedactedSource:
    """A Source that redacts the arguments of its events."""

    def __init__(self, source: Source, redaction: Redaction) -> None:
        self._source = source
        self._redaction = redaction

    def wait(self, seconds: float) -> None:
        self._source.wait(seconds)

    def drain(self) -> list[Event]:
        return self._redaction.events(self._source.drain())

    def has_more(self) -> bool:
        return self._source.has_more()

    def counts(self) -> Counts:
        return self._source.counts()

    def shift_clock(self, by_ns: int) -> bool:
        return self._source.shift_clock(by_ns)

    def stop_intake(self) -> None:
        self._source.stop_intake()

    def detach(self) -> None:
        self._source.detach()

    def close(self) -> None:
        self._source.close()
