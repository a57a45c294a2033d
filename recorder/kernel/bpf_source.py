"""What bpf/process.c and the recorder agree on: text, constants, maps, and names of BPF programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from ..host.digests import sha256
from ..model.events import KERNEL_KINDS
from . import btf, decoder

_OPTIONS = (
    "PAGE_KIB",
    "WAKE_BYTES",
    "MAX_ARGS",
    "MAX_ENVIRONMENT",
    "INTERRUPTIBLE",
    "SECOND",
    "FOLLOWS",
    "FILTERS",
    "SELECTS",
    "FILTERS_BY_UID",
    "FILTERS_BY_COMM",
    "FILTER_CGROUP",
    "FILTER_CGROUP_LEVEL",
)

CONSTANTS = (*btf.CONSTANTS, *_OPTIONS)
"""Names of the numbers that the loader writes into the instructions. Each has 64 bits."""

_MARK = 0x5EED_5EED_0000_0000  # no number that the program itself has


@dataclass(frozen=True)
class MapKind:
    """A map as bpf/process.c defines it. type: BPF_MAP_TYPE_... of include/uapi/linux/bpf.h; sizes are in bytes."""

    type: int
    key_size: int
    value_size: int


_HASH, _ARRAY, _PERCPU_ARRAY, _RINGBUF = 1, 2, 6, 27

MAPS = {
    "ring": MapKind(_RINGBUF, 0, 0),
    "counts": MapKind(_PERCPU_ARRAY, 4, 8),
    "gate": MapKind(_ARRAY, 4, 40),
    "followed": MapKind(_HASH, 8, 8),
    "followed_pids": MapKind(_HASH, 4, 1),
    "parent_to_follow": MapKind(_ARRAY, 4, 4),
    "held_forks": MapKind(_HASH, 8, decoder.EVENT_HEAD_BYTES),
    "ended_threads": MapKind(_HASH, 8, 32),
    "threads_missed": MapKind(_ARRAY, 4, 8),
    "filter_uids": MapKind(_HASH, 4, 1),
    "filter_comms": MapKind(_HASH, 16, 1),
}
"""The maps by name. An object with other maps is refused, because the recorder reads and writes these."""

TRACEPOINTS = tuple(str(kind.tracepoint) for kind in KERNEL_KINDS)
FIRST_PROGRAMS = {f"webpf_{name.removeprefix('sched_process_')}": name for name in TRACEPOINTS}
"""The BPF program of each tracepoint. The kernel knows it by this name too."""
PROGRAM_WITH_ENVIRONMENT = "webpf_exec_env"
"""It is loaded as webpf_exec if environments are asked for."""
OBJECT_PROGRAMS = (*FIRST_PROGRAMS, PROGRAM_WITH_ENVIRONMENT)
"""The BPF programs of an object, in order."""
SECOND_PROGRAMS = {f"{program}_2": name for program, name in FIRST_PROGRAMS.items()}
"""The same program, loaded again with SECOND as 1, where a task can interrupt the first; and its name in the kernel."""


def folder() -> Path:
    """The folder of process.c and of the few headers that BCC asks for."""
    found = find_spec("webpf.bpf")  # importlib.resources would import ten modules more
    assert found is not None and found.submodule_search_locations
    return Path(found.submodule_search_locations[0])


def source() -> bytes:
    """The text of process.c."""
    return (folder() / "process.c").read_bytes()


def mark_of(number: int) -> int:
    """The value by which the compiler marks the constant of this number, and finds it again."""
    return _MARK + number


def flags() -> list[str]:
    """What clang is called with: the fixed macros, and a mark for each constant."""
    marks = {name: f"CONSTANT({mark_of(number)})" for number, name in enumerate(CONSTANTS)}
    return [f"-D{macro}={value}" for macro, value in (fixed_macros() | marks).items()]


def fixed_macros() -> dict[str, int | str]:
    """The macros of process.c that are the same everywhere: numbers of the kinds, of the decoder and of btf."""
    kinds: dict[str, int | str] = {kind.macro: number for number, kind in enumerate(KERNEL_KINDS)}
    numbers = {"ABSENT": f"{btf.ABSENT}ULL", "UNKNOWN": f"{decoder.UNKNOWN}ULL"}
    names = ("EVENT_HEAD_BYTES", "EXEC_HEAD_BYTES", "ENVIRONMENT_HEAD_BYTES")
    sizes = {name: getattr(decoder, name) for name in names}
    return kinds | sizes | numbers


@cache
def source_hash() -> bytes:
    """SHA-256 of all that an object is made from: an object with another hash is from another version of webpf."""
    digest = sha256()
    for part in _parts():
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()


def _parts() -> Iterator[bytes]:
    yield source()
    for path in sorted((folder() / "include").rglob("*.h")):
        yield str(path.relative_to(folder())).encode()
        yield path.read_bytes()
    yield "\n".join(flags()).encode()
