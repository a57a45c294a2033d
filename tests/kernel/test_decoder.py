"""Decoding of ring-buffer memory. The memory is made here, and its layout is checked against bpf/process.c."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ring_records import (
    EVENT_HEAD,
    EXEC_TAIL,
    EXIT,
    FORK,
    FREE,
    HEADER,
    INTERPRETER_ROOM,
    NO_LOGINUID,
    U32,
    U64,
    UNKNOWN,
    environment_exec_bytes,
    event_bytes,
    exec_event_bytes,
    free_event_bytes,
    record,
)
from support import PROJECT

from webpf.kernel import decoder
from webpf.kernel.decoder import Decoder, find_busy
from webpf.model.environment import Variable
from webpf.model.events import Event, Exec, Exit, Fork, Free, decode_escaped


def decode(memory: bytes, start: int = 0) -> tuple[list[Event], int]:
    """Returns all events, and the position where decoding ended."""
    out: list[Event] = []
    reached = Decoder().decode(memoryview(memory), start, len(memory), out)
    return out, reached


A_FORK = event_bytes(
    FORK,
    b"bash\0old!",
    time=1000,
    start=900,
    parent_start=500,
    cgroup=77,
    pid=42,
    ppid=41,
    uid=1000,
    euid=1001,
    status=3,
    args_total=4,
    cpu=1000 << 32 | 9,
    max_rss_kib=7,
)
AN_EXIT = event_bytes(
    EXIT, b"true", time=3000, start=900, pid=42, ppid=1, status=139, max_rss_kib=321, uid=5, euid=6, args_total=2,
    cpu=NO_LOGINUID << 32 | 9,
)  # fmt: skip
A_FREE = free_event_bytes(
    time=4000,
    start=900,
    pid=42,
    status=139,
    cpu=123_456_789,
    user=100_000_000,
    system=23_456_789,
    minor_faults=1,
    major_faults=2,
    voluntary=3,
    involuntary=4,
    read_bytes=512,
    write_bytes=4096,
    run_delay=2**40,
)
AN_EXEC = exec_event_bytes(
    b"/bin/true",
    b"true\0-x\0",
    time=2000,
    start=900,
    pid=42,
    uid=1000,
    cgroup=77,
    max_rss_kib=9,
    kernel=5,
    parent_start=6,
    session=NO_LOGINUID << 32 | 9,
    executable=(10, 2**40),
)


def test_environments() -> None:
    """Each is in its own record; nothing of the space after it counts."""
    bodies = [
        environment_exec_bytes(b"B=\xff\0A=1\0", 4096),
        environment_exec_bytes(b"", 4096, argv=b""),
        environment_exec_bytes(b"A=1\0B=", 16384, total=99),
        environment_exec_bytes(b"", 4096, total=4),
    ]
    memory = b"".join(map(record, [A_FORK, *bodies, AN_EXIT]))
    out: list[Event] = []
    assert Decoder(["B", "A"]).decode(memoryview(memory), 0, len(memory), out) == len(memory)
    execs = [event for event in out if isinstance(event, Exec)]
    assert [event.environment for event in execs] == [
        (Variable("A", "set", "1"), Variable("B", "set", b"\xff")),
        (Variable("A", "unset"), Variable("B", "unset")),
        (Variable("A", "set", "1"), Variable("B", "unknown")),
        (Variable("A", "unknown"), Variable("B", "unknown")),
    ]
    assert {(event.filename, event.interpreter) for event in execs} == {("/bin/a", None)}
    assert [event.argv for event in execs] == [b"a\0", b"", b"a\0", b"a\0"]
    assert [type(event) for event in (out[0], out[-1])] == [Fork, Exit]


def test_a_fork() -> None:
    assert decode(record(A_FORK)) == (
        [Fork(1000, 42, 900, 41, 500, "bash", 1000, 1001, 77, 0, 9, 1000, 3, 4, 7)],
        104,
    )


def test_an_exit() -> None:
    [event], _ = decode(record(AN_EXIT))
    assert event == Exit(3000, 42, 900, 1, "true", 139, 321, 5, 2, 9, None)
    assert type(event) is Exit


def test_a_free() -> None:
    [event], _ = decode(record(A_FREE))
    costs = (123_456_789, 100_000_000, 23_456_789, 1, 2, 3, 4, 512, 4096, 2**40)
    assert event == Free(4000, 42, 900, 139, *costs)
    assert type(event) is Free


@pytest.mark.parametrize(
    ("name", "field"),
    [("read_bytes", "read_bytes"), ("write_bytes", "write_bytes"), ("run_delay", "run_delay_ns")],
)
def test_costs_that_are_unknown(name: str, field: str) -> None:
    body = free_event_bytes(**{"read_bytes": 1, "write_bytes": 2, "run_delay": 3, name: UNKNOWN})
    [event], _ = decode(record(body))
    known = {"read_bytes": 1, "write_bytes": 2, "run_delay_ns": 3, field: None}
    assert {each: getattr(event, each) for each in known} == known


def test_an_exec() -> None:
    [event], _ = decode(record(AN_EXEC))
    command = ("/bin/true", b"true\0-x\0", 8)
    assert event == Exec(2000, 42, 900, "name", 1000, 0, 77, 9, *command, 5, 6, None, 10, 2**40, 9, None)
    assert type(event) is Exec


@pytest.mark.parametrize(("raw", "path"), [(b"/bin/sh", "/bin/sh"), (b"/\xff", b"/\xff"), (b"/" + b"x" * 254, None)])
@pytest.mark.parametrize("room", [(256, 2048), (4096, 32768), (4096, 100)])
def test_an_interpreter(raw: bytes, path: str | bytes | None, room: tuple[int, int]) -> None:
    """It comes after the argv, whatever the space for that is."""
    memory = record(exec_event_bytes(b"a script", b"x\0", room, interpreter=raw)) + record(A_FORK)
    [event, _], reached = decode(memory)
    assert isinstance(event, Exec)
    assert (event.filename, event.argv, event.interpreter) == ("a script", b"x\0", path or raw.decode())
    assert reached == len(memory)


def test_the_cache_of_sessions_is_bounded() -> None:
    decoder = Decoder()
    out: list[Event] = []
    memory = b"".join(record(event_bytes(EXIT, cpu=number << 32 | number + 1)) for number in range(10_000))
    decoder.decode(memoryview(memory), 0, len(memory), out)
    assert [(event.sid, event.loginuid) for event in out if isinstance(event, Exit)] == [
        (number + 1, number) for number in range(10_000)
    ]
    assert len(decoder._sessions) <= 4096


@pytest.mark.parametrize("kernel", [0, 1])
def test_the_kernels_own_threads_are_marked(kernel: int) -> None:
    [event], _ = decode(record(event_bytes(FORK, kernel=kernel)))
    assert isinstance(event, Fork)
    assert event.kernel == kernel


@pytest.mark.parametrize(
    ("comm", "name"),
    [(b"exactly16bytes!!", "exactly16bytes!!"), (b"\xff\xfe", "\\xff\\xfe"), (b"", ""), (b"a\0b", "a")],
)
def test_names_of_all_kinds(comm: bytes, name: str) -> None:
    [forked, ended], _ = decode(record(event_bytes(FORK, comm)) + record(event_bytes(EXIT, comm)))
    assert isinstance(forked, Fork) and isinstance(ended, Exit)
    assert (forked.comm, ended.comm) == (name, name)


@pytest.mark.parametrize("room", [(256, 256), (256, 2048), (256, 32768), (4096, 32768), (256, 0), (256, 100)])
def test_execs_of_all_sizes_between_other_events(room: tuple[int, int]) -> None:
    """The last two have a small --max-args. 100 is not a multiple of 8, so that record has padding."""
    name = b"/" + b"n" * (room[0] - 2)
    argv = b"a" * room[1]
    memory = (
        record(A_FORK) + record(exec_event_bytes(name, argv, room)) * 2 + record(AN_EXIT) + record(A_FREE)
        + record(exec_event_bytes(b"x", argv, room)) + record(A_FORK)
    )  # fmt: skip
    events, reached = decode(memory)
    assert reached == len(memory)
    assert [type(event) for event in events] == [Fork, Exec, Exec, Exit, Free, Exec, Fork]
    execs = [event for event in events if isinstance(event, Exec)]
    assert [event.filename for event in execs] == [name.decode(), name.decode(), "x"]
    assert {event.argv for event in execs} == {argv}


def test_arguments_that_could_not_be_read_are_unknown() -> None:
    [event], _ = decode(record(exec_event_bytes(b"/bin/true", b"", total=12)))
    assert isinstance(event, Exec)
    assert (event.argv, event.argv_bytes) == (None, 12)


def test_an_empty_argv_is_not_unknown() -> None:
    """Older kernels allow execve() with an empty argv."""
    [event], _ = decode(record(exec_event_bytes(b"/bin/true", b"", total=0)))
    assert isinstance(event, Exec)
    assert (event.argv, event.argv_bytes) == (b"", 0)


def test_cut_arguments_keep_their_true_length() -> None:
    [event], _ = decode(record(exec_event_bytes(b"/bin/true", b"a" * 256, total=1_000_000)))
    assert isinstance(event, Exec)
    assert (event.argv, event.argv_bytes) == (b"a" * 256, 1_000_000)


def test_a_file_name_that_could_not_be_read_is_empty() -> None:
    [event], _ = decode(record(exec_event_bytes(None, b"true\0")))
    assert isinstance(event, Exec)
    assert (event.filename, event.argv) == ("", b"true\0")


def test_a_file_name_that_is_not_utf8() -> None:
    [event], _ = decode(record(exec_event_bytes(b"/tmp/\xff\n", b"")))
    assert isinstance(event, Exec)
    assert event.filename == b"/tmp/\xff\n"


def test_empty_memory_has_no_events() -> None:
    assert decode(b"") == ([], 0)


@pytest.mark.parametrize("body", [A_FORK, AN_EXEC], ids=["fork", "exec"])
@pytest.mark.parametrize("before", [b"", record(A_FORK), record(A_FORK) + record(AN_EXEC)], ids=["0", "1", "2"])
def test_a_record_that_is_still_being_written_stops_decoding(before: bytes, body: bytes) -> None:
    unwritten = record(bytes(len(body)), busy=True)
    events, reached = decode(before + unwritten + record(AN_EXIT))
    assert reached == len(before)
    assert events == decode(before)[0]
    assert find_busy(memoryview(before + unwritten), 0, len(before + unwritten)) == len(before)


def test_decoding_continues_where_it_stopped() -> None:
    """The ring buffer is mapped twice in a row, so decoding begins and ends anywhere in it."""
    memory = bytearray(record(A_FORK) + record(AN_EXEC, busy=True) + record(A_FREE))
    decoder = Decoder()
    out: list[Event] = []
    reached = decoder.decode(memoryview(memory), 0, len(memory), out)
    assert reached == len(record(A_FORK))
    memory[reached : reached + 8] = HEADER.pack(len(AN_EXEC), 7)
    assert decoder.decode(memoryview(memory), reached, len(memory), out) == len(memory)
    assert [type(event) for event in out] == [Fork, Exec, Free]


def test_records_after_the_end_are_not_decoded() -> None:
    out: list[Event] = []
    memory = record(A_FORK) + record(AN_EXEC) + record(AN_EXIT)
    end = len(memory) - len(record(AN_EXIT))
    assert Decoder().decode(memoryview(memory), 0, end, out) == end
    assert [type(event) for event in out] == [Fork, Exec]
    assert find_busy(memoryview(memory), 0, end) == end


COMM = st.binary(max_size=16)
NUMBER = st.integers(0, 2**32 - 1)
TIME = st.integers(0, 2**62)
PLAIN = st.builds(
    lambda kind, comm, numbers, times: event_bytes(
        kind, comm, **dict(zip(U32[1:], numbers, strict=True)), **dict(zip(U64, times, strict=True))
    ),
    st.sampled_from([FORK, EXIT, FREE]), COMM, st.tuples(*[NUMBER] * 7), st.tuples(*[TIME] * 6),
)  # fmt: skip
EXECS = st.builds(
    lambda name, argv, room, more, pid, inodes, interpreter: exec_event_bytes(
        name, argv, room, len(argv) + more, inodes[0], (pid, inodes[1]), interpreter, pid=pid, parent_start=inodes[0]
    ),
    st.binary(max_size=255).map(lambda raw: raw.replace(b"\0", b"?")),
    st.binary(max_size=100),
    st.sampled_from([(256, 256), (256, 100), (256, 2048), (4096, 256), (256, 101)]),
    st.integers(0, 9),
    NUMBER,
    st.tuples(*[st.integers(0, 2**64 - 1)] * 2),
    st.none() | st.binary(min_size=1, max_size=255).map(lambda raw: raw.replace(b"\0", b"?")),
)


def path_of(raw: bytes) -> str | bytes:
    """Returns a file name as text if it is UTF-8, and else as bytes."""
    return raw.decode("utf-8", "ignore") if raw.decode("utf-8", "ignore").encode() == raw else raw


def signed(number: int) -> int:
    """Returns a number of 64 bits as SQLite stores it."""
    return number - 2**64 if number >= 2**63 else number


def session(number: int) -> tuple[int, int | None]:
    """Returns the session id and the loginuid in a number."""
    loginuid, sid = divmod(number, 2**32)
    return sid, None if loginuid == NO_LOGINUID else loginuid


def expected(body: bytes) -> Event:
    """Returns the event of one record, read field by field."""
    *numbers, comm = EVENT_HEAD.unpack_from(body)
    it = dict(zip(U64 + U32, numbers, strict=True))
    time, start, name = it["time"], it["start"], decode_escaped(comm)
    if it["kind"] == FORK:
        return Fork(
            time, it["pid"], start, it["ppid"], it["parent_start"], name, it["uid"], it["euid"], it["cgroup"],
            it["kernel"], *session(it["cpu"]), it["status"], it["args_total"], it["max_rss_kib"],
        )  # fmt: skip
    if it["kind"] == EXIT:
        return Exit(
            time, it["pid"], start, it["ppid"], name, it["status"], it["max_rss_kib"], it["uid"], it["args_total"],
            *session(it["cpu"]),
        )  # fmt: skip
    if it["kind"] == FREE:
        last = (None if number == UNKNOWN else number for number in (it["max_rss_kib"], *struct.unpack("=2Q", comm)))
        return Free(
            time, it["pid"], start, it["status"], it["cpu"], it["parent_start"], it["cgroup"],
            it["ppid"], it["uid"], it["euid"], it["kernel"], *last,
        )  # fmt: skip
    name_room, name_size, args_size = it["ppid"], it["status"], it["cpu"]
    both, inode, device, interpreter_size = EXEC_TAIL.unpack_from(body, EVENT_HEAD.size)
    data = body[EVENT_HEAD.size + EXEC_TAIL.size :]
    interpreter = data[len(data) - INTERPRETER_ROOM :][: interpreter_size - 1] if interpreter_size else None
    argv = data[name_room : name_room + args_size]
    known = None if not args_size and it["args_total"] else argv
    return Exec(
        time, it["pid"], start, name, it["uid"], it["euid"], it["cgroup"], it["max_rss_kib"],
        path_of(data[:name_size].rstrip(b"\0")), known, it["args_total"], it["kernel"], signed(it["parent_start"]),
        None if interpreter is None else path_of(interpreter), device, signed(inode), *session(both),
    )  # fmt: skip


@settings(max_examples=150)
@given(st.lists(st.one_of(PLAIN, PLAIN, EXECS), max_size=12), st.integers(0, 20), st.integers(0, 12))
def test_any_records_up_to_a_busy_one(bodies: list[bytes], before: int, busy: int) -> None:
    """Records of any kinds in any order, from any position, are decoded up to the first one still being written."""
    start = before * 8
    memory = bytes(start) + b"".join(record(body, busy=i == busy) for i, body in enumerate(bodies))
    readable = bodies[:busy]
    end = start + sum(len(record(body)) for body in readable)
    events, reached = decode(memory, start)
    assert events == [expected(body) for body in readable]
    assert [type(event) for event in events] == [type(expected(body)) for body in readable]
    assert reached == end
    assert find_busy(memoryview(memory), start, len(memory)) == end


def test_the_cache_of_names_is_bounded() -> None:
    """A program that renames itself all the time must not fill the recorder's memory."""
    decoder = Decoder()
    count = 66_000
    memory = b"".join(record(event_bytes(EXIT, b"%d" % i)) for i in range(count))
    out: list[Event] = []
    decoder.decode(memoryview(memory), 0, len(memory), out)
    decoder.decode(memoryview(memory), 0, 4 * len(record(AN_EXIT)), out)
    assert [event.comm for event in out if isinstance(event, Exit)] == [*map(str, range(count)), "0", "1", "2", "3"]
    assert len(decoder._names) < count


LAYOUT = r"""
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
typedef uint64_t u64; typedef uint32_t u32; typedef int32_t s32;
%s
int main(void)
{
	printf("%%zu %%zu\n", sizeof(struct event), sizeof(struct exec_event));
#define AT(type, field) printf(#field " %%zu\n", offsetof(struct type, field));
%s
}
"""


@pytest.mark.skipif(not shutil.which("gcc"), reason="no gcc")
def test_the_layout_here_is_the_one_of_the_bpf_programs(tmp_path: Path) -> None:
    """Compiles the two structs of bpf/process.c and prints the offset of each field."""
    source = (PROJECT / "bpf" / "process.c").read_text(encoding="utf-8")
    structs = re.findall(r"^struct (?:exec_)?event \{.*?^\};", source, re.MULTILINE | re.DOTALL)
    fields = [*(f"AT(event, {name})" for name in (*U64, *U32, "comm"))]
    fields += ["AT(event, args_size)", "AT(event, name_room)", "AT(event, name_size)", "AT(exec_event, data)"]
    fields += [f"AT(event, {name})" for name in ("session", "ns_pid")]
    fields += [f"AT(exec_event, {name})" for name in ("session", "exe_inode", "exe_device", "interpreter_size")]
    program = tmp_path / "layout"
    program.with_suffix(".c").write_text(LAYOUT % ("\n".join(structs), "\n".join(fields)))
    subprocess.run(["gcc", "-o", program, program.with_suffix(".c")], check=True)
    sizes, *lines = subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()
    size = EVENT_HEAD.size
    assert sizes == f"{size} {size + EXEC_TAIL.size}"
    offsets = [8 * i for i in range(len(U64))] + [48 + 4 * i for i in range(len(U32))] + [size - 16]
    offsets += [offsets[(*U64, *U32).index(name)] for name in ("cpu", "ppid", "status")] + [size + EXEC_TAIL.size]
    offsets += [offsets[U64.index(name)] for name in ("cpu", "max_rss_kib")]
    offsets += [size + at for at in (0, 8, 16, 20)]
    assert [int(line.split()[1]) for line in lines] == offsets
    assert decoder._EVENT_HEAD.size == HEADER.size + size
    assert EXEC_TAIL.size + size == decoder.EXEC_HEAD_BYTES


@settings(max_examples=150)
@given(st.lists(st.one_of(PLAIN, PLAIN, EXECS), min_size=1, max_size=12), st.integers(150, 2000))
def test_small_steps_give_the_same_events(bodies: list[bytes], step: int) -> None:
    """Each call ends anywhere, also in the middle of a record. No event is decoded twice or left out."""
    memory = memoryview(b"".join(map(record, bodies)))
    decoder, out, position = Decoder(), list[Event](), 0
    while position < len(memory):
        reached = decoder.decode(memory, position, min(position + step, len(memory)), out)
        assert reached > position
        position = reached
    assert position == len(memory)
    assert out == [expected(body) for body in bodies]


def test_records_that_were_made_with_two_clock_offsets() -> None:
    """After the switch, those with the offset before get times by the new one; then all records have that."""
    kinds = struct.Struct("=I")
    at = EVENT_HEAD.size - 16 - 8 * 4  # of the kind: the first of the numbers of 32 bits

    def with_second(event: bytes) -> bytes:
        [kind] = kinds.unpack_from(event, at)
        return event[:at] + kinds.pack(kind | decoder.CLOCK_BIT) + event[at + kinds.size :]

    old = b"".join(map(record, (A_FORK, AN_EXEC, AN_EXIT, A_FREE)))
    new = b"".join(record(with_second(event)) for event in (A_FORK, AN_EXEC, AN_EXIT, A_FREE))
    [fork, exec_, exit_, free], _ = decode(old)
    assert isinstance(fork, Fork)
    decoding = Decoder()
    decoding.switch_clock()
    out: list[Event] = []
    memory = old + new + old
    assert decoding.decode_both(memoryview(memory), 0, len(memory), out, 70) == len(memory)
    moved = [
        event._replace(time_ns=event.time_ns + 70, start_ns=event.start_ns + 70) for event in (fork, exec_, exit_, free)
    ]
    assert isinstance(moved[0], Fork)
    moved[0] = moved[0]._replace(parent_start_ns=fork.parent_start_ns + 70)
    assert out == [*moved, fork, exec_, exit_, free, *moved]
    out.clear()
    assert decoding.decode(memoryview(new), 0, len(new), out) == len(new)
    assert out == [fork, exec_, exit_, free]
