"""An object of compiled BPF programs, made by hand; the kernel would not load it."""

from __future__ import annotations

import struct

from webpf.kernel import bpf_source
from webpf.kernel.object_format import BpfObject, Map, Program

LOAD_64, EXIT = 0x18, 0x95  # opcodes, include/uapi/linux/bpf.h


def instruction(code: int, source: int = 0, value: int = 0, order: str = "little") -> bytes:
    """One struct bpf_insn."""
    registers = source << 4 if order == "little" else source
    return struct.pack("<BBhI" if order == "little" else ">BBhI", code, registers, 0, value)


def load(source: int = 0, low: int = 0, high: int = 0, order: str = "little") -> bytes:
    """The two of a load of 64 bits."""
    return instruction(LOAD_64, source, low, order) + instruction(0, 0, high, order)


def a_program(name: str, order: str = "little") -> Program:
    """It loads a map, a constant and a number of its own."""
    code = load(1, order=order) + load(order=order) + load(0, 5, 6, order) + instruction(EXIT, order=order)
    return Program(name, code, {0: "counts"}, {2: "MAX_ARGS"})


def an_object(order: str = "little") -> BpfObject:
    """An object as the recorder wants it, but for its instructions."""
    maps = tuple(
        Map(name, kind.type, kind.key_size, kind.value_size, number)
        for number, (name, kind) in enumerate(bpf_source.MAPS.items())
    )
    programs = tuple(a_program(name, order) for name in bpf_source.OBJECT_PROGRAMS)
    return BpfObject(order, bpf_source.source_hash(), "0.26.0", "Dual BSD/GPL", maps, programs)
