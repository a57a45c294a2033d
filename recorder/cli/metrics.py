"""`--metrics`: serves the numbers of a running recording to Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..capture.recorder import Observer, Status
from ..capture.tally import ProcessTally
from ..errors import Unavailable
from ..host import file_owner, optional_modules
from ..host.invocation import retry_with
from ..host.listen_address import Address
from ..model.events import KERNEL_KINDS

if TYPE_CHECKING:
    from prometheus_client.core import Metric

SERVER_MODULES = ("prometheus_client.openmetrics.exposition",)
"""Modules that a request imports."""

_KINDS = [kind.name for kind in KERNEL_KINDS]


class MetricsObserver:
    """An Observer that serves numbers over HTTP, in threads of its own, and passes its calls to another Observer.

    It listens from its making on, so that a port that is taken ends webpf before it records. tally: counts processes.
    Raises Unavailable.
    """

    def __init__(self, address: Address, db: Path, shown: Observer) -> None:
        self.tally = ProcessTally()
        self._db = db
        self._shown = shown
        self._status: Status | None = None
        self._since = time.monotonic()  # when that status came
        self._serve(address)

    def _serve(self, address: Address) -> None:
        with optional_modules.needed("--metrics", "prometheus-client"):
            import prometheus_client

        registry = prometheus_client.CollectorRegistry(auto_describe=False)
        registry.register(self)
        try:
            prometheus_client.start_http_server(address.port, address.host, registry)
        except OSError as error:
            message = f"--metrics can't listen at {address.host}, port {address.port}: {error.strerror or error}"
            raise Unavailable(message, retry_with("--metrics", f"{address.host}:{address.port % 65535 + 1}")) from None

    def started(self, recording_id: int, others: int) -> None:
        self._shown.started(recording_id, others)

    def status(self, status: Status) -> None:
        self._status, self._since = status, time.monotonic()
        self._shown.status(status)

    def finishing(self) -> None:
        self._shown.finishing()

    def message(self, text: str) -> None:
        self._shown.message(text)

    def collect(self) -> Iterator[Metric]:
        """Yields the metrics. A thread of the server calls it for each request."""
        status, tally = self._status, self.tally
        if status is not None:
            yield _counter("webpf_events", "Events in the file.", zip(_KINDS, status.written, strict=True))
            yield _counter("webpf_events_lost", "Events that were lost.", zip(_KINDS, status.lost_kinds, strict=True))
            if status.commit_age is not None:
                age = status.commit_age + time.monotonic() - self._since
                yield _gauge("webpf_last_commit_age_seconds", "Time since the latest commit to the file.", age)
        yield _gauge("webpf_processes_alive", "Recorded processes that are alive.", tally.alive)
        yield _counter("webpf_processes_started", "Processes that were started.", tally.started)
        yield _counter("webpf_processes_ended", "Processes that ended.", tally.ended)
        yield _counter("webpf_processes_failed", "Those that ended by a signal, or not with exit code 0.", tally.failed)
        pauses = 0 if status is None else status.pauses
        yield _counter("webpf_pauses", "Times in which the file could not be written.", pauses)
        yield _gauge("webpf_file_size_bytes", "Size of the file, with its log.", self._file_size())

    def _file_size(self) -> int:
        return sum(path.stat().st_size for path in (self._db, *file_owner.side_files(self._db)) if path.exists())


def _counter(name: str, text: str, values: int | Iterable[tuple[str, int]]) -> Metric:
    """Returns a counter with one value, or one with a value for each kind of event."""
    from prometheus_client.core import CounterMetricFamily

    if isinstance(values, int):
        return CounterMetricFamily(name, text, values)
    family = CounterMetricFamily(name, text, labels=["kind"])
    for kind, value in values:
        family.add_metric([kind], value)
    return family


def _gauge(name: str, text: str, value: float) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(name, text, value)
