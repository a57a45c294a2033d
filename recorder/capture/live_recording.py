"""A recording of this machine, from the kernel's events."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..host import clock
from ..storage import file_check
from .attach import attach
from .live_machine import LiveMachine
from .min_lifetime import MinLifetimeFilter
from .recorder import record
from .redaction import RedactedSource, Redaction

if TYPE_CHECKING:
    from ..model.event_source import Source
    from .directory_worker import Workers
    from .record_options import RecordOptions
    from .recorder import Observer, Summary
    from .targets import Target

_GC_THRESHOLD = 1_000_000


def record_this_machine(options: RecordOptions, target: Target, observer: Observer) -> Summary:
    """Records a target. Raises a WebpfError if recording isn't possible, or fails later: the file keeps what it has."""
    file_check.check_writable(options.db)
    with this_machine(options, target) as (source, machine):
        return record(options, source, machine, target, observer)


@contextlib.contextmanager
def this_machine(
    options: RecordOptions, target: Target, workers: Workers | None = None
) -> Iterator[tuple[Source, LiveMachine]]:
    """Attaches the BPF programs; yields the events of a target and this machine. Detaches them at the end.

    workers: see LiveMachine. Raises a WebpfError if the BPF programs can't be attached.
    """
    redaction = options.redaction()
    with _rare_garbage_collection():
        offset = clock.measure_offset()
        attached = attach(options, offset, target.follows, target.filters)
        try:
            target.configure(attached)
            min_lifetime_ns = round((options.min_lifetime or 0) * 1e9)
            started_ns, bcc_version = attached.started_ns, attached.bcc_version
            machine = LiveMachine(
                target, redaction, offset, options.max_args_of_kernel, started_ns, min_lifetime_ns, workers, bcc_version
            )
            yield _filtered(attached, redaction, machine, min_lifetime_ns), machine
        finally:
            attached.close()


def _filtered(source: Source, redaction: Redaction, machine: LiveMachine, min_lifetime_ns: int) -> Source:
    """Returns the source with redaction and --min-lifetime applied."""
    if redaction.active:
        source = RedactedSource(source, redaction)
    if min_lifetime_ns:
        source = MinLifetimeFilter(source, min_lifetime_ns, machine.started_ns, machine.now)
    return source


@contextlib.contextmanager
def _rare_garbage_collection() -> Iterator[None]:
    """Makes garbage collection rare: events never form cycles, and scanning them takes 10 % of the recorder's time."""
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
