"""Ring-buffer records as bpf/process.c writes them, made from Python."""

from __future__ import annotations

import struct

FORK, EXEC, EXIT, FREE = range(4)
U64 = ("time", "start", "parent_start", "cgroup", "cpu", "max_rss_kib")
U32 = ("kind", "pid", "ppid", "uid", "euid", "status", "kernel", "args_total")
UNKNOWN = 2**64 - 1  # in a free
EVENT_HEAD = struct.Struct("=6Q8I16s")  # struct event
EXEC_TAIL = struct.Struct("=2Q2I")  # what a struct exec_event has after it
ENVIRONMENT_HEAD = struct.Struct("=Q2I")  # struct environment
INTERPRETER_ROOM = 256
NO_LOGINUID = 2**32 - 1
HEADER = struct.Struct("=II")  # length, page offset: kernel/bpf/ringbuf.c
BUSY = 1 << 31


def event_bytes(kind: int, comm: bytes = b"name", **fields: int) -> bytes:
    """Returns a `struct event`. Fields that aren't passed are 0."""
    values = {**dict.fromkeys(U64 + U32, 0), **fields, "kind": kind}
    return EVENT_HEAD.pack(*(values[name] for name in U64 + U32), comm)


def exec_event_bytes(
    name: bytes | None,
    argv: bytes | None,
    room: tuple[int, int] = (256, 256),
    total: int | None = None,
    session: int = 0,
    executable: tuple[int, int] = (0, 0),
    interpreter: bytes | None = None,
    **fields: int,
) -> bytes:
    """Returns a `struct exec_event`. room: space for the file name and for argv, in bytes. executable: device, inode.

    A name or argv that is None could not be read by the kernel.
    """
    name_size = 0 if name is None else len(name) + 1
    data = (name or b"").ljust(room[0], b"\0") + (argv or b"").ljust(room[1], b"\xaa")
    assert len(data) == sum(room)
    args_total = len(argv or b"") if total is None else total
    # These fields are in unions with others: an exec has args_size in place of cpu, name_room in place of ppid, and
    # name_size in place of status. A fork has execs in place of status; a fork and an exit have begun in place of
    # args_total.
    sizes = {"cpu": len(argv or b""), "ppid": room[0], "status": name_size}
    device, inode = executable
    tail = EXEC_TAIL.pack(session, inode, device, 0 if interpreter is None else len(interpreter) + 1)
    if interpreter is not None:
        data += interpreter.ljust(INTERPRETER_ROOM, b"\0")
    return event_bytes(EXEC, b"name", **fields, **sizes, args_total=args_total) + tail + data


def environment_exec_bytes(environment: bytes, room: int, total: int | None = None, argv: bytes = b"a\0") -> bytes:
    """Returns a `struct exec_event` of webpf_exec_env, with space of `room` bytes for the environment."""
    head = ENVIRONMENT_HEAD.pack(len(environment) if total is None else total, len(environment), room)
    body = exec_event_bytes(b"/bin/a".ljust(256, b"\0") + head, argv, (256 + len(head), 256), time=1)
    name_size = struct.pack("=I", len(b"/bin/a") + 1)  # without the space and the head that follow it
    at = EVENT_HEAD.size - 16 - 3 * 4
    body = body[:at] + name_size + body[at + 4 :]
    return body + bytes(INTERPRETER_ROOM) + environment.ljust(room, b"\xcc")


def free_event_bytes(write_bytes: int = 0, run_delay: int = 0, **fields: int) -> bytes:
    """Returns the `struct event` of a free, by the names of its unions."""
    names = {
        "user": "parent_start", "system": "cgroup", "read_bytes": "max_rss_kib", "minor_faults": "ppid",
        "major_faults": "uid", "voluntary": "euid", "involuntary": "kernel",
    }  # fmt: skip
    values = {names.get(name, name): value for name, value in fields.items()}
    return event_bytes(FREE, struct.pack("=2Q", write_bytes, run_delay), **values)


def record(body: bytes, busy: bool = False) -> bytes:
    """Returns a record as the kernel lays it out: header, body, padding to 8 bytes."""
    header = HEADER.pack(len(body) | (BUSY if busy else 0), 7)
    return header + body + b"\xbb" * (-len(body) % 8)
