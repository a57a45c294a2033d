"""Records a target, and tells the log, the service manager and Prometheus of it, as far as they are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..capture import service_notice
from ..capture.live_recording import record_this_machine
from ..host import listen_address
from .log_observer import LogObserver
from .service_observer import ServiceObserver

if TYPE_CHECKING:
    from ..capture.record_options import RecordOptions
    from ..capture.recorder import Observer, Summary
    from ..capture.targets import Target


def record(
    options: RecordOptions, target: Target, shown: Observer, needed_later: Sequence[str], metrics: str | None
) -> Summary:
    """Records a target, as record_this_machine() does. shown: gets the progress. metrics: [ADDR:]PORT."""
    observer: Observer = LogObserver(shown)
    if service_notice.is_wanted() and not options.command:
        observer = ServiceObserver(observer)
    if metrics is None:
        return record_this_machine(options, target, observer, needed_later)
    from .metrics import SERVER_MODULES, MetricsObserver

    served = MetricsObserver(listen_address.parse(metrics), options.db, observer)
    return record_this_machine(options, target, served, [*needed_later, *SERVER_MODULES], served.tally)
