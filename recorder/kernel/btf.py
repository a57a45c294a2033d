"""Looks up struct members in the running kernel's BTF.

Offsets from the headers of another kernel would give wrong values without any error. So the offsets that bpf/process.c
needs come from /sys/kernel/btf/vmlinux, which describes the types of the kernel that runs. Its format:
Documentation/bpf/btf.rst of the kernel's source.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from ..errors import Unavailable

VMLINUX = Path("/sys/kernel/btf/vmlinux")

# constant of bpf/process.c: (struct, member)
OFFSETS = {
    "OFF_TASK_PID": ("task_struct", "pid"),
    "OFF_TASK_TGID": ("task_struct", "tgid"),
    "OFF_TASK_FLAGS": ("task_struct", "flags"),
    "OFF_TASK_COMM": ("task_struct", "comm"),
    "OFF_TASK_CRED": ("task_struct", "cred"),
    "OFF_TASK_MM": ("task_struct", "mm"),
    "OFF_TASK_SIGNAL": ("task_struct", "signal"),
    "OFF_TASK_CGROUPS": ("task_struct", "cgroups"),
    "OFF_TASK_FS": ("task_struct", "fs"),
    "OFF_TASK_START": ("task_struct", "start_boottime"),
    "OFF_TASK_EXIT_CODE": ("task_struct", "exit_code"),
    "OFF_TASK_SELF_EXEC_ID": ("task_struct", "self_exec_id"),
    "OFF_TASK_PARENT_EXEC_ID": ("task_struct", "parent_exec_id"),
    "OFF_TASK_REAL_PARENT": ("task_struct", "real_parent"),
    "OFF_TASK_GROUP_LEADER": ("task_struct", "group_leader"),
    "OFF_TASK_THREAD_PID": ("task_struct", "thread_pid"),
    "OFF_PID_LEVEL": ("pid", "level"),
    "OFF_PID_NUMBERS": ("pid", "numbers"),
    "OFF_UPID_NR": ("upid", "nr"),
    "OFF_SIGNAL_PIDS": ("signal_struct", "pids"),
    "OFF_SIGNAL_LIVE": ("signal_struct", "live"),
    "OFF_SIGNAL_FLAGS": ("signal_struct", "flags"),
    "OFF_SIGNAL_MAXRSS": ("signal_struct", "maxrss"),
    "OFF_SIGNAL_GROUP_EXIT_CODE": ("signal_struct", "group_exit_code"),
    "OFF_SIGNAL_SUM_SCHED_RUNTIME": ("signal_struct", "sum_sched_runtime"),
    "OFF_SIGNAL_UTIME": ("signal_struct", "utime"),
    "OFF_SIGNAL_STIME": ("signal_struct", "stime"),
    "OFF_SIGNAL_MIN_FLT": ("signal_struct", "min_flt"),
    "OFF_SIGNAL_MAJ_FLT": ("signal_struct", "maj_flt"),
    "OFF_SIGNAL_NVCSW": ("signal_struct", "nvcsw"),
    "OFF_SIGNAL_NIVCSW": ("signal_struct", "nivcsw"),
    "OFF_SIGNAL_INBLOCK": ("signal_struct", "inblock"),
    "OFF_SIGNAL_OUBLOCK": ("signal_struct", "oublock"),
    "OFF_CRED_UID": ("cred", "uid"),
    "OFF_CRED_EUID": ("cred", "euid"),
    "OFF_CSS_SET_DFL_CGRP": ("css_set", "dfl_cgrp"),
    "OFF_CGROUP_KN": ("cgroup", "kn"),
    "OFF_CGROUP_LEVEL": ("cgroup", "level"),
    "OFF_KERNFS_NODE_ID": ("kernfs_node", "id"),
    "OFF_MM_ARG_START": ("mm_struct", "arg_start"),
    "OFF_MM_ARG_END": ("mm_struct", "arg_end"),
    "OFF_MM_ENV_START": ("mm_struct", "env_start"),
    "OFF_MM_ENV_END": ("mm_struct", "env_end"),
    "OFF_MM_EXE_FILE": ("mm_struct", "exe_file"),
    "OFF_FILE_INODE": ("file", "f_inode"),
    "OFF_FS_PWD": ("fs_struct", "pwd"),
    "OFF_PATH_DENTRY": ("path", "dentry"),
    "OFF_DENTRY_INODE": ("dentry", "d_inode"),
    "OFF_INODE_NUMBER": ("inode", "i_ino"),
    "OFF_INODE_SUPER": ("inode", "i_sb"),
    "OFF_SUPER_DEVICE": ("super_block", "s_dev"),
    "OFF_BINPRM_FILENAME": ("linux_binprm", "filename"),
    "OFF_BINPRM_INTERP": ("linux_binprm", "interp"),
}

OPTIONAL_OFFSETS = {
    "OFF_TASK_LOGINUID": (("task_struct", "loginuid"),),  # CONFIG_AUDIT
    "OFF_TASK_RUN_DELAY": (("task_struct", "sched_info"), ("sched_info", "run_delay")),  # CONFIG_SCHED_INFO
    # Not with CONFIG_VIRT_CPU_ACCOUNTING_NATIVE (s390, some powerpc).
    "OFF_SIGNAL_PREV_UTIME": (("signal_struct", "prev_cputime"), ("prev_cputime", "utime")),
    "OFF_SIGNAL_PREV_STIME": (("signal_struct", "prev_cputime"), ("prev_cputime", "stime")),
    # CONFIG_TASK_IO_ACCOUNTING: without it, inblock and oublock stay 0.
    "OFF_SIGNAL_READ_BYTES": (("signal_struct", "ioac"), ("task_io_accounting", "read_bytes")),
}
"""Members that a kernel may be built without, as a path of (struct, member) whose offsets are added."""

ABSENT = 0xFFFF_FFFF
"""The value of an optional offset where the kernel has no such member."""

_OTHERS = ("OFF_CGROUP_ANCESTORS", "CGROUP_ANCESTORS_ARE_IDS", "UPID_BYTES", "EXIT_HAS_GROUP_DEAD")
CONSTANTS = (*OFFSETS, *OPTIONAL_OFFSETS, *_OTHERS)
"""The constants of bpf/process.c that read_constants() finds."""

# include/uapi/linux/btf.h
_MAGIC = 0xEB9F
_HEADER = struct.Struct("=HBB5I")  # struct btf_header
_STRUCT, _UNION, _FUNC_PROTO, _TYPEDEF = 4, 5, 13, 8
# Words that follow the three of each struct btf_type, by kind: a fixed number, and a number for each of its vlen.
_WORDS = {
    1: (1, 0), 2: (0, 0), 3: (3, 0), _STRUCT: (0, 3), _UNION: (0, 3), 6: (0, 2), 7: (0, 0), _TYPEDEF: (0, 0),
    9: (0, 0), 10: (0, 0), 11: (0, 0), 12: (0, 0), _FUNC_PROTO: (0, 2), 14: (1, 0), 15: (0, 3), 16: (0, 0),
    17: (1, 0), 18: (0, 0), 19: (0, 3),
}  # fmt: skip
_MAX_BYTES = 256 << 20  # that of Debian's 6.18 has 6 MB
_MAX_DEPTH = 16  # of anonymous structs within each other


class Layouts:
    """Looks up struct members and tracepoint prototypes in a kernel's BTF. The constructor takes some 50 ms.

    All methods and the constructor raise Unavailable: if the kernel has no BTF, if it can't be read, or if it has no
    struct, member or tracepoint of the name.
    """

    def __init__(self, path: Path = VMLINUX) -> None:
        self._path = path
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_BYTES + 1)
        except FileNotFoundError:
            raise Unavailable(
                f"this kernel has no BTF ({path} is missing), and webpf needs it: boot one built with"
                " CONFIG_DEBUG_INFO_BTF=y, as every current distribution's is",
            ) from None
        except OSError as error:
            raise self._unreadable(error.strerror or "") from None
        try:
            self._words, self._strings = _sections(data)
            self._starts, self._named = self._index()
        except (ValueError, IndexError, KeyError, struct.error) as error:
            raise self._unreadable(str(error)) from None

    def offset(self, struct_name: str, member: str) -> int:
        """Returns the offset of a member in bytes. Members of anonymous structs in the struct are found too."""
        bits = self._bits(struct_name, member)
        if bits is not None:
            return bits // 8
        raise Unavailable(f"this kernel has no {struct_name}.{member}: webpf needs Linux 5.8 or newer", "uname -r")

    def size(self, struct_name: str) -> int:
        """Returns the size of a struct in bytes."""
        start = self._named.get((_STRUCT, struct_name.encode()))
        if start is None:
            raise Unavailable(f"this kernel has no struct {struct_name}", "webpf doctor")
        return self._words[start + 2]

    def has(self, struct_name: str, member: str) -> bool:
        """Whether the struct has this member."""
        return self._bits(struct_name, member) is not None

    def exit_has_group_dead(self) -> bool:
        """Whether the raw tracepoint sched_process_exit has the argument group_dead (since Linux 6.16)."""
        start = self._named.get((_TYPEDEF, b"btf_trace_sched_process_exit"))
        if start is None:
            raise Unavailable("this kernel has no tracepoint sched_process_exit", "webpf doctor")
        try:
            pointer = self._starts[self._words[start + 2]]
            prototype = self._starts[self._words[pointer + 2]]
            kind, count = self._kind(prototype)
        except IndexError:
            raise self._unreadable("a type is missing") from None
        if kind != _FUNC_PROTO:
            raise self._unreadable("sched_process_exit is no function")
        return count > 2  # void *data, struct task_struct *task, bool group_dead

    def _bits(self, struct_name: str, member: str) -> int | None:
        start = self._named.get((_STRUCT, struct_name.encode()))
        try:
            return None if start is None else self._find(start, member.encode(), _MAX_DEPTH)
        except IndexError:
            raise self._unreadable(f"struct {struct_name} is damaged") from None

    def _find(self, start: int, name: bytes, depth: int) -> int | None:
        for member, member_type, bits in self._members(start):
            if member == name:
                return bits
            if not member and depth and self._kind(self._starts[member_type])[0] in (_STRUCT, _UNION):
                inner = self._find(self._starts[member_type], name, depth - 1)
                if inner is not None:
                    return bits + inner
        return None

    def _members(self, start: int) -> Iterator[tuple[bytes, int, int]]:
        """Yields the name, type id and offset in bits of each member of the struct that begins at this word."""
        info = self._words[start + 1]
        is_bit_field = info >> 31  # if set, the upper 8 bits of an offset are the width of a bit field
        for at in range(start + 3, start + 3 + 3 * (info & 0xFFFF), 3):
            offset = self._words[at + 2]
            yield self._name(self._words[at]), self._words[at + 1], offset & 0xFFFFFF if is_bit_field else offset

    def _kind(self, start: int) -> tuple[int, int]:
        info = self._words[start + 1]
        return info >> 24 & 0x1F, info & 0xFFFF

    def _name(self, offset: int) -> bytes:
        end = self._strings.find(b"\0", offset)
        if not 0 <= offset <= end:
            raise IndexError("a name is not in the strings")
        return self._strings[offset:end]

    def _index(self) -> tuple[list[int], dict[tuple[int, bytes], int]]:
        """Returns the first word of each type by its id, and of the structs and typedefs by kind and name."""
        words, name = self._words, self._name
        starts, named = [0], dict[tuple[int, bytes], int]()  # type 0 is void, and takes no space
        at, end = 0, len(words)
        while at < end:
            info = words[at + 1]
            kind = info >> 24 & 0x1F
            fixed, each = _WORDS[kind]
            if kind in (_STRUCT, _TYPEDEF):
                named.setdefault((kind, name(words[at])), at)
            starts.append(at)
            at += 3 + fixed + each * (info & 0xFFFF)
        if at > end:
            raise ValueError("the last type is cut off")
        return starts, named

    def _unreadable(self, reason: str) -> Unavailable:
        return Unavailable(f"the kernel's BTF ({self._path}) can't be read: {reason}", "webpf doctor")


def read_constants(path: Path = VMLINUX) -> dict[str, int]:
    """Returns the values of CONSTANTS for a kernel, by default the running one. Takes some 50 ms."""
    layouts = Layouts(path)
    values = {constant: layouts.offset(struct_name, member) for constant, (struct_name, member) in OFFSETS.items()}
    values |= {constant: _optional_offset(layouts, members) for constant, members in OPTIONAL_OFFSETS.items()}
    are_ids = not layouts.has("cgroup", "ancestors")
    values["OFF_CGROUP_ANCESTORS"] = layouts.offset("cgroup", "ancestor_ids" if are_ids else "ancestors")
    values["CGROUP_ANCESTORS_ARE_IDS"] = int(are_ids)
    values["UPID_BYTES"] = layouts.size("upid")
    values["EXIT_HAS_GROUP_DEAD"] = int(layouts.exit_has_group_dead())
    return {name: values[name] for name in CONSTANTS}


def _optional_offset(layouts: Layouts, members: tuple[tuple[str, str], ...]) -> int:
    return sum(layouts.offset(*each) for each in members) if all(layouts.has(*each) for each in members) else ABSENT


def _sections(data: bytes) -> tuple[memoryview, bytes]:
    """Returns the types, as words of 32 bits, and the strings. Raises ValueError or struct.error."""
    magic, version, _, header, type_offset, type_size, string_offset, string_size = _HEADER.unpack_from(data)
    if magic != _MAGIC or version != 1:
        raise ValueError("it is no BTF of this byte order")
    if len(data) > _MAX_BYTES or type_size % 4 or (header + type_offset) % 4:
        raise ValueError("its sizes can't be")
    types = memoryview(data)[header + type_offset :][:type_size]
    strings = data[header + string_offset :][:string_size]
    if len(types) != type_size or len(strings) != string_size or not strings.endswith(b"\0"):
        raise ValueError("it is cut off")
    return types.cast("I"), strings
