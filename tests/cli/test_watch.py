"""`webpf watch`: lines and objects of real processes, whose parents know how they ended, and its clean end."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from support import DEADLINE_SECONDS, Recorder, exit_, fork, make_recording, wait_until, webpf_command

Start = Callable[..., Recorder]
Webpf = Callable[..., "subprocess.CompletedProcess[str]"]


class Watch:
    """A `webpf watch` that runs; its output goes to files."""

    def __init__(self, folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self.output, self.errors = folder / "watch.out", folder / "watch.err"
        with self.output.open("wb") as output, self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [*webpf_command(), "watch", *arguments],
                cwd=folder, stdout=output, stderr=errors, stdin=subprocess.DEVNULL, env=environment,
            )  # fmt: skip

    def lines(self) -> list[str]:
        """Returns the whole lines so far."""
        return self.output.read_text().splitlines()

    def await_line(self, text: str) -> str:
        """Waits for a line with a text; returns it."""
        wait_until(lambda: self.process.poll() is not None or any(text in each for each in self.lines()), f"no {text}")
        return next(each for each in self.lines() if text in each)

    def end(self, number: int = signal.SIGINT) -> int:
        """Sends a signal; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_SECONDS)


@contextmanager
def watching(folder: Path, *arguments: str) -> Iterator[Watch]:
    """Starts it, and ends it if it still runs."""
    watch = Watch(folder, *arguments)
    try:
        yield watch
    finally:
        if watch.process.poll() is None:
            watch.process.kill()
            watch.process.wait()


def run(marker: str, script: str) -> tuple[int, int]:
    """Runs a shell whose command line has a marker; returns its pid and its exit code as Popen gives it."""
    with subprocess.Popen(["/bin/sh", "-c", script, marker]) as process:
        process.wait()
    return process.pid, process.returncode


@pytest.mark.kernel
def test_what_ends_is_printed(start_recorder: Start, tmp_path: Path) -> None:
    recorder = start_recorder()
    with watching(tmp_path, "--format", "ndjson", "--comm", "sh") as watch:
        # It has begun to follow when it prints the first process that is started after it.
        markers = iter(range(10_000))
        wait_until(lambda: bool(run(f"begin-{next(markers)}", ":") and watch.lines()), "it prints nothing")
        expected = {}
        for marker, script in (("w-ok", "exit 0"), ("w-three", "exit 3"), ("w-kill", "kill -KILL $$")):
            expected[marker] = run(marker, script)
        for marker, (pid, code) in expected.items():
            row: dict[str, Any] = json.loads(watch.await_line(marker))
            assert (row["event"], row["pid"], row["ppid"], row["comm"]) == ("end", pid, os.getpid(), "sh")
            assert (row["exit_code"], row["signal"]) == ((code, None) if code >= 0 else (None, -code))
            assert row["outcome"] == ("ok" if code == 0 else "failed" if code > 0 else "signalled")
            assert row["lifetime_ms"] > 0 and row["cpu_ms"] > 0
            assert row["user"] == "root" or row["uid"] != 0
        recorder.end()
        assert watch.process.wait(DEADLINE_SECONDS) == 0
        assert watch.errors.read_text().splitlines()[-1] == "webpf: recording 1 has ended"
    pids = [json.loads(line)["pid"] for line in watch.lines()]
    assert len(pids) == len(set(pids)), "each once"
    with closing(sqlite3.connect(tmp_path / "webpf.db")) as connection:
        known = {pid for (pid,) in connection.execute("SELECT pid FROM processes WHERE comm = 'sh'")}
    assert set(pids) <= known


@pytest.mark.kernel
def test_lines_with_starts_and_a_filter(start_recorder: Start, tmp_path: Path) -> None:
    start_recorder()
    with watching(tmp_path, "--failed", "--starts", "--comm", "sh") as watch:
        markers = iter(range(10_000))
        wait_until(lambda: bool(run(f"begin-{next(markers)}", "exit 1") and watch.lines()), "it prints nothing")
        run("good", "exit 0")
        pid, _ = run("bad", "sleep 0.05; exit 5")
        line = watch.await_line(" exit 5 ")
        assert re.match(
            rf"\d\d:\d\d:\d\d\.\d\d\d root +{pid} \S+ +[\d.]+ m?s +[\d.]+ [mu]?s exit 5 +/bin/sh -c .*bad$", line
        )
        assert not [each for each in watch.lines() if " ok " in each]
        assert watch.end() == 0


@pytest.mark.kernel
def test_over_the_segments_of_a_chain(start_recorder: Start, tmp_path: Path) -> None:
    """Each process is in it once, also those that are alive when a segment ends."""
    start_recorder("--rotate", "1s")

    def segments() -> int:
        with closing(sqlite3.connect(f"file:{tmp_path}/webpf.db?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM recordings").fetchone()[0])

    with watching(tmp_path, "--format", "ndjson", "--args", "rotated-") as watch:
        numbers = iter(range(10_000))
        expected: dict[int, int] = {}

        def starts_one() -> bool:
            number = next(numbers)
            pid, code = run(f"rotated-{number}", f"sleep 0.2; exit {number % 7}")
            expected[pid] = code
            return bool(watch.lines()) and segments() >= 4

        wait_until(starts_one, "the recording doesn't rotate, or nothing is printed")
        last, _ = run("rotated-last", "exit 9")
        watch.await_line("rotated-last")
        rows = [json.loads(line) for line in watch.lines()]
        assert watch.end() == 0
    found = {row["pid"]: row["exit_code"] for row in rows}
    assert len(found) == len(rows)
    assert found.pop(last) == 9
    first = next(at for at, pid in enumerate(expected) if pid in found)
    assert found == dict([*expected.items()][first:]), "all since it began"
    assert len({row["recording"] for row in rows}) >= 2


@pytest.mark.kernel
def test_without_a_recording_root_makes_a_temporary_one(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    watch = Watch(tmp_path, "--comm", "sh", environment=os.environ | {"TMPDIR": str(temporary)})
    markers = iter(range(10_000))
    wait_until(lambda: bool(run(f"begin-{next(markers)}", ":") and watch.lines()), "it prints nothing")
    assert list(temporary.iterdir())
    assert watch.end() == 0
    assert list(temporary.iterdir()) == []
    assert list(tmp_path.glob("*.db*")) == []
    assert "records into a temporary file" in watch.errors.read_text()


@pytest.mark.kernel
def test_a_recorder_that_is_killed(start_recorder: Start, tmp_path: Path) -> None:
    recorder = start_recorder()
    with watching(tmp_path) as watch:
        wait_until(lambda: bool(run("x", ":") and watch.lines()), "it prints nothing")
        recorder.process.kill()
        assert watch.process.wait(DEADLINE_SECONDS) == 0
        assert watch.errors.read_text().splitlines()[-1] == "webpf: recording 1 was interrupted"


@pytest.mark.kernel
def test_a_reader_that_has_gone(start_recorder: Start, tmp_path: Path) -> None:
    start_recorder()
    reader, writer = os.pipe()
    with subprocess.Popen([*webpf_command(), "watch"], cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE) as process:
        os.close(writer)
        os.close(reader)
        wait_until(lambda: bool(run("x", ":")) and process.poll() is not None, "it goes on")
        assert process.stderr is not None
        assert (process.returncode, process.stderr.read()) == (-signal.SIGPIPE, b"")


def test_what_has_ended_with_since(tmp_path: Path, webpf: Webpf) -> None:
    make_recording(tmp_path / "webpf.db", [fork(100, 0), exit_(100, 0, 10, 256), fork(200, 0), exit_(200, 0, 20)])
    answer = webpf("watch", "webpf.db", "--since", "2000-01-01", "--format", "ndjson")
    assert [json.loads(line)["pid"] for line in answer.stdout.splitlines()] == [100, 200]
    assert (answer.returncode, answer.stderr) == (0, "webpf: recording 1 has ended\n")
    (line,) = webpf("watch", "webpf.db", "--since", "2000-01-01", "--failed").stdout.splitlines()
    assert " 100 " in line and " exit 1 " in line and "[true]" in line


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["webpf.db"], 66, "nothing is being recorded into webpf.db"),
        (["nosuch.db"], 66, "there is no recording file nosuch.db"),
        (["--since", "soon"], 64, "--since takes a time"),
        (["--until", "04:00"], 64, "webpf watch takes no --until"),
        (["--user", "nobody-here"], 64, "--user nobody-here: there is no such user"),
        (["--min-lifetime", "x"], 64, "--min-lifetime takes a time, such as "),
    ],
)
def test_bad_input(arguments: list[str], code: int, message: str, tmp_path: Path, webpf: Webpf) -> None:
    make_recording(tmp_path / "webpf.db", [fork(100, 0)])
    ended = webpf("watch", *arguments)
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (code, "", 1)
    assert ended.stderr.startswith(f"webpf: {message}") and "; try: " in ended.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_an_ordinary_user_is_told_what_to_do(tmp_path: Path) -> None:
    command = ["setpriv", "--reuid=65534", "--clear-groups", *webpf_command(), "watch"]
    ended = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert ended.returncode == 66
    assert ended.stderr.startswith("webpf: nothing is being recorded here; try: sudo ")
