"""Records of the ring buffer, laid out by hand as bpf/process.c lays them out."""

from __future__ import annotations

import struct

FORK, EXEC, EXIT, FREE = range(4)
U64 = ("time", "start", "parent_start", "cgroup", "cpu", "max_rss_kib")
U32 = ("kind", "pid", "ppid", "uid", "euid", "status", "kernel", "args_total")
FACT = struct.Struct("=6Q8I16s")  # struct fact
HEADER = struct.Struct("=II")  # length, page offset: kernel/bpf/ringbuf.c
BUSY = 1 << 31


def fact(kind: int, comm: bytes = b"name", **fields: int) -> bytes:
    """A struct fact; what isn't given is 0."""
    values = {**dict.fromkeys(U64 + U32, 0), **fields, "kind": kind}
    return FACT.pack(*(values[name] for name in U64 + U32), comm)


def exec_fact(
    name: bytes | None,
    argv: bytes | None,
    room: tuple[int, int] = (256, 256),
    total: int | None = None,
    **fields: int,
) -> bytes:
    """A struct exec_fact with room for file name and argv. None: the kernel could not read it."""
    name_size = 0 if name is None else len(name) + 1
    data = (name or b"").ljust(room[0], b"\0") + (argv or b"").ljust(room[1], b"\xaa")
    assert len(data) == sum(room)
    args_total = len(argv or b"") if total is None else total
    # Kinds that have no file name keep cpu, ppid and status in the same places; a fork its execs where status is, and
    # fork and exit the number of programs begun where args_total is.
    sizes = {"cpu": len(argv or b""), "ppid": room[0], "status": name_size}
    return fact(EXEC, b"name", **fields, **sizes, args_total=args_total) + data


def record(body: bytes, busy: bool = False) -> bytes:
    """A record as the kernel keeps it: header, body, padding to 8 bytes."""
    header = HEADER.pack(len(body) | (BUSY if busy else 0), 7)
    return header + body + b"\xbb" * (-len(body) % 8)
