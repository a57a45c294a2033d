"""Shows the BPF programs with the numbers of this machine: what `webpf program` prints, as C."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from ..output.escape import safe
from . import bpf_source, btf, program_source
from .program_options import ProgramOptions

_TYPES = {1: "hash", 2: "array", 6: "percpu_array", 27: "ringbuf"}


def lines() -> Iterator[str]:
    """Yields the lines: a comment with programs, maps and commands; each constant's value; the source.

    They are those of a recording with the default options. Needs no privileges and compiles nothing. Raises
    Unavailable if this kernel's BTF can't be read.
    """
    options = ProgramOptions()
    constants = options.constants()
    yield "/* The BPF programs of webpf, with the numbers of this machine and of a recording with the default options."
    yield " *"
    yield from (f" * {safe(line)}".rstrip() for line in _overview(options))
    yield " */"
    for name, value in {**bpf_source.fixed_macros(), **constants}.items():
        yield f"#define {name} {value}{_origin(name)}"
    yield ""
    yield from bpf_source.source().decode().splitlines()


def _overview(options: ProgramOptions) -> Iterator[str]:
    found = program_source.find_stored()
    yield f"kernel: Linux {platform.release()} {platform.machine()}"
    yield f"object: {f'from {found.origin}' if found else 'not compiled yet: webpf record does'}"
    yield ""
    yield "BPF programs by tracepoint. Since Linux 7.0, where a task can interrupt them, each is loaded a second time,"
    yield "with SECOND as 1 and a name that ends in _2:"
    for name, tracepoint in bpf_source.FIRST_PROGRAMS.items():
        yield _program_line(found, tracepoint, name)
    yield "With --env, this one is loaded as webpf_exec:"
    yield _program_line(found, bpf_source.FIRST_PROGRAMS["webpf_exec"], bpf_source.PROGRAM_WITH_ENVIRONMENT)
    yield ""
    yield "Maps, with the sizes of key and value in bytes, and entries (the ring buffer: bytes):"
    sizes = {each.name: each.entries for each in found.compiled.maps} if found else {}
    for name, kind in bpf_source.MAPS.items():
        entries = (sizes | options.entries()).get(name, "")
        yield f"  {name:17} {_TYPES[kind.type]:13} {kind.key_size:3} {kind.value_size:3} {entries:>9}"
    yield ""
    yield "To look at them while webpf records:"
    first = next(iter(bpf_source.FIRST_PROGRAMS))
    yield "  sudo bpftool prog show | grep -A 2 webpf_"
    yield f"  sudo bpftool prog dump xlated name {first}   what the verifier left of it"
    yield f"  sudo bpftool prog dump jited name {first}    the machine code"
    yield "  sudo bpftool map dump name counts                events by kind: attempts, lost (see counts below)"
    yield "  sudo bpftool map dump name gate                  whether events pass, and the clock's offset"


def _program_line(found: program_source.FoundObject | None, tracepoint: str, name: str) -> str:
    count = f"{len(found.compiled.program(name)):5} instructions" if found else ""
    return f"  {tracepoint:20} {name:14} {count}"


def _origin(name: str) -> str:
    if name in btf.OFFSETS:
        return f" /* struct {'.'.join(btf.OFFSETS[name])} */"
    if name in btf.OPTIONAL_OFFSETS:
        path = btf.OPTIONAL_OFFSETS[name]
        return f" /* struct {'.'.join([path[0][0], *(member for _, member in path)])} */"
    return " /* from BTF */" if name in btf.CONSTANTS else ""
