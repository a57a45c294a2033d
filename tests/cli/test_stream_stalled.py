"""`webpf stream` with a reader that doesn't read: it ends at once, with whole lines, and says what was lost."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import DEADLINE_SECONDS, wait_until, webpf_command

pytestmark = pytest.mark.kernel

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@contextmanager
def streaming(output: int, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A running `webpf stream` that writes to this descriptor."""
    command = [*webpf_command(), "stream", *options]
    with subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert "streaming" in process.stderr.readline()
            yield process
        finally:
            process.kill()


def unread(pipe: int) -> int:
    """Returns how many bytes are in the pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def fill(pipe: int, argument: str = "x" * 1000) -> list[int]:
    """Runs programs until the pipe is full; returns their pids."""
    pids: list[int] = []
    known = [-1] * 5

    def is_full() -> bool:
        for _ in range(20):
            process = subprocess.Popen(["/bin/true", argument])
            process.wait()
            pids.append(process.pid)
        known.append(unread(pipe))
        # The buffer is drained at most every 50 ms.
        time.sleep(0.1)
        return known[-1] > 30_000 and len(set(known[-5:])) == 1

    wait_until(is_full, "the pipe doesn't fill", 3 * DEADLINE_SECONDS)
    return pids


def read_all(pipe: int) -> bytes:
    """Returns the bytes in a pipe that nobody writes to any more."""
    return b"".join(iter(lambda: os.read(pipe, 1 << 20), b""))


@pytest.mark.parametrize("argument", ["x" * 1000, "\xff\n" * 15000], ids=["short lines", "lines longer than a page"])
@pytest.mark.parametrize("number", SIGNALS)
def test_it_ends_at_once(number: signal.Signals, argument: str) -> None:
    """The pipe holds whole lines. Programs of this test that aren't in it are counted as lost."""
    reader, writer = os.pipe()
    with streaming(writer, "--buffer-mib", "64") as process:
        os.close(writer)
        pids = fill(reader, argument)
        process.send_signal(number)
        assert process.wait(DEADLINE_SECONDS) == 0
        assert process.stderr is not None
        told = process.stderr.read()
    lines = read_all(reader).decode().split("\n")
    os.close(reader)
    assert lines.pop() == ""
    kinds = [(event["event"], event["pid"]) for event in map(json.loads, lines)]
    missing = sum((kind, pid) not in kinds for kind in "FXE" for pid in pids)
    assert missing > 0
    match = re.fullmatch(r"webpf: LOST ([\d,]+) events: [^\n]*\n", told)
    assert match, told
    assert int(match[1].replace(",", "")) >= missing


def test_a_duration_ends_it_too() -> None:
    reader, writer = os.pipe()
    with streaming(writer, "--duration", "4") as process:
        os.close(writer)
        begun = time.monotonic()
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
        while time.monotonic() < begun + 2:
            subprocess.run(["/bin/true", "x" * 1000], check=True)
        assert process.wait(DEADLINE_SECONDS) == 0
        assert process.stderr is not None
        assert "LOST" in process.stderr.read()
    os.close(reader)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_reader_that_reads_gets_all(number: signal.Signals, tmp_path: Path) -> None:
    """At its end, stream drops nothing that a reader still takes, even one that starts to read only then."""
    reader, writer = os.pipe()
    with streaming(writer) as process:
        os.close(writer)
        pids = []
        for _ in range(30):
            child = subprocess.Popen(["/bin/true"])
            child.wait()
            pids.append(child.pid)
        process.send_signal(number)
        lines = read_all(reader).decode().splitlines()
        assert process.wait(DEADLINE_SECONDS) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    os.close(reader)
    kinds = [(event["event"], event["pid"]) for event in map(json.loads, lines)]
    assert [(kind, pid) for kind in "FXE" for pid in pids if (kind, pid) not in kinds] == []


def test_a_slow_reader_is_told_what_it_misses() -> None:
    """At the end, the buffer holds enough for several drains, and each takes longer to read than stream waits."""
    reader, writer = os.pipe()
    with streaming(writer, "--buffer-mib", "64") as process:
        os.close(writer)
        pids = fill(reader)
        for _ in range(400):  # 12 MB
            child = subprocess.Popen(["/bin/true", "x" * 30000])
            child.wait()
            pids.append(child.pid)
        process.terminate()
        read = []
        while some := os.read(reader, 1 << 16):
            read.append(some)
            time.sleep(0.01)
        assert process.wait(DEADLINE_SECONDS) == 0
        assert process.stderr is not None
        told = process.stderr.read()
    os.close(reader)
    kinds = {(event["event"], event["pid"]) for event in map(json.loads, b"".join(read).splitlines())}
    missing = sum((kind, pid) not in kinds for kind in "FXE" for pid in pids)
    match = re.search(r"LOST ([\d,]+) events", told)
    assert missing <= (int(match[1].replace(",", "")) if match else 0)


def test_a_file_takes_all(tmp_path: Path) -> None:
    with (tmp_path / "events").open("wb") as file, streaming(file.fileno()) as process:
        child = subprocess.Popen(["/bin/true", "x" * 20000])
        child.wait()
        process.terminate()
        assert process.wait(DEADLINE_SECONDS) == 0
    events = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert {event["event"] for event in events if event["pid"] == child.pid} == {"F", "X", "E"}


def test_a_terminal_that_was_stopped() -> None:
    """The terminal is stopped as by Ctrl-S."""
    terminal, end = pty.openpty()
    with streaming(end) as process:
        os.close(end)
        for _ in range(100):
            subprocess.run(["/bin/true", "x" * 1000], check=True)
        process.terminate()
        assert process.wait(DEADLINE_SECONDS) == 0
    os.close(terminal)
