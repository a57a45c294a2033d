"""Offsets from BTF: equal to what gcc says of the header that bpftool makes of the same BTF; and damaged BTF."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from webpf.errors import Unavailable
from webpf.kernel import btf, object_cache
from webpf.kernel.btf import Layouts

STRUCT, INT, TYPEDEF, POINTER, PROTOTYPE = 4, 1, 8, 2, 13

here = pytest.mark.skipif(not btf.VMLINUX.exists(), reason="this kernel has no BTF")


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """vmlinux.h of this kernel."""
    if not shutil.which("bpftool") or not shutil.which("gcc"):
        pytest.skip("no bpftool or no gcc")
    path = tmp_path_factory.mktemp("btf") / "vmlinux.h"
    with path.open("wb") as file:
        subprocess.run(["bpftool", "btf", "dump", "file", btf.VMLINUX, "format", "c"], stdout=file, check=True)
    return path


@here
def test_every_offset_is_gccs(header: Path) -> None:
    values = btf.read_constants()
    lines = [
        f'printf("{name} %lu\\n", __builtin_offsetof(struct {struct_name}, {member}));'
        for name, (struct_name, member) in btf.OFFSETS.items()
    ]
    for name, members in btf.OPTIONAL_OFFSETS.items():
        if values[name] != btf.ABSENT:
            path = ".".join(member for _, member in members)
            lines.append(f'printf("{name} %lu\\n", __builtin_offsetof(struct {members[0][0]}, {path}));')
    lines.append('printf("UPID_BYTES %lu\\n", sizeof(struct upid));')
    ancestors = "ancestor_ids" if values["CGROUP_ANCESTORS_ARE_IDS"] else "ancestors"
    lines.append(f'printf("OFF_CGROUP_ANCESTORS %lu\\n", __builtin_offsetof(struct cgroup, {ancestors}));')
    source = header.with_name("offsets.c")
    body = "\n".join(lines)
    source.write_text(f'#include "vmlinux.h"\nint printf(const char *, ...);\nint main(void)\n{{\n{body}\n}}\n')
    program = source.with_suffix("")
    subprocess.run(["gcc", "-w", "-o", program, source], check=True)
    printed = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    expected = {name: int(value) for name, value in (line.split() for line in printed.splitlines())}
    offsets = {name: value for name, value in values.items() if name.startswith(("OFF_", "UPID_"))}
    assert {name: value for name, value in offsets.items() if value != btf.ABSENT} == expected
    assert len(offsets) == len(btf.OFFSETS) + len(btf.OPTIONAL_OFFSETS) + 2


@here
def test_a_member_that_the_kernel_is_built_without_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The constants go into the cache and come back: its check must accept the value for an absent member."""
    path = (("signal_struct", "ioac"), ("task_io_accounting", "no_such_member"))
    monkeypatch.setitem(btf.OPTIONAL_OFFSETS, "OFF_SIGNAL_READ_BYTES", path)
    values = btf.read_constants()
    assert values["OFF_SIGNAL_READ_BYTES"] == btf.ABSENT
    assert object_cache._parse_constants(object_cache._format_constants(values).encode()) == values


@here
def test_the_tracepoints_arguments_are_those_of_the_kernel(header: Path) -> None:
    declared = next(line for line in header.read_text().splitlines() if "(*btf_trace_sched_process_exit)" in line)
    assert btf.read_constants()["EXIT_HAS_GROUP_DEAD"] == int(declared.count(",") == 2)


@here
def test_names_that_are_not_there() -> None:
    layouts = Layouts()
    assert not layouts.has("task_struct", "no_such_member")
    assert not layouts.has("no_such_struct", "pid")
    with pytest.raises(Unavailable, match=r"no task_struct\.no_such_member"):
        layouts.offset("task_struct", "no_such_member")


class Types:
    """BTF that is made here."""

    def __init__(self) -> None:
        self.types, self.strings, self.count = b"", b"\0", 0

    def name(self, name: str) -> int:
        """The offset of a new string."""
        self.strings += name.encode() + b"\0"
        return len(self.strings) - len(name) - 1

    def add(self, name: str, kind: int, size_or_type: int, *words: int, count: int = 0, flag: int = 0) -> int:
        """The id of a new type."""
        info = flag << 31 | kind << 24 | count
        self.types += struct.pack("=3I", self.name(name) if name else 0, info, size_or_type)
        self.types += struct.pack(f"={len(words)}I", *words)
        self.count += 1
        return self.count

    def write(self, path: Path) -> Path:
        """The file."""
        header = struct.pack("=HBB5I", 0xEB9F, 1, 0, 24, 0, len(self.types), len(self.types), len(self.strings))
        path.write_bytes(header + self.types + self.strings)
        return path


def test_members_in_anonymous_structs_and_bit_fields(tmp_path: Path) -> None:
    types = Types()
    number = types.add("int", INT, 4, 0x20)
    inner = types.add("", STRUCT, 16, types.name("deep"), number, 64, count=1)
    middle = types.add("", 5, 16, 0, inner, 32, count=1)
    outer = (types.name("plain"), number, 0, 0, middle, 96)
    types.add("outer", STRUCT, 64, *outer, count=2)
    types.add("bits", STRUCT, 8, types.name("wide"), number, 5 << 24 | 40, count=1, flag=1)
    layouts = Layouts(types.write(tmp_path / "btf"))
    assert layouts.offset("outer", "plain") == 0
    assert layouts.offset("outer", "deep") == (96 + 32 + 64) // 8
    assert layouts.offset("bits", "wide") == 5


def test_a_struct_that_holds_itself_without_end(tmp_path: Path) -> None:
    types = Types()
    types.add("", STRUCT, 8, 0, 1, 0, count=1)
    types.add("outer", STRUCT, 8, 0, 1, 0, count=1)
    assert not Layouts(types.write(tmp_path / "btf")).has("outer", "x")


@pytest.mark.parametrize("arguments", [1, 2, 3])
def test_arguments_of_the_tracepoint(arguments: int, tmp_path: Path) -> None:
    types = Types()
    prototype = types.add("", PROTOTYPE, 0, *[0, 0] * arguments, count=arguments)
    types.add("btf_trace_sched_process_exit", TYPEDEF, types.add("", POINTER, prototype))
    assert Layouts(types.write(tmp_path / "btf")).exit_has_group_dead() == (arguments == 3)


def cut(content: bytes, chance: random.Random) -> bytes:
    """A beginning of it."""
    return content[: chance.randrange(len(content))]


def changed(content: bytes, chance: random.Random) -> bytes:
    """With other bytes in some places, mostly near the beginning."""
    made = bytearray(content)
    for _ in range(chance.randrange(1, 30)):
        made[chance.randrange(min(len(made), chance.choice([24, 4096, len(made)])))] = chance.randrange(256)
    return bytes(made)


@here
@pytest.mark.parametrize("damage", [cut, changed])
def test_damaged_btf_is_one_error_or_right(damage: Callable[[bytes, random.Random], bytes], tmp_path: Path) -> None:
    """No crash and no hang."""
    whole, path = btf.VMLINUX.read_bytes(), tmp_path / "btf"
    for seed in range(25):
        path.write_bytes(damage(whole, random.Random(seed)))
        started = time.monotonic()
        try:
            values = btf.read_constants(path)
        except Unavailable as error:
            assert "\n" not in error.message
        else:
            assert tuple(values) == btf.CONSTANTS
        assert time.monotonic() - started < 20


def test_no_btf(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="this kernel has no BTF"):
        Layouts(tmp_path / "none")
    (tmp_path / "text").write_text("x" * 100)
    for path in (tmp_path, tmp_path / "text"):
        with pytest.raises(Unavailable, match="can't be read"):
            Layouts(path)
