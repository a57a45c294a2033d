"""The commands of bpf(2) that a recorder needs: maps, loading, attaching. See include/uapi/linux/bpf.h."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

from ..errors import Unavailable

# __NR_bpf, by what uname(2) says of a 64-bit kernel.
_NUMBERS = {
    "x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280, "ppc64le": 361, "ppc64": 361, "s390x": 351,
    "mips64": 5315, "sparc64": 349, "alpha": 515,
}  # fmt: skip
_MACHINE = os.uname().machine
_MAP_CREATE, _MAP_LOOKUP, _MAP_UPDATE, _MAP_DELETE = 0, 1, 2, 3
_PROG_LOAD, _PROG_GET_FD_BY_ID, _RAW_TRACEPOINT_OPEN = 5, 13, 17
_RAW_TRACEPOINT = 17  # BPF_PROG_TYPE_RAW_TRACEPOINT
_MAX_NAME = 15  # BPF_OBJ_NAME_LEN, with a NUL
_LOG_BYTES = 1 << 22

_libc = ctypes.CDLL(None, use_errno=True)


def check_processor() -> None:
    """Raises Unavailable on a machine whose number of bpf(2) is unknown here."""
    if _MACHINE not in _NUMBERS or sys.maxsize < 2**32:
        bits = 64 if sys.maxsize > 2**32 else 32
        raise Unavailable(f"webpf can't load BPF programs on {_MACHINE} with a Python of {bits} bits")


def create_map(kind: int, key_size: int, value_size: int, entries: int, name: str) -> int:
    """Returns the descriptor of a new map. Raises OSError."""
    return _bpf(_MAP_CREATE, struct.pack("=7I16s", kind, key_size, value_size, entries, 0, 0, 0, _name(name)))


def look_up(map_fd: int, key: bytes, value_size: int) -> bytes | None:
    """Returns the value of a key; None if there is none. value_size: of all CPUs together. Raises OSError."""
    value = ctypes.create_string_buffer(value_size)
    try:
        _with_key(_MAP_LOOKUP, map_fd, key, value)
    except FileNotFoundError:
        return None
    return value.raw


def update(map_fd: int, key: bytes, value: bytes) -> None:
    """Sets the value of a key. Raises OSError."""
    _with_key(_MAP_UPDATE, map_fd, key, ctypes.create_string_buffer(value, len(value)))


def delete(map_fd: int, key: bytes) -> bool:
    """Removes a key; False if it was not there. Raises OSError."""
    try:
        _with_key(_MAP_DELETE, map_fd, key, None)
    except FileNotFoundError:
        return False
    return True


def load_raw_tracepoint(instructions: bytes, license_name: str, name: str) -> int:
    """Returns the descriptor of a BPF program that the kernel has verified. Raises OSError."""
    return _load(instructions, license_name, name, None)


def verifier_log(instructions: bytes, license_name: str, name: str) -> str:
    """Loads a BPF program that was refused again, and returns what the kernel's verifier says of it."""
    log = ctypes.create_string_buffer(_LOG_BYTES)
    try:
        os.close(_load(instructions, license_name, name, log))
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EINVAL, errno.ENOSPC):  # ENOSPC: the log is longer
            return ""
    return log.value.decode(errors="replace")


def open_program(program_id: int) -> int:
    """Returns a new descriptor of the BPF program with this id. Needs CAP_SYS_ADMIN. Raises OSError."""
    return _bpf(_PROG_GET_FD_BY_ID, struct.pack("=3I", program_id, 0, 0))


def attach_raw_tracepoint(program_fd: int, tracepoint: str) -> int:
    """Returns a descriptor that keeps the program attached until it is closed. Raises OSError."""
    name = ctypes.create_string_buffer(tracepoint.encode())
    return _bpf(_RAW_TRACEPOINT_OPEN, struct.pack("=QI4x", ctypes.addressof(name), program_fd))


def _load(instructions: bytes, license_name: str, name: str, log: ctypes.Array[ctypes.c_char] | None) -> int:
    code = ctypes.create_string_buffer(instructions, len(instructions))
    license_text = ctypes.create_string_buffer(license_name.encode())
    level, size, address = (0, 0, 0) if log is None else (1, len(log), ctypes.addressof(log))
    attributes = struct.pack(
        "=IIQQIIQII16s",
        _RAW_TRACEPOINT, len(instructions) // 8, ctypes.addressof(code), ctypes.addressof(license_text),
        level, size, address, 0, 0, _name(name),
    )  # fmt: skip
    return _bpf(_PROG_LOAD, attributes)


def _with_key(command: int, map_fd: int, key: bytes, value: ctypes.Array[ctypes.c_char] | None) -> None:
    key_buffer = ctypes.create_string_buffer(key, len(key))
    address = 0 if value is None else ctypes.addressof(value)
    _bpf(command, struct.pack("=I4xQQQ", map_fd, ctypes.addressof(key_buffer), address, 0))


def _bpf(command: int, attributes: bytes) -> int:
    check_processor()
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    result: int = _libc.syscall(ctypes.c_long(_NUMBERS[_MACHINE]), command, buffer, len(attributes))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _name(name: str) -> bytes:
    """The kernel takes letters, digits, `_` and `.`, up to 15 bytes."""
    return name.encode()[:_MAX_NAME]
