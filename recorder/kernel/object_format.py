"""The file of the compiled BPF programs: instructions, and where constants and maps belong in them.

All numbers of the file are little-endian; the instructions are in the byte order that the file names. In this order:
magic and version; byte order; hash of the source; version of BCC; license; maps (name, type, key size, value size,
entries); names of constants; programs (name, instructions, references to maps, references to constants); SHA-256 of all
before. Everything has a bound, and a file that differs from it in anything is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import DataError
from ..host.digests import sha256
from . import bpf_source

MAX_BYTES = 1 << 20
"""An object has some 40 KB."""

_MAGIC = b"webpf BPF object\n"
_VERSION = 1
_ORDERS = {"little": b"<", "big": b">"}
_DIGEST_BYTES = 32
_MAX_INSTRUCTIONS = 16384  # of one program
_MAX_ENTRIES = 1 << 20
_MAX_TEXT = 64

_INSTRUCTION_BYTES = 8  # struct bpf_insn, include/uapi/linux/bpf.h
_LOAD_64 = 0x18  # BPF_LD | BPF_IMM | BPF_DW: takes two instructions
_CALL = 0x85
_PSEUDO_MAP = 1  # BPF_PSEUDO_MAP_FD as source register


@dataclass(frozen=True)
class Map:
    """A map. entries: how many it has where it is used."""

    name: str
    type: int
    key_size: int
    value_size: int
    entries: int


@dataclass(frozen=True)
class Program:
    """A BPF program. maps and constants: by the number of an instruction that loads 64 bits, what belongs into it."""

    name: str
    instructions: bytes
    maps: Mapping[int, str]
    constants: Mapping[int, str]

    def __len__(self) -> int:
        return len(self.instructions) // _INSTRUCTION_BYTES


@dataclass(frozen=True)
class BpfObject:
    """The compiled BPF programs. byte_order: as sys.byteorder; bcc_version: of the BCC that compiled them."""

    byte_order: str
    source_hash: bytes
    bcc_version: str
    license: str
    maps: tuple[Map, ...]
    programs: tuple[Program, ...]

    def program(self, name: str) -> Program:
        """Returns the program of this name, which must be in the object."""
        return next(each for each in self.programs if each.name == name)


@dataclass(frozen=True)
class Load:
    """An instruction that loads 64 bits. source: the source register, which says what the value is."""

    number: int
    source: int
    value: int

    @property
    def is_map(self) -> bool:
        """Whether the value is a descriptor of a map."""
        return self.source == _PSEUDO_MAP


def loads(instructions: bytes, byte_order: str) -> list[Load]:
    """Returns the instructions that load 64 bits. Raises DataError for one that is cut off, and for a subprogram."""
    order = _ORDERS[byte_order].decode()
    single = struct.Struct(f"{order}BBhi")
    found, number, decoded = [], 0, list(single.iter_unpack(instructions))
    while number < len(decoded):
        code, registers, _, low = decoded[number]
        source = registers >> 4 if byte_order == "little" else registers & 15
        if code == _CALL and source:
            raise DataError("a BPF program calls another")
        if code == _LOAD_64:
            if number + 1 == len(decoded) or decoded[number + 1][:3] != (0, 0, 0):
                raise DataError("an instruction is cut off")
            found.append(Load(number, source, low & 0xFFFFFFFF | (decoded[number + 1][3] & 0xFFFFFFFF) << 32))
            number += 1
        number += 1
    return found


def patch(program: Program, byte_order: str, maps: Mapping[str, int], constants: Mapping[str, int]) -> bytes:
    """Returns the instructions with descriptors of maps and values of constants written into them."""
    code = bytearray(program.instructions)
    order = _ORDERS[byte_order].decode()
    values = {at: maps[name] for at, name in program.maps.items()}
    values |= {at: constants[name] & (1 << 64) - 1 for at, name in program.constants.items()}
    for at, value in values.items():
        struct.pack_into(f"{order}I", code, at * _INSTRUCTION_BYTES + 4, value & 0xFFFFFFFF)
        struct.pack_into(f"{order}I", code, at * _INSTRUCTION_BYTES + 12, value >> 32)
    return bytes(code)


def encode(compiled: BpfObject) -> bytes:
    """Returns the file's content."""
    map_numbers = {each.name: number for number, each in enumerate(compiled.maps)}
    constant_numbers = {name: number for number, name in enumerate(bpf_source.CONSTANTS)}
    out = [_MAGIC, bytes([_VERSION]), _ORDERS[compiled.byte_order], compiled.source_hash]
    out += [_text(compiled.bcc_version), _text(compiled.license), _number(len(compiled.maps))]
    for each in compiled.maps:
        out += [_text(each.name), *map(_number, (each.type, each.key_size, each.value_size, each.entries))]
    out += [_number(len(bpf_source.CONSTANTS)), *map(_text, bpf_source.CONSTANTS), _number(len(compiled.programs))]
    for program in compiled.programs:
        out += [_text(program.name), _number(len(program)), program.instructions]
        for references, numbers in ((program.maps, map_numbers), (program.constants, constant_numbers)):
            out.append(_number(len(references)))
            for at, name in sorted(references.items()):
                out += [_number(at), _number(numbers[name])]
    content = b"".join(out)
    return content + sha256(content).digest()


def decode(content: bytes) -> BpfObject:
    """Returns the object in a file's content. Raises DataError, with the reason, if it is not exactly one."""
    if not content.startswith(_MAGIC):
        raise DataError("it is no BPF object of webpf's")
    body = content[:-_DIGEST_BYTES]
    if len(content) > MAX_BYTES or sha256(body).digest() != content[-_DIGEST_BYTES:]:
        raise DataError("it is damaged: its checksum is wrong")
    reader = _Reader(body, len(_MAGIC))
    if reader.take(1)[0] != _VERSION:
        raise DataError("its format is another version's")
    orders = {mark: name for name, mark in _ORDERS.items()}
    byte_order = orders.get(reader.take(1))
    if byte_order is None:
        raise DataError("its byte order is unknown")
    source_hash = reader.take(32)
    bcc_version, license_name = reader.text(), reader.text()
    maps = tuple(_read_map(reader) for _ in range(reader.number(len(bpf_source.MAPS))))
    if [each.name for each in maps] != list(bpf_source.MAPS):
        raise DataError("its maps are not those of the recorder")
    constants = [reader.text() for _ in range(reader.number(len(bpf_source.CONSTANTS)))]
    if constants != list(bpf_source.CONSTANTS):
        raise DataError("its constants are not those of the recorder")
    names = list(bpf_source.OBJECT_PROGRAMS)
    programs = tuple(_read_program(reader, byte_order, maps, constants) for _ in range(reader.number(len(names))))
    if [each.name for each in programs] != names or not reader.is_at_end:
        raise DataError("its BPF programs are not those of the recorder")
    return BpfObject(byte_order, source_hash, bcc_version, license_name, maps, programs)


def _read_map(reader: _Reader) -> Map:
    name, kind = reader.text(), (reader.number(255), reader.number(255), reader.number(4096))
    expected = bpf_source.MAPS.get(name)
    if expected is None or kind != (expected.type, expected.key_size, expected.value_size):
        raise DataError("its maps are not those of the recorder")
    return Map(name, *kind, reader.number(_MAX_ENTRIES))


def _read_program(reader: _Reader, byte_order: str, maps: tuple[Map, ...], constants: list[str]) -> Program:
    name = reader.text()
    instructions = reader.take(reader.number(_MAX_INSTRUCTIONS) * _INSTRUCTION_BYTES)
    found = loads(instructions, byte_order)
    of_maps = {load.number for load in found if load.is_map}
    others = {load.number for load in found if load.source == 0}
    if len(of_maps) + len(others) != len(found):
        raise DataError("an instruction loads something that the recorder doesn't know")
    map_references = {at: maps[number].name for at, number in reader.references(of_maps, len(maps)).items()}
    if map_references.keys() != of_maps:
        raise DataError("an instruction names no map")
    named = {at: constants[number] for at, number in reader.references(others, len(constants)).items()}
    return Program(name, instructions, map_references, named)


def _number(value: int) -> bytes:
    return value.to_bytes(4, "little")


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _number(len(encoded)) + encoded


class _Reader:
    """Takes one field after the other. Raises DataError for one that is cut off or out of bounds."""

    def __init__(self, content: bytes, position: int) -> None:
        self._content = content
        self._position = position

    @property
    def is_at_end(self) -> bool:
        return self._position == len(self._content)

    def take(self, size: int) -> bytes:
        taken = self._content[self._position : self._position + size]
        if len(taken) < size:
            raise DataError("it is cut off")
        self._position += size
        return taken

    def number(self, most: int) -> int:
        value = int.from_bytes(self.take(4), "little")
        if value > most:
            raise DataError("a number in it is out of bounds")
        return value

    def text(self) -> str:
        encoded = self.take(self.number(_MAX_TEXT))
        if not encoded.isascii() or not encoded.decode("ascii").isprintable():
            raise DataError("a name in it is no text")
        return encoded.decode("ascii")

    def references(self, allowed: set[int], numbers: int) -> dict[int, int]:
        """By instruction, the number of what belongs there: below `numbers`, and only at allowed instructions."""
        count = self.number(len(allowed))
        pairs = [(self.number(_MAX_INSTRUCTIONS), self.number(numbers - 1)) for _ in range(count)]
        if [at for at, _ in pairs] != sorted(allowed & {at for at, _ in pairs}):
            raise DataError("a reference in it leads nowhere")
        return dict(pairs)
