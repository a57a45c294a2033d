"""`--verbose`: what is logged and when; and a blocked stderr delays neither a recording nor its end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from support import DEADLINE_SECONDS, Recorder, wait_until, webpf_command

from webpf.capture.recorder import Status
from webpf.cli.live_status import QuietStatus
from webpf.cli.log_observer import LogObserver
from webpf.storage.verify import verify

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]
LINE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (?P<level>[A-Z]+) (?P<module>webpf[\w.]*)"
    r"\[(?P<pid>\d+) (?P<thread>[^]]+)\]: (?P<text>.*)"
)


def log_lines(stderr: str) -> list[dict[str, str]]:
    """Returns the parsed log lines in what was written to stderr."""
    return [found.groupdict() for line in stderr.splitlines() if (found := LINE.fullmatch(line))]


def messages(stderr: str) -> list[str]:
    """Returns all other lines, each up to the first word that differs between recordings."""
    others = [line for line in stderr.splitlines() if not LINE.fullmatch(line)]
    return [re.split(r"\d|longest|failed", line)[0] for line in others]


@pytest.mark.kernel
@pytest.mark.parametrize("arguments", [["--verbose", "record"], ["-v", "record"], ["record", "-v"]], ids=" ".join)
def test_a_recording_logs_what_it_does(arguments: list[str], webpf: Webpf) -> None:
    before = datetime.now(timezone.utc)
    answer = webpf(*arguments, "--duration", "0.3")
    lines = log_lines(answer.stderr)
    times = [datetime.fromisoformat(line["time"].replace("Z", "+00:00")) for line in lines]
    assert answer.returncode == 0
    assert times == sorted(times)
    assert before.replace(microsecond=0) <= times[0] <= times[-1] <= datetime.now(timezone.utc)
    assert len({line["pid"] for line in lines}) == 1
    text = "\n".join(f"{line['level']} {line['module']} {line['text']}" for line in lines)
    for expected in (
        r"INFO webpf\.cli\.versions webpf \d.*BCC \d.*Linux \d.*Python \d.*SQLite \d",
        r"INFO webpf\.kernel\.program_options the BPF programs are from .+",
        r"INFO webpf\.kernel\.program_options kernel features: group_dead [01], interruptible [01]",
        r"INFO webpf\.kernel\.loader the BPF programs are loaded, in \d+\.\d+ s",
        r"INFO webpf\.kernel\.probe a ring buffer of 16 MiB is mapped",
        r"INFO webpf\.cli\.log_observer recording 1 has begun",
        r"INFO webpf\.capture\.recorder snapshot of /proc with [1-9]\d* events and \d+ cgroups, in \d+\.\d+ s",
        r"INFO webpf\.capture\.recording_end the buffer is drained, in \d+\.\d+ s",
        r"INFO webpf\.capture\.recording_end intake has stopped, and the last frees were waited for, in \d+\.\d+ s",
        r"INFO webpf\.capture\.recording_end the recording is written, in \d+\.\d+ s",
        r"INFO webpf\.kernel\.probe detached",
        r"INFO webpf\.storage\.recording_file webpf\.db is closed",
    ):
        assert len(re.findall(f"^{expected}", text, re.MULTILINE)) == 1, expected


@pytest.mark.kernel
def test_messages_stay_as_they_are(webpf: Webpf) -> None:
    quiet, verbose = (webpf("record", "--duration", "0.3", *option) for option in ([], ["--verbose"]))
    assert messages(quiet.stderr) == messages(verbose.stderr)
    assert log_lines(quiet.stderr) == []


@pytest.mark.kernel
def test_the_exit_code_is_the_commands(webpf: Webpf) -> None:
    answer = webpf("-v", "record", "--", "sh", "-c", "exit 3")
    assert answer.returncode == 3
    assert log_lines(answer.stderr)


@pytest.mark.kernel
def test_options_of_a_recorded_command_are_its_own(webpf: Webpf) -> None:
    answer = webpf("record", "--", "sh", "-c", 'echo "$1"', "sh", "--verbose")
    assert answer.stdout == "--verbose\n"
    assert log_lines(answer.stderr) == []


def test_commands_that_read_load_no_logging(built: Path) -> None:
    """Without the option, `logging` isn't imported: that would cost time at every start."""
    code = "import sys; sys.argv = ['webpf', *sys.argv[1:]]; import webpf.__main__ as m; m._run(); print(*sys.modules)"
    for command in (["--help"], ["recordings"], ["query", "lifetimes", "--format", "csv"], ["tree"], ["report"]):
        loaded = subprocess.run(
            [sys.executable, "-c", code, *command], cwd=built.parent, capture_output=True, text=True, check=True
        ).stdout.splitlines()[-1]
        assert "webpf.errors" in loaded.split()
        assert "logging" not in loaded.split(), command


def test_a_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """Each line has the rate since the last one. A recording of a day has 1,440 such lines."""
    observer = LogObserver(QuietStatus())
    with caplog.at_level("INFO", "webpf"):
        for second in range(0, 301):
            observer.status(Status(float(second), None, 7, 50 * second, 3, 5 << 20))
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 5
    assert re.fullmatch(
        r"after 60 s: 50\.0 events/s; 7 processes, 3000 events, 3 lost; 5\.0 MiB wait; \d+\.\d MiB resident", texts[0]
    )
    resident = float(texts[0].split("wait; ")[1].split()[0])
    kib = int(re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1])  # type: ignore[index]
    assert resident == pytest.approx(kib / 1024, rel=0.2)


@pytest.mark.kernel
def test_a_locked_file_is_logged_when_that_begins(tmp_path: Path) -> None:
    """The message comes when the file is free again. The log says it at once."""
    log = tmp_path / "log"
    recorder = Recorder(tmp_path / "webpf.db", ["--verbose"], stderr=log)
    recorder.wait_until_recording()
    connection = sqlite3.connect(tmp_path / "webpf.db", isolation_level=None, timeout=DEADLINE_SECONDS)
    connection.execute("BEGIN IMMEDIATE")
    wait_until(lambda: "incident begins" in log.read_text(), "the incident was not logged")
    assert f"by pid {os.getpid()}" in log.read_text()
    assert "incident ends" not in log.read_text()
    connection.execute("ROLLBACK")
    connection.close()
    wait_until(lambda: "incident ends: locked for" in log.read_text(), "its end was not logged")
    assert recorder.end(signal.SIGHUP)[0] == 0
    assert "webpf.host.signals" in log.read_text() and "SIGHUP has come" in log.read_text()


@contextlib.contextmanager
def full_pipe() -> Iterator[int]:
    """The writing end of a full pipe that nobody reads."""
    reader, writer = os.pipe()
    try:
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        os.write(writer, bytes(4096))
        yield writer
    finally:
        os.close(reader)
        os.close(writer)


@contextlib.contextmanager
def reader_gone() -> Iterator[int]:
    """The writing end of a pipe whose reading end is closed."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)


@contextlib.contextmanager
def full_disk() -> Iterator[int]:
    """A device that fails each write like a full disk."""
    descriptor = os.open("/dev/full", os.O_WRONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@pytest.mark.kernel
@pytest.mark.parametrize("stderr", [full_pipe, reader_gone, full_disk])
@pytest.mark.parametrize("arguments", [["--duration", "1"], ["--", "true"]], ids=" ".join)
def test_a_recording_outlives_its_stderr(
    arguments: list[str], stderr: Callable[[], contextlib.AbstractContextManager[int]], tmp_path: Path
) -> None:
    started = time.monotonic()
    with stderr() as descriptor:
        command = [*webpf_command(), "record", "--verbose", "--quiet", *arguments]
        answer = subprocess.run(command, cwd=tmp_path, stderr=descriptor, timeout=DEADLINE_SECONDS, check=False)
    assert answer.returncode == 0
    assert time.monotonic() - started < DEADLINE_SECONDS
    assert all(finding.problems == () for finding in verify(tmp_path / "webpf.db"))


LOGS_MUCH = """
import logging, sys, time
from webpf.output import log_writer
end = log_writer.start()
log = logging.getLogger("webpf.test")
began = time.monotonic()
for number in range(3000):
    log.info("line %d %s", number, "x" * 200)
print(time.monotonic() - began, flush=True)
sys.stdin.readline()
log.info("the last")
end()
"""


def test_lines_that_are_left_out_are_counted() -> None:
    """A reader that pauses delays nothing, and is told how many lines were dropped."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOGS_MUCH],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert float(process.stdout.readline()) < 2
    _, errors = process.communicate("\n", timeout=DEADLINE_SECONDS)
    left_out = sum(int(number.replace(",", "")) for number in re.findall(r"([\d,]+) log lines were left out", errors))
    numbers = [int(line["text"].split()[1]) for line in log_lines(errors) if line["text"].startswith("line ")]
    assert 0 < left_out < 3000
    assert len(numbers) + left_out == 3000 or (len(numbers) + left_out == 3001 and "the last" not in errors)
    assert numbers == sorted(numbers)
