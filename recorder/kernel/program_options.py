"""What the BPF programs are loaded with: the values of their constants, and the sizes of their maps."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import Unavailable
from ..log import get_logger
from . import bpf_source, object_cache, object_format, program_source
from .filters import Filters
from .loader import LoadedPrograms, Refused

_log = get_logger(__name__)

_MIN_WAKE_BYTES = 4096


@dataclass(frozen=True)
class ProgramOptions:
    """The options of a recording, as far as the BPF programs need them. See probe.Probe."""

    ring_bytes: int = 16 << 20
    max_args: int = 32768
    interruptible: bool = False
    follows: bool = False
    filters: Filters = field(default_factory=Filters)
    max_environment: int = 0

    @property
    def _selects(self) -> bool:
        return self.follows or self.filters.active

    def constants(self) -> dict[str, int]:
        """Returns the values of all constants, with those of the running kernel. Raises Unavailable."""
        values = object_cache.read_constants() | self.filters.constants()
        values |= {
            "PAGE_KIB": mmap.PAGESIZE // 1024,
            "WAKE_BYTES": max(self.ring_bytes // 4 // (os.cpu_count() or 1), _MIN_WAKE_BYTES),
            "MAX_ARGS": self.max_args,
            "MAX_ENVIRONMENT": self.max_environment,
            "INTERRUPTIBLE": int(self.interruptible),
            "SECOND": 0,
            "FOLLOWS": int(self.follows),
            "SELECTS": int(self._selects),
        }
        return {name: values[name] for name in bpf_source.CONSTANTS}

    def entries(self) -> dict[str, int]:
        """Returns the sizes of maps that depend on the options. A map that is not used has one entry."""
        sizes = {"ring": self.ring_bytes}
        sizes |= {name: max(len(keys), 1) for name, keys in self.filters.map_keys().items()}
        if not self._selects:
            sizes |= {"followed": 1, "followed_pids": 1}
        if not self.filters.active:
            sizes["held_forks"] = 1
        return sizes


def load_programs(program: Path | None, options: ProgramOptions) -> tuple[LoadedPrograms, object_format.BpfObject]:
    """Loads the BPF programs, and returns them with the object that they are from.

    If the kernel refuses an object that was compiled elsewhere, BCC compiles one here. Raises what
    program_source.find() and LoadedPrograms raise.
    """
    found = program_source.find(program)
    _log.info("the BPF programs are from %s", found.origin)
    try:
        return _load(found.compiled, options), found.compiled
    except Refused as error:
        if not found.is_stored:
            raise
        _log.info("%s; they are compiled again", error.message)
        try:
            found = program_source.compile_now()
        except Unavailable:
            raise error from None
        return _load(found.compiled, options), found.compiled


def _load(compiled: object_format.BpfObject, options: ProgramOptions) -> LoadedPrograms:
    constants = options.constants()
    _log.info(
        "kernel features: group_dead %d, interruptible %d", constants["EXIT_HAS_GROUP_DEAD"], options.interruptible
    )
    loaded = LoadedPrograms(compiled, constants, options.entries(), options.interruptible)
    for name, keys in options.filters.map_keys().items():
        for key in keys:
            loaded.set_value(name, key, b"\1")
    return loaded
