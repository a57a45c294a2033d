"""Titles that processes write over their arguments are read as `ps` shows them, and real empty arguments stay."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fates import Query
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support import PROCESSES, Recorder

from webpf.host import process_titles, procfs
from webpf.model.argv import split

# Writes over its own arguments. It reads from stdin how many bytes to clear, what to write, and at which offset.
OVERWRITE = """
import ctypes, sys
fields = open("/proc/self/stat").read().rpartition(") ")[2].split()
start, end = int(fields[45]), int(fields[46])
cleared, title, at = int(sys.stdin.readline()), bytes.fromhex(sys.stdin.readline()), int(sys.stdin.readline())
ctypes.memset(start, 0, min(cleared, end - start) if cleared >= 0 else end - start - cleared)
ctypes.memmove(start + at, title, len(title))
print("done", flush=True)
sys.stdin.read()
"""
ARGUMENTS = [b"one", b"", b"two words", b"x" * 300, b"", b""]


@contextmanager
def process(arguments: list[bytes], *overwrite: int | bytes) -> Iterator[int]:
    """Yields the pid of a process that has written over its arguments."""
    line: list[bytes | str] = [sys.executable, "-c", OVERWRITE, *arguments]
    environment = {"FIRST": "x" * 8000, **os.environ}
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as child:
        assert child.stdin is not None and child.stdout is not None
        for number in overwrite:
            child.stdin.write(b"%s\n" % (number.hex().encode() if isinstance(number, bytes) else b"%d" % number))
        child.stdin.flush()
        assert child.stdout.readline() == b"done\n"
        yield child.pid


def shown_by_ps(pid: int) -> str:
    """Returns the arguments that ps shows, without padding."""
    result = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], check=True, capture_output=True, text=True)
    return result.stdout.strip()


def argv_of(pid: int) -> list[bytes]:
    """Returns the arguments that webpf reads from /proc."""
    alive = procfs.read_process(pid, 0, 1 << 20, {})
    assert alive is not None and alive.argv is not None
    assert alive.argv_bytes == len(alive.argv)
    return split(alive.argv)


ALL = 1 << 20
ENVIRONMENT_TOO = -4000


@pytest.mark.parametrize("arguments", [ARGUMENTS, [], [b""], [b"", b""]], ids=len)
@pytest.mark.parametrize(
    ("cleared", "title"),
    [
        (ALL, b"proxy: worker 3"),
        (ALL, b"w"),  # shorter than the first argument
        (ALL, b"t" * 400),  # up to the middle of an argument
        (ENVIRONMENT_TOO, b"t" * 2000),
    ],
    ids=["short", "shortest", "long", "longest"],
)
def test_a_title_is_what_ps_shows(arguments: list[bytes], cleared: int, title: bytes) -> None:
    with process(arguments, cleared, title, 0) as pid:
        (shown,) = argv_of(pid)
        assert shown.decode() == shown_by_ps(pid)
        assert shown == title


def test_arguments_that_were_wiped_altogether() -> None:
    with process(ARGUMENTS, ALL, b"", 0) as pid:
        assert argv_of(pid) == []


def test_one_argument_that_was_wiped_stays_one() -> None:
    """Some programs wipe a password this way."""
    before = len(b"\0".join([sys.executable.encode(), b"-c", OVERWRITE.encode(), b"--password", b""]))
    with process([b"--password", b"secret", b"", b"user"], 0, b"\0" * 6, before) as pid:
        assert argv_of(pid)[3:] == [b"--password", b"", b"", b"user"]


@pytest.mark.parametrize("arguments", [ARGUMENTS, [b""], [b"", b"", b"x"], [b""] * 50], ids=len)
def test_real_empty_arguments_stay(arguments: list[bytes]) -> None:
    with process(arguments, 0, b"", 0) as pid:
        assert argv_of(pid)[3:] == arguments


WRITTEN = st.lists(st.sampled_from([b"", b"a", b"bc", b"d e"]), min_size=1, max_size=6)


@settings(max_examples=1000)
@given(WRITTEN, st.binary(max_size=12).map(lambda raw: raw.replace(b"\0", b"_")))
@example([b"bc", b"", b""], b"x")
def test_any_arguments_and_any_title(arguments: list[bytes], title: bytes) -> None:
    """The offsets of the arguments are known. A title with NULs exactly at their ends can't be told from arguments."""
    genuine = b"".join(argument + b"\0" for argument in arguments)
    starts = [sum(len(argument) + 1 for argument in arguments[:number]) for number in range(len(arguments))]
    layout = process_titles.Layout(len(arguments), starts)
    assert process_titles.without_padding(genuine, layout) == genuine
    written = title[: len(genuine) - 1].ljust(len(genuine), b"\0")
    if [at for at, byte in enumerate(written) if not byte] != [at for at, byte in enumerate(genuine) if not byte]:
        kept = process_titles.without_padding(written, layout)
        assert kept == written.rstrip(b"\0") + b"\0" * bool(title[: len(genuine) - 1])
        assert b"" not in split(kept)


@pytest.mark.parametrize(
    ("shown", "layout", "kept"),
    [
        (b"a: title\0\0\0\0\0", process_titles.Layout(3), b"a: title\0"),  # nginx changes the pointers
        (b"sh\0\0\0", process_titles.Layout(3), b"sh\0\0\0"),
        (
            b"a title\0\0\0\0ver\0\0",
            process_titles.Layout(2),
            b"a title\0ver\0",
        ),  # shorter than what it replaced
        (b"a: title\0\0\0\0\0\0\0", None, b"a: title\0"),  # the memory of the process may not be read
        (b"sh\0-c\0\0", None, b"sh\0-c\0\0"),
    ],
)
def test_without_the_offsets_of_arguments(shown: bytes, layout: process_titles.Layout | None, kept: bytes) -> None:
    assert process_titles.without_padding(shown, layout) == kept


LONG_ARGUMENTS = """
import ctypes, mmap, struct, sys
memory = mmap.mmap(-1, 32 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.write(b"x" * (len(memory) - 1))
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
end = start + len(memory)
code_start, code_end, stack = map(int, open("/proc/self/stat").read().rpartition(") ")[2].split()[23:26])
data_start, data_end, brk = map(int, open("/proc/self/stat").read().rpartition(") ")[2].split()[42:45])
ctypes.pythonapi.sbrk.restype = ctypes.c_void_p
of_memory = [code_start, code_end, data_start, data_end, brk, ctypes.pythonapi.sbrk(0), stack, start, end, end, end]
request = struct.pack("=12QIi", *of_memory, 0, 0, -1)  # struct prctl_mm_map
print(ctypes.pythonapi.prctl(35, 14, request, len(request), 0), flush=True)  # PR_SET_MM, PR_SET_MM_MAP
sys.stdin.read()
"""


def test_arguments_as_long_as_a_process_likes() -> None:
    """An ordinary process can have them; a recorder must not need as much memory."""
    command = [sys.executable, "-c", LONG_ARGUMENTS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        if child.stdout.readline() != b"0\n":
            pytest.skip("the kernel has no PR_SET_MM_MAP")
        folder = Path(f"/proc/{child.pid}")
        assert len((folder / "cmdline").read_bytes()) == 32 << 20
        assert process_titles.read_argv(folder) == b"x" * process_titles.MOST_BYTES
        assert child.stdin is not None
        child.stdin.close()


@pytest.mark.kernel
def test_in_a_recording(
    start_recorder: Callable[..., Recorder], webpf: Callable[..., subprocess.CompletedProcess[str]], query: Query
) -> None:
    with process(ARGUMENTS, ALL, b"proxy: worker 3", 0) as titled, process(ARGUMENTS, 0, b"", 0) as plain:
        recorder = start_recorder()
        recorder.end()
        shown = {row["pid"]: row["args"] for row in query(f"SELECT pid, args FROM {PROCESSES} WHERE pid > 0")}
        assert shlex.split(shown[titled]) == [shown_by_ps(titled)] == ["proxy: worker 3"]
        assert shlex.split(shown[plain])[3:] == [argument.decode() for argument in ARGUMENTS]
    assert "proxy: worker 3" in webpf("query", "running", "--format", "csv").stdout
