"""--no-args and --redact hide arguments before they are written, and change nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import PROCESSES, Recorder, exec_, fork, seen, wait_until, webpf_command, with_commands

from webpf.capture.redacted_source import RedactedSource
from webpf.errors import UsageError
from webpf.model import argv as quoting
from webpf.model.event_source import MemorySource
from webpf.model.events import Event
from webpf.model.redaction import Redaction

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., Recorder]
Query = Callable[..., list[dict[str, Any]]]

SECRET = "hunter2-0f9c"


def redacted(arguments: list[str], *patterns: str) -> list[str]:
    """Returns the arguments as they are recorded with these patterns."""
    argv = b"".join(argument.encode("utf-8", "surrogateescape") + b"\0" for argument in arguments)
    result, size = Redaction(patterns=patterns).argv(argv, len(argv))
    assert size == len(result), "a shorter argv must not look like a cut one"
    return [part.decode("utf-8", "surrogateescape") for part in quoting.split(result)]


@pytest.mark.parametrize(
    ("pattern", "arguments", "expected"),
    [
        (r"(?<=password=)\S+", ["a", "--password=s3cret", "b"], ["a", "--password=***", "b"]),
        (r"(?<=password=)\S+", ["a", "password=x&y", "b password=z c"], ["a", "password=***", "b password=*** c"]),
        (r"--token[= ]\S+", ["a", "--token=s3cret", "b"], ["a", "***", "b"]),
        (r"--token[= ]\S+", ["a", "--token", "s3cret", "b"], ["a", "***", "***", "b"]),
        # A match that continues in the next argument hides all of it, also the text after a space.
        (r"--token[= ]\S+", ["a", "--token", "two words", "b"], ["a", "***", "***", "b"]),
        (r"(?<=--token )\S+", ["a", "--token", "s3cret", "b"], ["a", "--token", "***", "b"]),
        (r"(?<=--token )\S+", ["a", "--tokens", "s3cret"], ["a", "--tokens", "s3cret"]),
        (r"^s3cret$", ["a", "s3cret", "s3crets"], ["a", "***", "s3crets"]),
        (r"s3cret", ["s3cret"], ["***"]),
        (r"a b c d", ["a", "b c", "", "d"], ["a", "b c", "", "d"]),
        (r"a b c  d", ["a", "b c", "", "d"], ["***", "***", "", "***"]),
        (r"x*", ["a", "", "xx"], ["a", "", "***"]),
        (r"b|c", ["abcd", "b c"], ["a***d", "*** ***"]),
        (r"key=.*", ["a", "key=1\n2", "b"], ["a", "***", "***"]),  # a dot matches line breaks and ends of arguments
        (r"é.", ["aéßc"], ["a***c"]),
        (r"\udcff", ["a\udcffb"], ["a***b"]),
        (r"$", ["a"], ["a"]),
    ],
)
def test_what_is_hidden(pattern: str, arguments: list[str], expected: list[str]) -> None:
    assert redacted(arguments, pattern) == expected


def test_several_patterns() -> None:
    assert redacted(["a=1", "b=2", "c=3"], "(?<=a=).", "b=.") == ["a=***", "***", "c=3"]
    assert redacted(["abcdef"], "abc", "cde") == ["***f"]


ARGUMENTS = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8), max_size=5)


@given(ARGUMENTS, st.text(st.characters(exclude_characters="\0*", exclude_categories=["Cs"]), min_size=1, max_size=3))
def test_a_literal_is_hidden_everywhere_and_the_arguments_stay_separate(arguments: list[str], secret: str) -> None:
    for inside in (arguments, [*arguments, f"x{secret}y", secret]):
        result = redacted(inside, re.escape(secret))
        assert len(result) == len(inside)
        assert not any(secret in argument for argument in result)
        for before, after in zip(inside, result, strict=True):
            assert after == before or "***" in after


@given(st.binary(max_size=40), st.integers(0, 50))
def test_arguments_without_a_match_keep_every_byte(raw: bytes, missing: int) -> None:
    argv = raw + b"\0"
    assert Redaction(patterns=["\U0001f980"]).argv(argv, len(argv) + missing) == (argv, len(argv) + missing)


@given(st.binary(max_size=40), st.integers(0, 50), st.sampled_from(["a", r"\S+", ".", r"[^\x00-\x7f]", r"\s"]))
def test_the_number_of_cut_bytes_stays_the_same(argv: bytes, missing: int, pattern: str) -> None:
    result, size = Redaction(patterns=[pattern]).argv(argv, len(argv) + missing)
    assert size - len(result) == missing
    assert len(quoting.split(result)) == len(quoting.split(argv))


def test_an_argument_that_was_cut_in_the_middle_is_hidden() -> None:
    """As a whole it could match."""
    redaction = Redaction(patterns=["AKIA[0-9]{4}"])
    assert redaction.argv(b"a\0AKIA12", 30) == (b"a\0***", 27)
    assert quoting.quote(b"a\0***", 27) == "a '***' …[22 bytes cut]"
    assert redaction.argv(b"a\0b\0", 30) == (b"a\0b\0", 30), "cut between two arguments"
    assert redaction.argv(b"", 30) == (b"", 30)


def test_a_title_without_a_nul_was_not_cut() -> None:
    """A process can overwrite its arguments in /proc, without a NUL at the end."""
    assert Redaction(patterns=["x"]).argv(b"sshd: max", 9) == (b"sshd: ma***", 11)


def test_events_without_arguments_pass() -> None:
    events: list[Event] = [fork(1, 0), exec_(1, 0, 1, b"a\0s3\0"), seen(2, 0, argv=b"s3\0"), seen(3, 0, argv=None)]
    for redaction, argvs in (
        (Redaction(patterns=["s3"]), [b"a\0***\0", b"***\0", None]),
        (Redaction(no_args=True), [None, None, None]),
        (Redaction(no_args=True, patterns=["s3"]), [None, None, None]),
    ):
        result: list[Any] = RedactedSource(MemorySource(events), redaction).drain()
        assert [event.argv for event in result[1:]] == argvs
        assert [type(event) for event in result] == [type(event) for event in events]
        assert result[0] == events[0]
    assert [event.argv_bytes for event in result[1:]] == [5, 3, None], "their length is not hidden"


def test_the_recorders_own_command_line() -> None:
    command = ["webpf", "record", "--redact", "s3", "--name", "of s3"]
    assert Redaction(patterns=["s3"]).command(command) == ["webpf", "record", "--redact", "***", "--name", "of ***"]
    # A pattern is hidden even if it doesn't match its own text.
    assert Redaction(patterns=["s[0-9]"]).command(["webpf", "--redact", "s[0-9]"]) == ["webpf", "--redact", "***"]
    assert Redaction(no_args=True).command(command) == ["webpf"]
    assert Redaction().command(command) == command


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "(?P<n", r"\1", "a{99999999999}", ""])
def test_invalid_regular_expressions(pattern: str, webpf: Webpf, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        Redaction(patterns=[pattern])
    for command in ("record", "stream"):
        answer = webpf(command, "--redact", pattern, "--duration", "1")
        assert answer.returncode == 64
        assert len(answer.stderr.splitlines()) == 1
        assert "--redact" in answer.stderr and "webpf record --redact" in answer.stderr
    assert list(tmp_path.iterdir()) == []


def test_it_is_active_only_with_options() -> None:
    assert not Redaction().active
    assert Redaction(no_args=True).active
    assert Redaction(patterns=["x"]).active


# On the real kernel: programs with a secret in their arguments, from before the recording and during it.


def raw_bytes(folder: Path) -> bytes:
    """Returns the bytes of the database and of the files beside it."""
    return b"".join(path.read_bytes() for path in sorted(folder.glob("webpf.db*")))


def run_with_secret() -> int:
    """Runs one process with long arguments and one with short arguments. Returns the pid of the latter."""
    long = ["/bin/sh", "-c", ":", "x" * 3000, f"--token={SECRET}", "--token", SECRET]
    subprocess.run(long, check=True)
    child = subprocess.Popen(["/bin/sh", "-c", ":", f"--password={SECRET}", "--token", SECRET, "after"])
    child.wait()
    return child.pid


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("options", "args"),
    [
        (["--redact", r"--token[= ]\S+", "--redact", r"(?<=password=)\S+"], "--password=*** *** *** after"),
        (["--redact", SECRET], "--password=*** --token *** after"),
        (["--no-args"], None),
        (["--no-args", "--redact", SECRET], None),
    ],
    ids=["patterns", "literal", "no-args", "both"],
)  # fmt: skip
def test_a_secret_never_reaches_the_file(
    options: list[str], args: str | None, start_recorder: Start, query: Query, tmp_path: Path, webpf: Webpf
) -> None:
    """Neither the file nor its WAL has it: from execs, from /proc, or from the recorder's own command line."""
    holder = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", f"--token={SECRET}"])
    try:
        wait_until(lambda: SECRET in Path(f"/proc/{holder.pid}/cmdline").read_text(), "it doesn't run yet")
        recorder = start_recorder(*options)
        pid = run_with_secret()
        row = f"SELECT * FROM {PROCESSES} WHERE pid = ? AND ppid = ? AND state = 'exited'"
        wait_until(lambda: query(row, pid, os.getpid()), "the row didn't come")
        assert (tmp_path / "webpf.db-wal").exists()
        assert SECRET.encode() not in raw_bytes(tmp_path)
        assert recorder.end()[0] == 0
    finally:
        holder.kill()
        holder.wait()
    content = raw_bytes(tmp_path)
    assert SECRET.encode() not in content
    assert b"(?<=password" not in content, "the patterns are secrets too"
    [process] = query(row, pid, os.getpid())
    [program] = query(f"SELECT * FROM {with_commands('programs')} WHERE process_id = ?", process["id"])
    [found] = query(f"SELECT * FROM {with_commands('snapshot')} WHERE pid = ?", holder.pid)
    [recording] = query("SELECT command, options FROM recordings")
    recorded = json.loads(recording["options"])
    assert process["comm"] == "sh"
    assert process["filename"] == program["filename"] == "/bin/sh"
    if args is None:
        for each in (process, program, found):
            assert each["argv"] is None
            assert each["argv_bytes"] > 20
        assert process["args"] is None
        assert query("SELECT 1 FROM commands WHERE args IS NOT NULL OR argv IS NOT NULL") == []
        assert "--" not in recording["command"]
    else:
        assert process["args"].replace("'", "") == f"/bin/sh -c : {args}"
        assert program["argv_bytes"] == len(program["argv"]) == process["argv_bytes"]
        assert b"***" in found["argv"]
        assert "--redact '***'" in recording["command"]
    assert (recorded["no_args"], recorded["redact"]) == ("--no-args" in options, options.count("--redact"))
    before_rebuild = query("SELECT * FROM processes ORDER BY id")
    assert webpf("rebuild").returncode == 0
    assert query("SELECT * FROM processes ORDER BY id") == before_rebuild
    assert webpf("query", "execs", "-p", f"pid={pid}").returncode == 0


@pytest.mark.kernel
@pytest.mark.parametrize("options", [["--no-args"], ["--redact", SECRET]])
def test_a_stream_without_secrets(options: list[str], tmp_path: Path) -> None:
    command = [*webpf_command(), "stream", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stderr.readline()
        pid = run_with_secret()
        lines = []
        for line in process.stdout:
            lines.append(json.loads(line))
            if (lines[-1]["event"], lines[-1]["pid"]) == ("E", pid):
                break
        process.terminate()
    [program] = [line for line in lines if line["event"] == "X" and line["pid"] == pid]
    if "--no-args" in options:
        assert (program["argv"], "args" in program, program["argv_bytes"] > 20) == (None, False, True)
    else:
        assert program["args"] == "/bin/sh -c : '--password=***' --token '***' after"
    assert SECRET not in json.dumps(lines)
