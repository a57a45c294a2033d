"""Looks up struct members in the running kernel's BTF, with libbpf.

Offsets from the headers of another kernel would give wrong values without any error. So the offsets that bpf/process.c
needs come from /sys/kernel/btf/vmlinux, which describes the types of the kernel that runs.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path

from ..errors import Unavailable

VMLINUX = Path("/sys/kernel/btf/vmlinux")

# macro of bpf/process.c: (struct, member)
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
    "OFF_SIGNAL_LIVE": ("signal_struct", "live"),
    "OFF_SIGNAL_FLAGS": ("signal_struct", "flags"),
    "OFF_SIGNAL_MAXRSS": ("signal_struct", "maxrss"),
    "OFF_SIGNAL_GROUP_EXIT_CODE": ("signal_struct", "group_exit_code"),
    "OFF_SIGNAL_SUM_SCHED_RUNTIME": ("signal_struct", "sum_sched_runtime"),
    "OFF_CRED_UID": ("cred", "uid"),
    "OFF_CRED_EUID": ("cred", "euid"),
    "OFF_CSS_SET_DFL_CGRP": ("css_set", "dfl_cgrp"),
    "OFF_CGROUP_KN": ("cgroup", "kn"),
    "OFF_CGROUP_LEVEL": ("cgroup", "level"),
    "OFF_KERNFS_NODE_ID": ("kernfs_node", "id"),
    "OFF_MM_ARG_START": ("mm_struct", "arg_start"),
    "OFF_MM_ARG_END": ("mm_struct", "arg_end"),
    "OFF_FS_PWD": ("fs_struct", "pwd"),
    "OFF_PATH_DENTRY": ("path", "dentry"),
    "OFF_DENTRY_INODE": ("dentry", "d_inode"),
    "OFF_INODE_NUMBER": ("inode", "i_ino"),
    "OFF_INODE_SUPER": ("inode", "i_sb"),
    "OFF_SUPER_DEVICE": ("super_block", "s_dev"),
    "OFF_BINPRM_FILENAME": ("linux_binprm", "filename"),
}

# include/uapi/linux/btf.h
KIND_STRUCT, KIND_UNION, KIND_TYPEDEF = 4, 5, 8


class _Type(ctypes.Structure):
    """struct btf_type. The members of a struct or union follow it in memory."""

    _fields_ = [("name", ctypes.c_uint32), ("info", ctypes.c_uint32), ("size_or_type", ctypes.c_uint32)]

    @property
    def kind(self) -> int:
        return int(self.info) >> 24 & 0x1F

    @property
    def count(self) -> int:
        return int(self.info) & 0xFFFF


class _Member(ctypes.Structure):
    """struct btf_member."""

    _fields_ = [("name", ctypes.c_uint32), ("type", ctypes.c_uint32), ("offset", ctypes.c_uint32)]


class Layouts:
    """Looks up struct members and tracepoint prototypes in a kernel's BTF.

    All methods and the constructor raise Unavailable: if the kernel has no BTF, if libbpf is missing, or if the kernel
    has no struct, member or tracepoint of the name.
    """

    def __init__(self, path: Path = VMLINUX) -> None:
        if not path.exists():
            raise Unavailable(
                f"this kernel has no BTF ({path} is missing), and webpf needs it: boot one built with"
                " CONFIG_DEBUG_INFO_BTF=y, as every current distribution's is",
            )
        self._lib = _load_libbpf()
        self._btf = self._lib.btf__parse_raw(bytes(path))
        # An error is NULL, or before libbpf 1.0 a pointer into the last page of the address space.
        if not self._btf or self._btf >= 2**64 - 4096:
            raise Unavailable(f"libbpf can't read the kernel's BTF ({path})", "webpf doctor")

    def close(self) -> None:
        """Frees the memory of the parsed BTF (about 10 MB)."""
        self._lib.btf__free(self._btf)

    def offset(self, struct: str, member: str) -> int:
        """Returns the offset of a member in bytes. Members of anonymous structs in the struct are found too."""
        bits = self._bits(struct, member)
        if bits is not None:
            return bits // 8
        raise Unavailable(f"this kernel has no {struct}.{member}: webpf needs Linux 5.8 or newer", "uname -r")

    def has(self, struct: str, member: str) -> bool:
        """Whether the struct has this member."""
        return self._bits(struct, member) is not None

    def _bits(self, struct: str, member: str) -> int | None:
        type_id = self._lib.btf__find_by_name_kind(self._btf, struct.encode(), KIND_STRUCT)
        return self._find(type_id, member.encode()) if type_id > 0 else None

    def exit_has_group_dead(self) -> bool:
        """Whether the raw tracepoint sched_process_exit has the argument group_dead (since Linux 6.16)."""
        type_id = self._lib.btf__find_by_name_kind(self._btf, b"btf_trace_sched_process_exit", KIND_TYPEDEF)
        if type_id <= 0:
            raise Unavailable("this kernel has no tracepoint sched_process_exit", "webpf doctor")
        pointer = self._type(self._type(type_id).size_or_type)
        prototype = self._type(pointer.size_or_type)
        return prototype.count > 2  # void *data, struct task_struct *task, bool group_dead

    def _type(self, type_id: int) -> _Type:
        return _Type.from_address(self._lib.btf__type_by_id(self._btf, type_id))

    def _name(self, offset: int) -> bytes:
        return bytes(self._lib.btf__name_by_offset(self._btf, offset) or b"")

    def _members(self, type_id: int) -> Iterator[tuple[bytes, int, int]]:
        """Yields the name, type id and offset in bits of each member."""
        kind = self._type(type_id)
        address = ctypes.addressof(kind) + ctypes.sizeof(_Type)
        bit_fields = kind.info >> 31  # if set, the upper 8 bits of an offset are the width of a bit field
        for member in (_Member * kind.count).from_address(address):
            yield self._name(member.name), member.type, member.offset & 0xFFFFFF if bit_fields else member.offset

    def _find(self, type_id: int, name: bytes) -> int | None:
        for member, member_type, bits in self._members(type_id):
            if member == name:
                return bits
            if not member and self._type(member_type).kind in (KIND_STRUCT, KIND_UNION):
                inner = self._find(member_type, name)
                if inner is not None:
                    return bits + inner
        return None


def definitions() -> dict[str, int]:
    """Returns the macros of bpf/process.c that come from the running kernel's BTF, and their values."""
    layouts = Layouts()
    try:
        macros = {macro: layouts.offset(struct, member) for macro, (struct, member) in OFFSETS.items()}
        are_ids = not layouts.has("cgroup", "ancestors")
        macros["OFF_CGROUP_ANCESTORS"] = layouts.offset("cgroup", "ancestor_ids" if are_ids else "ancestors")
        macros["CGROUP_ANCESTORS_ARE_IDS"] = int(are_ids)
        return {**macros, "EXIT_HAS_GROUP_DEAD": int(layouts.exit_has_group_dead())}
    finally:
        layouts.close()


def _load_libbpf() -> ctypes.CDLL:
    for name in ("libbpf.so.1", "libbpf.so.0"):
        try:
            lib = ctypes.CDLL(name)
            break
        except OSError:
            continue
    else:
        raise Unavailable("libbpf, which is installed with BCC, is missing", "webpf doctor")
    lib.btf__parse_raw.argtypes = [ctypes.c_char_p]
    lib.btf__parse_raw.restype = ctypes.c_void_p
    lib.btf__free.argtypes = [ctypes.c_void_p]
    lib.btf__free.restype = None
    lib.btf__find_by_name_kind.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32]
    lib.btf__find_by_name_kind.restype = ctypes.c_int32
    lib.btf__type_by_id.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    lib.btf__type_by_id.restype = ctypes.c_void_p
    lib.btf__name_by_offset.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    lib.btf__name_by_offset.restype = ctypes.c_char_p
    return lib
