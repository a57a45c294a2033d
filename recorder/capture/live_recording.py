"""A recording of this machine, from the kernel's events."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..host import clock
from ..model.redaction import Redaction
from ..storage import file_check
from . import privileges, supervisor
from .attach import attach
from .live_machine import LiveMachine
from .min_lifetime import MinLifetimeFilter
from .recorder import record
from .redacted_source import RedactedSource

if TYPE_CHECKING:
    from ..kernel.probe import Probe
    from ..model.event_source import Source
    from .record_options import RecordOptions
    from .recorder import Observer, Summary
    from .tally import ProcessTally
    from .targets import Target

_NEEDED_LATER = ("webpf.storage.recording_file", "webpf.storage.write_queue", "webpf.capture.directory_lookup")
_GC_THRESHOLD = 1_000_000


def record_this_machine(
    options: RecordOptions,
    target: Target,
    observer: Observer,
    needed_later: Sequence[str] = (),
    tally: ProcessTally | None = None,
) -> Summary:
    """Records a target. Raises a WebpfError if recording isn't possible, or fails later: the file keeps what it has.

    Under sudo, this process is the user behind sudo afterwards, if that user can write the file. needed_later: modules
    that the caller will use then; they are imported before. tally: counts processes meanwhile.
    """
    file_check.check_writable(options.db)
    # Not in a program that calls webpf as a library: it would change the user of that program.
    plan = privileges.find_plan(options.db) if supervisor.current() else privileges.STAY
    with this_machine(options, target) as (source, machine, probe):
        return record(
            options,
            source,
            machine,
            target,
            observer,
            lambda: plan.carry_out([*_NEEDED_LATER, *needed_later], probe),
            tally,
        )


@contextlib.contextmanager
def this_machine(options: RecordOptions, target: Target) -> Iterator[tuple[Source, LiveMachine, Probe]]:
    """Attaches the BPF programs; yields the events of a target, this machine and the BPF programs.

    Detaches them at the end. Raises a WebpfError if the BPF programs can't be attached.
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
                target, redaction, offset, options.max_args_of_kernel, started_ns, min_lifetime_ns, bcc_version
            )
            with contextlib.closing(machine):
                yield _filtered(attached, redaction, machine, min_lifetime_ns), machine, attached
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
