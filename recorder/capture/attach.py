"""Attaches the BPF programs with the options of a recording."""

from __future__ import annotations

from ..kernel.filters import Filters
from ..kernel.probe import Probe
from .record_options import RecordOptions


def attach(options: RecordOptions, clock_offset: int, follows: bool = False, filters: Filters | None = None) -> Probe:
    """Returns a source of events, which the caller closes. clock_offset, follows, filters: see Probe.

    Raises a WebpfError if the BPF programs can't be attached.
    """
    return Probe(
        clock_offset,
        options.buffer_mib,
        options.max_args_of_kernel,
        follows=follows,
        filters=filters,
        program=options.program,
        variables=options.variables,
    )
