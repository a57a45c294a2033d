"""The file of the compiled BPF programs: what is written is read again, and everything else is refused in one line."""

from __future__ import annotations

import hashlib
import random
import struct
from dataclasses import replace

import pytest
from bpf_objects import EXIT, LOAD_64, a_program, an_object, instruction, load
from hypothesis import given, settings
from hypothesis import strategies as st

from webpf.errors import DataError
from webpf.kernel import bpf_source, object_format
from webpf.kernel.object_format import Program

DIGEST = 32
CONTENT = object_format.encode(an_object())


def with_digest(body: bytes) -> bytes:
    """A file that says that it is not damaged."""
    return body + hashlib.sha256(body).digest()


@pytest.mark.parametrize("order", ["little", "big"])
def test_what_is_written_is_read_again(order: str) -> None:
    content = object_format.encode(an_object(order))
    assert object_format.decode(content) == an_object(order)
    assert object_format.encode(object_format.decode(content)) == content


def test_constants_and_maps_are_written_into_the_instructions() -> None:
    patched = object_format.patch(a_program("x"), "little", {"counts": 77}, {"MAX_ARGS": 0x1122334455667788})
    assert patched == load(1, 77) + load(0, 0x55667788, 0x11223344) + load(0, 5, 6) + instruction(EXIT)
    patched = object_format.patch(a_program("x", "big"), "big", {"counts": 77}, {"MAX_ARGS": 2})
    assert patched[:16] == bytes([LOAD_64, 1, 0, 0, 0, 0, 0, 77]) + bytes(8)


def test_each_truncation_is_refused() -> None:
    for size in range(len(CONTENT)):
        with pytest.raises(DataError) as caught:
            object_format.decode(CONTENT[:size])
        assert "\n" not in caught.value.message


def test_each_changed_byte_is_refused() -> None:
    for at in range(len(CONTENT)):
        changed = bytearray(CONTENT)
        changed[at] ^= 1 + at % 255
        with pytest.raises(DataError):
            object_format.decode(bytes(changed))


def test_something_behind_it_is_refused() -> None:
    for content in (CONTENT + b"\0", with_digest(CONTENT[:-DIGEST] + b"\0"), CONTENT * 2, b"", b"\x7fELF" + bytes(99)):
        with pytest.raises(DataError):
            object_format.decode(content)


def test_each_truncation_with_a_right_checksum_is_refused() -> None:
    body = CONTENT[:-DIGEST]
    for size in range(len(body)):
        with pytest.raises(DataError):
            object_format.decode(with_digest(body[:size]))


@settings(max_examples=600)
@given(st.integers(0, 2**32), st.integers(1, 8))
def test_changes_with_a_right_checksum_are_refused_or_sound(seed: int, changes: int) -> None:
    """What is accepted has only maps and constants of the recorder's, at instructions that load them."""
    chance = random.Random(seed)
    body = bytearray(CONTENT[:-DIGEST])
    for _ in range(changes):
        at = chance.randrange(len(body))
        match chance.randrange(4):
            case 0:
                body[at] = chance.randrange(256)
            case 1:
                body[at : at + 4] = struct.pack("<I", chance.choice([0, 1, 255, 2**16, 2**31, 2**32 - 1]))
            case 2:
                del body[at : at + chance.randrange(1, 40)]
            case 3:
                body[at:at] = body[chance.randrange(len(body)) :][: chance.randrange(1, 40)]
    content = with_digest(bytes(body))
    try:
        found = object_format.decode(content)
    except DataError:
        return
    assert object_format.encode(found) == content
    assert [each.name for each in found.maps] == list(bpf_source.MAPS)
    for program in found.programs:
        loads = {each.number: each for each in object_format.loads(program.instructions, found.byte_order)}
        assert {at for at, each in loads.items() if each.is_map} == program.maps.keys()
        assert program.constants.keys() <= {at for at, each in loads.items() if each.source == 0}
        object_format.patch(
            program,
            found.byte_order,
            dict.fromkeys(bpf_source.MAPS, 3),
            dict.fromkeys(bpf_source.CONSTANTS, 2**64 - 1),
        )


def hostile(**changes: object) -> bytes:
    """The object with other values, and a right checksum."""
    return object_format.encode(replace(an_object(), **changes))  # type: ignore[arg-type]


def programs(code: bytes, maps: dict[int, str], constants: dict[int, str]) -> tuple[Program, ...]:
    """The programs, of which the first has these instructions."""
    first, *rest = an_object().programs
    return (Program(first.name, code, maps, constants), *rest)


MAPS = an_object().maps


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (hostile(maps=MAPS[:-1]), "maps"),
        (hostile(maps=(replace(MAPS[0], type=2), *MAPS[1:])), "maps"),
        (hostile(maps=(MAPS[0], replace(MAPS[1], value_size=4096), *MAPS[2:])), "maps"),
        (hostile(maps=(MAPS[1], MAPS[0], *MAPS[2:])), "maps"),
        (hostile(maps=(replace(MAPS[0], entries=2**31), *MAPS[1:])), "out of bounds"),
        (hostile(programs=an_object().programs[:-1]), "BPF programs"),
        (hostile(programs=programs(load(1), {}, {})), "names no map"),
        (hostile(programs=programs(load(1), {0: "ring"}, {0: "MAX_ARGS"})), "leads nowhere|out of bounds"),
        (hostile(programs=programs(load(), {0: "ring"}, {})), "leads nowhere|out of bounds"),
        (hostile(programs=programs(load() + load(), {}, {1: "MAX_ARGS"})), "leads nowhere|out of bounds"),
        (hostile(programs=programs(load(2), {}, {})), "doesn't know"),  # BPF_PSEUDO_MAP_VALUE
        (hostile(programs=programs(load(3), {}, {})), "doesn't know"),  # BPF_PSEUDO_BTF_ID
        (hostile(programs=programs(load()[:8], {}, {})), "cut off"),
        (hostile(programs=programs(load()[:8] * 2, {}, {})), "cut off"),
        (hostile(programs=programs(instruction(0x85, 1), {}, {})), "calls another"),
        (hostile(programs=programs(instruction(EXIT) * 20_000, {}, {})), "out of bounds"),
        (hostile(bcc_version="x" * 65), "out of bounds"),
        (hostile(bcc_version="\x1b[31m"), "no text"),
        (hostile(license="GPL\n"), "no text"),
    ],
)
def test_hostile_objects(content: bytes, words: str) -> None:
    """Each is what encode() writes, with a right checksum."""
    with pytest.raises(DataError, match=words):
        object_format.decode(content)
